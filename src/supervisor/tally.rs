//! How often a slot has failed, and how long it therefore waits.
//!
//! Owns one slot's count of failures and the arithmetic of back-off. It neither starts nor ends anything.

use std::collections::VecDeque;
use std::time::Duration;

use wsmaster_ipc::Moment;

use super::policy::Policy;

/// The failures of one slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    in_a_row: u32,
    /// When the slot first became ready after its last failure. It spans replacements: a slot whose processes are
    /// recycled every half minute is as stable as one process that lives on.
    up_since: Option<Moment>,
    /// The failures within the window, oldest first: at most `restarts_max + 1`.
    recent: VecDeque<Moment>,
}

/// When a slot that failed is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    AtOnce,
    After { delay: Duration, attempt: u32, too_often: bool },
}

impl Tally {
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    pub(super) fn record_ready(&mut self, now: Moment) {
        self.up_since.get_or_insert(now);
    }

    pub(super) fn record_failure(
        &mut self,
        policy: &Policy,
        dice: &mut Dice,
        now: Moment,
    ) -> Verdict {
        let up = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if up.is_some_and(|up| up >= policy.stable_after) {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);

        self.recent.push_back(now);
        let kept_max = usize::try_from(policy.restarts_max).unwrap_or(usize::MAX).saturating_add(1);
        while self.recent.len() > kept_max
            || self.recent.front().is_some_and(|&at| {
                now.saturating_duration_since(at) >= policy.restarts_window && self.recent.len() > 1
            })
        {
            self.recent.pop_front();
        }
        let too_often = self.recent.len() == kept_max;

        if self.in_a_row == 1 && !too_often {
            return Verdict::AtOnce;
        }
        let nominal = if too_often { policy.backoff_max } else { nominal(policy, self.in_a_row) };
        let delay = dice.spread(nominal, policy.backoff_jitter_percent).max(BACKOFF_FLOOR);
        Verdict::After { delay, attempt: self.in_a_row, too_often }
    }
}

/// The delay before the start that follows failure number `in_a_row` (2 or more), without jitter.
fn nominal(policy: &Policy, in_a_row: u32) -> Duration {
    let doublings = in_a_row.saturating_sub(2).min(31);
    policy.backoff_min.saturating_mul(1 << doublings).min(policy.backoff_max)
}

/// Under this a back-off would be a busy loop.
const BACKOFF_FLOOR: Duration = Duration::from_millis(10);

/// Chance that repeats itself for the same seed (splitmix64). It spreads delays and guards no secret.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A duration within `percent` of `nominal`, either way.
    fn spread(&mut self, nominal: Duration, percent: u32) -> Duration {
        let percent = percent.min(100);
        // 0 to 2 * percent, in thousandths of a percent.
        let offset = self.roll() % (u64::from(percent) * 2_000 + 1);
        let per_100_000 = 100_000 - u64::from(percent) * 1_000 + offset;
        // At most twice the nominal, in two factors that fit: 200_000 is far below 2^32.
        nominal.saturating_mul(u32::try_from(per_100_000).unwrap_or(100_000)) / 100_000
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    fn steady() -> Policy {
        Policy { backoff_jitter_percent: 0, restarts_max: 1_000, ..Policy::default() }
    }

    #[test]
    fn delays_double_from_the_second_failure_to_the_maximum() {
        let (mut tally, mut dice, now) = (Tally::default(), Dice::new(1), clock::now());
        let delays: Vec<u128> = (0..13)
            .map(|_| match tally.record_failure(&steady(), &mut dice, now) {
                Verdict::AtOnce => 0,
                Verdict::After { delay, .. } => delay.as_millis(),
            })
            .collect();
        assert_eq!(
            delays,
            [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000],
        );
    }

    #[test]
    fn a_stable_minute_forgives_and_a_second_less_does_not() {
        for (up_seconds, expected) in [(59, 3), (60, 1)] {
            let (mut tally, mut dice, now) = (Tally::default(), Dice::new(1), clock::now());
            tally.record_failure(&steady(), &mut dice, now);
            tally.record_failure(&steady(), &mut dice, now);
            tally.record_ready(now);
            // Its successors become ready too, which does not restart the minute.
            tally.record_ready(now + Duration::from_secs(30));
            tally.record_failure(&steady(), &mut dice, now + Duration::from_secs(up_seconds));
            assert_eq!(tally.in_a_row(), expected, "up for {up_seconds} s");
        }
    }

    #[test]
    fn the_eleventh_failure_in_a_minute_waits_longest_and_the_eleventh_in_a_longer_time_does_not() {
        for (gap_seconds, too_often) in [(5, true), (6, false)] {
            let policy = Policy { stable_after: Duration::ZERO, ..Policy::default() };
            let (mut tally, mut dice, start) = (Tally::default(), Dice::new(1), clock::now());
            let mut last = Verdict::AtOnce;
            for n in 0..11 {
                let now = start + Duration::from_secs(gap_seconds * n);
                tally.record_ready(now);
                last = tally.record_failure(&policy, &mut dice, now);
                assert!(n == 10 || last == Verdict::AtOnce, "failure {n} every {gap_seconds} s");
            }
            match last {
                Verdict::AtOnce => assert!(!too_often),
                Verdict::After { delay, attempt, too_often: said } => {
                    assert!(too_often && said && attempt == 1);
                    assert!(delay >= policy.backoff_max * 8 / 10, "{delay:?}");
                }
            }
        }
    }

    #[test]
    fn jitter_stays_within_its_percentage_and_uses_both_sides() {
        let mut dice = Dice::new(7);
        let nominal = Duration::from_secs(10);
        let spread: Vec<Duration> = (0..1_000).map(|_| dice.spread(nominal, 20)).collect();
        let (min, max) = (*spread.iter().min().unwrap(), *spread.iter().max().unwrap());
        assert!(min >= Duration::from_secs(8) && min < Duration::from_millis(8_100), "{min:?}");
        assert!(max <= Duration::from_secs(12) && max > Duration::from_millis(11_900), "{max:?}");
        assert_eq!(dice.spread(nominal, 0), nominal);
        assert!(dice.spread(Duration::MAX, 100) <= Duration::MAX);
    }

    #[test]
    fn a_policy_of_zeros_still_waits() {
        let zeros = Policy {
            backoff_min: Duration::ZERO,
            backoff_max: Duration::ZERO,
            restarts_max: 0,
            ..Policy::default()
        };
        let verdict = Tally::default().record_failure(&zeros, &mut Dice::new(1), clock::now());
        assert_eq!(verdict, Verdict::After { delay: BACKOFF_FLOOR, attempt: 1, too_often: true });
    }
}
