//! What a task process is at, for the master to read when it has died; and how many tasks wait in a queue. A part of the
//! shared state: atomic words, for each mailbox.
//!
//! The words of a process's own mailbox are written by that process, but for the count of deaths, which is the master's.
//! The words of a queue are written by everybody. A word that is wrong makes a number on a status page wrong, or an answer
//! go to nobody.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    command::ReplyTo,
    id::Address,
    layout::{mailbox, task_slot as word},
    shared_state::SharedState,
};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct TaskSlot<'b> {
    words: Option<&'b [AtomicU64]>,
}

/// How a task in a task slot ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskEnd {
    /// It has a result.
    Done,
    /// It has none.
    Failed,
}

/// What has become of the tasks of a process, over all processes that have had its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TaskCounts {
    /// Tasks with a result.
    pub done: u64,
    /// Tasks that could not be done.
    pub failed: u64,
    /// Tasks that died with their process.
    pub died: u64,
}

impl<'b> TaskSlot<'b> {
    /// The task slot of a mailbox.
    pub fn of(shared_state: &'b SharedState, address: Address) -> Self {
        Self {
            words: shared_state.mailbox_words(address).map(|words| &words[mailbox::TASK_SLOT..]),
        }
    }

    /// A task has been given to this queue.
    pub fn given(&self) {
        if let Some(word) = self.word(word::WAITING) {
            word.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task has been taken from this queue.
    pub fn taken(&self) {
        if let Some(word) = self.word(word::WAITING) {
            let less = |waiting: u64| Some(waiting.saturating_sub(1));
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// The queue was found empty. What those have counted who were killed before they could send is put right here.
    pub fn none_waits(&self) {
        if let Some(word) = self.word(word::WAITING)
            && word.load(Ordering::Relaxed) != 0
        {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Tasks that wait in this queue, or on their way to it: an estimate that is a moment old.
    pub fn waiting(&self) -> u64 {
        self.read(word::WAITING)
    }

    /// This process is about to take a task.
    pub fn begin(&self, ticket: ReplyTo) {
        // The requester is written last: with it, the task is in the task slot.
        self.write(word::ASKER, 0);
        self.write(word::REQUEST, ticket.request);
        self.write(word::ASKER, u64::from(ticket.reply_to.0) + 1);
    }

    /// This process is at nothing, and the task that it was about to take is another's.
    pub fn put_back(&self) {
        self.write(word::ASKER, 0);
    }

    /// The answer is on its way.
    pub fn end(&self, how: TaskEnd) {
        self.write(word::ASKER, 0);
        let counter = match how {
            TaskEnd::Done => word::DONE,
            TaskEnd::Failed => word::FAILED,
        };
        self.write(counter, self.read(counter).wrapping_add(1));
    }

    /// The task that this process is at.
    pub fn present(&self) -> Option<ReplyTo> {
        let requester = u16::try_from(self.read(word::ASKER).checked_sub(1)?).ok()?;
        Some(ReplyTo { reply_to: Address(requester), request: self.read(word::REQUEST) })
    }

    /// The process is dead: the task that died with it, if one did. It is counted, and out of the task slot.
    pub fn clear_after_death(&self) -> Option<ReplyTo> {
        let ticket = self.present()?;
        self.write(word::ASKER, 0);
        self.write(word::DIED, self.read(word::DIED).wrapping_add(1));
        Some(ticket)
    }

    /// What has become of the tasks of this process and of those before it.
    pub fn counts(&self) -> TaskCounts {
        TaskCounts {
            done: self.read(word::DONE),
            failed: self.read(word::FAILED),
            died: self.read(word::DIED),
        }
    }

    fn read(&self, word: usize) -> u64 {
        self.word(word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn write(&self, word: usize, value: u64) {
        if let Some(word) = self.word(word) {
            word.store(value, Ordering::Release);
        }
    }

    fn word(&self, word: usize) -> Option<&'b AtomicU64> {
        self.words?.get(word)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shared_state::SerialClock;

    #[test]
    fn a_task_is_in_its_slot_until_it_ends_or_its_process_dies() {
        let clock = SerialClock::new(5, Duration::from_secs(1_800_000_000));
        let shared_state = SharedState::new(1, 3, clock, 1).unwrap();
        let (task_slot, other) =
            (TaskSlot::of(&shared_state, Address(1)), TaskSlot::of(&shared_state, Address(2)));
        let ticket = ReplyTo { reply_to: Address(0), request: u64::MAX };
        assert_eq!(task_slot.present(), None);
        task_slot.begin(ticket);
        assert_eq!((task_slot.present(), other.present()), (Some(ticket), None));
        task_slot.end(TaskEnd::Done);
        assert_eq!((task_slot.present(), task_slot.clear_after_death()), (None, None));
        task_slot.begin(ticket);
        task_slot.put_back();
        assert_eq!(task_slot.present(), None);
        task_slot.begin(ticket);
        assert_eq!(task_slot.clear_after_death(), Some(ticket));
        assert_eq!(task_slot.clear_after_death(), None);
        task_slot.begin(ticket);
        task_slot.end(TaskEnd::Failed);
        assert_eq!(task_slot.counts(), TaskCounts { done: 1, failed: 1, died: 1 });
        assert_eq!(other.counts(), TaskCounts::default());
    }

    #[test]
    fn a_queue_is_counted_never_below_nothing_and_a_mailbox_that_is_not_there_has_no_task_slot() {
        let clock = SerialClock::new(5, Duration::from_secs(1_800_000_000));
        let shared_state = SharedState::new(1, 2, clock, 1).unwrap();
        let queue = TaskSlot::of(&shared_state, Address(1));
        queue.given();
        queue.given();
        queue.taken();
        assert_eq!(queue.waiting(), 1);
        queue.none_waits();
        queue.taken();
        assert_eq!((queue.waiting(), shared_state.attached_bytes(Address(1))), (0, 0));
        let nowhere = TaskSlot::of(&shared_state, Address(2));
        nowhere.given();
        nowhere.begin(ReplyTo { reply_to: Address(0), request: 1 });
        assert_eq!((nowhere.waiting(), nowhere.present()), (0, None));
    }
}
