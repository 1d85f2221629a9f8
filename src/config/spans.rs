//! The times and sizes that the table of keys speaks of, and the kinds made of them.
//!
//! Owns the names of a few numbers, so that the table reads like prose.

use std::time::Duration;

use super::value::Kind;

pub(super) const MILLISECOND_100: Duration = Duration::from_millis(100);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// The payload of the largest control frame (RFC 6455 section 5.5): no limit may be below it.
pub(super) const CONTROL_BYTES_MAX: u64 = 125;

pub(super) const fn time(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max, zero_is_off: false }
}

pub(super) const fn time_or_off(min: Duration, max: Duration) -> Kind {
    Kind::Duration { min, max, zero_is_off: true }
}
