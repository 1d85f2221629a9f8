//! What an application finds in its mailbox that was meant for its predecessor, put right before it hears of it. Pure.
//!
//! The predecessor was told which connections it has, and this program is told of them once more; a message is kept until
//! then. What begins and ends among the leftovers is passed on as it is. What nobody speaks of again is dropped.

use std::collections::HashMap;

use wsmaster_ipc::ConnectionId;
use wsmaster_protocol::plugin::{self, EventKind, Lost};

/// See the module.
#[derive(Debug)]
pub(super) struct Leftovers {
    kept: HashMap<u64, Vec<(EventKind, Vec<u8>)>>,
    bytes: usize,
    bytes_max: usize,
    dropped: u64,
}

impl Leftovers {
    /// None yet. It keeps `bytes_max` at most, and drops what comes beyond.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: HashMap::new(), bytes: 0, bytes_max, dropped: 0 }
    }

    /// A line that was meant for the predecessor. `tell` gets what the program may be told now.
    pub(super) fn take_old(&mut self, line: Vec<u8>, mut tell: impl FnMut(Vec<u8>)) {
        let Some((kind, connection)) = plugin::about(&line) else {
            // It means the same to everybody.
            tell(line);
            return;
        };
        if self.bytes + line.len() > self.bytes_max {
            self.dropped += u64::from(kind == EventKind::Message);
            return;
        }
        self.bytes += line.len();
        let kept = self.kept.entry(connection).or_default();
        kept.push((kind, line));
        if kind != EventKind::Close {
            return;
        }
        let is_whole = kept.first().is_some_and(|(kind, _)| *kind == EventKind::Open);
        for (kind, line) in self.forget(connection) {
            if is_whole {
                tell(line);
            } else {
                self.dropped += u64::from(kind == EventKind::Message);
            }
        }
    }

    /// A line for this program. `tell` gets it, with what had to wait for it.
    pub(super) fn take_new(&mut self, line: Vec<u8>, mut tell: impl FnMut(Vec<u8>)) {
        if self.kept.is_empty() {
            tell(line);
            return;
        }
        let about = plugin::about(&line);
        tell(line);
        let Some((EventKind::Open, connection)) = about else { return };
        for (kind, line) in self.forget(connection) {
            if kind == EventKind::Message {
                tell(line);
            }
        }
    }

    /// These connections have ended with their worker. `end` writes the line that tells of it.
    pub(super) fn lose(
        &mut self,
        lost: &Lost,
        end: impl Fn(ConnectionId) -> Vec<u8>,
        mut tell: impl FnMut(Vec<u8>),
    ) {
        let ids = self.kept.keys().filter_map(|number| ConnectionId::try_from(*number).ok());
        let gone: Vec<ConnectionId> =
            ids.filter(|id| lost.covers(id.slot().number(), id.serial())).collect();
        for id in gone {
            let line = end(id);
            if self.bytes + line.len() > self.bytes_max {
                let lines = self.forget(id.as_u64());
                self.dropped +=
                    lines.iter().filter(|(kind, _)| *kind == EventKind::Message).count() as u64;
            } else {
                self.take_old(line, &mut tell);
            }
        }
    }

    /// Whether something is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Drops what is kept.
    pub(super) fn give_up(&mut self) {
        let lines = self.kept.values().flatten();
        self.dropped += lines.filter(|(kind, _)| *kind == EventKind::Message).count() as u64;
        self.kept = HashMap::new();
        self.bytes = 0;
    }

    /// How many messages were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn forget(&mut self, connection: u64) -> Vec<(EventKind, Vec<u8>)> {
        let lines = self.kept.remove(&connection).unwrap_or_default();
        self.bytes -= lines.iter().map(|(_, line)| line.len()).sum::<usize>();
        lines
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::Slot;

    use super::*;

    fn line(kind: &str, connection: u64, number: u32) -> Vec<u8> {
        format!("{{\"event\":\"{kind}\",\"connection\":{connection},\"n\":{number}}}\n")
            .into_bytes()
    }

    /// Lines of the predecessor and then of the program, and what it is told, in numbers.
    fn told(old: &[Vec<u8>], new: &[Vec<u8>]) -> (Vec<u32>, u64) {
        let mut leftovers = Leftovers::new(10_000);
        let mut told = Vec::new();
        let mut tell = |line: Vec<u8>| {
            let text = String::from_utf8(line).unwrap();
            let number = text.rsplit(':').next().unwrap().trim_end_matches("}\n");
            told.push(number.parse().unwrap());
        };
        old.iter().for_each(|line| leftovers.take_old(line.clone(), &mut tell));
        new.iter().for_each(|line| leftovers.take_new(line.clone(), &mut tell));
        leftovers.give_up();
        assert!(leftovers.is_empty() && leftovers.bytes == 0);
        (told, leftovers.take_dropped())
    }

    #[test]
    fn a_message_waits_for_the_word_of_its_connection() {
        let old =
            [line("open", 7, 1), line("message", 7, 2), line("message", 8, 3), line("tick", 0, 4)];
        let new =
            [line("message", 9, 5), line("open", 8, 6), line("message", 8, 7), line("open", 7, 8)];
        assert_eq!(told(&old, &new), (vec![4, 5, 6, 3, 7, 8, 2], 0));
    }

    #[test]
    fn what_is_over_is_passed_on_when_it_is_whole() {
        let whole = [line("open", 7, 1), line("message", 7, 2), line("close", 7, 3)];
        assert_eq!(told(&whole, &[]), (vec![1, 2, 3], 0));
        let half = [line("message", 7, 1), line("message", 7, 2), line("close", 7, 3)];
        assert_eq!(told(&half, &[]), (vec![], 2));
    }

    #[test]
    fn what_ended_with_its_worker_is_told_when_it_is_whole() {
        let id = |slot, serial| ConnectionId::new(Slot::new(slot).unwrap(), serial).unwrap();
        let of = |kind, id: ConnectionId, number| line(kind, id.as_u64(), number);
        let (whole, half, other) = (id(1, 5), id(1, 6), id(2, 5));
        let mut leftovers = Leftovers::new(10_000);
        for line in [
            of("open", whole, 1),
            of("message", whole, 2),
            of("message", half, 3),
            of("message", other, 4),
        ] {
            leftovers.take_old(line, |_| panic!("not yet"));
        }
        let mut told = Vec::new();
        let lost = Lost { worker: 1, first: 1, end: 10 };
        leftovers.lose(&lost, |id| of("close", id, 9), |line| told.push(line));
        let expected = [of("open", whole, 1), of("message", whole, 2), of("close", whole, 9)];
        assert_eq!(told, expected);
        assert_eq!((leftovers.take_dropped(), leftovers.kept.len()), (1, 1));
    }

    #[test]
    fn what_nobody_speaks_of_again_is_dropped_and_so_is_what_has_no_room() {
        assert_eq!(told(&[line("message", 7, 1), line("open", 8, 2)], &[]), (vec![], 1));
        let many: Vec<Vec<u8>> = (0..1000).map(|number| line("message", 7, number)).collect();
        let (told, dropped) = told(&many, &[line("open", 7, 1000)]);
        assert_eq!(told.len() as u64 + dropped, 1001);
        assert!(told.len() > 100 && dropped > 100);
        assert_eq!(told[..3], [1000, 0, 1]);
    }
}
