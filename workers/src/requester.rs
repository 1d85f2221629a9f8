//! Asking other processes and waiting for what they answer: the way to one connection and to many, with a tally.
//!
//! Owns the questions that are open. It sends through a [`Handle`], never waits, and knows no clock: moments are
//! arguments. It does not know which connections are this process's own.

use wsmaster_ipc::{
    Address, Answer, Command, EventHeader, Handle, Outcome, ReplyTo, Request, Scope, SendError,
    Slot,
    command::Recipients,
    handle::{Publication, Sent},
};

use crate::{
    pending::{DeliveryCount, PendingRequests, Reply},
    tasks::{self, Tasks},
};

/// Questions of one process. `D` is what it wants to do with an answer.
#[derive(Debug)]
pub struct Requester<D> {
    handle: Handle,
    asks: PendingRequests<D>,
    tasks: Tasks<D>,
    timeout_ms: u64,
}

/// What became of asking.
#[derive(Debug)]
pub enum Requested<D> {
    /// The answer comes later.
    Waiting,
    /// The answer is known already: nobody had to be asked, or nobody could be.
    Known(D, Reply),
}

impl<D> Requester<D> {
    /// An requester that sends with `handle` and waits `timeout_ms` for an answer. Its numbers start at `first`, which should
    /// be a random one: answers to a process before this one may still come.
    pub fn new(handle: Handle, first: u64, timeout_ms: u64) -> Self {
        let (asks, tasks) = (PendingRequests::starting_at(first), Tasks::starting_at(first));
        Self { handle, asks, tasks, timeout_ms }
    }

    /// The way that questions take.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Tasks that are not answered.
    pub fn tasks_len(&self) -> usize {
        self.tasks.len()
    }

    /// Asks the worker that owns the connection which the request is about.
    pub fn request(&mut self, request: Request<'_>, now_ms: u64, done: D) -> Requested<D> {
        match request.scope() {
            Scope::Connection(id) => self.request_of(id.slot(), request, now_ms, done),
            // It does not say by itself who is to be asked.
            Scope::Slot | Scope::Receiver => {
                Requested::Known(done, Reply::One(Outcome::NoSuchConnection))
            }
        }
    }

    /// Asks a worker.
    pub fn request_of(
        &mut self,
        of: Slot,
        request: Request<'_>,
        now_ms: u64,
        done: D,
    ) -> Requested<D> {
        if of.number() >= self.handle.shared_state().slots() {
            return Requested::Known(done, Reply::One(Outcome::NoSuchConnection));
        }
        self.one(of.address(), now_ms + self.timeout_ms, done, |handle, number| {
            handle.request(of.address(), request, Some(number))
        })
    }

    /// Asks several workers, each of which counts the connections that it reaches; `tally` is what has been reached already.
    pub fn request_each(
        &mut self,
        to: &[Slot],
        request: Request<'_>,
        mut tally: DeliveryCount,
        now_ms: u64,
        done: D,
    ) -> Requested<D> {
        if to.is_empty() {
            return Requested::Known(done, Reply::Many(tally));
        }
        if !self.asks.has_room() {
            return Requested::Known(done, Reply::Busy);
        }
        let number = self.asks.next_request();
        let Ok(sent) = self.handle.request_each(to.iter().copied(), request, Some(number)) else {
            tally.unanswered.extend(to);
            return Requested::Known(done, Reply::Many(tally));
        };
        let (taken, refused): (Vec<Sent>, Vec<Sent>) =
            sent.into_iter().partition(|sent| sent.result.is_ok());
        tally.unanswered.extend(refused.iter().map(|sent| sent.to));
        if taken.is_empty() {
            return Requested::Known(done, Reply::Many(tally));
        }
        let waiting = taken.iter().map(|sent| sent.to).collect();
        self.asks.await_many(waiting, tally, now_ms + self.timeout_ms, done);
        Requested::Waiting
    }

    /// As [`Self::request_each`], of the workers that may have subscribers of a channel.
    pub fn publish(
        &mut self,
        to: &[Slot],
        publication: &Publication<'_>,
        tally: DeliveryCount,
        now_ms: u64,
        done: D,
    ) -> Requested<D> {
        let only = Recipients::to_bytes(publication.only);
        self.request_each(to, publication.request(&only), tally, now_ms, done)
    }

