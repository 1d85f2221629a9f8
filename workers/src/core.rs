//! What a worker holds and what can be done to it without asking the application: the state of the loop.
//!
//! Calls of the application are never made from here. What it has to be told is queued ([`Core::endings`],
//! [`Core::finished`]) and told by the loop when the present call is over, so it is never entered twice.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io::{self, IoSlice, Write},
    net::Shutdown,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use wsmaster_ipc::{
    Address, Answer, Command, ConnectionId, Handle, Outcome, PayloadKind, Slot,
    board::{Cell, Counter, InterestBit},
    command::Recipients,
};
use wsmaster_protocol::{
    close::CloseCode,
    frame::{MessageKind, encode_message, encode_ping, header_len},
    http::Response,
    session::Phase,
};

use crate::{
    asks::{Asks, Reply, Tally},
    connection::{Connection, State},
    context::Context,
    exchange::{Exchange, Manner},
    handler::{Closed, ClosedBy, Message, Responder},
    limits::{Limits, SlowClient},
    patience::{Due, Waiting, due},
    registry::Registry,
    topics::{Joined, Parted, Topics},
    wheel::Wheel,
};

/// Slices handed to one writev(2).
const SLICES_MAX: usize = 64;

/// What is to be done with an answer.
pub(crate) type Completion = Box<dyn FnOnce(&mut Context<'_>, Reply)>;

/// See the module.
pub(crate) struct Core {
    pub(crate) slot: Slot,
    pub(crate) cell: Cell,
    /// What the loop sends with: it gathers until the end of the turn.
    pub(crate) loop_handle: Handle,
    /// What other threads may send with: nothing waits for the loop.
    pub(crate) handle: Handle,
    pub(crate) limits: Limits,
    pub(crate) registry: Registry,
    pub(crate) topics: Topics,
    /// How many channels with subscribers here share a bit of the board.
    interest: FxHashMap<InterestBit, u32>,
    pub(crate) wheel: Wheel,
    started: Instant,
    pub(crate) now_ms: u64,
    /// Output of the connection that is being served, to leave in one write.
    pub(crate) cork: Vec<u8>,
    pub(crate) corked: Option<u32>,
    /// How much of a WebSocket's cork is HTTP still: up to the end of the answer that made it one.
    pub(crate) cork_plain: usize,
    scratch: Vec<u8>,
    members: Vec<u32>,
    /// Connections whose outbox is to be flushed at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// Connections that have work left and are served again in the next turn.
    pub(crate) ready: VecDeque<u32>,
    /// Connections to be removed when nobody works on them.
    pub(crate) gone: Vec<u32>,
    /// WebSockets whose end the application has to be told of.
    pub(crate) endings: VecDeque<(u32, Closed)>,
    /// Answers that are complete.
    pub(crate) finished: VecDeque<(Completion, Reply)>,
    pub(crate) asks: Asks<Completion>,
    pub(crate) random: fastrand::Rng,
    pub(crate) leaving: bool,
    outbox_bytes: usize,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("slot", &self.slot)
            .field("connections", &self.registry.len())
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(slot: Slot, cell: Cell, handle: Handle, limits: Limits, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Answers to questions of the process before us may still come: they must not look like answers to ours.
        let first_request = random.u64(1..u64::MAX / 2);
        Self {
            slot,
            cell,
            loop_handle: handle.for_a_loop(),
            handle,
            limits,
            registry: Registry::default(),
            topics: Topics::default(),
            interest: FxHashMap::default(),
            wheel: Wheel::new(0),
            started: Instant::now(),
            now_ms: 0,
            cork: Vec::new(),
            corked: None,
            cork_plain: 0,
            scratch: Vec::new(),
            members: Vec::new(),
            dirty: Vec::new(),
            ready: VecDeque::new(),
            gone: Vec::new(),
            endings: VecDeque::new(),
            finished: VecDeque::new(),
            asks: Asks::starting_at(first_request),
            random,
            leaving: false,
            outbox_bytes: 0,
        }
    }

    /// Reads the clock, once a turn.
    pub(crate) fn tick(&mut self) {
        self.now_ms = self.started.elapsed().as_millis() as u64;
    }

    pub(crate) fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    /// Publishes the gauges.
    pub(crate) fn show_gauges(&self) {
        self.cell.set(Counter::Connections, self.registry.len() as u64);
        self.cell.set(Counter::WebSockets, self.registry.websockets() as u64);
        self.cell.set(Counter::Subscriptions, self.topics.len() as u64);
        self.cell.set(Counter::OutboxBytes, self.outbox_bytes as u64);
    }

    // ----- messages to connections -----

    /// Puts a message into a connection's outbox.
    #[inline]
    pub(crate) fn send(&mut self, index: u32, message: Message<'_>) -> Outcome {
        let payload = message.payload();
        if let Err(outcome) = self.admit(index, header_len(payload.len()) + payload.len()) {
            return outcome;
        }
        let kind = message_kind(message.kind());
        if self.corked == Some(index) {
            encode_message(kind, payload, &mut self.cork);
        } else {
            self.scratch.clear();
            encode_message(kind, payload, &mut self.scratch);
            let frame = std::mem::take(&mut self.scratch);
            self.enqueue(index, |connection| connection.outbox.push_copy(&frame), frame.len());
            self.scratch = frame;
        }
        Outcome::Delivered
    }

    /// Puts a frame that many connections get into one's outbox.
    fn send_frame(&mut self, index: u32, frame: &Bytes) -> Outcome {
        if let Err(outcome) = self.admit(index, frame.len()) {
            return outcome;
        }
        if self.corked == Some(index) {
            self.cork.extend_from_slice(frame);
        } else {
            self.enqueue(index, |connection| connection.outbox.push_shared(frame), frame.len());
        }
        Outcome::Delivered
    }

    /// Whether a message of this many bytes may go to a connection, and counts it.
    #[inline]
    fn admit(&mut self, index: u32, bytes: usize) -> Result<(), Outcome> {
        let corked = if self.corked == Some(index) { self.cork.len() } else { 0 };
        let Some(connection) = self.registry.at_mut(index) else {
            return Err(Outcome::NoSuchConnection);
        };
        if !connection.can_send() {
            return Err(Outcome::Closing);
        }
        if connection.outbox.len() + corked + bytes > self.limits.outbox_bytes_max {
            self.make_room(index, bytes)?;
        }
        if let Some(connection) = self.registry.at_mut(index) {
            connection.messages_out += 1;
        }
        self.cell.add(Counter::MessagesOut, 1);
        Ok(())
    }

    /// Tries the socket before a message is refused: what waits may be no more than what this turn has gathered.
    #[cold]
    fn make_room(&mut self, index: u32, bytes: usize) -> Result<(), Outcome> {
        self.flush(index);
        let Some(connection) = self.registry.at_mut(index) else {
            return Err(Outcome::NoSuchConnection);
        };
        if !connection.can_send() {
            return Err(Outcome::Closing);
        }
        if connection.outbox.len() + bytes <= self.limits.outbox_bytes_max {
            return Ok(());
        }
        // A message that would not fit into an empty outbox says nothing about its reader.
        let is_slow = !connection.outbox.is_empty();
        self.cell.add(Counter::DroppedOutboxFull, 1);
        match self.limits.slow_client {
            SlowClient::Close if is_slow => {
                self.cell.add(Counter::SlowClosed, 1);
                self.drop_unsent(index);
                self.close(index, CloseCode::Again, "the client reads too slowly");
            }
            SlowClient::Close | SlowClient::DropNewest => {}
        }
        Err(Outcome::OutboxFull)
    }

    fn drop_unsent(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index) {
            self.outbox_bytes -= connection.outbox.drop_unsent();
        }
    }

    fn enqueue(&mut self, index: u32, push: impl FnOnce(&mut Connection), bytes: usize) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        push(connection);
        self.outbox_bytes += bytes;
        if !connection.flags.dirty {
            connection.flags.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Sends to every WebSocket of this worker.
    pub(crate) fn broadcast_here(
        &mut self,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> Tally {
        let frame = self.frame(message);
        let everybody = self.registry.indexes();
        self.send_to_all(&everybody, &frame, exclude, Recipients::default())
    }

    /// Sends to this worker's subscribers of a channel.
    pub(crate) fn publish_here(
        &mut self,
        channel: &str,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        only: Recipients<'_>,
    ) -> Tally {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        members.extend(self.topics.subscribers(channel));
        let tally = if members.is_empty() {
            Tally::default()
        } else {
            let frame = self.frame(message);
            self.send_to_all(&members, &frame, exclude, only)
        };
        self.members = members;
        tally
    }

    fn send_to_all(
        &mut self,
        indexes: &[u32],
        frame: &Bytes,
        exclude: Option<ConnectionId>,
        only: Recipients<'_>,
    ) -> Tally {
        let mut tally = Tally::default();
        for index in indexes {
            let Some(id) = self.registry.at(*index).map(|connection| connection.durable.id) else {
                continue;
            };
            let meant = only.is_everybody() || only.iter().any(|recipient| recipient == id);
            if exclude == Some(id) || !meant {
                continue;
            }
            match self.send_frame(*index, frame) {
                Outcome::Delivered => tally.delivered += 1,
                Outcome::OutboxFull => tally.dropped += 1,
                Outcome::NoSuchConnection | Outcome::Closing => {}
            }
        }
        tally
    }

    fn frame(&self, message: Message<'_>) -> Bytes {
        let payload = message.payload();
        let mut frame = Vec::with_capacity(header_len(payload.len()) + payload.len());
        encode_message(message_kind(message.kind()), payload, &mut frame);
        frame.into()
    }

    // ----- channels -----

    pub(crate) fn subscribe(&mut self, index: u32, channel: &str) -> Joined {
        let joined = self.topics.subscribe(index, channel, self.limits.subscriptions_max);
        match joined {
            Joined::First => {
                let bit = self.loop_handle.board().interest_bit(channel);
                *self.interest.entry(bit).or_insert(0) += 1;
                self.loop_handle.board().set_interest(self.slot, bit, true);
            }
            Joined::More | Joined::Already | Joined::TooMany => {}
        }
        joined
    }

    pub(crate) fn unsubscribe(&mut self, index: u32, channel: &str) -> Parted {
        let parted = self.topics.unsubscribe(index, channel);
        match parted {
            Parted::Last => {
                lose_interest(&mut self.interest, &self.loop_handle, self.slot, channel);
            }
            Parted::Less | Parted::Never => {}
        }
        parted
    }

    fn leave_channels(&mut self, index: u32) {
        let Self { topics, interest, loop_handle, slot, .. } = self;
        topics.forget(index, |channel| lose_interest(interest, loop_handle, *slot, channel));
    }

    // ----- the end of connections -----

    /// Begins the close handshake, or ends an HTTP connection. A connection that is closing already goes on doing so.
    pub(crate) fn close(&mut self, index: u32, code: CloseCode, reason: &'static str) {
        self.close_with(index, code, Cow::Borrowed(reason));
    }

    /// As [`Self::close`]. Whether it began something.
    pub(crate) fn close_with(
        &mut self,
        index: u32,
        code: CloseCode,
        reason: Cow<'static, str>,
    ) -> bool {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let began = match self.registry.at_mut(index).map(|connection| &mut connection.state) {
            Some(State::WebSocket(session)) => session.close(code, &reason, &mut out),
            Some(State::Http(_) | State::Lingering { .. }) | None => false,
        };
        if began {
            if self.corked == Some(index) {
                self.cork.extend_from_slice(&out);
            } else {
                self.enqueue(index, |connection| connection.outbox.push_copy(&out), out.len());
            }
            self.ended(index, ClosedBy::Server, Some(code), reason);
            self.restart_patience(index);
        }
        self.scratch = out;
        began
    }

    /// Queues word of a WebSocket's end for the application and takes it out of its channels, the first time that it is
    /// called for a connection.
    pub(crate) fn ended(
        &mut self,
        index: u32,
        by: ClosedBy,
        code: Option<CloseCode>,
        reason: Cow<'static, str>,
    ) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        if !std::mem::take(&mut connection.flags.open) {
            return;
        }
        let id = connection.durable.id;
        self.leave_channels(index);
        self.endings.push_back((index, Closed { id, by, code, reason }));
    }

    /// Lets the last words leave, then ends our side and waits for the peer's end.
    pub(crate) fn linger(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        match connection.state {
            State::Lingering { .. } => return,
            State::Http(_) | State::WebSocket(_) => {}
        }
        connection.state = State::Lingering { shut: false };
        connection.unparsed = Vec::new();
        if !connection.flags.dirty {
            connection.flags.dirty = true;
            self.dirty.push(index);
        }
        let id = connection.durable.id;
        let unread = connection.flags.readable;
        self.registry.retire_id(id);
        self.restart_patience(index);
        if unread {
            // It was left unread so far and is not told of again, and the peer may wait for room to go on.
            self.make_ready(index);
        }
    }

    /// The socket is of no use any more.
    pub(crate) fn lose(&mut self, index: u32, by: ClosedBy, reason: &'static str) {
        self.ended(index, by, None, Cow::Borrowed(reason));
        let Some(connection) = self.registry.at_mut(index) else { return };
        connection.state = State::Lingering { shut: true };
        connection.unparsed = Vec::new();
        let id = connection.durable.id;
        self.registry.retire_id(id);
        self.gone.push(index);
    }

    /// Takes the connections out that are gone. Not while one of them is being served.
    pub(crate) fn bury(&mut self) {
        while let Some(index) = self.gone.pop() {
            self.wheel.cancel(index);
            if let Some(connection) = self.registry.remove(index) {
                self.outbox_bytes -= connection.outbox.len();
            }
        }
    }

    // ----- output -----

    /// Makes everything that is sent to this connection wait for one write at the end of its service.
    pub(crate) fn cork(&mut self, index: u32) {
        debug_assert!(self.corked.is_none() && self.cork.is_empty());
        self.corked = Some(index);
    }

    /// Ends [`Self::cork`] and writes.
    pub(crate) fn uncork(&mut self, index: u32) {
        self.flush(index);
        debug_assert!(self.cork.is_empty());
        self.corked = None;
    }

    /// Writes what waits for a connection, as far as the socket takes it.
    pub(crate) fn flush(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else {
            if self.corked == Some(index) {
                self.cork.clear();
                self.cork_plain = 0;
            }
            return;
        };
        let before = connection.outbox.len();
        let mut written = 0;
        let mut result = Ok(());
        if self.corked == Some(index) && !self.cork.is_empty() {
            let mut direct = 0;
            let plain = std::mem::take(&mut self.cork_plain);
            // Without a head it has not become a WebSocket.
            let plain = connection.durable.head.as_ref().map_or(self.cork.len(), |_| plain);
            if before == 0 {
                result = write_all(&mut connection.stream, &self.cork).map(|count| direct = count);
            }
            if direct < self.cork.len() {
                // With the bytes that have left, so that a piece begins where a frame does.
                let (http, frames) = self.cork.split_at(plain);
                connection.outbox.push_plain(http);
                connection.outbox.push_copy(frames);
                connection.outbox.wrote(direct);
            }
            written += direct;
            self.cork.clear();
            if self.cork.capacity() > CORK_KEPT_BYTES_MAX {
                self.cork = Vec::new();
            }
        }
        // What is left after a short write cannot be written now: only an older backlog is worth a try.
        if result.is_ok() && before > 0 {
            let length = connection.outbox.len();
            result = write_outbox(connection);
            written += length - connection.outbox.len();
        }
        let left = connection.outbox.len();
        if written > 0 && connection.is_ending() {
            // The peer's time begins when the last of our words has left.
            connection.times.since_ms = self.now_ms;
        }
        self.outbox_bytes = self.outbox_bytes + left - before;
        if written > 0 {
            self.cell.add(Counter::BytesOut, written as u64);
        }
        if result.is_err() {
            self.lose(index, ClosedBy::Lost, "the connection broke");
            return;
        }
        self.flushed(index, left);
    }

    fn flushed(&mut self, index: u32, left: usize) {
        let pause = self.limits.read_pause_bytes();
        let Some(connection) = self.registry.at_mut(index) else { return };
        match &mut connection.state {
            State::Lingering { shut } if left == 0 => {
                if !*shut {
                    *shut = true;
                    let _ = connection.stream.shutdown(Shutdown::Write);
                }
                // What is unread at the close would turn it into a reset.
                if connection.flags.peer_done && !connection.flags.readable {
                    self.gone.push(index);
                }
            }
            State::Lingering { .. } => {}
            State::Http(_) | State::WebSocket(_) => {
                if connection.has_input() && left <= pause && self.corked != Some(index) {
                    self.make_ready(index);
                }
            }
        }
    }

    /// Whether the output of the connection that is being served has to be written before more of its input is handled:
    /// it is much, or so much that the connection is choked if the socket does not take it.
    #[inline]
    pub(crate) fn is_cork_full(&self, index: u32) -> bool {
        let waiting = self.registry.at(index).map_or(0, |connection| connection.outbox.len());
        let room = self.limits.read_pause_bytes().saturating_sub(waiting);
        self.cork.len() > CORK_BYTES_MAX.min(room)
    }

    /// Puts a connection on the list of those with work left.
    pub(crate) fn make_ready(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index)
            && !connection.flags.ready
        {
            connection.flags.ready = true;
            self.ready.push_back(index);
        }
    }

    /// Whether a connection has so much unread output that its own input is left alone. Not when that is thrown away.
    #[inline]
    pub(crate) fn is_choked(&self, index: u32) -> bool {
        self.registry.at(index).is_some_and(|connection| {
            connection.outbox.len() > self.limits.read_pause_bytes() && !connection.is_ending()
        })
    }

    // ----- HTTP -----

    /// Answers a request. An answer that comes too late finds nobody, and is passed over.
    pub(crate) fn respond(&mut self, responder: Responder, response: &Response) {
        let Some(index) = self.registry.index_of(responder.key) else { return };
        let Some(connection) = self.registry.at_mut(index) else { return };
        let manner = match &connection.state {
            State::Http(Exchange::Answering { number, manner }) if *number == responder.number => {
                *manner
            }
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => return,
        };
        let manner = Manner { keep_alive: manner.keep_alive && !self.leaving, ..manner };
        self.cell.add(Counter::Requests, 1);
        self.write_response(index, response, manner);
        if manner.keep_alive {
            if let Some(connection) = self.registry.at_mut(index) {
                connection.state = State::Http(Exchange::new());
                if connection.has_input() && self.corked != Some(index) {
                    self.make_ready(index);
                }
            }
            self.restart_patience(index);
        } else {
            self.linger(index);
        }
    }

    /// Puts an HTTP answer into the outbox.
    pub(crate) fn write_response(&mut self, index: u32, response: &Response, manner: Manner) {
        let date = Self::unix_ms() / 1000;
        let response = response.clone().date(date);
        if self.corked == Some(index) {
            response.encode(manner.keep_alive, manner.head_only, &mut self.cork);
        } else {
            let mut out = Vec::new();
            response.encode(manner.keep_alive, manner.head_only, &mut out);
            self.enqueue(index, |connection| connection.outbox.push_plain(&out), out.len());
        }
    }

    // ----- time -----

    /// Starts to wait for what the connection's present state waits for.
    pub(crate) fn restart_patience(&mut self, index: u32) {
        let now_ms = self.now_ms;
        if let Some(connection) = self.registry.at_mut(index) {
            connection.times.since_ms = now_ms;
        }
        self.watch(index);
    }

    /// Looks whether something is overdue at a connection, and when to look again.
    pub(crate) fn watch(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        let mut last = LAST;
        let waiting = match &connection.state {
            State::Http(Exchange::Answering { manner, .. }) => {
                last.head_only = manner.head_only;
                Waiting::Answer
            }
            State::Http(Exchange::Head { .. } | Exchange::Body { .. }) => Waiting::Request,
            State::WebSocket(session) => match session.phase() {
                Phase::Open => Waiting::Messages,
                Phase::CloseSent | Phase::Closed => Waiting::End,
            },
            State::Lingering { .. } => Waiting::End,
        };
        match due(waiting, &connection.times, &self.limits, self.now_ms) {
            Due::Later(at_ms) => self.wheel.schedule(index, at_ms),
            Due::Never => {}
            Due::Ping => {
                connection.times.pinged_ms = Some(self.now_ms);
                let mut ping = Vec::new();
                encode_ping(b"", &mut ping);
                self.enqueue(index, |connection| connection.outbox.push_copy(&ping), ping.len());
                // Again at once: to be idle for too long may be due before the pong is.
                self.watch(index);
            }
            Due::PongLate => {
                self.cell.add(Counter::PingTimeouts, 1);
                self.close(index, CloseCode::Policy, "no pong came in time");
            }
            Due::Idle => {
                self.cell.add(Counter::IdleTimeouts, 1);
                self.close(index, CloseCode::Policy, "the connection was idle for too long");
            }
            Due::RequestLate => self.request_late(index),
            Due::AnswerLate => {
                let response = Response::error(503, "the server did not answer in time");
                self.write_response(index, &response, last);
                self.linger(index);
            }
            Due::EndLate => self.lose(index, ClosedBy::Lost, "the peer did not end the connection"),
        }
    }

    fn request_late(&mut self, index: u32) {
        let Some(connection) = self.registry.at(index) else { return };
        let begun = !connection.unparsed.is_empty()
            || matches!(connection.state, State::Http(Exchange::Body { .. }));
        let first = connection.messages_in == 0;
        if first {
            self.cell.add(Counter::HandshakeTimeouts, 1);
        }
        if begun || first {
            let error = wsmaster_protocol::http::HttpError::Timeout;
            self.write_response(index, &error.response(), LAST);
            self.linger(index);
        } else {
            // A kept-alive connection between two requests: it just ends.
            self.linger(index);
        }
    }

    // ----- commands of other processes -----

    /// Does what another process, or this one, asks for a connection or a channel of this worker.
    pub(crate) fn execute(&mut self, command: &Command<'_>) {
        match *command {
            Command::Push { id, kind, payload, ticket } => {
                let outcome = self.push_here(id, Message::from_parts(kind, payload));
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Broadcast { kind, payload, exclude, ticket } => {
                let tally = self.broadcast_here(Message::from_parts(kind, payload), exclude);
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, many(&tally));
                }
            }
            Command::Publish { channel, kind, payload, exclude, only, ticket } => {
                let message = Message::from_parts(kind, payload);
                let tally = self.publish_here(channel, message, exclude, only);
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, many(&tally));
                }
            }
            Command::Disconnect { id, code, reason, ticket } => {
                let outcome = self.disconnect_here(id, code, reason);
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Info { id, ticket } => match self.describe(id) {
                Some(json) => self.answer(ticket.reply_to, ticket.request, Answer::Info(&json)),
                None => {
                    let answer = Answer::One(Outcome::NoSuchConnection);
                    self.answer(ticket.reply_to, ticket.request, answer);
                }
            },
            // Those two are for the application; the loop takes them.
            Command::Answer { .. } | Command::Message { .. } => {}
        }
    }

    pub(crate) fn push_here(&mut self, id: ConnectionId, message: Message<'_>) -> Outcome {
        match self.registry.find(id) {
            Some(index) => self.send(index, message),
            None => {
                self.cell.add(Counter::StaleCommands, 1);
                Outcome::NoSuchConnection
            }
        }
    }

    pub(crate) fn disconnect_here(&mut self, id: ConnectionId, code: u16, reason: &str) -> Outcome {
        let Some(index) = self.registry.find(id) else {
            self.cell.add(Counter::StaleCommands, 1);
            return Outcome::NoSuchConnection;
        };
        if self.close_with(index, CloseCode::from(code), Cow::Owned(reason.to_owned())) {
            Outcome::Delivered
        } else {
            Outcome::Closing
        }
    }

    /// What is known of a connection, as a JSON object. The query of its target is shown without secrets.
    pub(crate) fn describe(&self, id: ConnectionId) -> Option<Vec<u8>> {
        let index = self.registry.find(id)?;
        let connection = self.registry.at(index)?;
        let head = connection.durable.head.as_ref();
        let mut channels: Vec<&str> = self.topics.of_connection(index).collect();
        channels.sort_unstable();
        let json = serde_json::json!({
            "connection": id,
            "worker": self.slot,
            "state": if connection.can_send() { "open" } else { "closing" },
            "address": connection.durable.peer.ip(),
            "port": connection.durable.peer.port(),
            "opened_at": connection.durable.opened_unix_ms as f64 / 1000.0,
            "target": head.map(|head| head.target_redacted()),
            "user_agent": head.and_then(|head| head.header("user-agent")),
            "sec_websocket_key": head.and_then(|head| head.header("sec-websocket-key")),
            "subprotocol": connection.durable.subprotocol,
            "channels": channels,
            "messages_in": connection.messages_in,
            "messages_out": connection.messages_out,
            "queued_bytes": connection.outbox.len(),
            "idle_ms": self.now_ms.saturating_sub(connection.times.received_ms),
            "memory_bytes": connection.memory_bytes(),
        });
        serde_json::to_vec(&json).ok()
    }

    fn answer(&mut self, to: Address, request: u64, answer: Answer<'_>) {
        let from = self.loop_handle.own_address();
        if self.loop_handle.post(to, &Command::Answer { from, request, answer }).is_err() {
            // The asker's deadline will tell it.
            self.cell.add(Counter::DroppedMailboxFull, 1);
        }
    }

    /// When the loop has to wake without an event, as far as this is the core's to know.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        [self.wheel.next_ms(), self.asks.next_ms()].into_iter().flatten().min()
    }
}

