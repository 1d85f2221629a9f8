//! When a program is sent its next tick. Pure.

use std::time::Duration;

use wsmaster_ipc::Moment;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticker {
    every: Duration,
    next: Moment,
    number: u64,
}

impl Ticker {
    pub(super) fn new(every: Duration, now: Moment) -> Self {
        Self { every, next: now + every, number: 0 }
    }

    pub(super) fn next(&self) -> Moment {
        self.next
    }

    /// The number of the tick that is due. What was missed is not made up for.
    pub(super) fn take(&mut self, now: Moment) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.next = now + self.every;
        self.number += 1;
        Some(self.number)
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    #[test]
    fn ticks_are_numbered_and_those_that_were_missed_are_one() {
        let start = clock::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut ticker = Ticker::new(Duration::from_secs(2), start);
        let taken: Vec<_> = [1, 2, 3, 9, 10, 11].map(|second| ticker.take(at(second))).into();
        assert_eq!(taken, [None, Some(1), None, Some(2), None, Some(3)]);
        assert_eq!(ticker.next(), at(13));
    }
}
