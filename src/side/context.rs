//! What a closure that runs as a side process can do. Its calls wait for answers, which a worker's may not.

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    io, iter,
    os::fd::BorrowedFd,
    time::Duration,
};

use wsmaster_ipc::{Moment, sys::clock};

use serde_json::Value;
use wsmaster_ipc::{
    Command, ConnectionId, Handle, LifeEvent, Note, Outcome, PayloadKind, Request, SendError, Slot,
    handle::Publication, link::ToMaster, wire,
};
use wsmaster_protocol::plugin::Recipient;
use wsmaster_workers::{
    DeliveryCount, Message, RequestError, TaskError, TimerId,
    pending::Reply,
    requester::{Requested, Requester},
    timers::Timers,
};

use super::process_loop::{PACKETS_PER_TURN_MAX, ProcessLoop, SideSetup};

/// Messages of other processes that wait to be read. What has no room here waits in the mailbox; only while an answer is
/// awaited, which comes through the same mailbox, more are dropped and counted.
const INBOX_MESSAGES_MAX: usize = 65_536;
/// Messages in one packet: an empty one takes 8 bytes.
const PACKET_MESSAGES_MAX: usize = wire::PACKET_BYTES_MAX / 8;

/// A queue of tasks has something: what a task process watches beside its mailbox, and a closure does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct TaskQueueReady;

/// How much of the mail a turn takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taking {
    /// What there is room for.
    WhatFits,
    /// All: an answer may be in it.
    Everything,
}

/// What a closure gets that runs as a side process: messages, timers, and all connections of the server.
pub struct ProcessContext {
    process_loop: ProcessLoop<u64, TaskQueueReady>,
    handle: Handle,
    inbox: VecDeque<ProcessMessage>,
    dropped: u64,
    answers: HashMap<u64, Reply>,
    next: u64,
    stop: Option<Moment>,
    own: Vec<TaskQueueReady>,
    timers: Timers,
}

impl std::fmt::Debug for ProcessContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessContext")
            .field("name", &self.process_loop.side.name)
            .finish_non_exhaustive()
    }
}

/// A message of another process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessMessage {
    /// The sender: the name of a side process, or `worker 2`.
    pub from: String,
    /// Text or binary.
    pub kind: PayloadKind,
    /// Its bytes; text is UTF-8.
    pub payload: Vec<u8>,
}

/// Why [`ProcessContext::wait`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// The time is over.
    Elapsed,
    /// A message has come.
    Message,
    /// A timer has come that was started with [`ProcessContext::after`] or [`ProcessContext::tick`].
    Timer(TimerId),
    /// Something happened to the server or to one of its workers. Only for a process that has asked for it:
    /// [`Process::hear_life`](super::Process::hear_life).
    Life(LifeEvent),
    /// The process is asked to end: return soon, or be killed.
    Stop,
}

/// How a closure ended.
pub type Ended = Result<(), Box<dyn Error>>;

impl ProcessContext {
    pub(super) fn new(seat: SideSetup) -> io::Result<Self> {
        let handle = seat.handle.clone();
        Ok(Self {
            process_loop: ProcessLoop::new(seat)?,
            handle,
            inbox: VecDeque::new(),
            dropped: 0,
            answers: HashMap::new(),
            next: 0,
            stop: None,
            own: Vec::new(),
            timers: Timers::default(),
        })
    }

    pub(super) fn send_to_master(&self, message: &ToMaster) {
        self.process_loop.link.send(message);
    }

    /// Wakes this process when there is something in a queue of its own.
    pub(super) fn watch(&mut self, queue: BorrowedFd<'_>) -> io::Result<()> {
        self.process_loop.watch(TaskQueueReady, queue)
    }

    /// The name of this process.
    pub fn name(&self) -> &str {
        &self.process_loop.side.name
    }

