//! Where each number stands in the [shared state](crate::shared_state): the offsets and sizes of all its parts, in words of 64 bits,
//! and the header by which a process knows memory that was laid out otherwise.
//!
//! ```text
//! memory  := header slot* mailbox*
//! slot    := serial number, reserved, the counters of 8 processes, a bit for each hash of a channel's name
//! mailbox := attached bytes, task slot, status of the side process
//! ```
//! Whoever changes what a word means without changing its name or place raises [`VERSION`].

use crate::{
    counter::{Counter, SideCounter},
    id::{Address, Slot},
};

/// The first word of the memory.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"wsmaster");
/// The version of this layout.
pub(crate) const VERSION: u64 = 1;

/// The words of the header.
pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const FINGERPRINT: usize = 2;
    /// How many slots there are in the low 16 bits, how many mailboxes in the next 16.
    pub(crate) const SIZES: usize = 3;
    pub(crate) const CLOCK_START: usize = 4;
    pub(crate) const CLOCK_STARTED_MS: usize = 5;
    pub(crate) const HASH_SEED: usize = 6;
    pub(crate) const LOST_LOG_LINES: usize = 7;
    pub(super) const WORDS: usize = 8;
}

/// The words of a slot.
pub(crate) mod slot {
    pub(crate) const SERIAL: usize = 0;
    pub(super) const STATS: usize = 8;
    pub(crate) const STATS_WORDS: usize = 64;
    /// More than the processes that may live in a slot at a time: the current one and those that are leaving.
    pub(crate) const PROCESSES: usize = 8;
    pub(crate) const INTEREST: usize = STATS + PROCESSES * STATS_WORDS;
    pub(crate) const INTEREST_BITS: usize = 1 << 16;
    pub(crate) const INTEREST_WORDS: usize = INTEREST_BITS / 64;
    pub(crate) const WORDS: usize = INTEREST + INTEREST_WORDS;

    /// Where the counters of a process of the slot begin.
    pub(crate) const fn stats(process: usize) -> usize {
        STATS + process % PROCESSES * STATS_WORDS
    }
}

/// The words of a mailbox.
pub(crate) mod mailbox {
    pub(crate) const ATTACHED: usize = 0;
    pub(crate) const TASK_SLOT: usize = 1;
    pub(crate) const SIDE_STATUS: usize = TASK_SLOT + super::task_slot::WORDS;
    pub(super) const WORDS: usize = SIDE_STATUS + super::side_status::WORDS;
}

/// The words of a [`TaskSlot`](crate::task_slot::TaskSlot).
pub(crate) mod task_slot {
    pub(crate) const WAITING: usize = 0;
    /// The mailbox that waits for the task in the slot, and 1; 0 when there is none.
    pub(crate) const ASKER: usize = 1;
    pub(crate) const REQUEST: usize = 2;
    pub(crate) const DONE: usize = 3;
    pub(crate) const FAILED: usize = 4;
    pub(crate) const DIED: usize = 5;
    pub(crate) const WORDS: usize = 6;
}

/// The words of a [`SideStatus`](crate::side_status::SideStatus).
pub(crate) mod side_status {
    pub(crate) const INCARNATION: usize = 0;
    pub(crate) const FULL: usize = 1;
    pub(crate) const DECIDER: usize = 2;
    pub(crate) const COUNTERS: usize = 3;
    pub(crate) const WORDS: usize = 12;
}

const _: () = assert!(Counter::ALL.len() <= slot::STATS_WORDS);
const _: () = assert!(side_status::COUNTERS + SideCounter::ALL.len() <= side_status::WORDS);

/// Words of the memory of a server with so many slots and mailboxes.
pub(crate) fn words(slots: u16, mailboxes: u16) -> usize {
    header::WORDS + usize::from(slots) * slot::WORDS + usize::from(mailboxes) * mailbox::WORDS
}

/// The words of a slot.
pub(crate) fn slot_words(number: Slot) -> std::ops::Range<usize> {
    let start = header::WORDS + usize::from(number.number()) * slot::WORDS;
    start..start + slot::WORDS
}

/// The words of a mailbox of a server with so many slots.
pub(crate) fn mailbox_words(slots: u16, address: Address) -> std::ops::Range<usize> {
    let start = words(slots, address.0);
    start..start + mailbox::WORDS
}

/// A hash (FNV-1a, 64 bits) of all names of counters in their order and of all sizes: the same in two programs that read the
/// same numbers at the same places.
pub(crate) const FINGERPRINT: u64 = fingerprint();

const fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let sizes = [
        header::WORDS,
        slot::STATS_WORDS,
        slot::PROCESSES,
        slot::INTEREST_WORDS,
        slot::WORDS,
        task_slot::WORDS,
        side_status::COUNTERS,
        side_status::WORDS,
    ];
    let mut number = 0;
    while number < sizes.len() {
        hash = hashed(hash, &(sizes[number] as u64).to_le_bytes());
        number += 1;
    }
    number = 0;
    while number < Counter::ALL.len() {
        hash = hashed(hash, Counter::ALL[number].1.as_bytes());
        number += 1;
    }
    number = 0;
    while number < SideCounter::ALL.len() {
        hash = hashed(hash, SideCounter::ALL[number].1.as_bytes());
        number += 1;
    }
    hash
}

/// `hash` continued over these bytes and an end, which is in no name.
const fn hashed(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut number = 0;
    while number <= bytes.len() {
        let byte = if number < bytes.len() { bytes[number] } else { 0xff };
        hash = (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3);
        number += 1;
    }
    hash
}
