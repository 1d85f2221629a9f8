//! How long a connection may take for what. Pure: from its times and the limits to the next moment to look, and what is
//! overdue then.
//!
//! A connection is looked at when it was promised, and what happens to it meanwhile does not change that: signs of life cost
//! no timer. So the moment that is promised must not be later than any at which something can become due, whatever signs of
//! life come until then. The other changes (another state, a message that begins) look again at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use wsmaster_ipc::Moment;

/// Moments of the loop's clock, in ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Times {
    /// When the present state began to wait for the peer: accepted, request finished, close frame sent, lingering begun.
    pub since_ms: u64,
    /// When anything was received last, or the peer was seen to take what waited for it.
    pub received_ms: u64,
    /// When the ping was sent that is not answered by anything yet.
    pub pinged: Option<Moment>,
    /// Until when it is left unread, if that is in the future.
    pub resume_ms: u64,
    /// When the message began that is not complete yet.
    pub message_began: Option<Moment>,
}

impl Times {
    /// The peer has shown that it lives.
    #[inline]
    pub(crate) fn alive_at(&mut self, now_ms: u64) {
        self.received_ms = now_ms;
        self.pinged = None;
    }
}

/// What a connection is doing, as far as timeouts are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awaiting {
    /// For a request: the first, or the rest of one that has begun.
    Request,
    /// For a further request, of which nothing has come.
    NextRequest,
    /// For the application's answer to a request.
    Answer,
    /// For messages: an open WebSocket.
    Messages,
    /// For the application, which does not want to hear of it now: an open WebSocket that is left unread.
    Application,
    /// For the end of a pause: an open WebSocket that has sent too much and is left unread.
    Rate,
    /// For the peer's close frame, or for its end of the connection.
    End,
}

/// What the clock asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timeout {
    /// Send a ping.
    Ping,
    /// A request did not come, or not wholly, in time.
    RequestLate,
    /// No further request came in time.
    NoFurtherRequest,
    /// The application did not answer in time.
    AnswerLate,
    /// No pong and nothing else came after a ping.
    PongLate,
    /// Nothing was received for too long.
    Idle,
    /// A message that had begun was not finished in time.
    MessageLate,
    /// The peer does not end the connection.
    EndLate,
    /// The pause is over.
    Resume,
    /// Nothing yet: look again at this moment.
    Later(u64),
    /// Nothing, ever, as long as the state does not change.
    Never,
}

/// What is due at `now_ms`.
pub(crate) fn next_timeout(
    awaiting: Awaiting,
    times: &Times,
    limits: &Limits,
    now_ms: u64,
) -> Timeout {
    let after = |start_ms: u64, wait: Duration| start_ms.saturating_add(wait.as_millis() as u64);
    let candidates: [Option<(u64, Timeout)>; 4] = match awaiting {
        Awaiting::Request => {
            only(after(times.since_ms, limits.handshake_timeout), Timeout::RequestLate)
        }
        Awaiting::NextRequest => {
            only(after(times.since_ms, limits.keep_alive_timeout), Timeout::NoFurtherRequest)
        }
        Awaiting::Answer => {
            only(after(times.since_ms, limits.request_timeout), Timeout::AnswerLate)
        }
        Awaiting::End => only(after(times.since_ms, limits.close_timeout), Timeout::EndLate),
        Awaiting::Application => [None; 4],
        // It cannot show that it lives while nobody listens.
        Awaiting::Rate => only(times.resume_ms, Timeout::Resume),
        Awaiting::Messages => {
            let ping = limits.ping_interval.map(|interval| match times.pinged {
                Some(pinged) => (after(pinged.ms(), limits.pong_timeout), Timeout::PongLate),
                None => (after(times.received_ms, interval), Timeout::Ping),
            });
            let idle = limits
                .idle_timeout
                .map(|timeout| (after(times.received_ms, timeout), Timeout::Idle));
            let message = times
                .message_began
                .zip(limits.message_timeout)
                .map(|(began, timeout)| (after(began.ms(), timeout), Timeout::MessageLate));
            // A pong may come at any moment from now on, and the next ping is due one interval later.
            let next_ping = limits
                .ping_interval
                .filter(|_| times.pinged.is_some())
                .map(|interval| after(now_ms, interval))
                .map(|at_ms| (at_ms, Timeout::Later(at_ms)));
            // The first of those that are due at the same moment wins: closing a client before pinging it.
            [idle, message, ping, next_ping]
        }
    };
    match candidates.into_iter().flatten().min_by_key(|(at_ms, _)| *at_ms) {
        Some((at_ms, due)) if at_ms <= now_ms => due,
        Some((at_ms, _)) => Timeout::Later(at_ms),
        None => Timeout::Never,
    }
}

