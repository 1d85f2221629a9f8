//! Questions to other processes whose answers are awaited. Pure: who asked is a value of the caller's, time an argument.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use wsmaster_ipc::{Address, Answer, Outcome, Slot};

use crate::tasks::TaskError;

/// Questions that may be open at a time.
pub const PENDING_REQUESTS_MAX: usize = 65_536;

/// Open questions, each with what is to be done with its answer.
#[derive(Debug)]
pub struct PendingRequests<D> {
    open: HashMap<u64, Ask<D>>,
    /// Deadlines and numbers, the earliest first. Answered ones are passed over.
    order: BinaryHeap<Reverse<(u64, u64)>>,
    next: u64,
}

#[derive(Debug)]
struct Ask<D> {
    progress: Progress,
    done: D,
}

#[derive(Debug)]
enum Progress {
    One(Address),
    Many { waiting: Vec<Slot>, tally: DeliveryCount },
}

/// An answer that is complete, or as complete as it will get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To a push or a disconnect.
    One(Outcome),
    /// To a broadcast or a publish.
    Many(DeliveryCount),
    /// To a question about a connection: a JSON object. To a question to a program: what its host says.
    Info(Vec<u8>),
    /// To a task.
    Task(Result<Vec<u8>, TaskError>),
    /// None came in time.
    Unanswered,
    /// The question was not asked: the mailbox is full.
    MailboxFull,
    /// The question did not arrive whole: whoever was asked had no descriptor left for its body.
    NoRoom,
    /// The question was not asked: too many are open.
    Busy,
}

impl Reply {
    /// The answer that says the same to another process, if there is one.
    pub(crate) fn as_answer(&self) -> Option<Answer<'_>> {
        match self {
            Self::One(outcome) => Some(Answer::One(*outcome)),
            Self::Info(json) => Some(Answer::Info(json)),
            Self::NoRoom => Some(Answer::NoRoom),
            Self::Many(DeliveryCount { delivered, dropped, unanswered: _ }) => {
                Some(Answer::Many { delivered: *delivered, dropped: *dropped })
            }
            Self::Task(_) | Self::Unanswered | Self::MailboxFull | Self::Busy => None,
        }
    }

    /// What became of a command for one connection.
    ///
    /// # Errors
    /// There is no such answer. One of another kind is a fault of ours, and told as [`RequestError::Busy`].
    pub fn into_outcome(self) -> Result<Outcome, RequestError> {
        match self {
            Self::One(outcome) => Ok(outcome),
            Self::MailboxFull => Err(RequestError::MailboxFull),
            Self::NoRoom => Err(RequestError::NoRoom),
            Self::Unanswered => Err(RequestError::Unanswered),
            Self::Busy | Self::Many(_) | Self::Info(_) | Self::Task(_) => Err(RequestError::Busy),
        }
    }

    /// What became of a command for many.
    ///
    /// # Errors
    /// As [`Self::into_outcome`].
    pub fn into_tally(self) -> Result<DeliveryCount, RequestError> {
        match self {
            Self::Many(tally) => Ok(tally),
            other @ (Self::One(_)
            | Self::Info(_)
            | Self::Task(_)
            | Self::Unanswered
            | Self::MailboxFull
            | Self::NoRoom
            | Self::Busy) => other.into_outcome().and(Err(RequestError::Busy)),
        }
    }

    /// What is known of a connection; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::into_outcome`].
    pub fn into_info(self) -> Result<Option<Vec<u8>>, RequestError> {
        match self {
            Self::Info(json) => Ok(Some(json)),
            other @ (Self::One(_)
            | Self::Many(_)
            | Self::Task(_)
            | Self::Unanswered
            | Self::MailboxFull
            | Self::NoRoom
            | Self::Busy) => other.into_outcome().map(|_| None),
        }
    }

    /// The result of a task.
    ///
    /// # Errors
    /// See [`TaskError`]. An answer of another kind is a fault of ours, and told as [`TaskError::Unanswered`].
    pub fn into_task(self) -> Result<Vec<u8>, TaskError> {
        match self {
            Self::Task(result) => result,
            Self::MailboxFull | Self::NoRoom | Self::Busy => Err(TaskError::Full),
            Self::One(_) | Self::Many(_) | Self::Info(_) | Self::Unanswered => {
                Err(TaskError::Unanswered)
            }
        }
    }
}

