//! What the bytes that were read mean to the state of a connection. All that needs no application is done here.

use std::borrow::Cow;

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{
    close::CloseCode,
    deflate::Inflater,
    http::RequestHead,
    session::{Event, SessionError},
};

use super::{Incoming, LAST, State};
use crate::{
    admit::come_back,
    close_reason::CloseReason,
    effects::Effects,
    http1::{RequestState, Taken},
    rate_limiter::Cost,
    vocabulary::{ClosedBy, Message},
};

/// Pings right behind each other, in one service of a connection, that are answered one by one; of those behind
/// them the last.
const PONGS_IN_A_ROW_MAX: usize = 16;

/// What is left of a connection's share of a turn.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) reads: usize,
    pub(crate) messages: usize,
    pub(crate) inflated_bytes: usize,
    pongs: Pongs,
}

impl Budget {
    pub(crate) fn new(reads: usize, messages: usize, inflated_bytes: usize) -> Self {
        Self { reads, messages, inflated_bytes, pongs: Pongs::default() }
    }

    /// Nothing more is read.
    pub(crate) fn is_spent(&self) -> bool {
        self.reads == 0 || self.has_stopped()
    }

    /// What has been read is left alone.
    #[inline]
    pub(crate) fn has_stopped(&self) -> bool {
        self.messages == 0 || self.inflated_bytes == 0
    }
}

/// Pings of one connection that came right behind each other. A few are answered one by one, a flood of them by its last:
/// a peer may be answered for the most recent ping alone (RFC 6455, 5.5.3).
#[derive(Clone, Copy, Default, Debug)]
struct Pongs {
    in_a_row: usize,
    /// Where the last pong lies in the cork.
    start: usize,
    end: usize,
}

