//! When to look at which connection again. Pure: a wheel of buckets over time, with at most one entry for each index.
//!
//! An entry is a promise to look, not a deadline: a connection that was active meanwhile is put back for later. So traffic
//! on a connection costs the wheel nothing.

use crate::conn_index::ConnIndex;

/// How late a promise may be kept.
pub(crate) const TICK_MS: u64 = 16;
const BUCKETS: usize = 2048;
const NOBODY: u32 = u32::MAX;

/// A timer wheel of 2,048 buckets of 16 ms. What is due later than 32 s is looked at once in between.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Box<[u32; BUCKETS]>,
    occupied: Box<[u64; BUCKETS / 64]>,
    entries: Vec<Entry>,
    /// The first tick whose bucket has not been emptied.
    tick: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    previous: u32,
    bucket: u16,
    armed: bool,
}

const IDLE: Entry = Entry { next: NOBODY, previous: NOBODY, bucket: 0, armed: false };

impl Wheel {
    /// A wheel that starts at this moment of the loop's clock.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            heads: Box::new([NOBODY; BUCKETS]),
            occupied: Box::new([0; BUCKETS / 64]),
            entries: Vec::new(),
            tick: now_ms / TICK_MS,
        }
    }

    /// Promises to look at `index` at `at_ms` or up to one tick later; or earlier, when that is beyond the wheel. It
    /// replaces an earlier promise for it.
    pub(crate) fn schedule(&mut self, index: ConnIndex, at_ms: u64) {
        self.cancel(index);
        let index = index.0;
        if self.entries.len() <= index as usize {
            self.entries.resize(index as usize + 1, IDLE);
        }
        let tick = at_ms.div_ceil(TICK_MS).clamp(self.tick, self.tick + BUCKETS as u64 - 1);
        let bucket = (tick % BUCKETS as u64) as usize;
        let head = std::mem::replace(&mut self.heads[bucket], index);
        if let Some(next) = self.entries.get_mut(head as usize) {
            next.previous = index;
        }
        self.entries[index as usize] =
            Entry { next: head, previous: NOBODY, bucket: bucket as u16, armed: true };
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    /// Forgets the promise for `index`, if there is one.
    pub(crate) fn cancel(&mut self, index: ConnIndex) {
        let Some(entry) = self.entries.get_mut(index.as_usize()) else { return };
        let entry = std::mem::replace(entry, IDLE);
        if !entry.armed {
            return;
        }
        let bucket = usize::from(entry.bucket);
        match self.entries.get_mut(entry.previous as usize) {
            Some(previous) => previous.next = entry.next,
            None => self.heads[bucket] = entry.next,
        }
        if let Some(next) = self.entries.get_mut(entry.next as usize) {
            next.previous = entry.previous;
        }
        if self.heads[bucket] == NOBODY {
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        }
    }

    /// Appends to `due` every index whose moment has come. They are forgotten.
    pub(crate) fn advance(&mut self, now_ms: u64, due: &mut Vec<ConnIndex>) {
        let now = now_ms / TICK_MS;
        let last = now.min(self.tick + BUCKETS as u64 - 1);
        while self.tick <= last {
            let bucket = (self.tick % BUCKETS as u64) as usize;
            let mut index = std::mem::replace(&mut self.heads[bucket], NOBODY);
            while let Some(entry) = self.entries.get_mut(index as usize) {
                due.push(ConnIndex(index));
                index = entry.next;
                *entry = IDLE;
            }
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            self.tick += 1;
        }
        self.tick = self.tick.max(now + 1);
    }

    /// The moment at which [`Self::advance`] will have something, if ever.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let start = (self.tick % BUCKETS as u64) as usize;
        let words = BUCKETS / 64;
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let bucket = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (bucket + BUCKETS - start) % BUCKETS;
                return Some((self.tick + ahead as u64) * TICK_MS);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map from index to moment.
        #[test]
        fn it_agrees_with_a_plain_table(
            steps in proptest::collection::vec((0..20_u32, 0..60_000_u64, 0..3_u8, 0..5_000_u64), 1..200),
        ) {
            let mut wheel = Wheel::new(1_000_000);
            let mut table: BTreeMap<ConnIndex, u64> = BTreeMap::new();
            let mut now = 1_000_000;
            for (index, delay, what, pass) in steps {
                let index = ConnIndex(index);
                match what {
                    0 => { wheel.cancel(index); table.remove(&index); }
                    _ => { wheel.schedule(index, now + delay); table.insert(index, now + delay); }
                }
                if let (Some(next), Some(earliest)) = (wheel.next_ms(), table.values().min()) {
                    // One that is due at a tick that has been told already comes with the next.
                    prop_assert!(next <= earliest + TICK_MS, "it would sleep too long");
                }
                prop_assert_eq!(wheel.next_ms().is_none(), table.is_empty());
                now += pass;
                let mut due = Vec::new();
                wheel.advance(now, &mut due);
                for index in due {
                    let at = table.remove(&index);
                    let at = at.ok_or_else(|| TestCaseError::fail("due, and never promised"))?;
                    if at > now {
                        // Beyond the wheel: looked at early, and put back.
                        wheel.schedule(index, at);
                        table.insert(index, at);
                    }
                }
                for (index, at) in &table {
                    prop_assert!(at + TICK_MS > now, "{} was due at {} and not told by {}", index.0, at, now);
                }
            }
        }
    }

    #[test]
    fn a_long_sleep_tells_everything_once() {
        let mut wheel = Wheel::new(0);
        for index in 0..100 {
            wheel.schedule(ConnIndex(index), u64::from(index) * 300);
        }
        let mut due = Vec::new();
        wheel.advance(10_000_000, &mut due);
        due.sort_unstable();
        assert!(due.into_iter().eq((0..100).map(ConnIndex)));
        assert_eq!(wheel.next_ms(), None);
    }
}
