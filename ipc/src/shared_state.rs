//! The memory that all processes of a server share: small, fixed, made of atomic words.
//!
//! It holds three things for each slot, and nothing that a reader has to trust:
//! - the slot's **serial numbers**, which outlive its workers;
//! - its **cells** of counters, one for each of the processes that may live in a slot during reloads. A cell has one
//!   writer: its process. Readers may see a number that is a moment old, never a torn one;
//! - its **interest**: one bit for each hash of a channel name that has a subscriber on this worker. A publisher sends
//!   to the workers whose bit is set. A false positive costs one packet; there are no false negatives, since a
//!   subscription is answered after its bit is set.
//!
//! For each mailbox it counts the bytes of attached bodies that wait in it, and shows what a task process is at
//! ([`crate::task_slot`]). Of the side process that a mailbox belongs to it shows whether it lives, whether it takes more, and what it
//! counts ([`SideStatus`]). For all processes together it counts the lines of the log that could not be
//! written.
//!
//! It never holds a lock: a process may be killed between any two instructions.

use std::{
    hash::Hasher,
    io,
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustc_hash::FxHasher;

pub use crate::counter::Counter;
use crate::{
    id::{Address, ConnectionId, SERIAL_MAX, SLOTS_MAX, Slot},
    side_status::SideStatus,
    sys::memory::SharedWords,
};

/// Bits of interest for each slot.
const INTEREST_BITS: usize = 1 << 16;
const INTEREST_WORDS: usize = INTEREST_BITS / 64;
const SERIAL_WORD: usize = 0;
const SLOT_HEAD_WORDS: usize = 8;
const CELL_WORDS: usize = 64;
/// More than the processes that may live in a slot at a time: the current one and those that are leaving.
pub const CELLS: usize = 8;
const SLOT_WORDS: usize = SLOT_HEAD_WORDS + CELLS * CELL_WORDS + INTEREST_WORDS;

/// For each mailbox: the bytes attached, a task slot, and the cell of its side process.
const MAILBOX_WORDS: usize = TASK_SLOT_WORD + crate::task_slot::WORDS + SIDE_WORDS;
const ATTACHED_WORD: usize = 0;
const TASK_SLOT_WORD: usize = 1;
const SIDE_WORD: usize = TASK_SLOT_WORD + crate::task_slot::WORDS;
/// Words of a [`SideStatus`](crate::side_status::SideStatus).
pub(crate) const SIDE_WORDS: usize = 12;

const _: () = assert!(Counter::ALL.len() <= CELL_WORDS);

/// The shared memory of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedState {
    memory: Arc<SharedWords>,
    slots: u16,
    mailboxes: u16,
    clock: SerialClock,
    hash_seed: u64,
}

impl SharedState {
    /// A shared state for this many slots and mailboxes, whose serial numbers begin where the clock stands.
    ///
    /// # Errors
    /// More than [`SLOTS_MAX`] slots, or out of memory.
    pub fn new(slots: u16, mailboxes: u16, clock: SerialClock, hash_seed: u64) -> io::Result<Self> {
        if slots == 0 || slots > SLOTS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let words = usize::from(slots) * SLOT_WORDS + usize::from(mailboxes) * MAILBOX_WORDS + 1;
        let memory = Arc::new(SharedWords::zeroed(words)?);
        let shared_state = Self { memory, slots, mailboxes, clock, hash_seed };
        for number in 0..slots {
            shared_state.word(number, SERIAL_WORD).store(clock.start, Ordering::Relaxed);
        }
        Ok(shared_state)
    }

    /// How many slots it has.
    pub fn slots(&self) -> u16 {
        self.slots
    }

    /// The descriptor of the memory, for a child that is to keep it.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }

    /// The next connection id of a slot, or `None` while the slot's serial numbers would run ahead of the clock: then no
    /// connection may be accepted for a moment. Only the worker that accepts for the slot may call it.
    pub fn next_id(&self, slot: Slot, now: Instant) -> Option<ConnectionId> {
        let word = self.word(slot.number(), SERIAL_WORD);
        let serial = word.load(Ordering::Relaxed) + 1;
        if serial > self.clock.tick(now) {
            return None;
        }
        word.store(serial, Ordering::Relaxed);
        ConnectionId::new(slot, serial)
    }

    /// The serial number of the last id of a slot.
    pub fn last_serial(&self, slot: Slot) -> u64 {
        self.word(slot.number(), SERIAL_WORD).load(Ordering::Relaxed)
    }

    /// Whether [`Self::next_id`] would give one.
    pub fn has_id(&self, slot: Slot, now: Instant) -> bool {
        self.word(slot.number(), SERIAL_WORD).load(Ordering::Relaxed) < self.clock.tick(now)
    }