    /// A way to all connections that does not wait for answers and that threads can have too.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// As [`Self::handle`], for very many commands: they gather in packets, which leave when they are full, and when this
    /// process waits, asks something, or calls [`Handle::flush`].
    pub fn gathering_handle(&self) -> &Handle {
        self.process_loop.requester.handle()
    }

    /// Waits until the time is over, a timer is due, a message or an event of the server's life has come, or the process is
    /// asked to end; sends what is to be sent meanwhile. Each call returns one timer or one event, and
    /// [`Wait::Message`] as long as there are messages.
    pub fn wait(&mut self, time: Duration) -> Wait {
        let until = clock::now() + time;
        let mut is_last = false;
        loop {
            if self.should_stop() {
                return Wait::Stop;
            }
            if let Some(timer) = self.expire_timer() {
                return Wait::Timer(timer);
            }
            if let Some(event) = self.process_loop.life.pop_front() {
                return Wait::Life(event);
            }
            if !self.inbox.is_empty() {
                return Wait::Message;
            }
            if is_last {
                return Wait::Elapsed;
            }
            let left = until.saturating_duration_since(clock::now());
            is_last = left.is_zero();
            self.turn(left, Taking::WhatFits);
        }
    }

    /// Starts a timer that comes once, after this time. `None` when as many run as may
    /// ([`TIMERS_MAX`](wsmaster_workers::timers::TIMERS_MAX)). It is returned by [`Self::wait`], and ends with this process.
    pub fn after(&mut self, wait: Duration) -> Option<TimerId> {
        self.timers.after(wait, self.process_loop.now_ms())
    }

    /// As [`Self::after`], again and again, at least 1 ms apart. What a busy process misses is not made up for.
    pub fn tick(&mut self, every: Duration) -> Option<TimerId> {
        self.timers.every(every, self.process_loop.now_ms())
    }

    /// Ends a timer. Whether it was running.
    pub fn clear(&mut self, timer: TimerId) -> bool {
        self.timers.clear(timer)
    }

    pub(super) fn expire_timer(&mut self) -> Option<TimerId> {
        self.timers.expire(self.process_loop.now_ms())
    }

