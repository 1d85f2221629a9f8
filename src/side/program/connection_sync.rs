//! A program that was started again reads first which connections it has, from all workers, and then what happens on them.
//! Pure.

use wsmaster_ipc::Slot;
use wsmaster_protocol::plugin::EventKind;

use super::event_line::EventLine;

/// What waits until every worker has told of its connections.
#[derive(Debug)]
pub(super) struct ConnectionSync {
    /// The workers that have not yet.
    missing: Vec<Slot>,
    later: Vec<Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

impl ConnectionSync {
    /// Waits for these workers, with so many bytes of other lines at most; then it waits no longer.
    pub(super) fn of(workers: impl IntoIterator<Item = Slot>, bytes_max: usize) -> Self {
        Self { missing: workers.into_iter().collect(), later: Vec::new(), bytes: 0, bytes_max }
    }

    /// Whether a worker is missing.
    pub(super) fn is_waiting(&self) -> bool {
        !self.missing.is_empty()
    }

    /// A line for the program: an `open` is passed on at once, others wait.
    pub(super) fn pass(&mut self, line: EventLine, mut tell: impl FnMut(Vec<u8>)) {
        let opens = matches!(line.subject, Some((EventKind::Open, _)));
        if self.missing.is_empty() || opens {
            tell(line.text);
            return;
        }
        self.bytes += line.text.len();
        self.later.push(line.text);
        if self.bytes > self.bytes_max {
            self.end(tell);
        }
    }

    /// This worker has told of all its connections.
    pub(super) fn worker_synced(&mut self, worker: Slot, tell: impl FnMut(Vec<u8>)) {
        self.missing.retain(|missing| *missing != worker);
        if self.missing.is_empty() {
            self.end(tell);
        }
    }

    /// Waits for no worker any more.
    pub(super) fn end(&mut self, tell: impl FnMut(Vec<u8>)) {
        self.missing = Vec::new();
        self.bytes = 0;
        std::mem::take(&mut self.later).into_iter().for_each(tell);
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::ConnectionId;

    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    fn line(kind: EventKind, serial: u64) -> EventLine {
        let id = ConnectionId::new(slot(0), serial).unwrap();
        EventLine { subject: Some((kind, id)), text: format!("{} {serial}\n", kind.name()).into() }
    }

    #[test]
    fn events_wait_for_the_last_worker() {
        let mut sync = ConnectionSync::of([slot(0), slot(1)], 1000);
        let mut told = Vec::new();
        sync.pass(line(EventKind::Message, 1), |line| told.push(line));
        sync.pass(line(EventKind::Open, 2), |line| told.push(line));
        sync.worker_synced(slot(1), |line| told.push(line));
        sync.worker_synced(slot(1), |line| told.push(line));
        sync.pass(line(EventKind::Close, 2), |line| told.push(line));
        assert_eq!(told, [b"open 2\n"]);
        assert!(sync.is_waiting());
        sync.worker_synced(slot(0), |line| told.push(line));
        sync.pass(line(EventKind::Message, 3), |line| told.push(line));
        let expected = [&b"open 2\n"[..], b"message 1\n", b"close 2\n", b"message 3\n"];
        assert_eq!(told, expected);
        assert!(!sync.is_waiting());
    }

    #[test]
    fn it_has_a_bound() {
        let mut sync = ConnectionSync::of([slot(0)], 40);
        let mut told = 0;
        for _ in 0..10 {
            sync.pass(line(EventKind::Message, 1), |_| told += 1);
        }
        assert_eq!(told, 10);
        assert!(!sync.is_waiting());
    }
}
