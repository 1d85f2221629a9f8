//! A histogram of durations in a fixed amount of memory, exact to about 1.6 %.

use std::time::Duration;

/// Steps between a power of two and the next.
const STEPS_LOG2: u32 = 6;
const STEPS: u64 = 1 << STEPS_LOG2;

/// One bucket for each step of each power of two that 64 bits have.
const BUCKETS: usize = ((64 - STEPS_LOG2 as usize) + 1) * STEPS as usize;

/// How often each duration occurred.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(ns)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// The duration that `share` (0 to 1) of them did not exceed; zero without any.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        bucket.map_or(Duration::ZERO, |bucket| Duration::from_nanos(largest_of(bucket)))
    }
}

fn bucket_of(ns: u64) -> usize {
    let power = (63 - (ns | 1).leading_zeros()).saturating_sub(STEPS_LOG2);
    // Below two times STEPS every nanosecond has its own bucket; above, the top bits choose the step.
    (u64::from(power) * STEPS + (ns >> power)) as usize
}

/// The largest duration of a bucket, in nanoseconds.
fn largest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let power = (bucket / STEPS).saturating_sub(1);
    let step = u128::from(bucket - power * STEPS);
    u64::try_from(((step + 1) << power) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_it_says() {
        for ns in (0..5_000).chain([u64::from(u32::MAX), 1 << 40, (1 << 40) + 1, u64::MAX]) {
            let bucket = bucket_of(ns);
            let largest = largest_of(bucket);
            assert!(largest >= ns, "{ns} is above its bucket's {largest}");
            assert!(largest - ns <= ns >> STEPS_LOG2, "{ns} is told as {largest}");
            assert!(bucket < BUCKETS, "{ns}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(0.5), Duration::ZERO);
        (1..=100).for_each(|ns| latencies.add(Duration::from_nanos(ns)));
        for (share, ns) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            assert_eq!(latencies.percentile(share), Duration::from_nanos(ns), "{share}");
        }
    }
}
