//! One connection at a time: reading, and what the bytes mean to its state.

use std::{borrow::Cow, io};

use wsmaster_ipc::{LeaveReason, board::Counter};
use wsmaster_protocol::{close::CloseCode, deflate::Inflater, session::Event};

use super::{
    HELLOS_PER_TURN_MAX, INFLATED_BYTES_PER_TURN_MAX, MESSAGES_PER_TURN_MAX, READS_PER_TURN_MAX,
    Worker,
};
use crate::{
    close_reason::CloseReason,
    connection::{Connection, State},
    core::LAST,
    exchange::{Exchange, Taken},
    handler::{ClosedBy, Handler, Message},
    pace::Spent,
    stream::Received,
};

/// Pings right behind each other, in one service of a connection, that are answered one by one; of those behind
/// them the last.
const PONGS_IN_A_ROW_MAX: usize = 16;

impl<H: Handler> Worker<H> {
    pub(super) fn serve_all(&mut self, active: &mut Vec<u32>) {
        let again = self.core.ready.len();
        self.hellos = HELLOS_PER_TURN_MAX;
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

    pub(super) fn serve(&mut self, index: u32) {
        let Some(connection) = self.core.registry.at(index) else { return };
        // TLS begins behind the header of a proxy.
        let awaits_hello = connection.stream.awaits_hello();
        if connection.flags.preface && !self.take_preface(index) {
            return;
        }
        if awaits_hello && self.hellos == 0 {
            self.core.make_ready(index);
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut inflater = std::mem::take(&mut self.inflater);
        self.core.cork(index);
        let mut budget = Budget {
            reads: READS_PER_TURN_MAX,
            messages: MESSAGES_PER_TURN_MAX,
            pongs: Pongs::default(),
            inflated_bytes: INFLATED_BYTES_PER_TURN_MAX,
        };
        while !self.core.is_choked(index) {
            let Some(connection) = self.core.registry.at_mut(index) else { break };
            if !connection.unparsed.is_empty() {
                let mut input = std::mem::take(&mut connection.unparsed);
                let used = self.feed(index, &mut input, &mut inflater, &mut budget);
                self.keep_rest(index, input, used);
            }
            if !self.wants_input(index) || budget.is_spent() {
                break;
            }
            match self.read(index, &mut buffer) {
                Some(0) => budget.reads -= 1,
                Some(count) => {
                    budget.reads -= 1;
                    let Some(connection) = self.core.registry.at_mut(index) else { break };
                    if connection.unparsed.is_empty() {
                        let used =
                            self.feed(index, &mut buffer[..count], &mut inflater, &mut budget);
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
        if awaits_hello {
            self.note_hello(index);
        }
        let was_choked = self.core.is_choked(index);
        self.core.uncork(index);
        self.core.sum_up_unfinished(index);
        if self.has_work(index, was_choked || budget.has_stopped()) {
            self.core.make_ready(index);
        }
        self.buffer = buffer;
        self.inflater = inflater;
        if self.core.is_unfinished_full() {
            self.core.relieve_unfinished();
            self.settle();
        }
    }

    fn note_hello(&mut self, index: u32) {
        let connection = self.core.registry.at(index);
        if connection.is_some_and(|connection| !connection.stream.awaits_hello()) {
            self.hellos -= 1;
        }
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
            State::Http(Exchange::Answering { .. } | Exchange::Undecided { .. }) => false,
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
            State::Http(Exchange::Answering { .. } | Exchange::Undecided { .. }) => false,
            State::Http(Exchange::Head { .. } | Exchange::Body { .. }) | State::WebSocket(_) => {
                true
            }
            State::Lingering { .. } => true,
        }
    }

    /// Reads once. `None` when there is nothing to handle: empty, ended or broken; 0 when there may be more behind bytes
    /// that are not for the application.
    fn read(&mut self, index: u32, buffer: &mut [u8]) -> Option<usize> {
        let now_ms = self.core.now_ms;
        let connection = self.core.registry.at_mut(index)?;
        loop {
            match connection.stream.receive(buffer) {
                Ok(Received::End) => {
                    connection.flags.readable = false;
                    connection.flags.peer_done = true;
                    self.peer_done(index);
                    return None;
                }
                Ok(Received::Refused) => {
                    self.core.cell.add(Counter::TlsFailures, 1);
                    self.core.complain_of(
                        index,
                        Counter::TlsFailures,
                        "does not speak TLS with us",
                    );
                    self.core.linger(index);
                    return None;
                }
                Ok(Received::Bytes(count)) => {
                    // A short read has emptied the socket (epoll(7), Q9): what comes later is told of again. Unless the
                    // peer's end is behind it, which was told of already, or an urgent byte.
                    if count < buffer.len()
                        && connection.stream.short_read_is_empty()
                        && !connection.flags.peer_done
                        && !connection.flags.urgent
                    {
                        connection.flags.readable = false;
                    }
                    connection.times.alive_at(now_ms);
                    let ahead = match connection.state {
                        State::WebSocket(_) => {
                            connection.pace.spend(Spent::Bytes(count), &self.core.limits, now_ms)
                        }
                        State::Http(_) | State::Lingering { .. } => None,
                    };
                    if let Some(facts) = connection.stream.take_facts() {
                        let resumed = facts.resumed;
                        connection.durable.tls = Some(Box::new(facts));
                        self.core.cell.add(Counter::TlsHandshakes, 1);
                        self.core.cell.add(Counter::TlsResumed, u64::from(resumed));
                    }
                    self.core.cell.add(Counter::BytesIn, count as u64);
                    if let Some(ahead_ms) = ahead {
                        self.core.hold_back(index, ahead_ms);
                    }
                    return Some(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.flags.readable = false;
                    connection.flags.urgent = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.core.lose(index, CloseReason::Broken);
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
            State::Http(Exchange::Answering { .. } | Exchange::Undecided { .. }) => {}
            State::Lingering { shut: false } => {}
            // The answers before may still be on their way to it.
            State::Http(Exchange::Head { .. }) => self.core.linger(index),
            State::Http(Exchange::Body { .. })
            | State::WebSocket(_)
            | State::Lingering { shut: true } => {
                self.core.lose(index, CloseReason::PeerEnded);
                self.settle();
            }
        }
    }

    /// Handles input from its front, as far as the state of the connection and the budget allow. How many bytes are done
    /// with.
    fn feed(
        &mut self,
        index: u32,
        input: &mut [u8],
        inflater: &mut Inflater,
        budget: &mut Budget,
    ) -> usize {
        let mut at = 0;
        // Whether a message, or a control frame, has begun and not ended.
        let mut half_done = false;
        while at < input.len() && !budget.has_stopped() {
            let core = &mut self.core;
            let Some(connection) = core.registry.at_mut(index) else { return input.len() };
            match &mut connection.state {
                State::Lingering { .. } => return input.len(),
                State::WebSocket(session) => {
                    let before = core.cork.len();
                    let listener = connection.durable.listener;
                    let own = core.limits.session();
                    let limits = core.listeners.session(listener, &own);
                    let step = session.receive(&mut input[at..], limits, inflater, &mut core.cork);
                    at += step.consumed;
                    half_done = session.is_receiving();
                    let Some(event) = step.event else { break };
                    if !half_done {
                        connection.times.message_began = None;
                    }
                    budget.messages -= 1;
                    match event {
                        Event::Ping(_) if budget.pongs.follow(before, &mut core.cork) => {
                            core.cell.add(Counter::PongsCoalesced, 1);
                        }
                        Event::Ping(_) => {}
                        Event::Text(_)
                        | Event::Binary(_)
                        | Event::Pong(_)
                        | Event::Close { .. }
                        | Event::Failed(_) => budget.pongs = Pongs::default(),
                    }
                    self.on_event(index, event);
                    self.settle_inflation(inflater, budget);
                }
                State::Http(exchange) => match exchange.take(&input[at..], &core.limits.http()) {
                    Taken::Partial { consumed, begun } => {
                        if begun && !core.begin_request(index) {
                            return input.len();
                        }
                        return at + consumed;
                    }
                    Taken::Head { consumed, begun } => {
                        if begun && !core.begin_request(index) {
                            return input.len();
                        }
                        self.on_request_head(index);
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
                        let does = format_args!("sent a request that is refused: {error}");
                        core.complain_of(index, Counter::RefusedRequests, does);
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
        if half_done
            && self.core.registry.at(index).is_some_and(|it| it.times.message_began.is_none())
        {
            self.core.begin_message(index);
        }
        at
    }

    /// Takes what decompression has cost out of the connection's share of the turn.
    #[inline]
    fn settle_inflation(&mut self, inflater: &mut Inflater, budget: &mut Budget) {
        let work_bytes = inflater.take_work_bytes();
        if work_bytes > 0 {
            self.core.cell.add(Counter::MessagesDecompressed, 1);
            budget.inflated_bytes = budget.inflated_bytes.saturating_sub(work_bytes);
        }
    }

    #[inline]
    fn on_event(&mut self, index: u32, event: Event<'_>) {
        match event {
            Event::Text(text) => self.on_message(index, Message::Text(&text)),
            Event::Binary(bytes) => self.on_message(index, Message::Binary(&bytes)),
            Event::Ping(_) | Event::Pong(_) => self.on_control(index),
            Event::Close { code, reason } => {
                // Had we begun to close, the application has been told then.
                self.finish(index, ClosedBy::Peer, code, Cow::Owned(reason));
            }
            Event::Failed(error) => {
                self.core.cell.add(Counter::ProtocolErrors, 1);
                let does = format_args!("broke the protocol: {error}");
                self.core.complain_of(index, Counter::ProtocolErrors, does);
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

    /// A client has sent a ping or a pong.
    fn on_control(&mut self, index: u32) {
        let now_ms = self.core.now_ms;
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        if let Some(ahead_ms) = connection.pace.spend(Spent::Control, &self.core.limits, now_ms) {
            self.core.hold_back(index, ahead_ms);
        }
    }

    #[inline]
    fn on_message(&mut self, index: u32, message: Message<'_>) {
        self.core.cell.add(Counter::MessagesIn, 1);
        let now_ms = self.core.now_ms;
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.messages_in += 1;
        if let Some(ahead_ms) = connection.pace.spend(Spent::Message, &self.core.limits, now_ms) {
            self.core.hold_back(index, ahead_ms);
            // It is heard all the same, unless being ahead has ended it.
            if !self.core.registry.at(index).is_some_and(Connection::can_send) {
                return;
            }
        }
        self.messages += 1;
        if self.messages == self.share {
            self.ask_for_a_successor(LeaveReason::Share);
        }
        self.call(Some(index), |handler, context| handler.on_message(context, message));
    }
}

/// What is left of a connection's share of a turn.
struct Budget {
    reads: usize,
    messages: usize,
    pongs: Pongs,
    inflated_bytes: usize,
}

impl Budget {
    /// Nothing more is read.
    fn is_spent(&self) -> bool {
        self.reads == 0 || self.has_stopped()
    }

    /// What has been read is left alone.
    #[inline]
    fn has_stopped(&self) -> bool {
        self.messages == 0 || self.inflated_bytes == 0
    }
}

/// Pings of one connection that came right behind each other. A few are answered one by one, a flood of them by its last:
/// a peer may be answered for the most recent ping alone (RFC 6455, 5.5.3).
#[derive(Clone, Copy, Default)]
struct Pongs {
    in_a_row: usize,
    /// Where the last pong lies in the cork.
    start: usize,
    end: usize,
}

impl Pongs {
    /// A pong was put into the cork, which had been `before` bytes long. Whether it took the place of the one before.
    fn follow(&mut self, before: usize, cork: &mut Vec<u8>) -> bool {
        self.in_a_row += 1;
        let replaces = self.in_a_row > PONGS_IN_A_ROW_MAX + 1 && self.end == before && before > 0;
        if replaces {
            cork.drain(self.start..self.end);
        } else {
            self.start = before;
        }
        self.end = cork.len();
        replaces
    }
}
