//! The log file as the master keeps it: when it is too long and is moved aside, and who does not write to the new one yet.
//! Pure.
//!
//! One rule bounds what can be lost: a file is not moved aside before every process writes to the one that was opened last, so
//! at any moment two files are in use at most. A process that does not answer is waited for, and only for so long.

use std::time::Duration;

use wsmaster_ipc::Moment;

use super::handover::Handover;
use crate::supervisor::Pid;

/// The longest time between two looks at the length of the file.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// The shortest one.
const LOOK_MIN: Duration = Duration::from_millis(20);
/// How long nothing is tried after the file could not be moved.
const PAUSE: Duration = Duration::from_secs(10);

/// When the file is moved aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rotation {
    /// Longer than this it is, in bytes.
    pub(super) bytes: u64,
    /// Older files that stay.
    pub(super) keep: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LogKeeper {
    /// The last look: when, and how long the file was.
    seen: Option<(Moment, u64)>,
    look_at: Option<Moment>,
    /// Of the file that was opened last.
    pub(super) handover: Handover,
    rotations: u64,
}

impl LogKeeper {
    /// Whether the file is to be moved now, if it is `length` bytes long.
    pub(super) fn look(&mut self, rotation: Rotation, length: u64, now: Moment) -> bool {
        if self.look_at.is_some_and(|at| now < at) {
            return false;
        }
        let is_due = length > rotation.bytes && self.handover.is_settled();
        let seen = if is_due { (now, 0) } else { (now, length) };
        let wait = match self.seen.replace(seen) {
            Some((before, shorter)) if !is_due => {
                until_full(now - before, length.saturating_sub(shorter), rotation.bytes, length)
            }
            Some(_) | None => LOOK_MIN,
        };
        self.look_at = Some(now + wait);
        is_due
    }

    /// The length of the file is of no interest.
    pub(super) fn look_no_more(&mut self) {
        (self.seen, self.look_at) = (None, None);
    }

    /// A new file is given to these. Its number.
    pub(super) fn given(&mut self, to: impl Iterator<Item = Pid>, now: Moment) -> u64 {
        self.seen = Some((now, 0));
        self.handover.given(to, now)
    }

    /// The file was moved aside.
    pub(super) fn rotated(&mut self) {
        self.rotations += 1;
    }

    /// The file could not be moved aside: it is not tried again at once.
    pub(super) fn failed(&mut self, now: Moment) {
        self.look_at = Some(now + PAUSE);
    }

    /// How often the file was moved aside.
    pub(super) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// When something is due next.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.handover.wake_at().into_iter().chain(self.look_at).min()
    }
}

/// How long to wait for the next look at a file that grew by `grown` bytes in `time`: half the time until it is full.
fn until_full(time: Duration, grown: u64, full: u64, length: u64) -> Duration {
    let left = full.saturating_sub(length) as f64;
    let seconds = time.as_secs_f64() * left / (grown.max(1) as f64) / 2.0;
    Duration::from_secs_f64(seconds.min(LOOK_MAX.as_secs_f64())).max(LOOK_MIN)
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    const ROTATION: Rotation = Rotation { bytes: 1_000, keep: 3 };

    #[test]
    fn the_next_look_comes_before_the_file_is_full() {
        let second = Duration::from_secs(1);
        for (grown, length, ms) in [
            (0, 0, 1000),
            (1, 10, 1000),
            (100, 100, 1000),
            (250, 500, 1000),
            (500, 500, 500),
            (800, 800, 125),
            (1_000_000, 999, 20),
            (10, 5_000, 20),
        ] {
            let wait = until_full(second, grown, 1_000, length);
            assert_eq!(wait.as_millis(), ms, "{grown} {length}");
        }
    }

    #[test]
    fn a_file_is_not_moved_before_all_write_to_the_last_one() {
        let mut now = clock::now();
        let mut keeper = LogKeeper::default();
        assert!(!keeper.look(ROTATION, 1_000, now), "not longer than it may be");
        now = keeper.wake_at().unwrap();
        assert!(keeper.look(ROTATION, 1_001, now));
        let number = keeper.given([Pid(1), Pid(2)].into_iter(), now);
        keeper.handover.taken(Pid(1), number);
        now += LOOK_MAX;
        assert!(!keeper.look(ROTATION, 9_999, now), "one of them still writes to the old one");
        keeper.handover.buried(Pid(2));
        now += LOOK_MAX;
        assert!(keeper.look(ROTATION, 9_999, now));
    }
}
