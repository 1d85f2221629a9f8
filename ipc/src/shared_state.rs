//! The memory that all processes of a server share: small, fixed, made of atomic words. Where each stands is in `layout`.
//!
//! It holds three things for each slot, and nothing that a reader has to trust:
//! - the slot's **serial numbers**, which outlive its workers;
//! - its **statistics**: a row of counters for each of the processes that may live in a slot during reloads. A row has one
//!   writer: its process. Readers may see a number that is a moment old, never a torn one;
//! - its **interest**: one bit for each hash of a channel name that has a subscriber on this worker. A publisher sends
//!   to the workers whose bit is set. A false positive costs one packet; there are no false negatives, since a
//!   subscription is answered after its bit is set.
//!
//! For each mailbox it counts the bytes of attached bodies that wait in it, and shows what a task process is at
//! ([`crate::task_slot`]). Of the side process that a mailbox belongs to it shows whether it lives, whether it takes more, and what it
//! counts ([`crate::side_status`]). For all processes together it counts the lines of the log that could not be
//! written.
//!
//! It never holds a lock: a process may be killed between any two instructions. Memory of a program that was built with another
//! layout or other counters is refused ([`SharedState::open`]).

use std::{
    hash::Hasher,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHasher;

pub use crate::{counter::Counter, serial_clock::SerialClock};
use crate::{
    id::{Address, ConnectionId, SLOTS_MAX, Slot},
    layout::{self, header, mailbox, slot},
    sys::memory::SharedWords,
};

/// The shared memory of one server. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedState {
    memory: Arc<SharedWords>,
    slots: u16,
    mailboxes: u16,
    clock: SerialClock,
    hash_seed: u64,
}

