//! When each client of a worker that leaves is told so. Pure: moments of the loop's clock and a source of random numbers go in,
//! those whose moment has come go out.
//!
//! Most clients come back at once when they are told, whatever the close frame says to them. So they are told one by one, at
//! random moments, and served until then.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{conn_index::ConnIndex, token::Key};

/// For each client the window grows by so much until it has its full length: a few clients need not be spread.
const WINDOW_MS_PER_CLIENT: u64 = 10;

/// The clients that are to be told.
#[derive(Debug, Default)]
pub(crate) struct DrainSchedule {
    due: BinaryHeap<Reverse<(u64, ConnIndex, u32)>>,
    from_ms: u64,
    end_ms: u64,
}

impl DrainSchedule {
    /// A window from `from_ms` on in which `clients` are told: `spread_ms` long, or shorter when they are few, and at any rate over
    /// early enough for the last ones to have `close_timeout_ms`, or half of the time, until `deadline_ms` from its beginning.
    pub(crate) fn begin(
        from_ms: u64,
        spread_ms: u64,
        clients: usize,
        deadline_ms: u64,
        close_timeout_ms: u64,
    ) -> Self {
        let latest_ms = deadline_ms.saturating_sub(close_timeout_ms).max(deadline_ms / 2);
        let few_ms = WINDOW_MS_PER_CLIENT.saturating_mul(clients as u64);
        let window_ms = spread_ms.min(few_ms).min(latest_ms);
        Self { due: BinaryHeap::new(), from_ms, end_ms: from_ms.saturating_add(window_ms) }
    }

    /// Chooses a moment for a client in what is left of the window, `wait_ms` from now at the earliest.
    pub(crate) fn add(&mut self, key: Key, wait_ms: u64, now_ms: u64, random: &mut fastrand::Rng) {
        let first_ms = now_ms.max(self.from_ms).saturating_add(wait_ms);
        let at_ms = random.u64(first_ms..=self.end_ms.max(first_ms));
        self.due.push(Reverse((at_ms, key.index, key.generation)));
    }

    /// Whether the window has not begun yet.
    pub(crate) fn waits_at(&self, now_ms: u64) -> bool {
        now_ms < self.from_ms
    }

    /// Takes one whose moment has come. It may be gone by itself.
    pub(crate) fn take(&mut self, now_ms: u64) -> Option<Key> {
        let Reverse((at_ms, index, generation)) = *self.due.peek()?;
        if at_ms > now_ms {
            return None;
        }
        self.due.pop();
        Some(Key { index, generation })
    }

    /// When [`Self::take`] has something next.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((at_ms, ..))| *at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index: ConnIndex(index), generation: 0 }
    }

    /// How many are told in each tenth of `window_ms`, and whether that is all of them.
    fn told(farewells: &mut DrainSchedule, clients: u32, window_ms: u64) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..clients).for_each(|index| farewells.add(key(index), 0, 1000, &mut random));
        let counts = (1..=10)
            .map(|tenth| {
                let now_ms = 1000 + window_ms * tenth / 10;
                std::iter::from_fn(|| farewells.take(now_ms)).count()
            })
            .collect();
        assert_eq!(farewells.next_ms(), None, "somebody is told after the window");
        counts
    }

    #[test]
    fn many_are_spread_over_the_whole_window_and_in_no_order() {
        let mut farewells = DrainSchedule::begin(1000, 5000, 10_000, 20_000, 5000);
        let counts = told(&mut farewells, 10_000, 5000);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        let mut random = fastrand::Rng::with_seed(7);
        let mut farewells = DrainSchedule::begin(0, 5000, 500, 20_000, 5000);
        (0..500).for_each(|index| farewells.add(key(index), 0, 0, &mut random));
        let order: Vec<Key> = std::iter::from_fn(|| farewells.take(5000)).collect();
        assert_eq!(order.len(), 500);
        assert!(!order.iter().map(|key| key.index).is_sorted());
    }

    #[test]
    fn a_few_are_told_soon_and_nobody_too_late() {
        told(&mut DrainSchedule::begin(1000, 5000, 3, 20_000, 5000), 3, 30);
        // A stop: 8 s for all, of which the last ones have 5.
        told(&mut DrainSchedule::begin(1000, 60_000, 10_000, 8000, 5000), 10_000, 4000);
        told(&mut DrainSchedule::begin(1000, 0, 10_000, 8000, 5000), 10_000, 0);
    }

    #[test]
    fn nobody_is_told_before_the_window() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut farewells = DrainSchedule::begin(1000, 0, 2, 8000, 5000);
        (0..2).for_each(|index| farewells.add(key(index), 0, 10, &mut random));
        assert!(farewells.waits_at(999) && !farewells.waits_at(1000));
        assert_eq!((farewells.take(999), farewells.next_ms()), (None, Some(1000)));
        assert!(farewells.take(1000).is_some() && farewells.take(1000).is_some());
    }

    #[test]
    fn who_comes_after_the_window_is_told_after_its_wait() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut farewells = DrainSchedule::begin(0, 100, 10, 8000, 5000);
        farewells.add(key(1), 50, 3000, &mut random);
        assert_eq!((farewells.take(3049), farewells.next_ms()), (None, Some(3050)));
        assert_eq!(farewells.take(3050), Some(key(1)));
    }
}
