//! One connection: what must outlive a worker ([`ConnectionInfo`]), and what need not.
//!
//! A connection acts on itself and on what it is lent ([`Effects`](crate::effects::Effects)): the other connections of its
//! worker are out of its reach, and so is the application. What the application has to be told is queued.
//!
//! What it does is sorted by what it is about, each with a name of its own and a file: [`Incoming`] (its peer's bytes),
//! [`Outgoing`] (messages to its peer), [`Http`] (answers to requests), [`Timers`]. How it ends, how its outbox is written
//! and how it goes on in another process are its own methods.

mod close;
mod feed;
mod output;
mod read;
mod respond;
mod send;
mod snapshot;
mod state;
mod subscribe;
mod tick;

use serde::{Deserialize, Serialize};
use wsmaster_ipc::{ConnectionId, command::Group};
use wsmaster_protocol::{
    http::RequestHead,
    peer::Peer,
    session::{Extension, Session},
};

pub(crate) use self::feed::{Budget, Fed, as_message};
use crate::{
    admission::AdmissionTicket,
    conn_index::ConnIndex,
    http1::{RequestState, ResponseOptions},
    limits::Limits,
    outbox::Outbox,
    rate_limiter::RateLimiter,
    schedule::Schedule,
    stream::Stream,
    timeouts::Times,
    tls,
    token::Key,
};
use wsmaster_ipc::Moment;

/// The options of an answer after which the connection ends.
pub(crate) const LAST: ResponseOptions = ResponseOptions { keep_alive: false, head_only: false };

/// The key under which an application keeps whose a connection is, as a text or a number:
/// `context.keep(USER_KEY, "ann".into())`. Lists of connections show it and find by it.
pub const USER_KEY: &str = "user";

/// The facts about a connection that any process could go on with, apart from bytes that are under way. Its subscriptions
/// belong here too; they are kept where publishing needs them, and are named by their channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// Its id, for ever.
    pub id: ConnectionId,
    /// The client's address: what a trusted proxy says it is, or else the peer's.
    pub peer: Peer,
    /// Whether the client came over TLS, to this server or to a trusted proxy that says so.
    pub secure: bool,
    /// The number of the listener it came to.
    pub listener: u16,
    /// What the application has put it into.
    pub group: Option<Group>,
    /// When it was accepted, in ms since 1970.
    pub opened_unix_ms: u64,
    /// The request that became a WebSocket: line and headers.
    pub head: Option<RequestHead>,
    /// The subprotocol agreed on.
    pub subprotocol: Option<Box<str>>,
    /// The extension agreed on.
    pub extension: Extension,
    /// What the TLS handshake has brought out, when it is encrypted.
    pub tls: Option<Box<tls::PeerInfo>>,
    /// What the application keeps about it.
    #[serde(with = "json_text")]
    pub context: Option<Box<serde_json::Map<String, serde_json::Value>>>,
}

/// What an application keeps, as a text of JSON: a form that does not describe itself cannot hold any value.
mod json_text {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _,
    };
    use serde_json::{Map, Value};

    type Context = Option<Box<Map<String, Value>>>;

    pub(super) fn serialize<S: Serializer>(
        context: &Context,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = context.as_ref().map(serde_json::to_string).transpose();
        text.map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Context, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(D::Error::custom)
    }
}

/// A connection and its socket.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its place in the worker's table.
    pub(crate) key: Key,
    pub(crate) stream: Stream,
    pub(crate) info: ConnectionInfo,
    pub(crate) state: State,
    pub(crate) outbox: Outbox,
    /// Input that could not be handled yet: a request head that is not complete, or what a budget left over.
    pub(crate) unparsed: Vec<u8>,
    pub(crate) times: Times,
    pub(crate) rate: RateLimiter,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) flags: Flags,
    pub(crate) ticket: AdmissionTicket,
    /// Its [`Self::unfinished_bytes`] when they were summed up last: in 32 bits, since every idle connection has it.
    pub(crate) summed_bytes: u32,
}

/// What the loop knows about a connection's socket and lists.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Flags {
    /// The kernel may have bytes for us: it has said so and not yet been read empty.
    pub(crate) readable: bool,
    /// A byte that was sent as urgent is among what has come: a read ends before it, so that a short one proves nothing.
    pub(crate) urgent: bool,
    /// The peer has sent its end; there is at most what the kernel still holds.
    pub(crate) peer_done: bool,
    /// It is a WebSocket of whose end the application has not been told.
    pub(crate) open: bool,
    /// A PROXY header has to come before anything else.
    pub(crate) preface: bool,
    /// It is on the list of outboxes to flush.
    pub(crate) dirty: bool,
    /// It is on the list of connections with work left.
    pub(crate) ready: bool,
    /// It has sent more than it may and is left unread until [`Times::resume_ms`].
    pub(crate) throttled: bool,
    /// The application does not want to hear of it now. Only while `open`.
    pub(crate) paused: bool,
}

