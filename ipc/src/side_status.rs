//! What a side process shows of itself in shared memory: whether it lives, whether it takes more, and what it counts.
//!
//! Each word has one writer: the master tells of life and death, the process in the seat of all else. Readers may see a
//! moment that is over. What it counts outlives the process, as its mailbox does.

use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::counter::SideCounter;
use crate::{
    id::Address,
    layout::{mailbox, side_status as word},
    shared_state::SharedState,
};

/// One life of a side process after the other: each fork is a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incarnation {
    /// Which life it is, or was last; 0 before the first.
    pub number: u64,
    /// Whether it goes on.
    pub is_alive: bool,
}

/// Who decides about the handshakes of a program that is an application.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u64)]
pub enum Decider {
    /// It is not known yet: its host is asked, and answers when the program has said what it handles.
    #[default]
    Unknown,
    /// The program does.
    Program,
    /// Nobody has to: everybody is accepted.
    Nobody,
}

/// The words of one side process. Clones share them.
#[derive(Clone, Debug)]
pub struct SideStatus {
    shared_state: SharedState,
    address: Address,
}

impl SideStatus {
    /// Of the side process with this mailbox.
    pub fn of(shared_state: &SharedState, mailbox: Address) -> Self {
        Self { shared_state: shared_state.clone(), address: mailbox }
    }

    /// The present life. A process that is being started counts as living: what is sent to it waits.
    pub fn incarnation(&self) -> Incarnation {
        let word = self.read_word(word::INCARNATION);
        Incarnation { number: word >> 1, is_alive: word & 1 == 1 }
    }

    /// A life begins, unless one goes on. For the master.
    pub fn begin_incarnation(&self) {
        let incarnation = self.incarnation();
        if !incarnation.is_alive {
            self.write_word(word::INCARNATION, (incarnation.number + 1) << 1 | 1);
        }
    }

    /// Takes all that was counted back to zero: the seat is somebody else's now. For the master, while nobody is in it.
    pub fn clear_counters(&self) {
        for (counter, _) in SideCounter::ALL {
            self.set(counter, 0);
        }
    }

    /// The life is over, and what it said of its queue with it. For the master.
    pub fn end_incarnation(&self) {
        self.write_word(word::INCARNATION, self.incarnation().number << 1);
        self.set_full(false);
        self.set_decider(Decider::Unknown);
        self.set(SideCounter::QueuedBytes, 0);
        self.set(SideCounter::OpenQuestions, 0);
    }

    /// Whether the process wants to be sent nothing now that can wait.
    pub fn is_full(&self) -> bool {
        self.read_word(word::FULL) != 0
    }

    /// Says whether it does. For the process.
    pub fn set_full(&self, full: bool) {
        self.write_word(word::FULL, u64::from(full));
    }

    /// Who decides about handshakes in this life.
    pub fn decider(&self) -> Decider {
        match self.read_word(word::DECIDER) {
            word if word == Decider::Program as u64 => Decider::Program,
            word if word == Decider::Nobody as u64 => Decider::Nobody,
            _ => Decider::Unknown,
        }
    }

    /// Says who does. For the process.
    pub fn set_decider(&self, decider: Decider) {
        self.write_word(word::DECIDER, decider as u64);
    }

    /// Adds to a counter. For the process.
    pub fn add(&self, counter: SideCounter, amount: u64) {
        self.set(counter, self.read(counter) + amount);
    }

    /// Sets a gauge. For the process.
    pub fn set(&self, gauge: SideCounter, value: u64) {
        self.write_word(word::COUNTERS + gauge as usize, value);
    }

    /// Reads a counter.
    pub fn read(&self, counter: SideCounter) -> u64 {
        self.read_word(word::COUNTERS + counter as usize)
    }

    fn read_word(&self, word: usize) -> u64 {
        self.word(word).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn write_word(&self, word: usize, value: u64) {
        if let Some(word) = self.word(word) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn word(&self, word: usize) -> Option<&AtomicU64> {
        self.shared_state.mailbox_words(self.address)?[mailbox::SIDE_STATUS..].get(word)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shared_state::SerialClock;

    #[test]
    fn incarnations_are_numbered_and_processes_do_not_share_words() {
        let clock = SerialClock::new(5, Duration::from_secs(1 << 30));
        let shared_state = SharedState::new(1, 3, clock, 0).unwrap();
        let (one, other) =
            (SideStatus::of(&shared_state, Address(1)), SideStatus::of(&shared_state, Address(2)));
        assert_eq!(one.incarnation(), Incarnation { number: 0, is_alive: false });
        one.begin_incarnation();
        one.begin_incarnation();
        assert_eq!(one.incarnation(), Incarnation { number: 1, is_alive: true });
        one.set_full(true);
        one.add(SideCounter::QueuedBytes, 7);
        one.add(SideCounter::DroppedEvents, 7);
        shared_state.add_attached(Address(1), 5);
        one.end_incarnation();
        assert_eq!(one.incarnation(), Incarnation { number: 1, is_alive: false });
        assert!(!one.is_full());
        assert_eq!(
            (one.read(SideCounter::QueuedBytes), one.read(SideCounter::DroppedEvents)),
            (0, 7)
        );
        one.begin_incarnation();
        assert_eq!(one.incarnation().number, 2);
        assert_eq!(shared_state.attached_bytes(Address(1)), 5);
        assert_eq!((other.incarnation().number, other.read(SideCounter::DroppedEvents)), (0, 0));
        let nobody = SideStatus::of(&shared_state, Address(3));
        nobody.begin_incarnation();
        assert_eq!(nobody.incarnation(), Incarnation { number: 0, is_alive: false });
    }
}