/// What became of a message for many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryCount {
    /// Connections whose outbox took it.
    pub delivered: u64,
    /// Connections that should have had it and whose outbox was full.
    pub dropped: u64,
    /// Workers that did not answer in time, or whose mailbox was full: it is not known how many of theirs got it.
    pub unanswered: Vec<Slot>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// The mailbox of the worker that was asked is full. The command has no effect.
    #[error("the worker that owns the connection does not keep up: its mailbox is full")]
    MailboxFull,
    /// The worker that was asked had no descriptor left for a message of this size. The command has no effect.
    #[error(
        "the worker that owns the connection has no descriptor left for a message of this size"
    )]
    NoRoom,
    /// No answer came in time. The command may still have an effect.
    #[error("the worker that owns the connection did not answer in time")]
    Unanswered,
    /// Too many questions are open in this worker. The command has no effect.
    #[error("too many requests of this kind are under way")]
    Busy,
}

impl<D> PendingRequests<D> {
    /// Starts numbering at `first`: a successor must not take answers that were meant for the process before it.
    pub fn starting_at(first: u64) -> Self {
        Self { open: HashMap::new(), order: BinaryHeap::new(), next: first }
    }

    /// Whether one more may be asked.
    pub fn has_room(&self) -> bool {
        self.open.len() < PENDING_REQUESTS_MAX
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The number that the next question gets.
    pub fn next_request(&self) -> u64 {
        self.next
    }

    /// Waits for one process's answer.
    pub fn await_one(&mut self, from: Address, deadline_ms: u64, done: D) {
        self.insert(deadline_ms, Ask { progress: Progress::One(from), done });
    }

    /// Waits for the answers of several workers; `tally` is what is known already.
    pub fn await_many(&mut self, from: Vec<Slot>, tally: DeliveryCount, deadline_ms: u64, done: D) {
        self.insert(deadline_ms, Ask { progress: Progress::Many { waiting: from, tally }, done });
    }

    /// Takes an answer that came from a process. What is complete now is returned; an answer that nobody waits for, or of
    /// another kind than was asked for, is passed over.
    pub fn answered(
        &mut self,
        request: u64,
        from: Address,
        answer: &Answer<'_>,
    ) -> Option<(D, Reply)> {
        let ask = self.open.get_mut(&request)?;
        let reply = match (&mut ask.progress, answer) {
            (Progress::One(asked), _) if *asked != from => return None,
            (Progress::One(_), Answer::One(Outcome::MailboxFull)) => Reply::MailboxFull,
            (Progress::One(_), Answer::One(outcome)) => Reply::One(*outcome),
            (Progress::One(_), Answer::Info(json)) => Reply::Info(json.to_vec()),
            (Progress::One(_), Answer::NoRoom) => Reply::NoRoom,
            (Progress::Many { waiting, tally }, Answer::Many { delivered, dropped }) => {
                let place = waiting.iter().position(|slot| slot.address() == from)?;
                waiting.swap_remove(place);
                tally.delivered += delivered;
                tally.dropped += dropped;
                if !waiting.is_empty() {
                    return None;
                }
                Reply::Many(std::mem::take(tally))
            }
            (Progress::One(_), Answer::Many { .. } | Answer::Task(_))
            | (
                Progress::Many { .. },
                Answer::One(_) | Answer::Info(_) | Answer::NoRoom | Answer::Task(_),
            ) => return None,
        };
        self.close(request, reply)
    }

    /// Takes the place of an answer that came from a process and could not be read.
    pub fn unreadable(&mut self, request: u64, from: Address) -> Option<(D, Reply)> {
        match self.open.get(&request)?.progress {
            Progress::One(asked) if asked == from => self.close(request, Reply::Unanswered),
            Progress::One(_) | Progress::Many { .. } => None,
        }
    }

    fn close(&mut self, request: u64, reply: Reply) -> Option<(D, Reply)> {
        let ask = self.open.remove(&request)?;
        while self.order.peek().is_some_and(|Reverse((_, first))| !self.open.contains_key(first)) {
            self.order.pop();
        }
        Some((ask.done, reply))
    }

    /// Takes a question whose time is over, if there is one.
    pub fn expire(&mut self, now_ms: u64) -> Option<(D, Reply)> {
        while let Some(Reverse((deadline_ms, request))) = self.order.peek().copied() {
            if deadline_ms > now_ms {
                return None;
            }
            self.order.pop();
            let Some(ask) = self.open.remove(&request) else { continue };
            let reply = match ask.progress {
                Progress::One(_) => Reply::Unanswered,
                Progress::Many { waiting, mut tally } => {
                    tally.unanswered.extend(waiting);
                    Reply::Many(tally)
                }
            };
            return Some((ask.done, reply));
        }
        None
    }

    /// When [`Self::expire`] may have something to do next.
    pub fn next_ms(&self) -> Option<u64> {
        self.order.peek().map(|Reverse((deadline_ms, _))| *deadline_ms)
    }

    fn insert(&mut self, deadline_ms: u64, ask: Ask<D>) {
        self.open.insert(self.next, ask);
        self.order.push(Reverse((deadline_ms, self.next)));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::new(number).unwrap()
    }

    #[test]
    fn one_answer_ends_a_question_and_a_second_is_passed_over() {
        let mut asks = PendingRequests::starting_at(10);
        asks.await_one(Address(1), 100, "push");
        let answer = Answer::One(Outcome::Closing);
        assert_eq!(asks.answered(11, Address(1), &answer), None);
        assert_eq!(
            asks.answered(10, Address(1), &answer),
            Some(("push", Reply::One(Outcome::Closing)))
        );
        assert_eq!(asks.answered(10, Address(1), &answer), None);
    }

    #[test]
    fn many_answers_add_up_and_silence_has_a_name() {
        let mut asks = PendingRequests::starting_at(1);
        let known = DeliveryCount { delivered: 3, ..DeliveryCount::default() };
        asks.await_many(vec![slot(0), slot(2)], known, 100, ());
        let answer = Answer::Many { delivered: 2, dropped: 1 };
        assert_eq!(asks.answered(1, Address(2), &answer), None);
        assert_eq!(asks.expire(99), None);
        let tally = DeliveryCount { delivered: 5, dropped: 1, unanswered: vec![slot(0)] };
        assert_eq!(asks.expire(100), Some(((), Reply::Many(tally))));
        assert_eq!(asks.next_ms(), None);
    }

    #[test]
    fn a_body_that_had_no_room_ends_a_question_and_so_does_an_answer_that_had_none() {
        let mut asks = PendingRequests::starting_at(1);
        asks.await_one(Address(3), 50, "push");
        asks.await_one(Address(3), 50, "info");
        assert_eq!(asks.answered(1, Address(3), &Answer::NoRoom), Some(("push", Reply::NoRoom)));
        assert_eq!(asks.unreadable(2, Address(4)), None);
        assert_eq!(asks.unreadable(2, Address(3)), Some(("info", Reply::Unanswered)));
        assert!(asks.is_empty());
    }

    #[test]
    fn an_answer_of_another_kind_changes_nothing() {
        let mut asks = PendingRequests::starting_at(1);
        asks.await_one(Address(0), 50, ());
        assert_eq!(asks.answered(1, Address(0), &Answer::Many { delivered: 1, dropped: 0 }), None);
        assert_eq!(asks.expire(50), Some(((), Reply::Unanswered)));
        assert_eq!(asks.expire(50), None);
    }
}
