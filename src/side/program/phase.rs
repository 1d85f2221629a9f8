//! How far a program is. Pure.

use wsmaster_ipc::Moment;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It has not said that it is ready.
    Starting { until: Moment },
    /// It serves.
    Ready,
    /// It has been asked to end; it is terminated at the first moment, and killed at the second.
    Stopping { terminate: Option<Moment>, until: Moment },
    /// It has been killed, and its end is awaited.
    Killed,
}

impl Phase {
    /// Whether events and requests are passed on to it.
    pub(super) fn takes_events(self) -> bool {
        match self {
            Self::Starting { .. } | Self::Ready => true,
            Self::Stopping { .. } | Self::Killed => false,
        }
    }

    pub(super) fn is_starting(self) -> bool {
        match self {
            Self::Starting { .. } => true,
            Self::Ready | Self::Stopping { .. } | Self::Killed => false,
        }
    }

    pub(super) fn is_stopping(self) -> bool {
        match self {
            Self::Stopping { .. } => true,
            Self::Starting { .. } | Self::Ready | Self::Killed => false,
        }
    }

    /// When its time is over.
    pub(super) fn deadline(self) -> Option<Moment> {
        match self {
            Self::Starting { until } => Some(until),
            Self::Stopping { terminate, until } => terminate.or(Some(until)),
            Self::Ready | Self::Killed => None,
        }
    }
}
