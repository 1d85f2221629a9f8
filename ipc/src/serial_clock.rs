//! The clock that the serial numbers of connections follow. Pure: the time is an argument.

use std::time::Duration;

use crate::id::SERIAL_MAX;

/// Tenths of a millisecond since 2025.
///
/// A serial number is never ahead of this clock, so a server that starts later starts above every number that was given
/// out before, whatever became of it. A slot may accept 10,000 connections a second for ever, and more in bursts after
/// quieter times. The numbers last until the year 2052.
///
/// The wall clock is read once, at the start; from then on the clock is a monotonic one, which nobody can set back. It
/// means the same in all processes of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SerialClock {
    pub(crate) started_ms: u64,
    pub(crate) start: u64,
}

impl SerialClock {
    const EPOCH: Duration = Duration::from_secs(1_735_689_600);
    const TICKS_PER_MS: u64 = 10;

    /// A clock that stands at this time since 1970 at `now_ms` of the
    /// [monotonic clock](crate::sys::clock::now).
    pub fn new(now_ms: u64, since_1970: Duration) -> Self {
        let ticks = since_1970.saturating_sub(Self::EPOCH).as_micros() / 100;
        let ticks = u64::try_from(ticks).unwrap_or(SERIAL_MAX);
        Self { started_ms: now_ms, start: ticks.clamp(1, SERIAL_MAX - 1) }
    }

    /// Where it stands at `now_ms`.
    pub(crate) fn tick(&self, now_ms: u64) -> u64 {
        let since_start = now_ms.saturating_sub(self.started_ms).saturating_mul(Self::TICKS_PER_MS);
        self.start.saturating_add(since_start).min(SERIAL_MAX - 1)
    }
}
