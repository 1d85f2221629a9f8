//! How long a connection may take for what. Pure: from its times and the limits to the next moment to look, and what is
//! overdue then.

use std::time::Duration;

use crate::{connection::Times, limits::Limits};

/// What a connection is doing, as far as waiting is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// For a request.
    Request,
    /// For the application's answer to a request.
    Answer,
    /// For messages: an open WebSocket.
    Messages,
    /// For the end of a pause: an open WebSocket that has sent too much and is left unread.
    Pace,
    /// For the peer's close frame, or for its end of the connection.
    End,
}

/// What the clock asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Send a ping.
    Ping,
    /// No request came in time.
    RequestLate,
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
pub fn due(waiting: Waiting, times: &Times, limits: &Limits, now_ms: u64) -> Due {
    let after = |start_ms: u64, wait: Duration| start_ms.saturating_add(wait.as_millis() as u64);
    let candidates: [Option<(u64, Due)>; 3] = match waiting {
        Waiting::Request => {
            [Some((after(times.since_ms, limits.handshake_timeout), Due::RequestLate)), None, None]
        }
        Waiting::Answer => {
            [Some((after(times.since_ms, limits.request_timeout), Due::AnswerLate)), None, None]
        }
        Waiting::End => {
            [Some((after(times.since_ms, limits.close_timeout), Due::EndLate)), None, None]
        }
        // It cannot show that it lives while nobody listens.
        Waiting::Pace => [Some((times.resume_ms, Due::Resume)), None, None],
        Waiting::Messages => {
            let ping = (!limits.ping_interval.is_zero()).then(|| match times.pinged_ms {
                Some(pinged_ms) => (after(pinged_ms, limits.pong_timeout), Due::PongLate),
                None => (after(times.received_ms, limits.ping_interval), Due::Ping),
            });
            let idle = (!limits.idle_timeout.is_zero())
                .then(|| (after(times.received_ms, limits.idle_timeout), Due::Idle));
            let message = times
                .message_ms
                .filter(|_| !limits.message_timeout.is_zero())
                .map(|began_ms| (after(began_ms, limits.message_timeout), Due::MessageLate));
            // The first of those that are due at the same moment wins: closing a client before pinging it.
            [idle, message, ping]
        }
    };
    match candidates.into_iter().flatten().min_by_key(|(at_ms, _)| *at_ms) {
        Some((at_ms, due)) if at_ms <= now_ms => due,
        Some((at_ms, _)) => Due::Later(at_ms),
        None => Due::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(since_ms: u64, received_ms: u64, pinged_ms: Option<u64>) -> Times {
        Times { since_ms, received_ms, pinged_ms, resume_ms: 7000, message_ms: None }
    }

    #[test]
    fn what_is_due_when() {
        use Due::{
            AnswerLate, EndLate, Idle, Later, MessageLate, Never, Ping, PongLate, RequestLate,
            Resume,
        };
        use Waiting::{Answer, End, Messages, Pace, Request};
        let limits = Limits {
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: Duration::ZERO,
            close_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(8),
            ..Limits::default()
        };
        let begun = |began_ms: u64| Times { message_ms: Some(began_ms), ..times(0, 5000, None) };
        let endless = Limits { message_timeout: Duration::ZERO, ..limits.clone() };
        let idle = Limits { idle_timeout: Duration::from_secs(40), ..limits.clone() };
        let brief = Limits { idle_timeout: Duration::from_secs(25), ..limits.clone() };
        let silent = Limits { ping_interval: Duration::ZERO, ..limits.clone() };
        let table = [
            (Request, times(1000, 5000, None), &limits, 10_999, Later(11_000)),
            (Request, times(1000, 5000, None), &limits, 11_000, RequestLate),
            (Answer, times(1000, 0, None), &limits, 31_000, AnswerLate),
            (End, times(1000, 9999, None), &limits, 6000, EndLate),
            (Messages, times(0, 5000, None), &limits, 29_999, Later(30_000)),
            (Messages, times(0, 5000, None), &limits, 30_000, Ping),
            (Messages, times(0, 5000, Some(30_000)), &limits, 49_999, Later(50_000)),
            (Messages, times(0, 5000, Some(30_000)), &limits, 50_000, PongLate),
            (Messages, times(0, 5000, Some(30_000)), &idle, 44_999, Later(45_000)),
            (Messages, times(0, 5000, Some(30_000)), &idle, 45_000, Idle),
            (Messages, times(0, 5000, None), &brief, 30_000, Idle),
            (Messages, begun(2000), &limits, 9999, Later(10_000)),
            (Messages, begun(2000), &limits, 10_000, MessageLate),
            (Messages, begun(22_000), &limits, 30_000, MessageLate),
            (Messages, begun(22_001), &limits, 30_000, Ping),
            (Messages, begun(2000), &endless, 10_000, Later(30_000)),
            (Pace, begun(0), &limits, 8000, Resume),
            (Pace, times(0, 0, Some(0)), &brief, 6999, Later(7000)),
            (Pace, times(0, 0, Some(0)), &brief, 7000, Resume),
            (Messages, times(0, 5000, None), &silent, u64::MAX, Never),
        ];
        for (waiting, times, limits, now_ms, expected) in table {
            assert_eq!(
                due(waiting, &times, limits, now_ms),
                expected,
                "{waiting:?} {times:?} {now_ms}"
            );
        }
    }
}