    /// The counters of one process of a slot. `generation` counts the processes of the slot; they take turns in the cells.
    pub fn worker_stats(&self, slot: Slot, generation: u64) -> WorkerStats {
        let start = SLOT_HEAD_WORDS + (generation as usize % CELLS) * CELL_WORDS;
        WorkerStats { shared_state: self.clone(), slot: slot.number(), start }
    }

    /// A gauge summed over the living cells of all slots: an estimate that is a moment old.
    pub fn total(&self, gauge: Counter) -> u64 {
        debug_assert!(gauge.is_gauge());
        (0..self.slots)
            .flat_map(|slot| (0..CELLS).map(move |cell| (slot, cell)))
            .map(|(slot, cell)| {
                let word = SLOT_HEAD_WORDS + cell * CELL_WORDS + gauge as usize;
                self.word(slot, word).load(Ordering::Relaxed)
            })
            .sum()
    }

    /// The bit of a channel name, the same in every process of this server.
    pub fn interest_bit(&self, channel: &str) -> InterestBit {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.hash_seed);
        hasher.write(channel.as_bytes());
        // The upper bits of this hash are its best ones.
        InterestBit((hasher.finish() >> 48) as u16)
    }

    /// Whether some worker's slot may have subscribers of this bit's channels.
    pub fn is_interested(&self, slot: Slot, bit: InterestBit) -> bool {
        let (word, mask) = interest_place(bit);
        self.word(slot.number(), word).load(Ordering::Acquire) & mask != 0
    }

    /// The workers that may have subscribers of this bit's channels.
    pub fn interested(&self, bit: InterestBit) -> impl Iterator<Item = Slot> + '_ {
        (0..self.slots).filter_map(Slot::new).filter(move |slot| self.is_interested(*slot, bit))
    }

    /// Sets or clears a bit. Only workers of the slot may call it, and only one that is alone there may clear a bit.
    pub fn set_interest(&self, slot: Slot, bit: InterestBit, interested: bool) {
        let (word, mask) = interest_place(bit);
        let word = self.word(slot.number(), word);
        if interested {
            word.fetch_or(mask, Ordering::Release);
        } else {
            word.fetch_and(!mask, Ordering::Release);
        }
    }

    /// Leaves no bits of a slot set but these. Only the worker that is alone there may call it. A bit that stays is set throughout.
    pub fn keep_interest(&self, slot: Slot, bits: impl Iterator<Item = InterestBit>) {
        let mut words = vec![0; INTEREST_WORDS];
        for bit in bits {
            words[bit.number() / 64] |= 1 << (bit.number() % 64);
        }
        for (number, bits) in words.into_iter().enumerate() {
            let word = SLOT_WORDS - INTEREST_WORDS + number;
            self.word(slot.number(), word).store(bits, Ordering::Release);
        }
    }

    /// Sets all bits of a slot: one of its workers may be interested in anything. Only workers of the slot may call it.
    pub fn show_all_interest(&self, slot: Slot) {
        for word in SLOT_WORDS - INTEREST_WORDS..SLOT_WORDS {
            self.word(slot.number(), word).store(u64::MAX, Ordering::Release);
        }
    }

    /// Forgets what a dead worker was interested in.
    pub fn clear_interest(&self, slot: Slot) {
        for word in SLOT_WORDS - INTEREST_WORDS..SLOT_WORDS {
            self.word(slot.number(), word).store(0, Ordering::Release);
        }
    }

    /// Bytes of attached bodies that wait in a mailbox: they are in no sender's backlog any more.
    pub fn attached_bytes(&self, to: Address) -> u64 {
        self.attached_word(to).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// A body has been sent to a mailbox.
    pub fn add_attached(&self, to: Address, bytes: u64) {
        if let Some(word) = self.attached_word(to) {
            word.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// A body has been taken from a mailbox.
    pub fn take_attached(&self, from: Address, bytes: u64) {
        if let Some(word) = self.attached_word(from) {
            let take = |waiting: u64| Some(waiting.saturating_sub(bytes));
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        }
    }

    /// The mailbox is empty. What a process that was killed has taken without counting is put right here.
    pub fn no_attached(&self, at: Address) {
        if let Some(word) = self.attached_word(at)
            && word.load(Ordering::Relaxed) != 0
        {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Lines have been lost that the log did not take.
    pub fn add_lost_log_lines(&self, lines: u64) {
        self.lost_log_lines_word().fetch_add(lines, Ordering::Relaxed);
    }

    /// Lines of all processes that the log did not take, so far.
    pub fn lost_log_lines(&self) -> u64 {
        self.lost_log_lines_word().load(Ordering::Relaxed)
    }

    fn lost_log_lines_word(&self) -> &AtomicU64 {
        let before = usize::from(self.slots) * SLOT_WORDS;
        &self.memory.words()[before + usize::from(self.mailboxes) * MAILBOX_WORDS]
    }

    /// What the side process with this mailbox shows of itself.
    pub fn side_status(&self, address: Address) -> SideStatus {
        SideStatus::new(self.clone(), address)
    }

    /// The words of a side process; of a mailbox that does not exist, none.
    pub(crate) fn side_words(&self, address: Address) -> &[AtomicU64] {
        self.mailbox_words(address).map_or(&[], |words| &words[SIDE_WORD..])
    }

    fn attached_word(&self, address: Address) -> Option<&AtomicU64> {
        self.mailbox_words(address)?.get(ATTACHED_WORD)
    }

    /// The words of a mailbox's task slot.
    pub(crate) fn task_slot_words(&self, address: Address) -> Option<&[AtomicU64]> {
        self.mailbox_words(address)?.get(TASK_SLOT_WORD..SIDE_WORD)
    }

    fn mailbox_words(&self, address: Address) -> Option<&[AtomicU64]> {
        let first = usize::from(self.slots) * SLOT_WORDS + usize::from(address.0) * MAILBOX_WORDS;
        (address.0 < self.mailboxes).then(|| &self.memory.words()[first..first + MAILBOX_WORDS])
    }

    fn word(&self, slot: u16, word: usize) -> &AtomicU64 {
        debug_assert!(word < SLOT_WORDS);
        &self.memory.words()[usize::from(slot) * SLOT_WORDS + word]
    }
}

/// A bit of a slot's interest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InterestBit(u16);

impl InterestBit {
    /// How many there are.
    pub const COUNT: usize = INTEREST_BITS;

    /// Its number, below [`Self::COUNT`].
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

fn interest_place(bit: InterestBit) -> (usize, u64) {
    (SLOT_WORDS - INTEREST_WORDS + bit.number() / 64, 1 << (bit.number() % 64))
}

/// The counters of one process.
#[derive(Clone, Debug)]
pub struct WorkerStats {
    shared_state: SharedState,
    slot: u16,
    start: usize,
}

impl WorkerStats {
    /// All to zero: for a process that begins, and for one that is gone.
    pub fn clear(&self) {
        for word in self.words() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Adds to a counter. Only the cell's own process may call it: it is a load and a store, not an atomic addition.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        let word = &self.words()[counter as usize];
        word.store(word.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Sets a gauge. Only the cell's own process may call it.
    #[inline]
    pub fn set(&self, gauge: Counter, value: u64) {
        debug_assert!(gauge.is_gauge());
        self.words()[gauge as usize].store(value, Ordering::Relaxed);
    }

    /// Sets a counter that is counted elsewhere in this process. Only the cell's own process may call it.
    pub fn copy(&self, counter: Counter, value: u64) {
        self.words()[counter as usize].store(value, Ordering::Relaxed);
    }

    /// What a counter stands at.
    pub fn read(&self, counter: Counter) -> u64 {
        self.words()[counter as usize].load(Ordering::Relaxed)
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        let first = usize::from(self.slot) * SLOT_WORDS + self.start;
        &self.shared_state.memory.words()[first..first + CELL_WORDS]
    }
}

/// The clock that serial numbers follow: tenths of a millisecond since 2025.
///
/// A serial number is never ahead of this clock, so a server that starts later starts above every number that was given
/// out before, whatever became of it. A slot may accept 10,000 connections a second for ever, and more in bursts after
/// quieter times. The numbers last until the year 2052.
///
/// The wall clock is read once, at the start; from then on the clock is a monotonic one, which nobody can set back. It
/// means the same in a process and in the children that it forks.
#[derive(Clone, Copy, Debug)]
pub struct SerialClock {
    started: Instant,
    start: u64,
}

impl SerialClock {
    const EPOCH: Duration = Duration::from_secs(1_735_689_600);

    /// A clock that stands at this time since 1970, now.
    pub fn new(now: Instant, since_1970: Duration) -> Self {
        let ticks = in_ticks(since_1970.saturating_sub(Self::EPOCH));
        Self { started: now, start: ticks.clamp(1, SERIAL_MAX - 1) }
    }

    fn tick(&self, now: Instant) -> u64 {
        let since_start = in_ticks(now.saturating_duration_since(self.started));
        self.start.saturating_add(since_start).min(SERIAL_MAX - 1)
    }
}

fn in_ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros() / 100).unwrap_or(SERIAL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(1_800_000_000);

    fn shared_state_at(now: Instant) -> SharedState {
        SharedState::new(3, 4, SerialClock::new(now, T0), 42).unwrap()
    }

    fn shared_state() -> SharedState {
        shared_state_at(Instant::now())
    }

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn counters_are_numbered_as_they_are_listed() {
        for (position, (counter, _)) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, position);
        }
    }

    #[test]
    fn serials_grow_and_never_pass_the_clock() {
        let start = Instant::now();
        let shared_state = shared_state_at(start);
        let now = start + Duration::from_millis(1);
        let ids: Vec<_> = std::iter::from_fn(|| shared_state.next_id(slot(1), now)).collect();
        assert_eq!(ids.len(), 10);
        assert!(!shared_state.has_id(slot(1), now) && shared_state.has_id(slot(2), now));
        assert!(ids.is_sorted() && ids.iter().all(|id| id.slot() == slot(1)));
        assert!(shared_state.next_id(slot(2), now).is_some(), "slots count on their own");
        let later = start + Duration::from_millis(2);
        assert!(shared_state.next_id(slot(1), later) > ids.last().copied());
    }

    #[test]
    fn a_later_shared_state_starts_above_every_id_of_an_earlier_one() {
        let start = Instant::now();
        let life = Duration::from_secs(1);
        let early = shared_state_at(start);
        let last = std::iter::from_fn(|| early.next_id(slot(0), start + life)).last().unwrap();
        let restart = start + life;
        let shared_state = SharedState::new(1, 1, SerialClock::new(restart, T0 + life), 1).unwrap();
        assert!(!shared_state.has_id(slot(0), restart));
        let first = shared_state.next_id(slot(0), restart + Duration::from_micros(100)).unwrap();
        assert!(first > last, "{first} after {last}");
    }

    #[test]
    fn attached_bytes_are_counted_for_each_mailbox_and_never_below_zero() {
        let shared_state = shared_state();
        let (one, other) = (Address(3), Address(0));
        shared_state.add_attached(one, 100);
        shared_state.add_attached(one, 50);
        shared_state.take_attached(one, 100);
        assert_eq!((shared_state.attached_bytes(one), shared_state.attached_bytes(other)), (50, 0));
        shared_state.take_attached(one, 51);
        assert_eq!(shared_state.attached_bytes(one), 0);
        shared_state.add_attached(one, 7);
        shared_state.no_attached(one);
        shared_state.add_attached(Address(4), 7);
        assert_eq!(
            (shared_state.attached_bytes(one), shared_state.attached_bytes(Address(4))),
            (0, 0)
        );
    }

    #[test]
    fn interest_is_kept_apart_by_slot_and_forgotten_when_asked() {
        let shared_state = shared_state();
        let bit = shared_state.interest_bit("chat.room.1");
        assert_eq!(bit, shared_state.clone().interest_bit("chat.room.1"));
        shared_state.set_interest(slot(2), bit, true);
        assert_eq!(shared_state.interested(bit).collect::<Vec<_>>(), [slot(2)]);
        shared_state.set_interest(slot(0), bit, true);
        shared_state.set_interest(slot(2), bit, false);
        assert_eq!(shared_state.interested(bit).collect::<Vec<_>>(), [slot(0)]);
        shared_state.set_interest(slot(0), shared_state.interest_bit("chat.room.2"), true);
        shared_state.keep_interest(slot(0), [bit].into_iter());
        assert!(shared_state.is_interested(slot(0), bit));
        assert!(!shared_state.is_interested(slot(0), shared_state.interest_bit("chat.room.2")));
        shared_state.clear_interest(slot(0));
        assert_eq!(shared_state.interested(bit).count(), 0);
    }

    #[test]
    fn names_spread_over_the_bits() {
        let shared_state = shared_state();
        let bits: std::collections::HashSet<_> = (0..10_000)
            .map(|n| shared_state.interest_bit(&format!("chat.room.{n}")).number())
            .collect();
        assert!(bits.len() > 9_000, "only {} bits for 10,000 names", bits.len());
    }

    #[test]
    fn cells_of_two_generations_do_not_touch() {
        let shared_state = shared_state();
        let (old, new) =
            (shared_state.worker_stats(slot(1), 4), shared_state.worker_stats(slot(1), 5));
        old.add(Counter::Connections, 5);
        new.add(Counter::Connections, 2);
        old.set(Counter::Connections, 4);
        assert_eq!((old.read(Counter::Connections), new.read(Counter::Connections)), (4, 2));
        assert_eq!(shared_state.total(Counter::Connections), 6);
        old.clear();
        assert_eq!(shared_state.total(Counter::Connections), 2);
    }
}
