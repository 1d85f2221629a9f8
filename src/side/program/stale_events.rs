//! Events that were sent to a predecessor of the program and are still in the mailbox. Pure.
//!
//! The program does not know the connections that its predecessor was told of, until the workers tell it of them once more; a
//! message is kept until then. A connection that has both its `open` and its `close` here is passed on as it is. What no
//! worker tells of again is dropped.

use std::collections::HashMap;

use wsmaster_ipc::{ConnectionId, LostConnections};
use wsmaster_protocol::plugin::EventKind;

use super::event_line::EventLine;

/// The events that wait until the program knows the connection.
const WAITING: [EventKind; 3] = [EventKind::Open, EventKind::Message, EventKind::Close];

/// The lines that wait, by their connection.
#[derive(Debug)]
pub(super) struct StaleEvents {
    kept: HashMap<ConnectionId, Vec<(EventKind, Vec<u8>)>>,
    bytes: usize,
    bytes_max: usize,
    dropped: u64,
}

impl StaleEvents {
    /// Keeps `bytes_max` at most, and drops what comes beyond.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: HashMap::new(), bytes: 0, bytes_max, dropped: 0 }
    }

    /// A line that was sent to the predecessor. `tell` gets what the program may read now.
    pub(super) fn take_stale(&mut self, line: EventLine, mut tell: impl FnMut(EventLine)) {
        let Some((kind, id)) = line.subject.filter(|(kind, _)| WAITING.contains(kind)) else {
            // It means the same to every incarnation.
            tell(line);
            return;
        };
        if self.bytes + line.text.len() > self.bytes_max {
            self.dropped += u64::from(kind == EventKind::Message);
            return;
        }
        self.bytes += line.text.len();
        let kept = self.kept.entry(id).or_default();
        kept.push((kind, line.text));
        if kind != EventKind::Close {
            return;
        }
        let is_whole = kept.first().is_some_and(|(kind, _)| *kind == EventKind::Open);
        for (kind, text) in self.forget(id) {
            if is_whole {
                tell(EventLine { subject: Some((kind, id)), text });
            } else {
                self.dropped += u64::from(kind == EventKind::Message);
            }
        }
    }

    /// A line for this program. `tell` gets it, with what had to wait for it.
    pub(super) fn take_present(&mut self, line: EventLine, mut tell: impl FnMut(EventLine)) {
        let subject = line.subject;
        tell(line);
        if self.kept.is_empty() {
            return;
        }
        let Some((EventKind::Open, id)) = subject else { return };
        for (kind, text) in self.forget(id) {
            if kind == EventKind::Message {
                tell(EventLine { subject: Some((kind, id)), text });
            }
        }
    }

    /// These connections have ended with their worker. `end` writes the `close` of one.
    pub(super) fn lose(
        &mut self,
        lost: &LostConnections,
        end: impl Fn(ConnectionId) -> EventLine,
        mut tell: impl FnMut(EventLine),
    ) {
        let gone: Vec<ConnectionId> =
            self.kept.keys().copied().filter(|id| lost.covers(*id)).collect();
        for id in gone {
            let line = end(id);
            if self.bytes + line.text.len() > self.bytes_max {
                let lines = self.forget(id);
                self.dropped +=
                    lines.iter().filter(|(kind, _)| *kind == EventKind::Message).count() as u64;
            } else {
                self.take_stale(line, &mut tell);
            }
        }
    }

    /// Whether something is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Drops what is kept.
    pub(super) fn drop_all(&mut self) {
        let lines = self.kept.values().flatten();
        self.dropped += lines.filter(|(kind, _)| *kind == EventKind::Message).count() as u64;
        self.kept = HashMap::new();
        self.bytes = 0;
    }

    /// How many messages were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn forget(&mut self, id: ConnectionId) -> Vec<(EventKind, Vec<u8>)> {
        let lines = self.kept.remove(&id).unwrap_or_default();
        self.bytes -= lines.iter().map(|(_, line)| line.len()).sum::<usize>();
        lines
    }
}

#[cfg(test)]
mod tests {
    use EventKind::{Close, Message, Open};
    use wsmaster_ipc::Slot;

