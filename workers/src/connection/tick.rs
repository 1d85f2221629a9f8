//! What the clock asks for at a connection, and what makes its time run.

use serde::{Deserialize, Serialize};
use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{
    frame::encode_ping,
    http::{HttpError, Response},
    session::Phase,
};

use super::{Connection, LAST, State};
use crate::{
    admit::come_back,
    close_reason::CloseReason,
    effects::Effects,
    http1::RequestState,
    limits::RatePolicy,
    moment::Moment,
    timeouts::{Awaiting, Timeout, next_timeout},
};

/// Who is left unread is so for this long at least: not woken for each single message that may come again.
const THROTTLE_MS_MIN: u64 = 100;

/// What was on its way to a client when it was pinged: a slow reader lives, and its pong can only come when the ping has
/// reached it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct UnreachedPing {
    /// Bytes that it had taken at the last look.
    taken: u64,
    /// Bytes that it will have taken when it has the ping.
    end: u64,
}

impl Connection {
    /// Starts to wait for what its present state waits for.
    pub(crate) fn restart_timeout(&mut self, fx: &mut Effects) {
        self.times.since_ms = fx.now_ms;
        self.tick(fx);
    }

    /// Looks whether something is overdue, and when to look again.
    pub(crate) fn tick(&mut self, fx: &mut Effects) {
        match next_timeout(self.awaiting(), &self.times, &fx.limits, fx.now_ms) {
            Timeout::Later(at_ms) => fx.schedule.wheel.schedule(self.key.index, at_ms),
            Timeout::Never => {}
            Timeout::Ping => {
                self.ping(fx);
                // Again at once: to be idle for too long may be due before the pong is.
                self.tick(fx);
            }
            // It takes what was sent before the ping, steadily and in steps too small for the socket to be writable again.
            Timeout::PongLate if self.has_taken_some(fx) => {
                self.times.pinged = Some(Moment::at_ms(fx.now_ms));
                self.tick(fx);
            }
            Timeout::PongLate => self.close(CloseReason::PongTimeout, fx),
            Timeout::Idle => self.close(CloseReason::IdleTimeout, fx),
            // The rest of it may be here and unread, because the peer does not read its answers.
            Timeout::MessageLate if self.is_read_blocked(&fx.limits) => self.begin_message(fx),
            Timeout::MessageLate => self.close(CloseReason::MessageTimeout, fx),
            Timeout::RequestLate => self.request_late(fx),
            // A kept connection between two requests: it just ends, as HTTP clients expect (RFC 9112, 9.5).
            Timeout::NoFurtherRequest => self.linger(fx),
            Timeout::AnswerLate => self.answer_late(fx),
            Timeout::Resume => self.end_throttle(fx),
            Timeout::EndLate => self.abort(CloseReason::CloseTimeout, fx),
        }
    }

    /// Looks when something becomes due, and does nothing about what is already before the wheel says so.
    pub(super) fn schedule_tick(&self, fx: &mut Effects) {
        let at_ms = match next_timeout(self.awaiting(), &self.times, &fx.limits, fx.now_ms) {
            Timeout::Later(at_ms) => at_ms,
            Timeout::Never => return,
            Timeout::Ping
            | Timeout::RequestLate
            | Timeout::NoFurtherRequest
            | Timeout::AnswerLate
            | Timeout::PongLate
            | Timeout::Idle
            | Timeout::MessageLate
            | Timeout::EndLate
            | Timeout::Resume => fx.now_ms,
        };
        fx.schedule.wheel.schedule(self.key.index, at_ms);
    }

    fn awaiting(&self) -> Awaiting {
        match &self.state {
            State::Http(RequestState::Answering { .. } | RequestState::Undecided { .. }) => {
                Awaiting::Answer
            }
            State::Http(RequestState::Head { begun: false, .. }) => Awaiting::NextRequest,
            State::Http(RequestState::Head { begun: true, .. } | RequestState::Body { .. }) => {
                Awaiting::Request
            }
            State::WebSocket(session) => match session.phase() {
                // Its pong may be among what is left unread.
                Phase::Open if self.flags.paused => Awaiting::Application,
                Phase::Open if self.flags.throttled => Awaiting::Rate,
                Phase::Open => Awaiting::Messages,
                Phase::CloseSent | Phase::Closed => Awaiting::End,
            },
            State::Lingering { .. } => Awaiting::End,
        }
    }

    fn ping(&mut self, fx: &mut Effects) {
        self.times.pinged = Some(Moment::at_ms(fx.now_ms));
        let mut ping = Vec::new();
        encode_ping(b"", &mut ping);
        self.enqueue(fx, |outbox| outbox.push_copy(&ping));
        fx.schedule.unreached_pings.remove(&self.key.index);
        if let Some(unreached) = self.unreached_ping(ping.len()) {
            fx.schedule.unreached_pings.insert(self.key.index, unreached);
        }
    }

    /// What is before a ping of this length, which was put behind all that waits. `None` when nothing is.
    fn unreached_ping(&self, ping_bytes: usize) -> Option<UnreachedPing> {
        let waiting = self.waiting_bytes() as u64;
        let left = self.stream.left_bytes().ok()?;
        if left + waiting <= ping_bytes as u64 {
            return None;
        }
        let delivery = self.stream.delivery().ok()?;
        let end = delivery.taken.saturating_add(delivery.left).saturating_add(waiting);
        Some(UnreachedPing { taken: delivery.taken, end })
    }