/// Why memory cannot be used as the shared state of a server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be mapped.
    #[error("the shared memory cannot be mapped: {0}")]
    Io(#[from] io::Error),
    /// It is something else, or of another size than it says.
    #[error("this is not the shared memory of a wsmaster server")]
    Foreign,
    /// It was laid out by another version.
    #[error(
        "the shared memory has layout {found}, and this program uses layout {}: both must be of one version",
        layout::VERSION
    )]
    Version {
        /// Its version.
        found: u64,
    },
    /// It was laid out by a program with other counters.
    #[error(
        "the shared memory is that of a build with other counters: both must be of one version"
    )]
    Counters,
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
        let memory = Arc::new(SharedWords::zeroed(layout::words(slots, mailboxes))?);
        for (word, value) in [
            (header::VERSION, layout::VERSION),
            (header::FINGERPRINT, layout::FINGERPRINT),
            (header::SIZES, u64::from(slots) | u64::from(mailboxes) << 16),
            (header::CLOCK_START, clock.start),
            (header::CLOCK_STARTED_MS, clock.started_ms),
            (header::HASH_SEED, hash_seed),
            (header::MAGIC, layout::MAGIC),
        ] {
            memory.words()[word].store(value, Ordering::Release);
        }
        let shared_state = Self { memory, slots, mailboxes, clock, hash_seed };
        for slot in shared_state.each_slot() {
            shared_state.word(slot, slot::SERIAL).store(clock.start, Ordering::Relaxed);
        }
        Ok(shared_state)
    }

    /// The shared state that another process has made, in this memory file ([`Self::file`]).
    ///
    /// # Errors
    /// See [`OpenError`]: above all, that it was made by another build.
    pub fn open(file: OwnedFd) -> Result<Self, OpenError> {
        let memory = Arc::new(SharedWords::open(file)?);
        let at = |word: usize| {
            let word = memory.words().get(word).ok_or(OpenError::Foreign)?;
            Ok::<_, OpenError>(word.load(Ordering::Acquire))
        };
        if at(header::MAGIC)? != layout::MAGIC {
            return Err(OpenError::Foreign);
        }
        match at(header::VERSION)? {
            layout::VERSION => {}
            found => return Err(OpenError::Version { found }),
        }
        if at(header::FINGERPRINT)? != layout::FINGERPRINT {
            return Err(OpenError::Counters);
        }
        let sizes = at(header::SIZES)?;
        let (slots, mailboxes) = (sizes as u16, (sizes >> 16) as u16);
        if slots == 0
            || slots > SLOTS_MAX
            || memory.words().len() != layout::words(slots, mailboxes)
        {
            return Err(OpenError::Foreign);
        }
        let clock = SerialClock {
            start: at(header::CLOCK_START)?,
            started_ms: at(header::CLOCK_STARTED_MS)?,
        };
        let hash_seed = at(header::HASH_SEED)?;
        Ok(Self { memory, slots, mailboxes, clock, hash_seed })
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
    pub fn next_id(&self, slot: Slot, now_ms: u64) -> Option<ConnectionId> {
        let word = self.word(slot, slot::SERIAL);
        let serial = word.load(Ordering::Relaxed) + 1;
        if serial > self.clock.tick(now_ms) {
            return None;
        }
        word.store(serial, Ordering::Relaxed);
        ConnectionId::new(slot, serial)
    }

    /// The serial number of the last id of a slot.
    pub fn last_serial(&self, slot: Slot) -> u64 {
        self.word(slot, slot::SERIAL).load(Ordering::Relaxed)
    }

    /// Whether [`Self::next_id`] would give one.
    pub fn has_id(&self, slot: Slot, now_ms: u64) -> bool {
        self.word(slot, slot::SERIAL).load(Ordering::Relaxed) < self.clock.tick(now_ms)
    }

    /// The counters of one process of a slot. `generation` counts the processes of the slot; they take turns in the rows.
    pub fn worker_stats(&self, slot: Slot, generation: u64) -> WorkerStats {
        let start = layout::slot_words(slot).start + slot::stats(generation as usize);
        WorkerStats { memory: Arc::clone(&self.memory), start }
    }

    /// A gauge summed over the living processes of all slots: an estimate that is a moment old.
    pub fn total(&self, gauge: Counter) -> u64 {
        debug_assert!(gauge.is_gauge());
        self.each_slot()
            .flat_map(|slot| (0..slot::PROCESSES).map(move |process| (slot, process)))
            .map(|(slot, process)| {
                let word = slot::stats(process) + gauge as usize;
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
        self.word(slot, word).load(Ordering::Acquire) & mask != 0
    }

    /// The workers that may have subscribers of this bit's channels.
    pub fn interested(&self, bit: InterestBit) -> impl Iterator<Item = Slot> + '_ {
        self.each_slot().filter(move |slot| self.is_interested(*slot, bit))
    }

    /// Sets or clears a bit. Only workers of the slot may call it, and only one that is alone there may clear a bit.
    pub fn set_interest(&self, slot: Slot, bit: InterestBit, interested: bool) {
        let (word, mask) = interest_place(bit);
        let word = self.word(slot, word);
        if interested {
            word.fetch_or(mask, Ordering::Release);
        } else {
            word.fetch_and(!mask, Ordering::Release);
        }
    }

    /// Leaves no bits of a slot set but these. Only the worker that is alone there may call it. A bit that stays is set throughout.
    pub fn keep_interest(&self, slot: Slot, bits: impl Iterator<Item = InterestBit>) {
        let mut words = vec![0; slot::INTEREST_WORDS];
        for bit in bits {
            words[bit.number() / 64] |= 1 << (bit.number() % 64);
        }
        self.store_interest(slot, words.into_iter());
    }

    /// Sets all bits of a slot: one of its workers may be interested in anything. Only workers of the slot may call it.
    pub fn show_all_interest(&self, slot: Slot) {
        self.store_interest(slot, std::iter::repeat(u64::MAX));
    }

    /// Forgets what a dead worker was interested in.
    pub fn clear_interest(&self, slot: Slot) {
        self.store_interest(slot, std::iter::repeat(0));
    }

    fn store_interest(&self, slot: Slot, bits: impl Iterator<Item = u64>) {
        for (number, bits) in (0..slot::INTEREST_WORDS).zip(bits) {
            self.word(slot, slot::INTEREST + number).store(bits, Ordering::Release);
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
        &self.memory.words()[header::LOST_LOG_LINES]
    }

    fn attached_word(&self, address: Address) -> Option<&AtomicU64> {
        self.mailbox_words(address)?.get(mailbox::ATTACHED)
    }

    /// The words of a mailbox; of one that does not exist, none.
    pub(crate) fn mailbox_words(&self, address: Address) -> Option<&[AtomicU64]> {
        let words = layout::mailbox_words(self.slots, address);
        (address.0 < self.mailboxes).then(|| &self.memory.words()[words])
    }

    fn each_slot(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.slots).filter_map(Slot::new)
    }

    fn word(&self, slot: Slot, word: usize) -> &AtomicU64 {
        &self.memory.words()[layout::slot_words(slot)][word]
    }
}

/// A bit of a slot's interest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InterestBit(u16);

impl InterestBit {
    /// How many there are.
    pub const COUNT: usize = slot::INTEREST_BITS;

    /// Its number, below [`Self::COUNT`].
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

fn interest_place(bit: InterestBit) -> (usize, u64) {
    (slot::INTEREST + bit.number() / 64, 1 << (bit.number() % 64))
}

/// The counters of one process.
#[derive(Clone, Debug)]
pub struct WorkerStats {
    memory: Arc<SharedWords>,
    start: usize,
}

impl WorkerStats {
    /// All to zero: for a process that begins, and for one that is gone.
    pub fn clear(&self) {
        for word in self.words() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Adds to a counter. Only its own process may call it: it is a load and a store, not an atomic addition.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        let word = &self.words()[counter as usize];
        word.store(word.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Sets a gauge. Only its own process may call it.
    #[inline]
    pub fn set(&self, gauge: Counter, value: u64) {
        debug_assert!(gauge.is_gauge());
        self.words()[gauge as usize].store(value, Ordering::Relaxed);
    }

    /// Sets a counter that is counted elsewhere in this process. Only its own process may call it.
    pub fn copy(&self, counter: Counter, value: u64) {
        self.words()[counter as usize].store(value, Ordering::Relaxed);
    }

    /// What a counter stands at.
    pub fn read(&self, counter: Counter) -> u64 {
        self.words()[counter as usize].load(Ordering::Relaxed)
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        &self.memory.words()[self.start..][..slot::STATS_WORDS]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T0: Duration = Duration::from_secs(1_800_000_000);

    fn shared_state_at(now_ms: u64) -> SharedState {
        SharedState::new(3, 4, SerialClock::new(now_ms, T0), 42).unwrap()
    }

    fn shared_state() -> SharedState {
        shared_state_at(5)
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
        let start = 7_000;
        let shared_state = shared_state_at(start);
        let now = start + 1;
        let ids: Vec<_> = std::iter::from_fn(|| shared_state.next_id(slot(1), now)).collect();
        assert_eq!(ids.len(), 10);
        assert!(!shared_state.has_id(slot(1), now) && shared_state.has_id(slot(2), now));
        assert!(ids.is_sorted() && ids.iter().all(|id| id.slot() == slot(1)));
        assert!(shared_state.next_id(slot(2), now).is_some(), "slots count on their own");
        let later = start + 2;
        assert!(shared_state.next_id(slot(1), later) > ids.last().copied());
    }

    #[test]
    fn a_later_shared_state_starts_above_every_id_of_an_earlier_one() {
        let start = 7_000;
        let life = Duration::from_secs(1);
        let early = shared_state_at(start);
        let last = std::iter::from_fn(|| early.next_id(slot(0), start + 1_000)).last().unwrap();
        let restart = start + 1_000;
        let shared_state = SharedState::new(1, 1, SerialClock::new(restart, T0 + life), 1).unwrap();
        assert!(!shared_state.has_id(slot(0), restart));
        let first = shared_state.next_id(slot(0), restart + 1).unwrap();
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

    fn file_of(shared_state: &SharedState) -> OwnedFd {
        shared_state.file().try_clone_to_owned().unwrap()
    }

    #[test]
    fn another_process_finds_what_the_first_has_made() {
        let first = SharedState::new(3, 4, SerialClock::new(5, T0), 42).unwrap();
        let id = first.next_id(slot(2), 6).unwrap();
        first.worker_stats(slot(1), 9).add(Counter::MessagesIn, 3);
        first.add_attached(Address(3), 11);
        first.add_lost_log_lines(2);
        let second = SharedState::open(file_of(&first)).unwrap();
        assert_eq!((second.slots, second.mailboxes, second.clock), (3, 4, first.clock));
        assert_eq!(second.last_serial(slot(2)), id.serial());
        assert!(second.next_id(slot(2), 6) > Some(id));
        assert_eq!(second.worker_stats(slot(1), 9).read(Counter::MessagesIn), 3);
        assert_eq!((second.attached_bytes(Address(3)), second.lost_log_lines()), (11, 2));
        let bit = second.interest_bit("news");
        second.set_interest(slot(1), bit, true);
        assert_eq!(first.interested(first.interest_bit("news")).collect::<Vec<_>>(), [slot(1)]);
    }

    #[test]
    fn memory_of_another_build_is_refused_with_the_reason() {
        const FOREIGN: &str = "not the shared memory";
        let rows = [
            (header::MAGIC, 0, FOREIGN),
            (header::VERSION, layout::VERSION + 1, "layout 2"),
            (header::FINGERPRINT, layout::FINGERPRINT ^ 1, "other counters"),
            (header::SIZES, 0, FOREIGN),
            (header::SIZES, 3 | 5 << 16, FOREIGN),
            (header::SIZES, u64::MAX, FOREIGN),
        ];
        let refusal = |file: OwnedFd| SharedState::open(file).unwrap_err();
        for (word, value, expected) in rows {
            let shared_state = shared_state();
            shared_state.memory.words()[word].store(value, Ordering::Relaxed);
            let error = refusal(file_of(&shared_state)).to_string();
            assert!(error.contains(expected), "word {word}: {error}");
        }
        let short = SharedWords::zeroed(1).unwrap();
        short.words()[header::MAGIC].store(layout::MAGIC, Ordering::Relaxed);
        let short = short.file().try_clone_to_owned().unwrap();
        assert!(matches!(refusal(short), OpenError::Foreign));
        let body = crate::sys::memory::sealed_file(b"no whole word").unwrap();
        assert!(matches!(refusal(body), OpenError::Io(_)));
    }

    #[test]
    fn counters_of_two_generations_do_not_touch() {
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
