//! What the clock asks for at a connection, and what makes its time run.

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{frame::encode_ping, session::Phase};

use super::{State, Timers};
use crate::{
    close_reason::CloseReason,
    effects::Effects,
    http1::RequestState,
    limits::RatePolicy,
    schedule::UnreachedPing,
    timeouts::{Awaiting, Timeout, next_timeout},
};
use wsmaster_ipc::Moment;

/// Who is left unread is so for this long at least: not woken for each single message that may come again.
const THROTTLE_MS_MIN: u64 = 100;

impl Timers<'_> {
    /// Starts to wait for what its present state waits for.
    pub(crate) fn restart(&mut self, fx: &mut Effects) {
        self.0.times.since_ms = fx.now_ms;
        self.tick(fx);
    }

    /// Looks whether something is overdue, and when to look again.
    pub(crate) fn tick(&mut self, fx: &mut Effects) {
        match next_timeout(self.awaiting(), &self.0.times, &fx.limits, fx.now_ms) {
            Timeout::Later(at_ms) => fx.schedule.wheel.schedule(self.0.key.index, at_ms),
            Timeout::Never => {}
            Timeout::Ping => {
                self.ping(fx);
                // Again at once: to be idle for too long may be due before the pong is.
                self.tick(fx);
            }
            // It takes what was sent before the ping, steadily and in steps too small for the socket to be writable again.
            Timeout::PongLate if self.has_taken_some(fx) => {
                self.0.times.pinged = Some(Moment::at_ms(fx.now_ms));
                self.tick(fx);
            }
            Timeout::PongLate => self.0.close(CloseReason::PongTimeout, fx),
            Timeout::Idle => self.0.close(CloseReason::IdleTimeout, fx),
            // The rest of it may be here and unread, because the peer does not read its answers.
            Timeout::MessageLate if self.0.is_read_blocked(&fx.limits) => self.begin_message(fx),
            Timeout::MessageLate => self.0.close(CloseReason::MessageTimeout, fx),
            Timeout::RequestLate => self.0.http().request_late(fx),
            // A kept connection between two requests: it just ends, as HTTP clients expect (RFC 9112, 9.5).
            Timeout::NoFurtherRequest => self.0.linger(fx),
            Timeout::AnswerLate => self.0.http().answer_late(fx),
            Timeout::Resume => self.end_throttle(fx),
            Timeout::EndLate => self.0.abort(CloseReason::CloseTimeout, fx),
        }
    }

    /// Looks when something becomes due, and does nothing about what is already before the wheel says so.
    pub(super) fn schedule(&self, fx: &mut Effects) {
        let at_ms = match next_timeout(self.awaiting(), &self.0.times, &fx.limits, fx.now_ms) {
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
        fx.schedule.wheel.schedule(self.0.key.index, at_ms);
    }

    fn awaiting(&self) -> Awaiting {
        match &self.0.state {
            State::Http(RequestState::Answering { .. } | RequestState::Undecided { .. }) => {
                Awaiting::Answer
            }
            State::Http(RequestState::Head { begun: false, .. }) => Awaiting::NextRequest,
            State::Http(RequestState::Head { begun: true, .. } | RequestState::Body { .. }) => {
                Awaiting::Request
            }
            State::WebSocket(session) => match session.phase() {
                // Its pong may be among what is left unread.
                Phase::Open if self.0.flags.paused => Awaiting::Application,
                Phase::Open if self.0.flags.throttled => Awaiting::Rate,
                Phase::Open => Awaiting::Messages,
                Phase::CloseSent | Phase::Closed => Awaiting::End,
            },
            State::Lingering { .. } => Awaiting::End,
        }
    }

    fn ping(&mut self, fx: &mut Effects) {
        self.0.times.pinged = Some(Moment::at_ms(fx.now_ms));
        let mut ping = Vec::new();
        encode_ping(b"", &mut ping);
        self.0.enqueue(fx, |outbox| outbox.push_copy(&ping));
        fx.schedule.unreached_pings.remove(&self.0.key.index);
        if let Some(unreached) = self.unreached_ping(ping.len()) {
            fx.schedule.unreached_pings.insert(self.0.key.index, unreached);
        }
    }

    /// What is before a ping of this length, which was put behind all that waits. `None` when nothing is.
    fn unreached_ping(&self, ping_bytes: usize) -> Option<UnreachedPing> {
        let waiting = self.0.waiting_bytes() as u64;
        let left = self.0.stream.left_bytes().ok()?;
        if left + waiting <= ping_bytes as u64 {
            return None;
        }
        let delivery = self.0.stream.delivery().ok()?;
        let end = delivery.taken.saturating_add(delivery.left).saturating_add(waiting);
        Some(UnreachedPing { taken: delivery.taken, end })
    }

    /// Whether a client whose pong is late has taken some of what was before the ping since this was asked last. With the
    /// ping itself it has the time for its pong once more, and then nothing is before it any longer.
    fn has_taken_some(&self, fx: &mut Effects) -> bool {
        let Some(before) = fx.schedule.unreached_pings.remove(&self.0.key.index) else {
            return false;
        };
        let Ok(now) = self.0.stream.delivery() else { return false };
        if now.taken > before.taken && now.taken < before.end {
            let rest = UnreachedPing { taken: now.taken, ..before };
            fx.schedule.unreached_pings.insert(self.0.key.index, rest);
        }
        now.taken > before.taken
    }

    /// Its peer is `ahead_ms` ahead of what it may send.
    #[cold]
    pub(super) fn throttle(&mut self, ahead_ms: u64, fx: &mut Effects) {
        if self.0.state.is_ending() {
            return;
        }
        let resume_ms = fx.now_ms + ahead_ms.max(THROTTLE_MS_MIN);
        self.0.times.resume_ms = self.0.times.resume_ms.max(resume_ms);
        if std::mem::replace(&mut self.0.flags.throttled, true) {
            return;
        }
        fx.stats.add(Counter::RateLimited, 1);
        let does = "sends more in a second than it may";
        fx.warn_client(self.0.info.peer, Counter::RateLimited, does);
        match fx.limits.rate_policy {
            RatePolicy::Pause => self.tick(fx),
            RatePolicy::Close => self.0.close(CloseReason::RateLimited, fx),
        }
    }

    fn end_throttle(&mut self, fx: &mut Effects) {
        self.0.flags.throttled = false;
        self.begin_to_hear(fx);
    }

    /// Stops reading a WebSocket behind the message that is being handled: the application does not want to hear of it.
    pub(crate) fn pause_reading(&mut self, fx: &mut Effects) {
        if self.0.flags.open && !self.0.flags.paused {
            self.0.flags.paused = true;
            fx.stats.paused_connections += 1;
        }
    }

    /// Reads on.
    pub(crate) fn resume_reading(&mut self, fx: &mut Effects) {
        if !self.0.flags.paused {
            return;
        }
        self.forget_pause(fx);
        self.begin_to_hear(fx);
    }

    /// It is not paused any more, whatever its times are.
    pub(super) fn forget_pause(&mut self, fx: &mut Effects) {
        if std::mem::take(&mut self.0.flags.paused) {
            fx.stats.paused_connections -= 1;
            if self.0.has_input() {
                self.0.make_ready(&mut fx.schedule);
            }
        }
    }

    /// It was left unread until now. Its time begins now: it could not be heard before.
    fn begin_to_hear(&mut self, fx: &mut Effects) {
        self.0.times.alive_at(fx.now_ms);
        // What is missing of a message may have been here all the time.
        self.0.times.message_began = self.0.times.message_began.map(|_| Moment::at_ms(fx.now_ms));
        if self.0.has_input() {
            self.0.make_ready(&mut fx.schedule);
        }
        self.tick(fx);
    }

    /// A message has begun and is not complete: from now on its time runs.
    pub(crate) fn begin_message(&mut self, fx: &mut Effects) {
        self.0.times.message_began = Some(Moment::at_ms(fx.now_ms));
        self.tick(fx);
    }
}
