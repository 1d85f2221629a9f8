//! A program that was started again hears first which connections it has, of all workers, and then what they say. Pure.

use wsmaster_protocol::plugin::{self, EventKind};

/// What waits until every worker has introduced its connections.
#[derive(Debug)]
pub(super) struct Introductions {
    /// The workers that have not.
    missing: Vec<u16>,
    later: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

impl Introductions {
    /// Waits for these workers, with so many bytes of other lines at most; then it waits no longer.
    pub(super) fn of(workers: impl IntoIterator<Item = u16>, bytes_max: usize) -> Self {
        Self { missing: workers.into_iter().collect(), later: Vec::new(), bytes: 0, bytes_max }
    }

    /// Whether somebody is missing.
    pub(super) fn are_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// A line for the program, which is told at once if it introduces somebody.
    pub(super) fn pass(&mut self, line: Vec<u8>, mut tell: impl FnMut(Vec<u8>)) {
        let opens = || matches!(plugin::about(&line), Some((EventKind::Open, _)));
        if self.missing.is_empty() || opens() {
            tell(line);
            return;
        }
        self.bytes += line.len();
        self.later.push(line);
        if self.bytes > self.bytes_max {
            self.end(tell);
        }
    }

    /// This worker has introduced all of its connections.
    pub(super) fn come_from(&mut self, worker: u16, tell: impl FnMut(Vec<u8>)) {
        self.missing.retain(|missing| *missing != worker);
        if self.missing.is_empty() {
            self.end(tell);
        }
    }

    /// Nobody is waited for any more.
    pub(super) fn end(&mut self, tell: impl FnMut(Vec<u8>)) {
        self.missing = Vec::new();
        self.bytes = 0;
        std::mem::take(&mut self.later).into_iter().for_each(tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, connection: u64) -> Vec<u8> {
        format!("{{\"event\":\"{kind}\",\"connection\":{connection}}}\n").into_bytes()
    }

    #[test]
    fn what_is_said_waits_for_the_last_introduction() {
        let mut introductions = Introductions::of([0, 1], 1000);
        let mut told = Vec::new();
        introductions.pass(line("message", 1), |line| told.push(line));
        introductions.pass(line("open", 2), |line| told.push(line));
        introductions.come_from(1, |line| told.push(line));
        introductions.come_from(1, |line| told.push(line));
        introductions.pass(line("close", 2), |line| told.push(line));
        assert_eq!(told, [line("open", 2)]);
        assert!(introductions.are_missing());
        introductions.come_from(0, |line| told.push(line));
        introductions.pass(line("message", 3), |line| told.push(line));
        let expected = [line("open", 2), line("message", 1), line("close", 2), line("message", 3)];
        assert_eq!(told, expected);
        assert!(!introductions.are_missing());
    }

    #[test]
    fn it_has_a_bound() {
        let mut introductions = Introductions::of([0], 100);
        let mut told = 0;
        for _ in 0..10 {
            introductions.pass(line("message", 1), |_| told += 1);
        }
        assert_eq!(told, 10);
        assert!(!introductions.are_missing());
    }
}
