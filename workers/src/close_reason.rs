//! Why a worker ends a connection of its own accord, or finds it ended: for each reason one row, with what the client hears,
//! what is counted, and what the operator reads.
//!
//! Not here: codes and texts that come from outside (an application, the master's orders), and breaches of the protocol, which
//! have a table of their own ([`SessionError`](wsmaster_protocol::session::SessionError)).

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::close::CloseCode;

use crate::vocabulary::ClosedBy;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CloseReason {
    /// The application panicked while it was told of this connection.
    HandlerPanic,
    /// No pong, and nothing else, came in time after a ping.
    PongTimeout,
    /// Nothing was received for too long.
    IdleTimeout,
    /// A message that had begun was not finished in time.
    MessageTimeout,
    /// It sends more in a second than it may, and `limits.rate_policy` is to close.
    RateLimited,
    /// Its outbox is full, and `limits.slow_client` is to close.
    SlowReader,
    /// The outboxes of the worker hold too much, and its own holds the most.
    Evicted,
    /// What its worker holds of unfinished messages and requests is too much, and its own has waited the longest.
    TooMuchUnfinished,
    /// The server stops.
    ServerStop,
    /// The peer ended the connection without a close frame, or a request in the middle.
    PeerEnded,
    /// Its socket reported an error.
    Broken,
    /// The peer was waited for, and did not end the connection.
    CloseTimeout,
    /// The handshake of TLS was not finished in time.
    TlsTimeout,
    /// The PROXY header was missing or malformed.
    BadProxyHeader,
}

/// What belongs to a reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// Who ended it, as the application is told.
    pub(crate) by: ClosedBy,
    /// The code of the close frame. `None`: there is none, since the socket is of no use or does not speak WebSocket yet.
    pub(crate) code: Option<CloseCode>,
    /// The text of the close frame, and what the application is told.
    pub(crate) text: &'static str,
    /// What is counted, and what the log says that the client does. `None`: whoever raises it counts and logs.
    pub(crate) told: Option<(Counter, &'static str)>,
}

impl CloseReason {
    /// All reasons.
    #[cfg(test)]
    const ALL: [Self; 14] = [
        Self::HandlerPanic,
        Self::PongTimeout,
        Self::IdleTimeout,
        Self::MessageTimeout,
        Self::RateLimited,
        Self::SlowReader,
        Self::Evicted,
        Self::TooMuchUnfinished,
        Self::ServerStop,
        Self::PeerEnded,
        Self::Broken,
        Self::CloseTimeout,
        Self::TlsTimeout,
        Self::BadProxyHeader,
    ];

    /// Its row.
    pub(crate) fn row(self) -> Row {
        let closed = |code, text, told| Row { by: ClosedBy::Server, code: Some(code), text, told };
        let lost = |by, text| Row { by, code: None, text, told: None };
        match self {
            Self::HandlerPanic => closed(CloseCode::Error, "the server made a mistake", None),
            Self::PongTimeout => closed(
                CloseCode::Policy,
                "no pong came in time",
                Some((Counter::PingTimeouts, "is closed: no pong came in time")),
            ),
            Self::IdleTimeout => closed(
                CloseCode::Policy,
                "the connection was idle for too long",
                Some((Counter::IdleTimeouts, "is closed: idle for limits.idle_timeout")),
            ),
            Self::MessageTimeout => closed(
                CloseCode::Policy,
                "a message was not finished in time",
                Some((
                    Counter::MessageTimeouts,
                    "is closed: a message was not finished within limits.message_timeout",
                )),
            ),
            Self::RateLimited => closed(CloseCode::Policy, "the client sends too much", None),
            Self::SlowReader => closed(
                CloseCode::Again,
                "the client reads too slowly",
                Some((
                    Counter::SlowClosed,
                    "is closed: it reads too slowly, and its outbox is full (limits.outbox_bytes_max)",
                )),
            ),
            Self::Evicted => closed(
                CloseCode::Again,
                "too much waits for this client",
                Some((
                    Counter::Evicted,
                    "is closed: the outboxes of the worker are full (limits.outboxes_bytes_max), and its own holds the most",
                )),
            ),
            Self::TooMuchUnfinished => closed(
                CloseCode::Again,
                "too many messages are not finished",
                Some((
                    Counter::UnfinishedClosed,
                    "is closed: what it has sent is not finished, and the worker holds too much that is not \
                     (limits.unfinished_bytes_max)",
                )),
            ),
            Self::ServerStop => closed(CloseCode::Away, "the server stops", None),
            Self::PeerEnded => lost(ClosedBy::Lost, "the peer ended the connection"),
            Self::Broken => lost(ClosedBy::Lost, "the connection broke"),
            Self::CloseTimeout => lost(ClosedBy::Lost, "the peer did not end the connection"),
            Self::TlsTimeout => lost(ClosedBy::Lost, "the handshake of TLS took too long"),
            Self::BadProxyHeader => lost(ClosedBy::Server, "no PROXY header"),
        }
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_protocol::close::is_sendable;

    use super::*;

    /// A close frame holds 125 bytes, two of them the code (RFC 6455, section 5.5).
    const TEXT_BYTES_MAX: usize = 123;

    #[test]
    fn every_row_can_be_sent_and_is_its_own() {
        for (at, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            let Row { code, text, .. } = reason.row();
            assert!(code.is_none_or(is_sendable), "{reason:?}");
            assert!(text.len() <= TEXT_BYTES_MAX, "{reason:?}");
            let same = CloseReason::ALL.into_iter().filter(|other| other.row() == reason.row());
            assert_eq!(same.count(), 1, "{reason:?}");
        }
    }
}