/// How far a connection is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum State {
    /// It speaks HTTP.
    Http(RequestState),
    /// It is a WebSocket.
    WebSocket(Session),
    /// All is said: what is in the outbox leaves, then we end our side, and what still comes is thrown away until the peer
    /// ends its own. Closing earlier with input unread would make the kernel send a reset, and the peer could lose our
    /// last words (RFC 9112, 9.6).
    Lingering {
        /// Our side has been ended.
        shut: bool,
    },
}

/// A connection, as far as its peer's bytes are concerned: reading them, and what they mean to its state.
pub(crate) struct Incoming<'a>(&'a mut Connection);

/// A connection, as far as messages to its peer are concerned.
pub(crate) struct Outgoing<'a>(&'a mut Connection);

/// A connection, as far as answers to HTTP requests are concerned.
pub(crate) struct Http<'a>(&'a mut Connection);

/// A connection, as far as time is concerned: timeouts, pings, and pauses.
pub(crate) struct Timers<'a>(&'a mut Connection);

impl Connection {
    /// A connection that was just accepted, of which nothing has come.
    pub(crate) fn new(
        key: Key,
        stream: Stream,
        info: ConnectionInfo,
        ticket: AdmissionTicket,
        now_ms: u64,
    ) -> Self {
        Self {
            key,
            stream,
            info,
            state: State::Http(RequestState::new()),
            outbox: Outbox::default(),
            unparsed: Vec::new(),
            times: Times {
                since_ms: now_ms,
                received_ms: now_ms,
                pinged: None,
                resume_ms: 0,
                message_began: None,
            },
            rate: RateLimiter::default(),
            messages_in: 0,
            messages_out: 0,
            flags: Flags::default(),
            ticket,
            summed_bytes: 0,
        }
    }

    /// What comes from its peer.
    #[inline]
    pub(crate) fn incoming(&mut self) -> Incoming<'_> {
        Incoming(self)
    }

    /// What its peer gets, once it is a WebSocket.
    #[inline]
    pub(crate) fn outgoing(&mut self) -> Outgoing<'_> {
        Outgoing(self)
    }

    /// What its peer gets as long as it speaks HTTP.
    #[inline]
    pub(crate) fn http(&mut self) -> Http<'_> {
        Http(self)
    }

    /// What the clock asks for at it.
    #[inline]
    pub(crate) fn timers(&mut self) -> Timers<'_> {
        Timers(self)
    }

    /// Its place in the worker's table.
    #[inline]
    pub(crate) fn index(&self) -> ConnIndex {
        self.key.index
    }

    /// Whether its input is left alone: it has so much unread output, has sent more than it may, or the application wants none
    /// of it now. Not when its input is thrown away.
    #[inline]
    pub(crate) fn is_read_blocked(&self, limits: &Limits) -> bool {
        let is_behind = self.waiting_bytes() > limits.read_pause_bytes();
        (is_behind || self.flags.throttled || self.flags.paused) && !self.state.is_ending()
    }

    /// Puts it on the list of those that are flushed at the end of the turn.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, schedule: &mut Schedule) {
        if !std::mem::replace(&mut self.flags.dirty, true) {
            schedule.dirty.push(self.key.index);
        }
    }

    /// Puts it on the list of those with work left.
    pub(crate) fn make_ready(&mut self, schedule: &mut Schedule) {
        if !std::mem::replace(&mut self.flags.ready, true) {
            schedule.ready.push_back(self.key.index);
        }
    }

    /// Bytes that have to leave before its outbox is empty and all of it is on its way.
    #[inline]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len() + self.stream.unsent_bytes()
    }

    /// Whether there may be input that has not been handled: in the kernel, or left over.
    pub(crate) fn has_input(&self) -> bool {
        self.flags.readable || !self.unparsed.is_empty()
    }

    /// Bytes on the heap of what it has sent and what could not be handled yet: a request or message that is not complete,
    /// and what a budget, or a client that does not read its answers, left over.
    #[inline]
    pub(crate) fn unfinished_bytes(&self) -> usize {
        let begun = match &self.state {
            State::WebSocket(session) => session.unfinished_bytes(),
            State::Http(RequestState::Body { head, reader }) => {
                head.memory_bytes() + reader.memory_bytes()
            }
            State::Http(
                RequestState::Head { .. }
                | RequestState::Answering { .. }
                | RequestState::Undecided { .. },
            )
            | State::Lingering { .. } => 0,
        };
        begun + self.unparsed.capacity() + self.stream.partial_bytes()
    }

    /// Since when it has been sending what is unfinished.
    pub(crate) fn unfinished_since_ms(&self) -> u64 {
        match &self.state {
            State::WebSocket(_) => {
                self.times.message_began.map_or(self.times.received_ms, Moment::ms)
            }
            State::Http(_) | State::Lingering { .. } => self.times.since_ms,
        }
    }

    /// Bytes on the heap for this connection alone.
    pub(crate) fn memory_bytes(&self) -> usize {
        let head = self.info.head.as_ref().map_or(0, RequestHead::memory_bytes);
        let session = match &self.state {
            State::WebSocket(session) => session.pinned_bytes(),
            State::Http(_) | State::Lingering { .. } => 0,
        };
        let buffers = self.outbox.memory_bytes() + self.unparsed.capacity();
        size_of::<Self>() + head + session + buffers + self.stream.memory_bytes()
    }
}