    /// When this process must have ended, once it is asked to.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.stop
    }

    /// Whether the process is asked to end.
    pub fn should_stop(&self) -> bool {
        self.stop.is_some()
    }

    /// The messages that have come. Those that are not taken from the iterator stay for the next call.
    pub fn messages(&mut self) -> impl Iterator<Item = ProcessMessage> + '_ {
        self.turn(Duration::ZERO, Taking::WhatFits);
        iter::from_fn(|| self.inbox.pop_front())
    }

    /// The messages that have been taken from the mailbox already.
    pub(super) fn take_messages(&mut self) -> Vec<ProcessMessage> {
        self.inbox.drain(..).collect()
    }

    /// Messages that were dropped because too many came while an answer was awaited. A process that gets very many should
    /// seldom wait for answers, or push through its [`handle`](Self::handle).
    pub fn messages_dropped(&self) -> u64 {
        self.dropped
    }

    /// Events of the server's life that were dropped because too many came between two calls of [`Self::wait`]: at most 1,024
    /// are kept.
    pub fn life_events_dropped(&self) -> u64 {
        self.process_loop.life_dropped
    }

    /// Sends to a connection, and waits for what became of it.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn push(
        &mut self,
        id: ConnectionId,
        message: Message<'_>,
    ) -> Result<Outcome, RequestError> {
        let (kind, payload) = (message.kind(), message.payload());
        self.request(Request::Push { id, kind, payload }).into_outcome()
    }

    /// Closes a connection, and waits for what became of it.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn disconnect(
        &mut self,
        id: ConnectionId,
        code: u16,
        reason: &str,
    ) -> Result<Outcome, RequestError> {
        self.request(Request::Disconnect { id, code, reason }).into_outcome()
    }

    /// What is known of a connection; `None` when there is none with this id.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn info(&mut self, id: ConnectionId) -> Result<Option<Value>, RequestError> {
        let info = self.request(Request::Info { id }).into_info()?;
        Ok(info.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Whether a connection is open or closing.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn exists(&mut self, id: ConnectionId) -> Result<bool, RequestError> {
        self.info(id).map(|info| info.is_some())
    }

    /// The ids of all connections of the server, worker by worker. They may be closed by the time you look.
    ///
    /// # Errors
    /// See [`RequestError`]: one worker that does not answer makes the list incomplete.
    pub fn connections(&mut self) -> Result<Vec<ConnectionId>, RequestError> {
        let workers: Vec<Slot> = self.handle.workers().collect();
        let mut ids = Vec::new();
        for worker in workers {
            let list = self
                .ask(|requester, now_ms, mark| {
                    requester.request_of(worker, Request::List, now_ms, mark)
                })
                .into_info()?;
            let list: Option<Vec<ConnectionId>> =
                list.and_then(|json| serde_json::from_slice(&json).ok());
            ids.extend(list.into_iter().flatten());
        }
        Ok(ids)
    }

    /// Sends to every connection, whatever application it belongs to, and waits for how many it reached.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn broadcast(
        &mut self,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> Result<DeliveryCount, RequestError> {
        let workers: Vec<Slot> = self.handle.workers().collect();
        let (kind, payload) = (message.kind(), message.payload());
        let broadcast = Request::Broadcast { group: None, kind, payload, exclude };
        self.ask(|requester, now_ms, mark| {
            requester.request_each(&workers, broadcast, DeliveryCount::default(), now_ms, mark)
        })
        .into_tally()
    }

    /// Sends to the subscribers of a channel, and waits for how many it reached.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn publish(
        &mut self,
        publication: &Publication<'_>,
    ) -> Result<DeliveryCount, RequestError> {
        let workers: Vec<Slot> = self.handle.subscribed(publication.channel).collect();
        self.ask(|requester, now_ms, mark| {
            requester.publish(&workers, publication, DeliveryCount::default(), now_ms, mark)
        })
        .into_tally()
    }

    /// Sends to another process, by its name: that of a side process, or `worker 2`, as [`ProcessMessage::from`] has it.
    ///
    /// # Errors
    /// [`SendError::NoSuchProcess`], and full is an answer.
    pub fn send(&mut self, process: &str, message: Message<'_>) -> Result<(), SendError> {
        let slot = process.strip_prefix("worker ").and_then(|slot| slot.parse().ok());
        let recipient = match slot {
            Some(slot) => Recipient::Worker(slot),
            None => Recipient::Process(process.into()),
        };
        let to = self.process_loop.directory.find(&recipient).ok_or(SendError::NoSuchProcess)?;
        self.handle.send_to_process(to, message.kind(), message.payload())
    }

    /// Has a task process do a task, and waits for its result, so long at the most.
    ///
    /// # Errors
    /// See [`TaskError`]. It is [`TaskError::Unanswered`] also when this process is asked to end.
    pub fn task(&mut self, data: &[u8], within: Duration) -> Result<Vec<u8>, TaskError> {
        self.tasks(&[data], within).pop().unwrap_or(Err(TaskError::Unanswered))
    }

    /// As [`Self::task`], of several tasks at a time: what became of each, in their order. A task process that asks for as
    /// many as there are task processes may wait for itself.
    pub fn tasks(&mut self, tasks: &[&[u8]], within: Duration) -> Vec<Result<Vec<u8>, TaskError>> {
        let until = clock::now() + within;
        let first = self.next + 1;
        for data in tasks {
            self.next += 1;
            match self.process_loop.requester.task(None, data, self.next) {
                Requested::Waiting => {}
                Requested::Known(mark, reply) => drop(self.answers.insert(mark, reply)),
            }
        }
        let mut results: Vec<Option<Result<Vec<u8>, TaskError>>> = vec![None; tasks.len()];
        let mut open = tasks.len();
        loop {
            for (mark, result) in (first..).zip(&mut results) {
                if result.is_none()
                    && let Some(reply) = self.answers.remove(&mark)
                {
                    *result = Some(reply.into_task());
                    open -= 1;
                }
            }
            let left = until.saturating_duration_since(clock::now());
            let is_over = open == 0 || left.is_zero() || self.should_stop();
            if is_over || !self.turn(left, Taking::Everything) {
                break;
            }
        }
        // Later answers are dropped.
        self.process_loop.requester.retain_tasks(|mark| *mark < first);
        results.into_iter().map(|it| it.unwrap_or(Err(TaskError::Unanswered))).collect()
    }

    fn request(&mut self, request: Request<'_>) -> Reply {
        self.ask(|requester, now_ms, mark| requester.request(request, now_ms, mark))
    }

    fn ask(
        &mut self,
        begin: impl FnOnce(&mut Requester<u64>, u64, u64) -> Requested<u64>,
    ) -> Reply {
        self.next += 1;
        let (mark, now_ms) = (self.next, self.process_loop.now_ms());
        match begin(&mut self.process_loop.requester, now_ms, mark) {
            Requested::Known(_, reply) => return reply,
            Requested::Waiting => {}
        }
        // The requester gives every question up in time, so this ends.
        loop {
            if let Some(reply) = self.answers.remove(&mark) {
                return reply;
            }
            if !self.turn(Duration::from_secs(1), Taking::Everything) {
                return Reply::Unanswered;
            }
        }
    }

    /// Waits for something to happen, no longer than to the next timer, and deals with it. `false` when nothing can happen
    /// any more.
    pub(super) fn turn(&mut self, timeout: Duration, taking: Taking) -> bool {
        self.process_loop.flush();
        self.own.clear();
        let timer =
            self.timers.next_ms().map(|at_ms| at_ms.saturating_sub(self.process_loop.now_ms()));
        let timeout = timer.map_or(timeout, |ms| timeout.min(Duration::from_millis(ms)));
        let turn = match self.process_loop.wait(Some(timeout), &mut self.own) {
            Ok(turn) => turn,
            Err(error) => {
                log::error!("poll failed: {error}");
                self.stop.get_or_insert_with(clock::now);
                return false;
            }
        };
        if let Some(left) = turn.stop {
            self.stop.get_or_insert_with(|| clock::now() + left);
        }
        let is_open = self.take_mail(taking) && !turn.orphaned;
        if !is_open {
            self.stop.get_or_insert_with(clock::now);
        }
        self.process_loop.flush();
        is_open
    }

    /// Takes mail. `false` when the master is dead.
    fn take_mail(&mut self, taking: Taking) -> bool {
        let Self { process_loop, inbox, dropped, answers, .. } = self;
        let packets_max = match taking {
            Taking::WhatFits => {
                INBOX_MESSAGES_MAX.saturating_sub(inbox.len()) / PACKET_MESSAGES_MAX
            }
            Taking::Everything => PACKETS_PER_TURN_MAX,
        };
        let mut lost = 0;
        let taken = process_loop.take_packets(
            packets_max,
            |mark, reply| drop(answers.insert(mark, reply)),
            |directory, command| match *command {
                Command::Note(Note::Message { from, kind, payload }) => {
                    if inbox.len() >= INBOX_MESSAGES_MAX {
                        *dropped += 1;
                        return;
                    }
                    let from = directory.name_of(from);
                    inbox.push_back(ProcessMessage { from, kind, payload: payload.to_vec() });
                }
                // It has no connections and has asked for no events.
                Command::Request { .. } | Command::Answer { .. } | Command::Note(Note::Part(_)) => {
                }
            },
            |_| lost += 1,
        );
        *dropped += lost;
        taken.is_ok()
    }
}
