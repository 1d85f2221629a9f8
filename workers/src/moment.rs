//! A moment of the loop's clock of which an optional one takes no more memory: every idle connection has some.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// So many ms after the loop's clock began. The number within is larger by one, so that 0 is free for "never".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    /// The moment at `ms` of the loop's clock.
    #[inline]
    pub(crate) fn at_ms(ms: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(ms))
    }

    /// Its ms on the loop's clock.
    #[inline]
    pub(crate) fn ms(self) -> u64 {
        self.0.get() - 1
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
}
