//! Whether new connections may be accepted from one listener now. Pure; the listener is the loop's.

/// Milliseconds without accepting after the descriptors ran out.
pub(crate) const PAUSE_MS: u64 = 100;

/// The state of accepting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AcceptState {
    /// The kernel has said that nothing waits.
    Quiet,
    /// Connections may wait.
    Open,
    /// Out of descriptors or of serial numbers: connections wait in the kernel until this moment, in ms of the loop's
    /// clock. Polling goes on meanwhile, without a spin: the poll is edge-triggered and tells of them once.
    Paused(u64),
}

impl AcceptState {
    /// The kernel told of a new connection.
    pub(crate) fn arrived(&mut self) {
        match self {
            Self::Quiet => *self = Self::Open,
            Self::Open | Self::Paused(_) => {}
        }
    }

    /// Nothing waits any more.
    pub(crate) fn emptied(&mut self) {
        match self {
            Self::Open => *self = Self::Quiet,
            Self::Quiet | Self::Paused(_) => {}
        }
    }

    /// There is no room; wait until `until_ms`.
    pub(crate) fn pause(&mut self, until_ms: u64) {
        *self = Self::Paused(until_ms);
    }

    /// Whether to try an accept now.
    pub(crate) fn may_accept(&mut self, now_ms: u64) -> bool {
        match *self {
            Self::Open => true,
            Self::Paused(until_ms) if now_ms >= until_ms => {
                *self = Self::Open;
                true
            }
            Self::Paused(_) | Self::Quiet => false,
        }
    }

    /// When the loop has to look again without being told, in ms of its clock.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        match *self {
            Self::Open => Some(0),
            Self::Paused(until_ms) => Some(until_ms),
            Self::Quiet => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_and_by_nothing_else() {
        let mut state = AcceptState::Open;
        state.pause(500);
        state.arrived();
        state.emptied();
        assert!(!state.may_accept(499));
        assert_eq!(state.wake_at_ms(), Some(500));
        assert!(state.may_accept(500));
        state.emptied();
        assert!(!state.may_accept(501));
        assert_eq!(state.wake_at_ms(), None);
        state.arrived();
        assert!(state.may_accept(502));
    }
}
