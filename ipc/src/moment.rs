//! Moments of one clock that all processes of the machine have in common.

use std::{
    num::NonZeroU64,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A moment in ms of CLOCK_MONOTONIC, which nobody sets. It means the same in every process of the machine, and after an exec;
/// it is read in [`sys::clock::now`](crate::sys::clock::now) and is an argument everywhere else.
///
/// An optional one takes no more memory: the number within is larger by one, so that 0 is free for "never".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The moment at `ms` of the clock.
    #[inline]
    pub fn at_ms(ms: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(ms))
    }

    /// Its ms on the clock.
    #[inline]
    pub fn ms(self) -> u64 {
        self.0.get() - 1
    }

    /// The time since an earlier moment; none since a later one.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.ms().saturating_sub(earlier.ms()))
    }

    /// The time since an earlier moment; `None` since a later one.
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.ms().checked_sub(earlier.ms()).map(Duration::from_millis)
    }

    /// The moment so much later, in whole ms; `None` beyond the end of the clock.
    pub fn checked_add(self, time: Duration) -> Option<Self> {
        let ms = u64::try_from(time.as_millis()).ok()?;
        self.0.checked_add(ms).map(Self)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// The moment so much later, in whole ms, or the end of the clock.
    fn add(self, time: Duration) -> Self {
        self.checked_add(time).unwrap_or(Self(NonZeroU64::MAX))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// The moment so much earlier, in whole ms, or the beginning of the clock.
    fn sub(self, time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self::at_ms(self.ms().saturating_sub(ms))
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// As [`Self::saturating_duration_since`].
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_one_that_it_was_made_of_and_never_costs_nothing() {
        for ms in [0, 1, 1_800_000_000_000, u64::MAX - 1] {
            assert_eq!(Moment::at_ms(ms).ms(), ms);
        }
        assert_eq!(Moment::at_ms(u64::MAX).ms(), u64::MAX - 1);
        assert_eq!(size_of::<Option<Moment>>(), size_of::<u64>());
    }

    #[test]
    fn it_stops_at_the_ends_of_the_clock() {
        let ms = Duration::from_millis;
        let moment = Moment::at_ms(100);
        assert_eq!(moment + ms(20) - ms(50), Moment::at_ms(70));
        assert_eq!(moment - ms(101), Moment::at_ms(0));
        assert_eq!(moment + Duration::MAX, Moment::at_ms(u64::MAX));
        assert_eq!((moment - Moment::at_ms(70), Moment::at_ms(70) - moment), (ms(30), ms(0)));
        assert_eq!(Moment::at_ms(70).checked_duration_since(moment), None);
        assert_eq!(moment.checked_add(Duration::MAX), None);
    }
}