    use super::*;

    fn id(slot: u16, serial: u64) -> ConnectionId {
        ConnectionId::new(Slot::new(slot).unwrap(), serial).unwrap()
    }

    fn of(kind: EventKind, id: ConnectionId, number: u32) -> EventLine {
        EventLine { subject: Some((kind, id)), text: format!("{number:08}\n").into() }
    }

    fn line(kind: EventKind, serial: u64, number: u32) -> EventLine {
        of(kind, id(0, serial), number)
    }

    fn tick(number: u32) -> EventLine {
        EventLine { subject: None, ..line(Open, 1, number) }
    }

    /// Lines of the predecessor and then of the program, and what it is told, in numbers.
    fn told(old: &[EventLine], new: &[EventLine]) -> (Vec<u32>, u64) {
        let mut stale_events = StaleEvents::new(2_000);
        let mut told = Vec::new();
        let mut tell = |line: EventLine| {
            told.push(String::from_utf8(line.text).unwrap().trim().parse().unwrap());
        };
        old.iter().for_each(|line| stale_events.take_stale(line.clone(), &mut tell));
        new.iter().for_each(|line| stale_events.take_present(line.clone(), &mut tell));
        stale_events.drop_all();
        assert!(stale_events.is_empty() && stale_events.bytes == 0);
        (told, stale_events.take_dropped())
    }

    #[test]
    fn a_message_waits_for_the_open_of_its_connection() {
        let old = [line(Open, 7, 1), line(Message, 7, 2), line(Message, 8, 3), tick(4)];
        let new = [line(Message, 9, 5), line(Open, 8, 6), line(Message, 8, 7), line(Open, 7, 8)];
        assert_eq!(told(&old, &new), (vec![4, 5, 6, 3, 7, 8, 2], 0));
    }

    #[test]
    fn what_does_not_depend_on_the_connection_waits_for_nothing() {
        let old = [line(Message, 7, 1), line(EventKind::Publish, 7, 2)];
        assert_eq!(told(&old, &[line(Open, 7, 3)]), (vec![2, 3, 1], 0));
    }

    #[test]
    fn what_is_over_is_passed_on_when_it_is_whole() {
        let whole = [line(Open, 7, 1), line(Message, 7, 2), line(Close, 7, 3)];
        assert_eq!(told(&whole, &[]), (vec![1, 2, 3], 0));
        let half = [line(Message, 7, 1), line(Message, 7, 2), line(Close, 7, 3)];
        assert_eq!(told(&half, &[]), (vec![], 2));
    }

    #[test]
    fn what_ended_with_its_worker_is_told_when_it_is_whole() {
        let (whole, half, other) = (id(1, 5), id(1, 6), id(2, 5));
        let mut stale_events = StaleEvents::new(10_000);
        for line in
            [of(Open, whole, 1), of(Message, whole, 2), of(Message, half, 3), of(Message, other, 4)]
        {
            stale_events.take_stale(line, |_| panic!("not yet"));
        }
        let mut told = Vec::new();
        let lost = LostConnections { worker: whole.slot(), first: 1, end: 10 };
        stale_events.lose(&lost, |id| of(Close, id, 9), |line| told.push(line));
        let expected = [of(Open, whole, 1), of(Message, whole, 2), of(Close, whole, 9)];
        assert_eq!(told, expected);
        assert_eq!((stale_events.take_dropped(), stale_events.kept.len()), (1, 1));
    }

    #[test]
    fn what_no_worker_tells_of_again_is_dropped_and_so_is_what_has_no_room() {
        assert_eq!(told(&[line(Message, 7, 1), line(Open, 8, 2)], &[]), (vec![], 1));
        let many: Vec<EventLine> = (0..1000).map(|number| line(Message, 7, number)).collect();
        let (told, dropped) = told(&many, &[line(Open, 7, 1000)]);
        assert_eq!(told.len() as u64 + dropped, 1001);
        assert!(told.len() > 100 && dropped > 100);
        assert_eq!(told[..3], [1000, 0, 1]);
    }
}
