//! Whether a program reads its events. Pure.

use std::time::Duration;

use wsmaster_ipc::Moment;

/// What a program has read so far, and since when no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watchdog {
    read: u64,
    since: Moment,
    /// Whether something waited at the last look. There is none while nothing does.
    waited: bool,
}

impl Watchdog {
    /// A program that has read nothing yet.
    pub(super) fn new(now: Moment) -> Self {
        Self { read: 0, since: now, waited: false }
    }

    /// Looks again. `read`: all bytes that the program has read; `waits`: there are others that it has not. Whether it has read
    /// nothing for this long although it could.
    pub(super) fn is_stuck(
        &mut self,
        read: u64,
        waits: bool,
        limit: Duration,
        now: Moment,
    ) -> bool {
        if read != self.read || !waits || !self.waited {
            *self = Self { read, since: now, waited: waits };
        }
        now.saturating_duration_since(self.since) >= limit
    }

    /// When it would be stuck.
    pub(super) fn deadline(&self, limit: Duration) -> Moment {
        self.since + limit
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    #[test]
    fn a_program_that_reads_nothing_while_something_waits_is_stuck() {
        let start = clock::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let limit = Duration::from_secs(5);
        let mut watchdog = Watchdog::new(start);
        for (second, taken, waits, expected) in [
            (0, 0, true, false),
            (4, 0, true, false),
            (5, 0, true, true),
            (6, 10, true, false),
            (10, 10, true, false),
            (11, 10, true, true),
            // Nothing waits: there is no limit.
            (12, 10, false, false),
            // Its time begins with the first thing that waits.
            (104, 10, true, false),
            (108, 10, true, false),
            (109, 10, true, true),
        ] {
            assert_eq!(watchdog.is_stuck(taken, waits, limit, at(second)), expected, "{second}");
        }
        assert_eq!(watchdog.deadline(limit), at(109));
    }
}
