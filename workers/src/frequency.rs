//! How often something happens lately, in three words: a count of the present window of time and one of the window before.
//! Pure; moments are arguments.

/// The length of a window, as a power of two: 8.192 s.
const WINDOW_BITS: u32 = 13;
const WINDOW_MS: u64 = 1 << WINDOW_BITS;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Frequency {
    window: u32,
    present: u32,
    before: u32,
}

impl Frequency {
    /// It has happened once more.
    #[inline]
    pub(crate) fn note(&mut self, now_ms: u64) {
        self.turn(now_ms);
        self.present = self.present.saturating_add(1);
    }

    /// How often a second it has happened during the last window's length. What happened in the window before is taken as
    /// spread evenly over it.
    pub(crate) fn per_second(mut self, now_ms: u64) -> f64 {
        self.turn(now_ms);
        let passed = (now_ms % WINDOW_MS) as f64 / WINDOW_MS as f64;
        let count = f64::from(self.before) * (1.0 - passed) + f64::from(self.present);
        count * 1000.0 / WINDOW_MS as f64
    }

    #[inline]
    fn turn(&mut self, now_ms: u64) {
        let window = (now_ms >> WINDOW_BITS) as u32;
        if window != self.window {
            self.before = if self.window.wrapping_add(1) == window { self.present } else { 0 };
            self.present = 0;
            self.window = window;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_is_told_at_every_moment_and_forgotten_after_two_windows() {
        let mut frequency = Frequency::default();
        for ms in (0..100_000).step_by(10) {
            frequency.note(ms);
            if ms > 2 * WINDOW_MS {
                let found = frequency.per_second(ms);
                assert!((found - 100.0).abs() < 1.0, "{found} a second at {ms} ms");
            }
        }
        let half_gone = frequency.per_second(100_000 + WINDOW_MS / 2);
        assert!((10.0..90.0).contains(&half_gone), "{half_gone}");
        assert_eq!(frequency.per_second(100_000 + 2 * WINDOW_MS), 0.0);
        assert_eq!(Frequency::default().per_second(5), 0.0);
    }
}