    /// Gives a task to whichever task process is free first, or to the one with this number.
    pub fn task(&mut self, process: Option<u16>, payload: &[u8], done: D) -> Requested<D> {
        if !self.tasks.has_room() {
            return Requested::Known(done, Reply::Busy);
        }
        match self.handle.task(process, payload, self.tasks.next_request()) {
            Ok(()) => {
                self.tasks.begin(done);
                Requested::Waiting
            }
            Err(error) => Requested::Known(done, Reply::Task(Err(error.into()))),
        }
    }

    /// Waits no longer for the tasks that are not to be kept.
    pub fn retain_tasks(&mut self, keep: impl FnMut(&D) -> bool) {
        self.tasks.retain(keep);
    }

    /// Waits no longer for any task.
    pub fn abandon_tasks(&mut self) -> impl Iterator<Item = (D, Reply)> + '_ {
        self.tasks.abandon().map(|done| (done, Reply::Unanswered))
    }

    /// Asks a side process that is a program, and waits so long for what it says.
    pub fn ask_process(
        &mut self,
        to: Address,
        header: EventHeader,
        question: &[u8],
        timeout_ms: u64,
        now_ms: u64,
        done: D,
    ) -> Requested<D> {
        self.one(to, now_ms + timeout_ms, done, |handle, number| {
            handle.request(to, handle.event(to, header, question), Some(number))
        })
    }

    /// Answers what this process was asked, and asks whether somebody still waited for that.
    pub fn answer(
        &mut self,
        asked: ReplyTo,
        answer: Answer<'_>,
        now_ms: u64,
        done: D,
    ) -> Requested<D> {
        let deadline_ms = now_ms + self.timeout_ms;
        self.one(asked.reply_to, deadline_ms, done, |handle, request| {
            let from = handle.own_address();
            let ticket = Some(ReplyTo { reply_to: from, request });
            let answer = Command::Answer { from, request: asked.request, answer, ticket };
            handle.send(asked.reply_to, &answer)
        })
    }

    /// Takes an answer from the mailbox. What is complete now is returned.
    pub fn answered(
        &mut self,
        request: u64,
        from: Address,
        answer: &Answer<'_>,
    ) -> Option<(D, Reply)> {
        match *answer {
            // Whoever says it: the process that was at it, or the master when that one is dead.
            Answer::Task(end) => {
                let done = self.tasks.answered(request)?;
                Some((done, Reply::Task(tasks::result(end))))
            }
            Answer::One(_) | Answer::Many { .. } | Answer::Info(_) | Answer::NoRoom => {
                self.asks.answered(request, from, answer)
            }
        }
    }

    /// Takes an answer whose body was lost on the way. What is complete now is returned, as unanswered.
    pub fn unreadable(
        &mut self,
        request: u64,
        from: Address,
        answer: &Answer<'_>,
    ) -> Option<(D, Reply)> {
        match answer {
            Answer::Task(_) => {
                let done = self.tasks.answered(request)?;
                Some((done, Reply::Task(Err(tasks::TaskError::Unanswered))))
            }
            Answer::One(_) | Answer::Many { .. } | Answer::Info(_) | Answer::NoRoom => {
                self.asks.unreadable(request, from)
            }
        }
    }

    /// Takes a command from the mailbox if it is an answer; gives it back if not.
    ///
    /// # Errors
    /// The command, which is no answer.
    pub fn take<'c>(&mut self, command: Command<'c>) -> Result<Option<(D, Reply)>, Command<'c>> {
        match command {
            Command::Answer { from, request, answer, ticket: _ } => {
                Ok(self.answered(request, from, &answer))
            }
            other @ (Command::Request { .. } | Command::Note(_)) => Err(other),
        }
    }

    /// Takes a question whose time is over, if there is one.
    pub fn expire(&mut self, now_ms: u64) -> Option<(D, Reply)> {
        self.asks.expire(now_ms)
    }

    /// When [`Self::expire`] may have something to do next.
    pub fn next_ms(&self) -> Option<u64> {
        self.asks.next_ms()
    }

    fn one(
        &mut self,
        to: Address,
        deadline_ms: u64,
        done: D,
        send: impl FnOnce(&Handle, u64) -> Result<(), SendError>,
    ) -> Requested<D> {
        if !self.asks.has_room() {
            return Requested::Known(done, Reply::Busy);
        }
        match send(&self.handle, self.asks.next_request()) {
            Ok(()) => {
                self.asks.await_one(to, deadline_ms, done);
                Requested::Waiting
            }
            Err(SendError::NoRoom) => Requested::Known(done, Reply::NoRoom),
            Err(SendError::Full | SendError::NoSuchProcess | SendError::TooLarge) => {
                Requested::Known(done, Reply::MailboxFull)
            }
        }
    }
}
