//! The word that a worker has ended, from the master to the hosts of programs. It goes no further: a host makes of it what its
//! program has to be told.

use serde::Serialize;

/// A process of a worker's place has ended, and these connections with it: those with the number of the worker and a serial
/// number from `first` on and below `end`. The others are of processes that live: a predecessor that finishes, a successor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// The number of the worker.
    pub worker: u16,
    /// The first serial number that was its to give.
    pub first: u64,
    /// The first serial number that was no longer its to give.
    pub end: u64,
}

impl Lost {
    /// Whether a connection with this worker and serial number is one of them.
    pub fn covers(&self, worker: u16, serial: u64) -> bool {
        worker == self.worker && (self.first..self.end).contains(&serial)
    }

    /// Writes the word.
    pub fn write(&self, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Line {
            event: &'static str,
            worker: u16,
            first: u64,
            end: u64,
        }
        let Self { worker, first, end } = *self;
        super::event::line(out, &Line { event: "lost", worker, first, end });
    }

    /// Reads a line of [`Self::write`]; `None` for any other line.
    pub fn read(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"event\":\"lost\",\"worker\":")?;
        let rest = std::str::from_utf8(rest.strip_suffix(b"}\n")?).ok()?;
        let (worker, rest) = rest.split_once(",\"first\":")?;
        let (first, end) = rest.split_once(",\"end\":")?;
        let (worker, first) = (worker.parse().ok()?, first.parse().ok()?);
        Some(Self { worker, first, end: end.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_comes_back_and_no_other_line_is_one() {
        let lost = Lost { worker: 1023, first: 7, end: u64::MAX };
        let mut line = Vec::new();
        lost.write(&mut line);
        assert_eq!(Lost::read(&line), Some(lost));
        assert_eq!(Lost::read(b"{\"event\":\"lost\",\"worker\":1}\n"), None);
        assert_eq!(
            Lost::read(b"{\"event\":\"message\",\"connection\":1,\"text\":\"lost\"}\n"),
            None
        );
        assert!(lost.covers(1023, 7) && !lost.covers(1023, 6) && !lost.covers(1, 7));
    }
}