    /// Whether a client whose pong is late has taken some of what was before the ping since this was asked last. With the
    /// ping itself it has the time for its pong once more, and then nothing is before it any longer.
    fn has_taken_some(&self, fx: &mut Effects) -> bool {
        let Some(before) = fx.schedule.unreached_pings.remove(&self.key.index) else {
            return false;
        };
        let Ok(now) = self.stream.delivery() else { return false };
        if now.taken > before.taken && now.taken < before.end {
            let rest = UnreachedPing { taken: now.taken, ..before };
            fx.schedule.unreached_pings.insert(self.key.index, rest);
        }
        now.taken > before.taken
    }

    /// Its peer is `ahead_ms` ahead of what it may send.
    #[cold]
    pub(super) fn throttle(&mut self, ahead_ms: u64, fx: &mut Effects) {
        if self.is_ending() {
            return;
        }
        let resume_ms = fx.now_ms + ahead_ms.max(THROTTLE_MS_MIN);
        self.times.resume_ms = self.times.resume_ms.max(resume_ms);
        if std::mem::replace(&mut self.flags.throttled, true) {
            return;
        }
        fx.stats.add(Counter::RateLimited, 1);
        let does = "sends more in a second than it may";
        fx.warn_client(self.info.peer, Counter::RateLimited, does);
        match fx.limits.rate_policy {
            RatePolicy::Pause => self.tick(fx),
            RatePolicy::Close => self.close(CloseReason::RateLimited, fx),
        }
    }

    fn end_throttle(&mut self, fx: &mut Effects) {
        self.flags.throttled = false;
        self.begin_to_hear(fx);
    }

    /// Stops reading a WebSocket behind the message that is being handled: the application does not want to hear of it.
    pub(crate) fn pause_reading(&mut self, fx: &mut Effects) {
        if self.flags.open && !self.flags.paused {
            self.flags.paused = true;
            fx.stats.paused_connections += 1;
        }
    }

    /// Reads on.
    pub(crate) fn resume_reading(&mut self, fx: &mut Effects) {
        if !self.flags.paused {
            return;
        }
        self.forget_pause(fx);
        self.begin_to_hear(fx);
    }

    /// It is not paused any more, whatever its times are.
    pub(super) fn forget_pause(&mut self, fx: &mut Effects) {
        if std::mem::take(&mut self.flags.paused) {
            fx.stats.paused_connections -= 1;
            if self.has_input() {
                self.make_ready(&mut fx.schedule);
            }
        }
    }

    /// It was left unread until now. Its time begins now: it could not be heard before.
    fn begin_to_hear(&mut self, fx: &mut Effects) {
        self.times.alive_at(fx.now_ms);
        // What is missing of a message may have been here all the time.
        self.times.message_began = self.times.message_began.map(|_| Moment::at_ms(fx.now_ms));
        if self.has_input() {
            self.make_ready(&mut fx.schedule);
        }
        self.tick(fx);
    }

    /// A message has begun and is not complete: from now on its time runs.
    pub(crate) fn begin_message(&mut self, fx: &mut Effects) {
        self.times.message_began = Some(Moment::at_ms(fx.now_ms));
        self.tick(fx);
    }

    /// A further request has begun, and is not complete: from now on its time runs, and it counts among those that have not
    /// been asked wholly. `false`: there is no room for it, and it was told so.
    #[cold]
    pub(super) fn begin_request(&mut self, fx: &mut Effects) -> bool {
        match fx.admission.asks_again(&mut self.ticket, &fx.limits) {
            Ok(()) => {
                self.restart_timeout(fx);
                true
            }
            Err(reached) => {
                let sentence = fx.count_limit_reached(reached, self.info.peer);
                self.write_response(&come_back(sentence), LAST, fx);
                self.linger(fx);
                false
            }
        }
    }

    fn request_late(&mut self, fx: &mut Effects) {
        fx.stats.add(Counter::HandshakeTimeouts, 1);
        let does = "sent no whole request in time";
        fx.warn_client(self.info.peer, Counter::HandshakeTimeouts, does);
        if self.stream.is_handshaking() {
            // No words of ours would be understood.
            self.abort(CloseReason::TlsTimeout, fx);
            return;
        }
        self.write_response(&HttpError::Timeout.response(), LAST, fx);
        self.linger(fx);
    }

    fn answer_late(&mut self, fx: &mut Effects) {
        let mut options = LAST;
        if let State::Http(RequestState::Answering { options: asked, .. }) = &self.state {
            options.head_only = asked.head_only;
        }
        let response = Response::error(503, "the server did not answer in time");
        self.write_response(&response, options, fx);
        self.linger(fx);
    }

    /// Sums it up again, after its input was looked at or thrown away.
    #[inline]
    pub(crate) fn sum_up_unfinished(&mut self, fx: &mut Effects) {
        let bytes = u32::try_from(self.unfinished_bytes()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.summed_bytes, bytes);
        let sum = &mut fx.delivery.unfinished_bytes;
        *sum = *sum + bytes as usize - before as usize;
    }

    /// Gives up what it has not finished: the worker holds too much of that.
    pub(crate) fn give_up_unfinished(&mut self, fx: &mut Effects) {
        match &self.state {
            State::Http(_) if !self.stream.is_handshaking() => {
                self.count_closed(CloseReason::TooMuchUnfinished, fx);
                let sentence = "too much is waiting to be finished; this request was, for too long";
                self.write_response(&come_back(sentence), LAST, fx);
                self.linger(fx);
            }
            State::WebSocket(_) => {
                self.close(CloseReason::TooMuchUnfinished, fx);
                // What was left over lies in the middle of the stream: without it nothing behind it can be read.
                self.linger(fx);
            }
            State::Http(_) | State::Lingering { .. } => {
                self.count_closed(CloseReason::TooMuchUnfinished, fx);
                self.abort(CloseReason::TooMuchUnfinished, fx);
            }
        }
        self.sum_up_unfinished(fx);
    }
}
