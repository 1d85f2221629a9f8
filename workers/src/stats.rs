//! What the operator sees of a worker: its counters and gauges in shared memory, and lines in the log, of each kind one a
//! second at most.

use wsmaster_ipc::shared_state::{Counter, WorkerStats};

use crate::log_limiter::LogLimiter;

/// The counters of a worker and the limit of its log lines.
#[derive(Debug)]
pub(crate) struct Stats {
    cell: WorkerStats,
    log_limiter: LogLimiter,
    /// WebSockets that the application has paused.
    pub(crate) paused_connections: u64,
}

impl Stats {
    /// All counters as they stand in `cell`.
    pub(crate) fn new(cell: WorkerStats) -> Self {
        Self { cell, log_limiter: LogLimiter::default(), paused_connections: 0 }
    }

    /// Adds to a counter.
    #[inline]
    pub(crate) fn add(&self, counter: Counter, count: u64) {
        self.cell.add(counter, count);
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, gauge: Counter, value: u64) {
        self.cell.set(gauge, value);
    }

    /// Takes a counter over that is kept elsewhere.
    pub(crate) fn copy(&self, counter: Counter, value: u64) {
        self.cell.copy(counter, value);
    }

    /// Writes a line about what `counter` counts into the log, once a second at most. What is not written is not formatted
    /// either.
    #[cold]
    pub(crate) fn warn(&mut self, counter: Counter, now_ms: u64, line: impl FnOnce() -> String) {
        match self.log_limiter.admit(counter, now_ms) {
            Some(0) => log::warn!("{}", line()),
            Some(unsaid) => {
                log::warn!("{} (and {unsaid} times more since it was last said)", line());
            }
            None => {}
        }
    }
}
