//! What an application is told. It is called on the worker's loop, so nothing it does may block.

use std::borrow::Cow;

use wsmaster_ipc::{Address, ConnectionId, LeaveReason, LifeEvent, PayloadKind};
use wsmaster_protocol::{
    close::CloseCode,
    http::{RequestHead, Response},
    peer::Peer,
};

use crate::{context::Context, timers::TimerId, token::Key};

/// An application. Each worker has one of its own, made after the fork.
///
/// During `on_open`, `on_message`, `on_close` and `on_handshake` the context's [`Context::current`] is the connection in
/// question. A panic is caught and counted; it costs the connection it happened on and nothing else.
pub trait Handler {
    /// The worker is about to serve.
    fn on_start(&mut self, _context: &mut Context<'_>) {}

    /// A client asks to become a WebSocket; its request is valid. Any other answer can be given before it is one. Who has to
    /// ask somebody first takes [`Context::undecided`] along and answers [`Verdict::Later`].
    fn on_handshake(&mut self, _context: &mut Context<'_>, _head: &RequestHead) -> Verdict {
        Verdict::accept()
    }

    /// The connection is a WebSocket now.
    fn on_open(&mut self, _context: &mut Context<'_>) {}

    /// A message came. Text is valid UTF-8.
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>);

    /// The WebSocket is over: called exactly once for each `on_open`, whatever ended it, as long as the worker lives.
    fn on_close(&mut self, _context: &mut Context<'_>, _closed: &Closed) {}

    /// The head of a request came, and not yet all of its body. An answer refuses the request: it is given before the client is
    /// asked to go on (`Expect: 100-continue`) and before any more of the body is taken, and ends the connection. `None` has
    /// the body taken and [`Self::on_request`] called.
    ///
    /// What can be refused for its head alone should be refused here, so that nobody makes the server hold a body that it
    /// will not look at; and in `on_request` too, since a body that came together with its head is not asked about.
    fn on_request_head(
        &mut self,
        _context: &mut Context<'_>,
        _head: &HttpHead<'_>,
    ) -> Option<Response> {
        None
    }

    /// An ordinary HTTP request came. It is answered with [`Context::respond`], now or later.
    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        _request: HttpRequest,
        responder: Responder,
    ) {
        context.respond(responder, &Response::error(404, "there is nothing here"));
    }

    /// A timer has come that was started with [`Context::after`] or [`Context::tick`].
    fn on_timer(&mut self, _context: &mut Context<'_>, _timer: TimerId) {}

    /// Something happened to the server or to one of its workers, this one or another.
    ///
    /// Nothing of an application runs in the master, where it could hold up every other worker: what Swoole calls in its
    /// manager (`onWorkerError`, `onBeforeReload`, `onAfterReload`) is told to each worker instead, this one included. Whoever
    /// acts on it for the server as a whole chooses one worker for that, or does so in a side process.
    fn on_life(&mut self, _context: &mut Context<'_>, _event: LifeEvent) {}

    /// The worker begins to leave. Its connections are open and have not been told: what is sent to them here still comes
    /// before the close frame. New clients are its successor's from now on, or nobody's when the server stops.
    fn on_leave(&mut self, _context: &mut Context<'_>, _reason: LeaveReason) {}

    /// The last call of a worker that leaves: its connections are gone, each with its `on_close`, or have had their time.
    /// What is kept in memory can be put away here, within two seconds. A worker that dies is not asked; the others hear
    /// of it as [`LifeEvent::WorkerError`].
    fn on_stop(&mut self, _context: &mut Context<'_>, _reason: LeaveReason) {}

    /// Another process of the server sent a message. While a worker leaves, its successor is told.
    fn on_process_message(
        &mut self,
        _context: &mut Context<'_>,
        _from: Address,
        _message: Message<'_>,
    ) {
    }
}

/// A message from a client, or for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Its bytes.
    #[inline]
    pub fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Text or binary.
    #[inline]
    pub fn kind(self) -> PayloadKind {
        match self {
            Self::Text(_) => PayloadKind::Text,
            Self::Binary(_) => PayloadKind::Binary,
        }
    }

    /// Its text; of a binary message its bytes, as the error.
    pub fn text(self) -> Result<&'a str, &'a [u8]> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(bytes) => Err(bytes),
        }
    }

    /// A message that came from another process: text that is not UTF-8 becomes binary.
    pub fn from_parts(kind: PayloadKind, payload: &'a [u8]) -> Self {
        match (kind, std::str::from_utf8(payload)) {
            (PayloadKind::Text, Ok(text)) => Self::Text(text),
            (PayloadKind::Text, Err(_)) | (PayloadKind::Binary, _) => Self::Binary(payload),
        }
    }
}

/// What the application says to a handshake.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Become a WebSocket.
    Accept {
        /// The subprotocol chosen of those that the client offers; another one is left out. `None` leaves the
        /// choice to the rules of the server, [`HandshakeRules`](crate::HandshakeRules).
        subprotocol: Option<String>,
        /// Headers to add to the answer.
        headers: Vec<(String, String)>,
    },
    /// Answer like this, and close.
    Reject(Response),
    /// It is told later, with [`Context::decide`]. The client waits so long, and hears 503 when that takes longer than the
    /// limits allow.
    Later,
}

impl Verdict {
    /// Accepts without more.
    pub fn accept() -> Self {
        Self::Accept { subprotocol: None, headers: Vec::new() }
    }
}

/// How a WebSocket ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Which one it was.
    pub id: ConnectionId,
    /// Who ended it.
    pub by: ClosedBy,
    /// The code of the close frame that began the end: the peer's, or ours. `None` when there was none.
    pub code: Option<CloseCode>,
    /// The reason that stood beside it.
    pub reason: Cow<'static, str>,
}

/// Who ended a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClosedBy {
    /// The client, with a close frame.
    Peer,
    /// This server: a disconnect, a limit, a timeout, a fault of the client's, the worker's end.
    Server,
    /// Nobody: the socket broke or ended without a close frame.
    Lost,
}

/// An HTTP request, whole.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Its line and headers.
    pub head: RequestHead,
    /// Its body, at most as long as the limits allow.
    pub body: Vec<u8>,
    /// The client's address: what a trusted proxy says it is, or else the peer's.
    pub peer: Peer,
    /// Whether the client came over TLS, to this server or to a trusted proxy that says so.
    pub secure: bool,
    /// What the rules of the listener say to the application: [`ListenerRules::tag`](crate::ListenerRules::tag).
    pub listener_tag: u32,
}

/// An HTTP request of which the head is known.
#[derive(Clone, Copy, Debug)]
pub struct HttpHead<'a> {
    /// Its line and headers.
    pub head: &'a RequestHead,
    /// As [`HttpRequest::peer`].
    pub peer: Peer,
    /// As [`HttpRequest::secure`].
    pub secure: bool,
    /// As [`HttpRequest::listener_tag`].
    pub listener_tag: u32,
}

impl HttpRequest {
    /// What of it was known before its body came.
    pub fn facts(&self) -> HttpHead<'_> {
        let Self { head, body: _, peer, secure, listener_tag } = self;
        HttpHead { head, peer: *peer, secure: *secure, listener_tag: *listener_tag }
    }
}

/// The right to decide one handshake, once.
#[derive(Debug)]
pub struct Undecided {
    pub(crate) key: Key,
    pub(crate) number: u32,
}

/// The right to answer one request, once.
#[derive(Debug)]
pub struct Responder {
    pub(crate) key: Key,
    pub(crate) number: u32,
}
