//! Tasks that task processes are asked to do and whose results are awaited. Pure: who asked is a value of the caller's.
//!
//! Unlike a question to a worker, a task may take as long as it likes; so it has no deadline here. It ends with its result,
//! with a word of failure, or with the master's word that the process at it has died.

use std::collections::HashMap;

use wsmaster_ipc::{SendError, TaskAnswer};

/// Tasks that one process may wait for at a time.
pub(crate) const TASKS_MAX: usize = 65_536;

/// Tasks that are not answered yet, each with what is to be done with its answer.
#[derive(Debug)]
pub(crate) struct Tasks<D> {
    open: HashMap<u64, D>,
    next: u64,
}

/// Why a task has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaskError {
    /// There are no task processes, or none with this number. It was not begun.
    #[error("there is no such task process: see server.task_workers")]
    NoTaskProcess,
    /// Too many tasks wait. It was not begun.
    #[error("too many tasks wait")]
    Full,
    /// Its data is larger than 256 MiB. It was not begun.
    #[error("the task's data is too large")]
    TooLarge,
    /// The task handler says that it cannot be done, and why.
    #[error("{0}")]
    Failed(String),
    /// The process that was at it, or about to take it, died. It may have been done in part, or be done by another yet.
    #[error("the task process died while it was at the task")]
    Died,
    /// No answer came in the time that was given, or before the worker had to end. It may still be done.
    #[error("the task was not answered in time")]
    Unanswered,
}

impl From<SendError> for TaskError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NoSuchProcess => Self::NoTaskProcess,
            SendError::TooLarge => Self::TooLarge,
            SendError::Full | SendError::NoRoom => Self::Full,
        }
    }
}

/// The result of a task, out of its answer.
pub(crate) fn result(answer: TaskAnswer<'_>) -> Result<Vec<u8>, TaskError> {
    match answer {
        TaskAnswer::Done(result) => Ok(result.to_vec()),
        TaskAnswer::Failed(reason) => Err(TaskError::Failed(reason.to_owned())),
        TaskAnswer::Died => Err(TaskError::Died),
    }
}

impl<D> Tasks<D> {
    /// Starts numbering at `first`: a successor must not take answers that were meant for the process before it.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self { open: HashMap::new(), next: first }
    }

    /// How many are not answered.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether one more may be given.
    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < TASKS_MAX
    }

    /// The number that the next task gets.
    pub(crate) fn next_request(&self) -> u64 {
        self.next
    }

    /// Waits for the answer to the task with this number.
    pub(crate) fn begin(&mut self, done: D) {
        self.open.insert(self.next, done);
        self.next += 1;
    }

    /// Takes a task that has been answered; `None` for one that nobody waits for.
    pub(crate) fn answered(&mut self, request: u64) -> Option<D> {
        self.open.remove(&request)
    }

    /// Waits no longer for those that are not to be kept.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&D) -> bool) {
        self.open.retain(|_, done| keep(done));
    }

    /// Waits no longer for any of them.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = D> + '_ {
        self.open.drain().map(|(_, done)| done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_answered_once_and_there_is_a_bound() {
        let mut tasks = Tasks::starting_at(7);
        tasks.begin("first");
        tasks.begin("second");
        assert_eq!((tasks.answered(8), tasks.answered(8)), (Some("second"), None));
        assert_eq!(tasks.answered(9), None);
        tasks.retain(|done| *done != "first");
        assert_eq!(tasks.len(), 0);
        for _ in 0..TASKS_MAX {
            assert!(tasks.has_room());
            tasks.begin("more");
        }
        assert!(!tasks.has_room());
        assert_eq!(tasks.abandon().count(), TASKS_MAX);
        assert!(tasks.has_room());
    }
}