/// Output of one connection is written during its service when so much has gathered.
const CORK_BYTES_MAX: usize = 64 * 1024;
/// A cork that grew beyond this is given back after its flush.
const CORK_KEPT_BYTES_MAX: usize = 256 * 1024;

/// The manner of an answer after which the connection ends.
pub(crate) const LAST: Manner = Manner { keep_alive: false, head_only: false };

fn many(tally: &Tally) -> Answer<'static> {
    Answer::Many { delivered: tally.delivered, dropped: tally.dropped }
}

pub(crate) fn message_kind(kind: PayloadKind) -> MessageKind {
    match kind {
        PayloadKind::Text => MessageKind::Text,
        PayloadKind::Binary => MessageKind::Binary,
    }
}

fn lose_interest(
    interest: &mut FxHashMap<InterestBit, u32>,
    handle: &Handle,
    slot: Slot,
    channel: &str,
) {
    let bit = handle.board().interest_bit(channel);
    if let Some(count) = interest.get_mut(&bit) {
        *count -= 1;
        if *count == 0 {
            interest.remove(&bit);
            handle.board().set_interest(slot, bit, false);
        }
    }
}

/// Writes from one slice until the socket is full. How many bytes it took.
fn write_all(stream: &mut mio::net::TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Writes an outbox until it is empty or the socket is full.
fn write_outbox(connection: &mut Connection) -> io::Result<()> {
    while !connection.outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = connection.outbox.slices(&mut slices);
        let result = match &slices[..filled] {
            [one] => connection.stream.write(one),
            several => connection.stream.write_vectored(several),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => connection.outbox.wrote(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
