//! The event loop. It feeds the pure parts, and its only decisions are the order and the budgets of a turn:
//!
//! 1. **poll**: wait for events, or for the next moment that something is due;
//! 2. **control**: what the master says;
//! 3. **mailbox**: what other processes say, at most [`PACKETS_PER_TURN_MAX`] packets;
//! 4. **accepts**: new connections, at most [`ACCEPTS_PER_TURN_MAX`];
//! 5. **connections**: those with events, then those with work left; each at most [`READS_PER_TURN_MAX`] reads and
//!    [`MESSAGES_PER_TURN_MAX`] messages, and what is left goes to the end of the line;
//! 6. **timers**: connections that have waited too long, questions without an answer;
//! 7. **flush**: what was sent to connections that were not being served, and the commands for other processes.

use std::{
    borrow::Cow,
    io::{self, Read},
    net::TcpListener,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use mio::{Events, Interest, Poll, unix::SourceFd};
use wsmaster_ipc::{
    Command, Handle, Slot,
    board::{Counter, Tick},
    link::{ChildLink, Heard, ToChild, ToMaster},
    mailbox::{Mail, Mailbox},
    sys::{random, signal::TermSignal, socket},
    wire,
};
use wsmaster_protocol::{
    close::CloseCode,
    handshake,
    http::{CONTINUE, RequestHead, Response},
    session::{Event, Session},
};

use crate::{
    connection::{Connection, Durable, Flags, State, Times},
    context::Context,
    core::{Core, LAST},
    exchange::{Exchange, Manner, Taken},
    gate::{self, Gate},
    handler::{ClosedBy, Handler, HttpRequest, Message, Responder, Verdict},
    limits::Limits,
    token::Source,
};

/// Packets taken from the mailbox in one turn.
pub const PACKETS_PER_TURN_MAX: usize = 64;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Reads from one connection in one turn.
pub const READS_PER_TURN_MAX: usize = 4;
/// Messages of one connection handled in one turn.
pub const MESSAGES_PER_TURN_MAX: usize = 256;
/// The one buffer that all connections are read into, in bytes.
const RECEIVE_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// Connections beyond the limit that are told so; yet another one is reset.
const REFUSALS_MAX: u64 = 64;
/// How soon a full mailbox of another process is tried again, should its event be missed.
const BACKLOG_RETRY_MS: u64 = 10;

/// All that a worker is built from.
pub struct Seat {
    /// Its slot.
    pub slot: Slot,
    /// Which process of this slot it is: the cells of the board alternate.
    pub generation: u64,
    /// The slot's listener; the master keeps it too.
    pub listener: TcpListener,
    /// The receiving end of the slot's mailbox; the master keeps it too.
    pub mailbox: OwnedFd,
    /// The line to the master.
    pub link: ChildLink,
    /// The way to all other processes.
    pub handle: Handle,
    /// What it may be made to hold.
    pub limits: Limits,
    /// Opens the log file again, when the master says so.
    pub reopen_log: Box<dyn FnMut()>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// See the module.
pub struct Worker<H> {
    poll: Poll,
    core: Core,
    handler: H,
    listener: mio::net::TcpListener,
    mailbox: Mailbox,
    link: ChildLink,
    term: TermSignal,
    gate: Gate,
    mail_waits: bool,
    backlog: bool,
    life: Life,
    buffer: Vec<u8>,
    due: Vec<u32>,
    messages: u64,
    reopen_log: Box<dyn FnMut()>,
}

/// How far the worker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// It serves.
    Serving,
    /// It serves, and has asked the master for a successor.
    Recycling,
    /// It takes nothing new, and is gone when its connections are, or at this moment of the loop's clock.
    Leaving { deadline_ms: u64 },
    /// The master is dead.
    Orphaned,
}

impl<H> std::fmt::Debug for Worker<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("core", &self.core)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl<H: Handler> Worker<H> {
    /// Takes the seat. Nothing is accepted before [`Self::run`].
    ///
    /// # Errors
    /// Out of descriptors, or a descriptor of the seat is not what it should be.
    pub fn new(seat: Seat, handler: H) -> io::Result<Self> {
        let Seat { slot, generation, listener, mailbox, link, handle, limits, reopen_log } = seat;
        let poll = Poll::new()?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let mailbox = Mailbox::new(mailbox);
        let term = TermSignal::new()?;
        let registry = poll.registry();
        registry.register(&mut listener, Source::Listener.token(), Interest::READABLE)?;
        for (descriptor, source) in [
            (mailbox.as_fd(), Source::Mailbox),
            (link.as_fd(), Source::Link),
            (term.as_fd(), Source::Term),
        ] {
            let descriptor = descriptor.as_raw_fd();
            registry.register(&mut SourceFd(&descriptor), source.token(), Interest::READABLE)?;
        }
        handle.each_writer(|address, writer| {
            let source = Source::Writer(address.0);
            let writer = writer.as_raw_fd();
            registry.register(&mut SourceFd(&writer), source.token(), Interest::WRITABLE)
        })?;
        let cell = handle.board().cell(slot, generation);
        cell.clear();
        handle.board().clear_interest(slot);
        Ok(Self {
            poll,
            core: Core::new(slot, cell, handle, limits, random::seed()?),
            handler,
            listener,
            mailbox,
            link,
            term,
            // What came while nobody was in the seat waits in the kernel, and will not be told of again.
            gate: Gate::Open,
            mail_waits: true,
            backlog: false,
            life: Life::Serving,
            buffer: vec![0; RECEIVE_BYTES],
            due: Vec::new(),
            messages: 0,
            reopen_log,
        })
    }

    /// Serves until the master says that it is time to leave, or is dead.
    ///
    /// # Errors
    /// The poll itself fails: a fault of ours or of the kernel's.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut active = Vec::with_capacity(EVENTS_MAX);
        self.core.tick();
        self.call(None, |handler, context| handler.on_start(context));
        self.link.say(&ToMaster::Ready);
        while !self.is_done() {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.core.tick();
            self.core.cell.add(Counter::Turns, 1);
            self.note(&events, &mut active);
            self.take_mail();
            self.accept();
            self.serve_all(&mut active);
            self.look_at_the_clock();
            self.flush();
        }
        self.core.loop_handle.flush();
        self.core.show_gauges();
        Ok(())
    }

    fn is_done(&self) -> bool {
        match self.life {
            Life::Serving | Life::Recycling => false,
            Life::Leaving { deadline_ms } => {
                self.core.registry.is_empty() || self.core.now_ms >= deadline_ms
            }
            Life::Orphaned => true,
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        if self.mail_waits || !self.core.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let leaving = match self.life {
            Life::Leaving { deadline_ms } => Some(deadline_ms),
            Life::Serving | Life::Recycling | Life::Orphaned => None,
        };
        let backlog = self.backlog.then_some(self.core.now_ms + BACKLOG_RETRY_MS);
        let moments = [self.core.wake_at_ms(), self.gate.wake_at_ms(), leaving, backlog];
        let next_ms = moments.into_iter().flatten().min()?;
        Some(Duration::from_millis(next_ms.saturating_sub(self.core.now_ms)))
    }

    /// Sorts the events of a turn. Control is acted on at once.
    fn note(&mut self, events: &Events, active: &mut Vec<u32>) {
        for event in events {
            match Source::of(event.token()) {
                Some(Source::Listener) => self.gate.arrived(),
                Some(Source::Mailbox) => self.mail_waits = self.takes_mail(),
                Some(Source::Link) => self.hear(),
                Some(Source::Term) => {
                    if self.term.take() {
                        self.ask_for_a_successor();
                    }
                }
                // The flush at the end of the turn tries it.
                Some(Source::Writer(_)) => {}
                Some(Source::Connection(key)) => {
                    let Some(index) = self.core.registry.index_of(key) else { continue };
                    let Some(connection) = self.core.registry.at_mut(index) else { continue };
                    connection.flags.readable |= event.is_readable() || event.is_error();
                    connection.flags.peer_done |= event.is_read_closed();
                    if event.is_writable()
                        && !connection.outbox.is_empty()
                        && !connection.flags.dirty
                    {
                        // The socket was full and has room again, so the peer takes what we send. That is a sign of life:
                        // its own words may stand unread, or the ping behind what had to leave first.
                        connection.times.alive_at(self.core.now_ms);
                        connection.flags.dirty = true;
                        self.core.dirty.push(index);
                    }
                    if connection.flags.readable {
                        active.push(index);
                    }
                }
                None => debug_assert!(false, "an event of nobody"),
            }
        }
    }

    // ----- the master -----

    fn hear(&mut self) {
        loop {
            match self.link.hear() {
                Heard::Message(ToChild::Drain { reconnect_spread_ms, deadline_ms }) => {
                    self.leave(deadline_ms, Some(reconnect_spread_ms));
                    self.link.say(&ToMaster::Draining);
                }
                Heard::Message(ToChild::Stop { deadline_ms }) => self.leave(deadline_ms, None),
                Heard::Message(ToChild::ReopenLog) => (self.reopen_log)(),
                Heard::Noise => log::warn!("the master said something that is not understood"),
                Heard::Silence => return,
                Heard::Closed => {
                    self.life = Life::Orphaned;
                    return;
                }
            }
        }
    }

    /// Stops taking anything new and tells every client: to come back within the spread, or that the server goes away.
    fn leave(&mut self, deadline_ms: u64, reconnect_spread_ms: Option<u64>) {
        let deadline_ms = self.core.now_ms.saturating_add(deadline_ms);
        match self.life {
            Life::Serving | Life::Recycling => {}
            Life::Leaving { deadline_ms: earlier } => {
                self.life = Life::Leaving { deadline_ms: deadline_ms.min(earlier) };
                return;
            }
            Life::Orphaned => return,
        }
        self.life = Life::Leaving { deadline_ms };
        self.core.leaving = true;
        self.gate = Gate::Shut;
        self.mail_waits = false;
        // The listener and the mailbox are the slot's: what comes from now on is the successor's.
        let registry = self.poll.registry();
        let _ = registry.deregister(&mut self.listener);
        let _ = registry.deregister(&mut SourceFd(&self.mailbox.as_fd().as_raw_fd()));
        for index in self.core.registry.indexes() {
            let (code, reason) = match reconnect_spread_ms {
                Some(spread) => {
                    let wait_ms = self.core.random.u64(0..=spread);
                    let reason = format!("restarting; retry_after_ms={wait_ms}");
                    (CloseCode::Restart, Cow::Owned(reason))
                }
                None => (CloseCode::Away, Cow::Borrowed("the server stops")),
            };
            let began = self.core.close_with(index, code, reason);
            // A first request may be on its way: with a successor at hand it is waited for and answered, the last one.
            let keeps_new = reconnect_spread_ms.is_some();
            let idle = !began
                && self.core.registry.at(index).is_some_and(|connection| {
                    matches!(connection.state, State::Http(Exchange::Head { .. }))
                        && !connection.has_input()
                        && !(keeps_new && connection.messages_in == 0)
                });
            if idle {
                self.core.linger(index);
            }
        }
        self.settle();
    }

    fn ask_for_a_successor(&mut self) {
        match self.life {
            Life::Serving => {
                self.link.say(&ToMaster::Recycle);
                self.life = Life::Recycling;
            }
            Life::Recycling | Life::Leaving { .. } | Life::Orphaned => {}
        }
    }

    fn takes_mail(&self) -> bool {
        match self.life {
            Life::Serving | Life::Recycling => true,
            Life::Leaving { .. } | Life::Orphaned => false,
        }
    }

    // ----- other processes -----

    fn take_mail(&mut self) {
        if !self.mail_waits {
            return;
        }
        for _ in 0..PACKETS_PER_TURN_MAX {
            match self.mailbox.receive() {
                Ok(Mail::Empty) => {
                    self.mail_waits = false;
                    break;
                }
                Ok(Mail::Bad) => self.core.cell.add(Counter::BadPackets, 1),
                Ok(Mail::Packet(packet)) => {
                    let mut commands = wire::decode(packet.bytes, packet.attachment.as_deref());
                    let mut taken = 0;
                    for command in &mut commands {
                        let Ok(command) = command else {
                            self.core.cell.add(Counter::BadPackets, 1);
                            break;
                        };
                        taken += 1;
                        match command {
                            Command::Answer { from, request, ref answer } => {
                                let done = self.core.asks.answered(request, from, answer);
                                self.core.finished.extend(done);
                            }
                            Command::Message { from, kind, payload } => {
                                let message = Message::from_parts(kind, payload);
                                let mut context = Context::new(&mut self.core, None);
                                let handler = &mut self.handler;
                                let told = catch_unwind(AssertUnwindSafe(|| {
                                    handler.on_process_message(&mut context, from, message);
                                }));
                                if told.is_err() {
                                    self.core.cell.add(Counter::HandlerPanics, 1);
                                }
                            }
                            Command::Push { .. }
                            | Command::Broadcast { .. }
                            | Command::Publish { .. }
                            | Command::Disconnect { .. }
                            | Command::Info { .. } => self.core.execute(&command),
                        }
                    }
                    self.core.cell.add(Counter::CommandsIn, taken);
                }
                Err(_) => {
                    self.life = Life::Orphaned;
                    self.mail_waits = false;
                    break;
                }
            }
        }
        self.settle();
    }

    // ----- new connections -----

    fn accept(&mut self) {
        let now_ms = self.core.now_ms;
        if !self.gate.may_accept(now_ms) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let since_1970 = Duration::from_millis(Core::unix_ms());
            // Asked for before the accept, so that no accepted connection is ever without an id.
            let board = self.core.loop_handle.board();
            if !board.has_id(self.core.slot, Tick::at(since_1970)) {
                self.gate.pause(now_ms + 1);
                return;
            }
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let id = board.next_id(self.core.slot, Tick::at(since_1970));
                    let Some(id) = id else { continue };
                    self.welcome(
                        stream,
                        Durable {
                            id,
                            peer,
                            opened_unix_ms: since_1970.as_millis() as u64,
                            head: None,
                            subprotocol: None,
                            context: None,
                        },
                    );
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.gate.emptied();
                        return;
                    }
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.core.cell.add(Counter::AcceptPauses, 1);
                        self.gate.pause(now_ms + gate::PAUSE_MS);
                        if self.core.cell.read(Counter::AcceptPauses) % 10 == 1 {
                            log::warn!(
                                "accepting pauses for {} ms: {error}; connections wait in the kernel",
                                gate::PAUSE_MS
                            );
                        }
                        return;
                    }
                },
            }
        }
    }

    fn welcome(&mut self, mut stream: mio::net::TcpStream, durable: Durable) {
        self.core.cell.add(Counter::Accepted, 1);
        let others = self.core.loop_handle.board().total(Counter::Connections);
        let refused = others >= self.core.limits.connections_max;
        if refused {
            self.core.cell.add(Counter::RefusedFull, 1);
            if others >= self.core.limits.connections_max + REFUSALS_MAX {
                let _ = socket::reset_on_close(&stream);
                return;
            }
        }
        if self.core.limits.tcp_nodelay && stream.set_nodelay(true).is_err() {
            return;
        }
        let key = self.core.registry.vacant_key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Connection(key).token();
        if let Err(error) = self.poll.registry().register(&mut stream, token, interests) {
            log::warn!("a connection cannot be watched: {error}");
            return;
        }
        let now_ms = self.core.now_ms;
        self.core.registry.insert(Connection {
            stream,
            durable,
            state: State::Http(Exchange::new()),
            outbox: crate::outbox::Outbox::default(),
            unparsed: Vec::new(),
            times: Times { since_ms: now_ms, received_ms: now_ms, pinged_ms: None },
            messages_in: 0,
            messages_out: 0,
            flags: Flags::default(),
        });
        self.core.cell.set(Counter::Connections, self.core.registry.len() as u64);
        if refused {
            let response = Response::error(503, "the server is full").header("Retry-After", "5");
            self.core.write_response(key.index, &response, LAST);
            self.core.linger(key.index);
        } else {
            self.core.watch(key.index);
        }
    }

    // ----- connections -----

    fn serve_all(&mut self, active: &mut Vec<u32>) {
        let again = self.core.ready.len();
        for index in active.drain(..) {
            self.serve(index);
        }
        for _ in 0..again {
            let Some(index) = self.core.ready.pop_front() else { break };
            if let Some(connection) = self.core.registry.at_mut(index) {
                connection.flags.ready = false;
                self.serve(index);
            }
        }
        // The application is told of an end while the connection's facts are still there.
        self.settle();
        self.core.bury();
    }

    fn serve(&mut self, index: u32) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.core.cork(index);
        let mut budget = Budget { reads: READS_PER_TURN_MAX, messages: MESSAGES_PER_TURN_MAX };
        while !self.core.is_choked(index) {
            let Some(connection) = self.core.registry.at_mut(index) else { break };
            if !connection.unparsed.is_empty() {
                let mut input = std::mem::take(&mut connection.unparsed);
                let used = self.feed(index, &mut input, &mut budget);
                self.keep_rest(index, input, used);
            }
            if !self.wants_input(index) || budget.is_spent() {
                break;
            }
            match self.read(index, &mut buffer) {
                Some(count) => {
                    budget.reads -= 1;
                    let Some(connection) = self.core.registry.at_mut(index) else { break };
                    if connection.unparsed.is_empty() {
                        let used = self.feed(index, &mut buffer[..count], &mut budget);
                        if used < count {
                            self.keep_rest(index, buffer[used..count].to_vec(), 0);
                        }
                    } else {
                        connection.unparsed.extend_from_slice(&buffer[..count]);
                    }
                }
                None => break,
            }
        }
        let was_choked = self.core.is_choked(index);
        self.core.uncork(index);
        if self.has_work(index, was_choked || budget.messages == 0) {
            self.core.make_ready(index);
        }
        self.buffer = buffer;
    }

    /// Whether a connection that was just served has more to do before anything new happens to it. `stopped`: what it has
    /// sent was left alone before its end, so that the rest may hold a whole request.
    fn has_work(&self, index: u32, stopped: bool) -> bool {
        if self.core.is_choked(index) {
            return false;
        }
        let Some(connection) = self.core.registry.at(index) else { return false };
        let rest = !connection.unparsed.is_empty();
        match connection.state {
            State::WebSocket(_) => connection.flags.readable || rest,
            State::Http(Exchange::Answering { .. }) => false,
            State::Http(Exchange::Head { .. } | Exchange::Body { .. }) => {
                connection.flags.readable || rest && stopped
            }
            State::Lingering { .. } => connection.flags.readable,
        }
    }

    fn keep_rest(&mut self, index: u32, mut input: Vec<u8>, used: usize) {
        if used == input.len() {
            return;
        }
        input.drain(..used);
        if let Some(connection) = self.core.registry.at_mut(index) {
            match connection.state {
                State::Http(_) | State::WebSocket(_) => connection.unparsed = input,
                State::Lingering { .. } => {}
            }
        }
    }

    /// Whether more bytes of this connection can be handled now.
    fn wants_input(&self, index: u32) -> bool {
        let Some(connection) = self.core.registry.at(index) else { return false };
        if !connection.flags.readable || self.core.is_choked(index) {
            return false;
        }
        match connection.state {
            State::Http(Exchange::Answering { .. }) => false,
            State::Http(Exchange::Head { .. } | Exchange::Body { .. }) | State::WebSocket(_) => {
                true
            }
            State::Lingering { .. } => true,
        }
    }

    /// Reads once. `None` when there is nothing to handle: empty, ended or broken.
    fn read(&mut self, index: u32, buffer: &mut [u8]) -> Option<usize> {
        let now_ms = self.core.now_ms;
        let connection = self.core.registry.at_mut(index)?;
        loop {
            match connection.stream.read(buffer) {
                Ok(0) => {
                    connection.flags.readable = false;
                    connection.flags.peer_done = true;
                    self.peer_done(index);
                    return None;
                }
                Ok(count) => {
                    // A short read has emptied the socket (epoll(7), Q9): what comes later is told of again. Unless the
                    // peer's end is behind it, which was told of already.
                    if count < buffer.len() && !connection.flags.peer_done {
                        connection.flags.readable = false;
                    }
                    connection.times.alive_at(now_ms);
                    self.core.cell.add(Counter::BytesIn, count as u64);
                    return Some(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.flags.readable = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.core.lose(index, ClosedBy::Lost, "the connection broke");
                    self.settle();
                    return None;
                }
            }
        }
    }

    /// The peer has ended its side and everything it sent has been read.
    fn peer_done(&mut self, index: u32) {
        let Some(connection) = self.core.registry.at(index) else { return };
        match connection.state {
            // It may still wait for its answer.
            State::Http(Exchange::Answering { .. }) => {}
            State::Lingering { shut: false } => {}
            // The answers before may still be on their way to it.
            State::Http(Exchange::Head { .. }) => self.core.linger(index),
            State::Http(Exchange::Body { .. })
            | State::WebSocket(_)
            | State::Lingering { shut: true } => {
                self.core.lose(index, ClosedBy::Lost, "the peer ended the connection");
                self.settle();
            }
        }
    }

    /// Handles input from its front, as far as the state of the connection and the budget allow. How many bytes are done
    /// with.
    fn feed(&mut self, index: u32, input: &mut [u8], budget: &mut Budget) -> usize {
        let mut at = 0;
        while at < input.len() && budget.messages > 0 {
            let core = &mut self.core;
            let Some(connection) = core.registry.at_mut(index) else { return input.len() };
            match &mut connection.state {
                State::Lingering { .. } => return input.len(),
                State::WebSocket(session) => {
                    let step =
                        session.receive(&mut input[at..], &core.limits.session, &mut core.cork);
                    at += step.consumed;
                    let Some(event) = step.event else { return at };
                    budget.messages -= 1;
                    self.on_event(index, event);
                }
                State::Http(exchange) => match exchange.take(&input[at..], &core.limits.http) {
                    Taken::Partial { consumed, invite } => {
                        if invite {
                            core.cork.extend_from_slice(CONTINUE);
                        }
                        return at + consumed;
                    }
                    Taken::Busy => return at,
                    Taken::Request { consumed, head, body } => {
                        at += consumed;
                        budget.messages -= 1;
                        self.on_request(index, head, body);
                    }
                    Taken::Refused(error) => {
                        core.cell.add(Counter::RefusedRequests, 1);
                        core.write_response(index, &error.response(), LAST);
                        core.linger(index);
                    }
                },
            }
            if self.core.is_cork_full(index) {
                self.core.flush(index);
                self.settle();
            }
            if self.core.is_choked(index) {
                return at;
            }
        }
        at
    }

    #[inline]
    fn on_event(&mut self, index: u32, event: Event<'_>) {
        match event {
            Event::Text(text) => self.on_message(index, Message::Text(&text)),
            Event::Binary(bytes) => self.on_message(index, Message::Binary(&bytes)),
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Close { code, reason } => {
                // Had we begun to close, the application has been told then.
                self.finish(index, ClosedBy::Peer, code, Cow::Owned(reason));
            }
            Event::Failed(error) => {
                self.core.cell.add(Counter::ProtocolErrors, 1);
                let reason = Cow::Owned(error.to_string());
                self.finish(index, ClosedBy::Server, Some(error.close_code()), reason);
            }
        }
    }

    /// The session is over: nothing more is said but what is in the outbox.
    fn finish(
        &mut self,
        index: u32,
        by: ClosedBy,
        code: Option<CloseCode>,
        reason: Cow<'static, str>,
    ) {
        self.core.ended(index, by, code, reason);
        self.core.linger(index);
        self.settle();
    }

    #[inline]
    fn on_message(&mut self, index: u32, message: Message<'_>) {
        if let Some(connection) = self.core.registry.at_mut(index) {
            connection.messages_in += 1;
        }
        self.core.cell.add(Counter::MessagesIn, 1);
        self.messages += 1;
        if self.messages == self.core.limits.requests_max {
            self.ask_for_a_successor();
        }
        self.call(Some(index), |handler, context| handler.on_message(context, message));
    }

    // ----- HTTP -----

    fn on_request(&mut self, index: u32, head: RequestHead, body: Vec<u8>) {
        if handshake::wants_upgrade(head.headers()) {
            self.on_upgrade(index, head);
            return;
        }
        let key = self.core.registry.key_of(index);
        let manner = Manner { keep_alive: head.keep_alive(), head_only: head.method() == "HEAD" };
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.messages_in += 1;
        let number = connection.messages_in as u32;
        let peer = connection.durable.peer;
        connection.state = State::Http(Exchange::Answering { number, manner });
        self.core.restart_patience(index);
        let responder = Responder { key, number };
        let request = HttpRequest { head, body, peer };
        let called = self.call(None, |handler, context| {
            handler.on_request(context, request, responder);
        });
        if called.is_none() {
            let responder = Responder { key, number };
            let response = Response::error(500, "the server made a mistake");
            self.core.respond(responder, &response);
        }
    }

    fn on_upgrade(&mut self, index: u32, head: RequestHead) {
        let manner = Manner { head_only: head.method() == "HEAD", ..LAST };
        let refuse = |worker: &mut Self, response: &Response| {
            worker.core.cell.add(Counter::RefusedRequests, 1);
            worker.core.write_response(index, response, manner);
            worker.core.linger(index);
        };
        let upgrade = match handshake::check(head.method(), head.http_minor(), head.headers()) {
            Ok(upgrade) => upgrade,
            Err(refusal) => {
                let mut response = Response::error(refusal.status(), &refusal.to_string());
                if refusal.status() != 426 {
                    for (name, value) in refusal.headers() {
                        response = response.header(*name, value);
                    }
                }
                return refuse(self, &response);
            }
        };
        if self.core.leaving {
            let response = Response::error(503, "the server restarts").header("Retry-After", "1");
            return refuse(self, &response);
        }
        let verdict =
            self.call(Some(index), |handler, context| handler.on_handshake(context, &head));
        let (answer, subprotocol) = match verdict {
            Some(Verdict::Accept { subprotocol, headers }) => {
                let extra = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let chosen = subprotocol
                    .filter(|chosen| upgrade.subprotocols().any(|offered| offered == chosen));
                (upgrade.response(chosen.as_deref(), extra), chosen.map(String::into_boxed_str))
            }
            Some(Verdict::Reject(response)) => return refuse(self, &response),
            None => return refuse(self, &Response::error(500, "the server made a mistake")),
        };
        drop(upgrade);
        self.core.cork.extend_from_slice(&answer);
        self.core.cork_plain = self.core.cork.len();
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.state = State::WebSocket(Session::new());
        connection.messages_in = 0;
        connection.flags.open = true;
        connection.durable.head = Some(head);
        connection.durable.subprotocol = subprotocol;
        let id = connection.durable.id;
        self.core.registry.publish_id(id, index);
        self.core.restart_patience(index);
        self.call(Some(index), |handler, context| handler.on_open(context));
    }

    // ----- time -----

    fn look_at_the_clock(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.core.wheel.advance(self.core.now_ms, &mut due);
        for index in due.drain(..) {
            self.core.watch(index);
        }
        self.due = due;
        while let Some(expired) = self.core.asks.expire(self.core.now_ms) {
            self.core.cell.add(Counter::UnansweredAsks, 1);
            self.core.finished.push_back(expired);
        }
        self.settle();
    }

    // ----- output -----

    fn flush(&mut self) {
        // An end that is noticed here may make the application send more: nothing would wake the loop for that.
        while !self.core.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.core.dirty);
            // First come, first served: the one who was sent to first does not wait for all others.
            for index in dirty.drain(..) {
                if let Some(connection) = self.core.registry.at_mut(index) {
                    connection.flags.dirty = false;
                    self.core.flush(index);
                }
            }
            if self.core.dirty.is_empty() {
                self.core.dirty = dirty;
            }
            self.settle();
        }
        self.core.bury();
        self.backlog = !self.core.loop_handle.flush();
        self.core.show_gauges();
    }

    // ----- the application -----

    /// Calls the application, and then tells it of what the call has brought about. A panic costs the connection it
    /// happened on.
    #[inline]
    fn call<R>(
        &mut self,
        index: Option<u32>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let result = self.guarded(index, call);
        self.settle();
        result
    }

    fn guarded<R>(
        &mut self,
        index: Option<u32>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut context = Context::new(&mut self.core, index);
        let handler = &mut self.handler;
        let result = catch_unwind(AssertUnwindSafe(|| call(handler, &mut context)));
        if result.is_err() {
            self.core.cell.add(Counter::HandlerPanics, 1);
            if let Some(index) = index {
                self.core.close(index, CloseCode::Error, "the server made a mistake");
            }
        }
        result.ok()
    }

    /// Tells the application of ends and answers, until there are none left.
    #[inline]
    fn settle(&mut self) {
        while !self.core.endings.is_empty() || !self.core.finished.is_empty() {
            if let Some((index, closed)) = self.core.endings.pop_front() {
                self.guarded(Some(index), |handler, context| handler.on_close(context, &closed));
            }
            if let Some((done, reply)) = self.core.finished.pop_front() {
                self.guarded(None, |_, context| done(context, reply));
            }
        }
    }
}

/// What is left of a connection's share of a turn.
struct Budget {
    reads: usize,
    messages: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.reads == 0 || self.messages == 0
    }
}