fn only(at_ms: u64, due: Timeout) -> [Option<(u64, Timeout)>; 4] {
    [Some((at_ms, due)), None, None, None]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        conn_index::ConnIndex,
        wheel::{TICK_MS, Wheel},
    };

    fn times(since_ms: u64, received_ms: u64, pinged_ms: Option<u64>) -> Times {
        Times {
            since_ms,
            received_ms,
            pinged: pinged_ms.map(Moment::at_ms),
            resume_ms: 7000,
            message_began: None,
        }
    }

    #[test]
    fn what_is_due_when() {
        use Awaiting::{Answer, End, Messages, NextRequest, Rate, Request};
        use Timeout::{
            AnswerLate, EndLate, Idle, Later, MessageLate, Never, NoFurtherRequest, Ping, PongLate,
            RequestLate, Resume,
        };
        let limits = Limits {
            handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: None,
            close_timeout: Duration::from_secs(5),
            message_timeout: Some(Duration::from_secs(8)),
            ..Limits::default()
        };
        let begun = |began_ms: u64| Times {
            message_began: Some(Moment::at_ms(began_ms)),
            ..times(0, 5000, None)
        };
        let endless = Limits { message_timeout: None, ..limits.clone() };
        let idle = Limits { idle_timeout: Some(Duration::from_secs(40)), ..limits.clone() };
        let brief = Limits { idle_timeout: Some(Duration::from_secs(25)), ..limits.clone() };
        let quick = Limits { ping_interval: Some(Duration::from_secs(1)), ..limits.clone() };
        let silent = Limits { ping_interval: None, ..limits.clone() };
        let table = [
            (Request, times(1000, 5000, None), &limits, 10_999, Later(11_000)),
            (Request, times(1000, 5000, None), &limits, 11_000, RequestLate),
            (NextRequest, times(1000, 5000, None), &limits, 75_999, Later(76_000)),
            (NextRequest, times(1000, 5000, None), &limits, 76_000, NoFurtherRequest),
            (Answer, times(1000, 0, None), &limits, 31_000, AnswerLate),
            (End, times(1000, 9999, None), &limits, 6000, EndLate),
            (Messages, times(0, 5000, None), &limits, 29_999, Later(30_000)),
            (Messages, times(0, 5000, None), &limits, 30_000, Ping),
            (Messages, times(0, 5000, Some(30_000)), &limits, 49_999, Later(50_000)),
            (Messages, times(0, 5000, Some(30_000)), &limits, 50_000, PongLate),
            (Messages, times(0, 5000, Some(30_000)), &idle, 44_999, Later(45_000)),
            (Messages, times(0, 5000, Some(30_000)), &idle, 45_000, Idle),
            // It may answer at once, and is to be pinged again a second later.
            (Messages, times(0, 5000, Some(30_000)), &quick, 30_000, Later(31_000)),
            (Messages, times(0, 30_010, None), &quick, 31_000, Later(31_010)),
            (Messages, times(0, 5000, Some(30_000)), &quick, 49_500, Later(50_000)),
            (Messages, times(0, 5000, Some(30_000)), &quick, 50_000, PongLate),
            (Messages, times(0, 5000, None), &brief, 30_000, Idle),
            (Messages, begun(2000), &limits, 9999, Later(10_000)),
            (Messages, begun(2000), &limits, 10_000, MessageLate),
            (Messages, begun(22_000), &limits, 30_000, MessageLate),
            (Messages, begun(22_001), &limits, 30_000, Ping),
            (Messages, begun(2000), &endless, 10_000, Later(30_000)),
            (Rate, begun(0), &limits, 8000, Resume),
            (Rate, times(0, 0, Some(0)), &brief, 6999, Later(7000)),
            (Rate, times(0, 0, Some(0)), &brief, 7000, Resume),
            (Messages, times(0, 5000, None), &silent, u64::MAX, Never),
        ];
        for (awaiting, times, limits, now_ms, expected) in table {
            assert_eq!(
                next_timeout(awaiting, &times, limits, now_ms),
                expected,
                "{awaiting:?} {times:?} {now_ms}"
            );
        }
    }

    /// A connection with its place in a wheel, as the loop keeps it.
    struct Looked {
        wheel: Wheel,
        awaiting: Awaiting,
        times: Times,
        limits: Limits,
        now_ms: u64,
    }

    impl Looked {
        /// As `Connection::tick`.
        fn look(&mut self) {
            let now_ms = self.now_ms;
            match next_timeout(self.awaiting, &self.times, &self.limits, now_ms) {
                Timeout::Later(at_ms) => self.wheel.schedule(ConnIndex(0), at_ms),
                Timeout::Never => {}
                Timeout::Ping => {
                    self.times.pinged = Some(Moment::at_ms(now_ms));
                    self.look();
                }
                Timeout::Resume => self.begin(Awaiting::Messages),
                Timeout::PongLate | Timeout::Idle | Timeout::MessageLate => {
                    self.begin(Awaiting::End);
                }
                Timeout::RequestLate
                | Timeout::NoFurtherRequest
                | Timeout::AnswerLate
                | Timeout::EndLate => {
                    self.begin(Awaiting::Messages);
                }
            }
        }

        fn begin(&mut self, awaiting: Awaiting) {
            self.awaiting = awaiting;
            self.times.since_ms = self.now_ms;
            self.times.message_began = None;
            self.times.alive_at(self.now_ms);
            self.look();
        }

        /// Lets time pass as the loop does: it wakes when the wheel says so.
        fn pass(&mut self, until_ms: u64) {
            loop {
                let next_ms = self.wheel.next_ms().map_or(until_ms, |at_ms| at_ms.min(until_ms));
                self.now_ms = self.now_ms.max(next_ms);
                let mut found = Vec::new();
                self.wheel.advance(self.now_ms, &mut found);
                if !found.is_empty() {
                    self.look();
                } else if self.now_ms >= until_ms {
                    return;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Nothing is ever overdue by more than the grain of the wheel, whatever happens in which order and whichever time
        /// is the longest.
        #[test]
        fn no_deadline_is_missed(
            spans in prop::collection::vec(prop_oneof![Just(0_u64), 100..3000_u64, 3000..60_000_u64], 6),
            steps in prop::collection::vec((0..10_u8, 0..4000_u64), 1..100),
        ) {
            let span = |at: usize| Duration::from_millis(spans[at]);
            let optional = |at: usize| Some(span(at)).filter(|span| !span.is_zero());
            let sure = |at: usize| span(at).max(Duration::from_millis(100));
            let limits = Limits {
                ping_interval: optional(0),
                idle_timeout: optional(1),
                message_timeout: optional(2),
                pong_timeout: sure(3),
                close_timeout: sure(4),
                handshake_timeout: sure(5),
                request_timeout: sure(5),
                keep_alive_timeout: sure(3),
                ..Limits::default()
            };
            let times = Times { since_ms: 0, received_ms: 0, pinged: None, resume_ms: 0, message_began: None };
            let mut looked =
                Looked { wheel: Wheel::new(0), awaiting: Awaiting::Messages, times, limits, now_ms: 0 };
            looked.look();
            for (what, pass_ms) in steps {
                looked.pass(looked.now_ms + pass_ms);
                let now_ms = looked.now_ms;
                if let Some(before_ms) = now_ms.checked_sub(2 * TICK_MS) {
                    let missed = next_timeout(looked.awaiting, &looked.times, &looked.limits, before_ms);
                    prop_assert!(matches!(missed, Timeout::Later(_) | Timeout::Never), "{missed:?} at {now_ms}");
                }
                match what {
                    // What comes in does not look at the clock.
                    0..=3 => looked.times.alive_at(now_ms),
                    4 => looked.times.message_began = None,
                    5 if looked.awaiting == Awaiting::Messages => {
                        looked.times.message_began = Some(Moment::at_ms(now_ms));
                        looked.look();
                    }
                    6 if looked.awaiting == Awaiting::Messages => {
                        looked.times.resume_ms = now_ms + pass_ms;
                        looked.begin(Awaiting::Rate);
                    }
                    7 => looked.begin(Awaiting::Request),
                    8 => looked.begin(Awaiting::Answer),
                    9 => looked.begin(Awaiting::NextRequest),
                    _ => {}
                }
            }
        }
    }
}
