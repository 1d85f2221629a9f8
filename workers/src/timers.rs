//! Timers of the application. Pure: moments of the loop's clock go in, timers whose moment has come go out.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Timers that may run at a time in one worker.
pub const TIMERS_MAX: usize = 65_536;

/// One timer of one worker; never given to another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId(u64);

/// All timers that run.
#[derive(Debug, Default)]
pub struct Timers {
    /// By moment and, for the same moment, in the order in which they were started.
    queue: BTreeMap<(u64, TimerId), Repeat>,
    moments: HashMap<TimerId, u64>,
    started: u64,
}

#[derive(Clone, Copy, Debug)]
enum Repeat {
    Once,
    Every { ms: u64 },
}

impl Timers {
    /// Starts a timer that comes once, after `wait`. `None` when [`TIMERS_MAX`] run already.
    pub fn after(&mut self, wait: Duration, now_ms: u64) -> Option<TimerId> {
        self.start(millis(wait), Repeat::Once, now_ms)
    }

    /// Starts a timer that comes again and again, every `time`, which is at least 1 ms. `None` when [`TIMERS_MAX`] run
    /// already.
    pub fn every(&mut self, time: Duration, now_ms: u64) -> Option<TimerId> {
        let ms = millis(time).max(1);
        self.start(ms, Repeat::Every { ms }, now_ms)
    }

    /// Ends a timer. Whether it was running.
    pub fn clear(&mut self, timer: TimerId) -> bool {
        match self.moments.remove(&timer) {
            Some(at_ms) => self.queue.remove(&(at_ms, timer)).is_some(),
            None => false,
        }
    }

    /// Takes the next timer whose moment has come. One that repeats is started again from now: what was missed is not made
    /// up for.
    pub fn expire(&mut self, now_ms: u64) -> Option<TimerId> {
        let ((at_ms, timer), repeat) = self.queue.first_key_value().map(|(key, it)| (*key, *it))?;
        if at_ms > now_ms {
            return None;
        }
        self.queue.remove(&(at_ms, timer));
        match repeat {
            Repeat::Once => drop(self.moments.remove(&timer)),
            Repeat::Every { ms } => {
                let next_ms = now_ms.saturating_add(ms);
                self.queue.insert((next_ms, timer), repeat);
                self.moments.insert(timer, next_ms);
            }
        }
        Some(timer)
    }

    /// When [`Self::expire`] has something next.
    pub fn next_ms(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    fn start(&mut self, wait_ms: u64, repeat: Repeat, now_ms: u64) -> Option<TimerId> {
        if self.queue.len() >= TIMERS_MAX {
            return None;
        }
        self.started += 1;
        let timer = TimerId(self.started);
        let at_ms = now_ms.saturating_add(wait_ms);
        self.queue.insert((at_ms, timer), repeat);
        self.moments.insert(timer, at_ms);
        Some(timer)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(timers: &mut Timers, now_ms: u64) -> Vec<TimerId> {
        std::iter::from_fn(|| timers.expire(now_ms)).collect()
    }

    #[test]
    fn timers_come_in_order_once_or_again_and_not_when_cleared() {
        let mut timers = Timers::default();
        let late = timers.after(Duration::from_millis(30), 100).unwrap();
        let tick = timers.every(Duration::from_millis(10), 100).unwrap();
        let gone = timers.after(Duration::from_millis(5), 100).unwrap();
        assert!(timers.clear(gone) && !timers.clear(gone));
        assert_eq!((timers.next_ms(), expired(&mut timers, 109)), (Some(110), vec![]));
        assert_eq!(expired(&mut timers, 110), [tick]);
        // Two ticks were missed: one comes, and the next a whole time later.
        assert_eq!(expired(&mut timers, 145), [tick, late]);
        assert_eq!(timers.next_ms(), Some(155));
        assert!(timers.clear(tick) && !timers.clear(late));
        assert_eq!((timers.next_ms(), expired(&mut timers, u64::MAX)), (None, vec![]));
    }

    #[test]
    fn a_tick_without_a_time_does_not_take_the_whole_turn() {
        let mut timers = Timers::default();
        let tick = timers.every(Duration::ZERO, 0).unwrap();
        assert_eq!(expired(&mut timers, 1), [tick]);
    }

    #[test]
    fn there_is_a_bound() {
        let mut timers = Timers::default();
        let all = (0..TIMERS_MAX).filter_map(|_| timers.after(Duration::ZERO, 0)).count();
        assert_eq!((all, timers.after(Duration::ZERO, 0)), (TIMERS_MAX, None));
        assert_eq!(expired(&mut timers, 0).len(), TIMERS_MAX);
        assert!(timers.after(Duration::ZERO, 0).is_some());
    }
}
