//! Whether new connections may be accepted from one listener now. Pure; the listener is the loop's.

/// Milliseconds without accepting after the descriptors ran out.
pub const PAUSE_MS: u64 = 100;

/// The state of accepting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// The kernel has said that nothing waits.
    Quiet,
    /// Connections may wait.
    Open,
    /// Out of descriptors or of serial numbers: connections wait in the kernel until this moment, in ms of the loop's
    /// clock. Polling goes on meanwhile, without a spin: the poll is edge-triggered and tells of them once.
    Paused(u64),
}

impl Gate {
    /// The kernel told of a new connection.
    pub fn arrived(&mut self) {
        match self {
            Self::Quiet => *self = Self::Open,
            Self::Open | Self::Paused(_) => {}
        }
    }

    /// Nothing waits any more.
    pub fn emptied(&mut self) {
        match self {
            Self::Open => *self = Self::Quiet,
            Self::Quiet | Self::Paused(_) => {}
        }
    }

    /// There is no room; wait until `until_ms`.
    pub fn pause(&mut self, until_ms: u64) {
        *self = Self::Paused(until_ms);
    }

    /// Whether to try an accept now.
    pub fn may_accept(&mut self, now_ms: u64) -> bool {
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
    pub fn wake_at_ms(&self) -> Option<u64> {
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
        let mut gate = Gate::Open;
        gate.pause(500);
        gate.arrived();
        gate.emptied();
        assert!(!gate.may_accept(499));
        assert_eq!(gate.wake_at_ms(), Some(500));
        assert!(gate.may_accept(500));
        gate.emptied();
        assert!(!gate.may_accept(501));
        assert_eq!(gate.wake_at_ms(), None);
        gate.arrived();
        assert!(gate.may_accept(502));
    }
}
