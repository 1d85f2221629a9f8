//! Lines on their way to a program, which may not read them. Pure: bytes go in and out, and its bound is in bytes.

use std::collections::VecDeque;

/// Lines that wait for a program, the oldest first.
#[derive(Debug)]
pub(super) struct LineQueue {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of the first line that are written already.
    written: usize,
    bytes: usize,
    bytes_max: usize,
    /// Dropped, and the program was not told of it yet.
    dropped: u64,
    /// Dropped, and not counted in shared memory yet.
    uncounted: u64,
    dropped_in_all: u64,
}

impl LineQueue {
    /// A queue that takes events as long as it holds less than this.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            written: 0,
            bytes: 0,
            bytes_max,
            dropped: 0,
            uncounted: 0,
            dropped_in_all: 0,
        }
    }

    /// Adds an event, or counts it as dropped when there is no room. `tell` writes the line that says how many were
    /// dropped; it comes before the next event that has room again. Whether it is added.
    pub(super) fn push_event(
        &mut self,
        line: Vec<u8>,
        tell: impl FnOnce(&mut Vec<u8>, u64),
    ) -> bool {
        if self.bytes + line.len() > self.bytes_max && self.bytes > 0 {
            self.count_dropped(1);
            return false;
        }
        if self.dropped > 0 {
            let mut word = Vec::new();
            tell(&mut word, std::mem::take(&mut self.dropped));
            self.push(word);
        }
        self.push(line);
        true
    }

    /// Events that have no line of their own are counted like dropped ones.
    pub(super) fn count_dropped(&mut self, count: u64) {
        self.dropped += count;
        self.uncounted += count;
        self.dropped_in_all += count;
    }

    /// Adds a line that is not dropped whatever waits: the caller looks at [`Self::is_over`] first.
    pub(super) fn push_kept(&mut self, line: Vec<u8>) {
        self.push(line);
    }

    /// Adds an answer. It has room where an event has none; beyond twice the bound it is dropped and counted as well. The
    /// program's commands are read on all the same: one that writes before it reads would wait for ever.
    pub(super) fn push_answer(&mut self, line: Vec<u8>) {
        if self.bytes + line.len() > 2 * self.bytes_max && self.bytes > 0 {
            self.count_dropped(1);
            return;
        }
        self.push(line);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lines that wait.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether more waits than may.
    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// Whether senders that can wait should: from half of the bound on, and then until it is a quarter.
    pub(super) fn is_filling(&self, wait: bool) -> bool {
        self.bytes >= if wait { self.bytes_max / 4 } else { self.bytes_max / 2 }
    }

    /// Events dropped since the last call.
    pub(super) fn take_uncounted(&mut self) -> u64 {
        std::mem::take(&mut self.uncounted)
    }

    /// Events dropped so far.
    pub(super) fn dropped_in_all(&self) -> u64 {
        self.dropped_in_all
    }

    /// What to write next.
    pub(super) fn front(&self) -> &[u8] {
        self.lines.front().map_or(&[], |line| &line[self.written..])
    }

    /// The program has taken this many bytes of [`Self::front`].
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        self.bytes -= count;
        if self.front().is_empty() {
            self.lines.pop_front();
            self.written = 0;
        }
    }

    fn push(&mut self, line: Vec<u8>) {
        if !line.is_empty() {
            self.bytes += line.len();
            self.lines.push_back(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut LineQueue) -> String {
        let mut text = Vec::new();
        while !queue.is_empty() {
            // A pipe takes what it likes.
            let part = queue.front()[..queue.front().len().min(3)].to_vec();
            queue.wrote(part.len());
            text.extend(part);
        }
        String::from_utf8(text).unwrap()
    }

    fn tell(out: &mut Vec<u8>, count: u64) {
        out.extend_from_slice(format!("({count})").as_bytes());
    }

    #[test]
    fn senders_wait_from_a_half_to_a_quarter_and_what_is_kept_is_kept() {
        let mut queue = LineQueue::new(16);
        queue.push_kept(vec![b'a'; 7]);
        assert!(!queue.is_filling(false) && queue.is_filling(true));
        queue.push_kept(vec![b'b'; 1]);
        assert!(queue.is_filling(false) && !queue.is_over());
        queue.push_kept(vec![b'c'; 9]);
        assert!(queue.is_over());
        assert_eq!((queue.bytes(), queue.len(), queue.dropped_in_all()), (17, 3, 0));
        queue.wrote(7);
        queue.wrote(1);
        queue.wrote(6);
        assert!(!queue.is_filling(true), "3 bytes are left");
    }

    #[test]
    fn what_has_no_room_is_counted_and_told_before_what_has() {
        let mut queue = LineQueue::new(10);
        for line in ["aaaa", "bbbb", "cccc", "dddd"] {
            queue.push_event(line.into(), tell);
        }
        queue.push_answer(b"an answer".to_vec());
        queue.push_answer(b"another".to_vec());
        assert_eq!(drain(&mut queue), "aaaabbbban answer");
        queue.push_event(b"eeee".to_vec(), tell);
        queue.push_event(b"ffff".to_vec(), tell);
        assert_eq!(drain(&mut queue), "(3)eeee");
        assert_eq!(queue.dropped_in_all(), 4);
        queue.push_event(vec![b'x'; 100], tell);
        assert_eq!(
            drain(&mut queue).len(),
            103,
            "one larger than the bound has room when it is alone"
        );
    }
}