impl Pongs {
    /// Takes note of an event, before which the cork had been `before` bytes long. Whether the pong that answers it took the
    /// place of the one before.
    #[inline]
    fn note(&mut self, event: &Event<'_>, before: usize, cork: &mut Vec<u8>) -> bool {
        match event {
            Event::Ping(_) => self.follow(before, cork),
            Event::Text(_)
            | Event::Binary(_)
            | Event::Pong(_)
            | Event::Close { .. }
            | Event::Failed(_) => {
                *self = Self::default();
                false
            }
        }
    }

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

/// What the front of the input has come to.
#[derive(Debug)]
pub(crate) enum Fed<'a> {
    /// Nothing for the application; go on behind so many bytes.
    Handled(usize),
    /// All of it is done with: more has to come, or nothing more is handled.
    Done,
    /// So many bytes are done with, and the rest has to wait.
    Wait(usize),
    /// A message of so many bytes of input, for the application.
    Message(usize, Event<'a>),
    /// The head of a request, of so many bytes, of which the body has not all come: the application is asked about it.
    RequestHead(usize),
    /// A request of so many bytes, for the application.
    Request { consumed: usize, head: RequestHead, body: Vec<u8> },
}

impl Incoming<'_> {
    /// Takes one message, control frame or request from the front of the input, as far as its state allows. The cork must be
    /// its own.
    #[inline]
    pub(crate) fn feed<'a>(
        &mut self,
        input: &'a mut [u8],
        inflater: &'a mut Inflater,
        budget: &mut Budget,
        fx: &mut Effects,
    ) -> Fed<'a> {
        let State::WebSocket(session) = &mut self.0.state else {
            return self.feed_http(input, budget, fx);
        };
        let before = fx.delivery.cork.len_of(self.0.key.index);
        let own = fx.limits.session();
        let limits = fx.rules.listeners.session(self.0.info.listener, &own);
        let Some(cork) = fx.delivery.cork.of(self.0.key.index) else { return Fed::Wait(0) };
        let step = session.receive(input, limits, inflater, cork);
        let is_receiving = session.is_receiving();
        let Some(event) = step.event else {
            // Of a message, or a control frame, that has begun and not ended.
            if is_receiving && self.0.times.message_began.is_none() {
                self.0.timers().begin_message(fx);
            }
            return Fed::Done;
        };
        budget.messages -= 1;
        if budget.pongs.note(&event, before, cork) {
            fx.stats.add(Counter::PongsCoalesced, 1);
        }
        if !is_receiving {
            self.0.times.message_began = None;
        } else if self.0.times.message_began.is_none() {
            self.0.timers().begin_message(fx);
        }
        match event {
            event @ (Event::Text(_) | Event::Binary(_)) => {
                if self.accepts_message(fx) {
                    Fed::Message(step.consumed, event)
                } else {
                    Fed::Handled(step.consumed)
                }
            }
            Event::Ping(_) | Event::Pong(_) => {
                self.count_control(fx);
                Fed::Handled(step.consumed)
            }
            Event::Close { code, reason } => {
                // Had we begun to close, the application has been told then.
                self.finish(ClosedBy::Peer, code, Cow::Owned(reason), fx);
                Fed::Handled(step.consumed)
            }
            Event::Failed(error) => {
                self.fail(&error, fx);
                Fed::Handled(step.consumed)
            }
        }
    }

    /// A message has come. Whether the application is told: being ahead of its rate may have ended the connection.
    #[inline]
    fn accepts_message(&mut self, fx: &mut Effects) -> bool {
        fx.stats.add(Counter::MessagesIn, 1);
        self.0.messages_in += 1;
        match self.0.rate.spend(Cost::Message, &fx.limits, fx.now_ms) {
            None => true,
            Some(ahead_ms) => {
                self.0.timers().throttle(ahead_ms, fx);
                self.0.state.can_send()
            }
        }
    }

    /// A client has sent a ping or a pong.
    fn count_control(&mut self, fx: &mut Effects) {
        if let Some(ahead_ms) = self.0.rate.spend(Cost::Control, &fx.limits, fx.now_ms) {
            self.0.timers().throttle(ahead_ms, fx);
        }
    }

    #[cold]
    fn fail(&mut self, error: &SessionError, fx: &mut Effects) {
        fx.stats.add(Counter::ProtocolErrors, 1);
        let does = format_args!("broke the protocol: {error}");
        fx.warn_client(self.0.info.peer, Counter::ProtocolErrors, does);
        let reason = Cow::Owned(error.to_string());
        self.finish(ClosedBy::Server, Some(error.close_code()), reason, fx);
    }

    /// The session is over: nothing more is said but what is in the outbox.
    fn finish(
        &mut self,
        by: ClosedBy,
        code: Option<CloseCode>,
        reason: Cow<'static, str>,
        fx: &mut Effects,
    ) {
        self.0.ended(by, code, reason, fx);
        self.0.linger(fx);
    }

    /// Whether it has more to do, right behind its service, before anything new happens to it. `stopped`: what it has sent
    /// was left alone before its end, so that the rest may hold a whole request.
    pub(crate) fn has_work(&self, stopped: bool, fx: &Effects) -> bool {
        if self.0.is_read_blocked(&fx.limits) {
            return false;
        }
        let rest = !self.0.unparsed.is_empty();
        match self.0.state {
            State::WebSocket(_) => self.0.flags.readable || rest,
            State::Http(RequestState::Answering { .. } | RequestState::Undecided { .. }) => false,
            State::Http(RequestState::Head { .. } | RequestState::Body { .. }) => {
                self.0.flags.readable || rest && stopped
            }
            State::Lingering { .. } => self.0.flags.readable,
        }
    }

    /// Keeps what is left of its input, behind `used` bytes.
    pub(crate) fn keep_rest(&mut self, mut input: Vec<u8>, used: usize) {
        if used == input.len() {
            return;
        }
        input.drain(..used);
        match self.0.state {
            State::Http(_) | State::WebSocket(_) => self.0.unparsed = input,
            State::Lingering { .. } => {}
        }
    }

    fn feed_http<'a>(&mut self, input: &[u8], budget: &mut Budget, fx: &mut Effects) -> Fed<'a> {
        let State::Http(request) = &mut self.0.state else { return Fed::Done };
        match request.take(input, &fx.limits.http()) {
            Taken::Partial { consumed, begun } => {
                if begun && !self.0.http().begin_request(fx) {
                    Fed::Done
                } else {
                    Fed::Wait(consumed)
                }
            }
            Taken::Head { consumed, begun } => {
                if begun && !self.0.http().begin_request(fx) {
                    Fed::Done
                } else {
                    Fed::RequestHead(consumed)
                }
            }
            Taken::Busy => Fed::Wait(0),
            Taken::Request { consumed, head, body } => {
                budget.messages -= 1;
                fx.admission.has_asked(&mut self.0.ticket);
                Fed::Request { consumed, head, body }
            }
            Taken::Refused(error) => {
                fx.stats.add(Counter::RefusedRequests, 1);
                let does = format_args!("sent a request that is refused: {error}");
                fx.warn_client(self.0.info.peer, Counter::RefusedRequests, does);
                self.0.http().write_response(&error.response(), LAST, fx);
                self.0.linger(fx);
                Fed::Done
            }
        }
    }

    /// Sums it up again, after its input was looked at or thrown away.
    #[inline]
    pub(crate) fn sum_up_unfinished(&mut self, fx: &mut Effects) {
        let bytes = u32::try_from(self.0.unfinished_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.0.summed_bytes, bytes);
        let sum = &mut fx.delivery.unfinished_bytes;
        *sum = *sum + bytes as usize - before as usize;
    }

    /// Gives up what it has not finished: the worker holds too much of that.
    pub(crate) fn give_up_unfinished(&mut self, fx: &mut Effects) {
        match &self.0.state {
            State::Http(_) if !self.0.stream.is_handshaking() => {
                self.0.count_closed(CloseReason::TooMuchUnfinished, fx);
                let sentence = "too much is waiting to be finished; this request was, for too long";
                self.0.http().write_response(&come_back(sentence), LAST, fx);
                self.0.linger(fx);
            }
            State::WebSocket(_) => {
                self.0.close(CloseReason::TooMuchUnfinished, fx);
                // What was left over lies in the middle of the stream: without it nothing behind it can be read.
                self.0.linger(fx);
            }
            State::Http(_) | State::Lingering { .. } => {
                self.0.count_closed(CloseReason::TooMuchUnfinished, fx);
                self.0.abort(CloseReason::TooMuchUnfinished, fx);
            }
        }
        self.sum_up_unfinished(fx);
    }
}

/// What a message event is to the application.
#[inline]
pub(crate) fn as_message<'e>(event: &'e Event<'_>) -> Option<Message<'e>> {
    match event {
        Event::Text(text) => Some(Message::Text(text)),
        Event::Binary(bytes) => Some(Message::Binary(bytes)),
        Event::Ping(_) | Event::Pong(_) | Event::Close { .. } | Event::Failed(_) => None,
    }
}
