//! How long the clients stay connected when the server stops: what side processes push when they hear of it still arrives.
//!
//! Pure. Owns which side processes have not ended yet.

use std::{collections::HashSet, time::Duration};

use crate::supervisor::Pid;

/// How long clients stay connected at the most for what side processes have to say.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Of the time that a stop may take, the part that goes to the side processes alone.
const PART_OF_STOP: u32 = 4;

/// What the workers wait for before they close their clients.
#[derive(Debug, Default)]
pub(super) struct ClosingWait {
    side_processes: HashSet<Pid>,
    length: Duration,
}

impl ClosingWait {
    /// A stop begins, which may take `stop_timeout`, while these side processes live.
    pub(super) fn begin(side_processes: HashSet<Pid>, stop_timeout: Duration) -> Self {
        let length = if side_processes.is_empty() {
            Duration::ZERO
        } else {
            WAIT_MAX.min(stop_timeout / PART_OF_STOP)
        };
        Self { side_processes, length }
    }

    /// After this time the workers wait no longer.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// A process has ended. Whether it was the last one that was waited for.
    pub(super) fn ended(&mut self, pid: Pid) -> bool {
        self.side_processes.remove(&pid) && self.side_processes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_side_process_ends_the_wait_and_no_other_process_does() {
        let mut wait = ClosingWait::begin([Pid(1), Pid(2)].into(), Duration::from_secs(10));
        assert_eq!(wait.length(), Duration::from_secs(1));
        assert!(!wait.ended(Pid(7)), "a worker");
        assert!(!wait.ended(Pid(2)));
        assert!(wait.ended(Pid(1)));
        assert!(!wait.ended(Pid(1)));
    }

    #[test]
    fn without_side_processes_nobody_waits_and_a_short_stop_has_a_short_wait() {
        let ten = Duration::from_secs(10);
        assert_eq!(ClosingWait::begin(HashSet::new(), ten).length(), Duration::ZERO);
        let short = ClosingWait::begin([Pid(1)].into(), Duration::from_secs(1));
        assert_eq!(short.length(), Duration::from_millis(250));
    }
}
