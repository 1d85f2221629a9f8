//! Which of many equal complaints are worth a line in the log: of each kind one in a second. Pure.

use wsmaster_ipc::shared_state::Counter;

/// A complaint is made so often at most.
const INTERVAL_MS: u64 = 1000;

/// When each kind of complaint was made last. A kind is what it is counted as.
#[derive(Debug)]
pub(crate) struct LogLimiter([Kind; Counter::ALL.len()]);

#[derive(Clone, Copy, Debug)]
struct Kind {
    next_ms: u64,
    unsaid: u64,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self([Kind { next_ms: 0, unsaid: 0 }; Counter::ALL.len()])
    }
}

impl LogLimiter {
    /// Whether a complaint is made now; if so, how many of its kind were not made since the last one that was.
    pub(crate) fn admit(&mut self, kind: Counter, now_ms: u64) -> Option<u64> {
        let kind = &mut self.0[kind as usize];
        if now_ms < kind.next_ms {
            kind.unsaid += 1;
            return None;
        }
        kind.next_ms = now_ms + INTERVAL_MS;
        Some(std::mem::take(&mut kind.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_one_in_a_second_is_made_and_the_others_are_counted() {
        let mut complaints = LogLimiter::default();
        let table = [
            (Counter::SlowClosed, 0, Some(0)),
            (Counter::SlowClosed, 1, None),
            (Counter::SlowClosed, 999, None),
            (Counter::RefusedFull, 999, Some(0)),
            (Counter::SlowClosed, 1000, Some(2)),
            (Counter::SlowClosed, 1999, None),
            (Counter::SlowClosed, 9000, Some(1)),
        ];
        for (kind, now_ms, expected) in table {
            assert_eq!(complaints.admit(kind, now_ms), expected, "{kind:?} at {now_ms}");
        }
    }
}
