//! How much a peer may send in a second. Pure: a bucket for each of what is counted, kept as one moment of time (the
//! "virtual scheduling" form of the leaky bucket, ITU-T I.371, annex A.2).

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// A second's worth may come at once.
const BURST_US: u64 = 1_000_000;

/// The buckets of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RateLimiter {
    messages: Bucket,
    bytes: Bucket,
    control: Bucket,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// A message.
    Message,
    /// Bytes as they were read.
    Bytes(usize),
    /// A ping or a pong.
    Control,
}

impl RateLimiter {
    /// Takes note of what came at `now_ms`. If it is more than the limits allow: how many ms the peer is ahead.
    #[inline]
    pub(crate) fn spend(&mut self, spent: Cost, limits: &Limits, now_ms: u64) -> Option<u64> {
        let (bucket, units, rate) = match spent {
            Cost::Message => (&mut self.messages, 1, limits.messages_per_second_max),
            Cost::Bytes(bytes) => (&mut self.bytes, bytes as u64, limits.bytes_per_second_max),
            Cost::Control => (&mut self.control, 1, limits.control_frames_per_second_max),
        };
        if rate == 0 { None } else { bucket.spend(units, rate.into(), now_ms) }
    }
}

/// The moment at which all that was spent is paid for, in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bucket {
    paid_us: u64,
}

impl Bucket {
    /// Takes note of `units` at `now_ms`. If that is more than `rate` a second: how many ms it is ahead.
    pub(crate) fn spend(&mut self, units: u64, rate: u64, now_ms: u64) -> Option<u64> {
        let now_us = now_ms * 1000;
        self.paid_us = self.paid_us.max(now_us) + units * 1_000_000 / rate;
        let ahead_us = (self.paid_us - now_us).checked_sub(BURST_US)?;
        (ahead_us > 0).then(|| ahead_us.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_it_may_come_at_once_and_then_the_rate_holds() {
        let limits = Limits { messages_per_second_max: 10, ..Limits::default() };
        let mut pace = RateLimiter::default();
        for _ in 0..10 {
            assert_eq!(pace.spend(Cost::Message, &limits, 5000), None);
        }
        assert_eq!(pace.spend(Cost::Message, &limits, 5000), Some(100));
        assert_eq!(pace.spend(Cost::Message, &limits, 5100), Some(100));
        assert_eq!(pace.spend(Cost::Message, &limits, 5400), None, "two have been paid for");
        assert_eq!(pace.spend(Cost::Message, &limits, 60_000), None);
    }

    #[test]
    fn no_rate_is_no_limit_and_each_thing_has_its_own() {
        let limits = Limits {
            messages_per_second_max: 0,
            bytes_per_second_max: 1000,
            control_frames_per_second_max: 1,
            ..Limits::default()
        };
        let mut pace = RateLimiter::default();
        for _ in 0..100_000 {
            assert_eq!(pace.spend(Cost::Message, &limits, 0), None);
        }
        assert_eq!(pace.spend(Cost::Bytes(1000), &limits, 0), None);
        assert_eq!(pace.spend(Cost::Bytes(64 * 1024), &limits, 0), Some(65_536));
        assert_eq!(pace.spend(Cost::Control, &limits, 0), None);
        assert_eq!(pace.spend(Cost::Control, &limits, 0), Some(1000));
    }
}
