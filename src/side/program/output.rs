//! What a program prints, on its way to the log: line by line, with a limit of lines per second.

use std::{os::fd::OwnedFd, time::Duration};

use wsmaster_ipc::{Moment, sys::clock};

use super::line_reader::{LineReader, Taken};

/// The longest line that goes to the log whole.
const LINE_BYTES_MAX: usize = 4096;
/// Lines that go to the log in one [`PERIOD`]; more are counted.
const LINES_PER_PERIOD_MAX: u32 = 250;
const PERIOD: Duration = Duration::from_secs(1);
/// What is kept of the last line, in bytes.
const LAST_LINE_BYTES_MAX: usize = 512;
/// Bytes read in one turn.
const READ_BYTES_PER_TURN_MAX: usize = 256 * 1024;

/// The stdout or the stderr of a program.
pub(super) struct Output {
    pipe: LineReader,
    budget: Budget,
    last: Option<Vec<u8>>,
}

struct Budget {
    level: log::Level,
    since: Moment,
    lines: u32,
    dropped: u64,
}

impl Output {
    pub(super) fn new(end: OwnedFd, level: log::Level) -> Self {
        Self { pipe: LineReader::new(end, LINE_BYTES_MAX), budget: Budget::new(level), last: None }
    }

    /// There may be something to read.
    pub(super) fn wake(&mut self) {
        self.pipe.wake();
    }

    /// Whether there may be something to read.
    pub(super) fn is_readable(&self) -> bool {
        self.pipe.is_readable()
    }

    /// Reads what is there, as much as one turn may.
    pub(super) fn read(&mut self) {
        let mut buffer = vec![0; 16 * 1024];
        let mut left = READ_BYTES_PER_TURN_MAX;
        while left > 0 {
            let Self { pipe, budget, last } = self;
            let mut take = |line: &[u8]| {
                keep(last, line);
                budget.write(line);
            };
            match pipe.read(&mut buffer, &mut take) {
                Taken::Bytes(count) => left = left.saturating_sub(count),
                Taken::TooLong(count) => {
                    left = left.saturating_sub(count);
                    budget.write(b"(output line too long, not logged)");
                }
                Taken::Nothing => return,
                Taken::End => {
                    let rest = pipe.rest();
                    if !rest.is_empty() {
                        take(&rest);
                    }
                    return;
                }
            }
        }
    }

    /// Keeps the last line from now on, or no longer.
    pub(super) fn keep_last(&mut self, keeps: bool) {
        self.last = keeps.then(Vec::new);
    }

    /// The last line that is not blank, shortened, if it is kept.
    pub(super) fn last(&self) -> Option<String> {
        let last = self.last.as_ref().filter(|last| !last.is_empty())?;
        Some(String::from_utf8_lossy(last).into_owned())
    }

    /// When to log how many lines were dropped, if none is printed before.
    pub(super) fn next(&self) -> Option<Moment> {
        (self.budget.dropped > 0).then(|| self.budget.since + PERIOD)
    }

    /// Logs how many lines were dropped.
    pub(super) fn tell_dropped(&mut self) {
        self.budget.tell_dropped();
    }
}

fn keep(last: &mut Option<Vec<u8>>, line: &[u8]) {
    let Some(last) = last else { return };
    let line = line.trim_ascii();
    if !line.is_empty() {
        last.clear();
        last.extend_from_slice(line.get(..LAST_LINE_BYTES_MAX).unwrap_or(line));
    }
}

impl Budget {
    fn new(level: log::Level) -> Self {
        Self { level, since: clock::now(), lines: 0, dropped: 0 }
    }

    fn write(&mut self, line: &[u8]) {
        if (clock::now() - self.since) >= PERIOD {
            self.tell_dropped();
            *self = Self::new(self.level);
        }
        if self.lines >= LINES_PER_PERIOD_MAX {
            self.dropped += 1;
            return;
        }
        self.lines += 1;
        log::log!(self.level, "{}", String::from_utf8_lossy(line));
    }

    fn tell_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            log::warn!(
                "{dropped} output lines not logged: more than {LINES_PER_PERIOD_MAX} a second"
            );
        }
    }
}
