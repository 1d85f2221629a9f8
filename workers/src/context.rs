//! What an application may do: to the connection it is called for, to any other connection of the server, to channels.

use std::{borrow::Cow, time::Duration};

use crossbeam_channel::bounded;
use serde_json::Value;
use slab::Slab;
use wsmaster_ipc::{
    Address, ConnectionId, EventHeader, Handle, Outcome, Request, SendError, Slot,
    command::{Group, Recipients},
    handle::{Broadcast, Publication, Sent},
    shared_state::Counter,
};
use wsmaster_protocol::{close::CloseCode, http::Response};

use crate::{
    callback_id::CallbackId,
    channel_table::{Joined, Parted},
    conn_index::ConnIndex,
    connection::{Connection, ConnectionInfo},
    effects::Effects,
    jobs::{JobError, JobOrder, Work},
    limits::Limits,
    pending::{DeliveryCount, Reply, RequestError},
    state::WorkerState,
    tasks::TaskError,
    timers::TimerId,
    vocabulary::{Message, Responder, Undecided, Verdict},
};

/// The application's hands. See the module.
#[derive(Debug)]
pub struct Context<'w> {
    state: &'w mut WorkerState,
    callbacks: &'w mut Callbacks,
    current: Option<ConnIndex>,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The connection has as many subscriptions as it may have.
    #[error("the connection has as many subscriptions as it may have")]
    TooMany,
    /// The connection is closing or gone, or the call was not about a connection.
    #[error("the connection is closing")]
    Closing,
}

impl<'w> Context<'w> {
    pub(crate) fn new(
        state: &'w mut WorkerState,
        callbacks: &'w mut Callbacks,
        current: Option<ConnIndex>,
    ) -> Self {
        Self { state, callbacks, current }
    }

    // ----- the connection of this call -----

    /// The connection that this call is about, if it is about one.
    pub fn current(&self) -> Option<ConnectionId> {
        self.connection().map(|connection| connection.id)
    }

    /// Its facts.
    pub fn connection(&self) -> Option<&ConnectionInfo> {
        self.state.connections.at(self.current?).map(|connection| &connection.info)
    }

    /// Leaves what it sends unread from here on, until [`Self::resume`]. The client notices nothing but that its messages
    /// are taken more slowly; its silence is not held against it.
    pub fn pause(&mut self) {
        if let Some((connection, fx)) = self.lend_current() {
            connection.timers().pause_reading(fx);
        }
    }

    /// Sends to it.
    #[inline]
    pub fn reply(&mut self, message: Message<'_>) -> Outcome {
        match self.current {
            Some(index) => self.state.send(index, message),
            None => Outcome::NoSuchConnection,
        }
    }

    /// Begins its close handshake.
    pub fn close(&mut self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        if let Some((connection, fx)) = self.lend_current() {
            connection.close_with(code, reason.into(), fx);
        }
    }

    /// Subscribes it to a channel. `false` when it was subscribed already.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe(&mut self, channel: &str) -> Result<bool, SubscribeError> {
        let open = self.lend_current().filter(|(connection, _)| connection.state.can_send());
        let (connection, fx) = open.ok_or(SubscribeError::Closing)?;
        match connection.subscribe(channel, fx) {
            Joined::First | Joined::More => Ok(true),
            Joined::Already => Ok(false),
            Joined::TooMany => Err(SubscribeError::TooMany),
        }
    }

    /// Ends its subscription. `false` when there was none.
    pub fn unsubscribe(&mut self, channel: &str) -> bool {
        let Some((connection, fx)) = self.lend_current() else { return false };
        match connection.unsubscribe(channel, fx) {
            Parted::Last | Parted::Less => true,
            Parted::Never => false,
        }
    }

    /// Whether it is subscribed to a channel.
    pub fn is_subscribed(&self, channel: &str) -> bool {
        self.current.is_some_and(|index| self.state.fx.channels.table.is_subscribed(index, channel))
    }

    /// A value that the application has kept with it.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.connection()?.context.as_ref()?.get(key)
    }

    /// Keeps a value with it, for as long as it lives. What is kept under [`USER_KEY`](crate::USER_KEY) is shown to
    /// operators as its user.
    pub fn keep(&mut self, key: &str, value: Value) {
        if let Some((connection, _)) = self.lend_current() {
            connection.info.context.get_or_insert_default().insert(key.to_owned(), value);
        }
    }

    /// Puts it into a group, and out of the one that it is in. Without one it gets what is for everybody.
    pub fn join_group(&mut self, group: Option<Group>) {
        if let Some((connection, _)) = self.lend_current() {
            connection.info.group = group;
        }
    }

    // ----- the connections of this worker -----

    /// The facts about a WebSocket of this worker.
    pub fn connection_of(&self, id: ConnectionId) -> Option<&ConnectionInfo> {
        self.state.connections.at(self.state.fx.ids.find(id)?).map(|connection| &connection.info)
    }

    /// Reads on from a WebSocket of this worker that was [paused](Self::pause).
    pub fn resume(&mut self, id: ConnectionId) {
        if let Some((connection, fx)) = self.state.lend_id(id) {
            connection.timers().resume_reading(fx);
        }
    }

    /// Begins the close handshake of a WebSocket of this worker.
    pub fn close_of(
        &mut self,
        id: ConnectionId,
        code: CloseCode,
        reason: impl Into<Cow<'static, str>>,
    ) {
        if let Some((connection, fx)) = self.state.lend_id(id) {
            connection.close_with(code, reason.into(), fx);
        }
    }

    // ----- any connection -----

    /// Sends to one connection of the server, wherever it is.
    ///
    /// # Errors
    /// The mailbox of its owner is full.
    pub fn push(&mut self, id: ConnectionId, message: Message<'_>) -> Result<(), SendError> {
        if self.state.fx.peers.is_here(id) {
            self.state.push_here(id, message);
            return Ok(());
        }
        self.state.fx.requests.handle().push(id, message.kind(), message.payload())
    }

    /// As [`Self::push`], and tells later what became of it.
    pub fn push_ack(
        &mut self,
        id: ConnectionId,
        message: Message<'_>,
        done: impl FnOnce(&mut Context<'_>, Result<Outcome, RequestError>) + 'static,
    ) {
        let (kind, payload) = (message.kind(), message.payload());
        let done = self.callbacks.add(one(done));
        self.state.request(id, Request::Push { id, kind, payload }, done);
    }

    /// Closes one connection of the server with a close code and a reason of at most 123 bytes, and tells later what became
    /// of it.
    pub fn disconnect_ack(
        &mut self,
        id: ConnectionId,
        code: u16,
        reason: &str,
        done: impl FnOnce(&mut Context<'_>, Result<Outcome, RequestError>) + 'static,
    ) {
        let done = self.callbacks.add(one(done));
        self.state.request(id, Request::Disconnect { id, code, reason }, done);
    }

    /// Tells what is known of a connection, as a JSON object; `None` when there is no such connection.
    pub fn info(
        &mut self,
        id: ConnectionId,
        done: impl FnOnce(&mut Context<'_>, Result<Option<Vec<u8>>, RequestError>) + 'static,
    ) {
        let done = on_reply(move |context, reply| {
            done(context, reply.into_info());
            true
        });
        let done = self.callbacks.add(done);
        self.state.request(id, Request::Info { id }, done);
    }

    // ----- many connections -----

    /// Sends to every WebSocket of the server, whatever application it belongs to. Whether every worker's mailbox took it; what
    /// did not is counted.
    pub fn broadcast(&mut self, message: Message<'_>, exclude: Option<ConnectionId>) -> bool {
        self.broadcast_among(None, message, exclude)
    }

    /// As [`Self::broadcast`], to the connections of one group ([`Self::join_group`]).
    pub fn broadcast_to_group(
        &mut self,
        group: Group,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> bool {
        self.broadcast_among(Some(group), message, exclude)
    }

    /// As [`Self::broadcast`], and tells later how many connections it reached.
    pub fn broadcast_ack(
        &mut self,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        done: impl FnOnce(&mut Context<'_>, Result<DeliveryCount, RequestError>) + 'static,
    ) {
        let tally = self.state.broadcast_here(None, message, exclude);
        let mut others = self.others();
        others.extend(self.state.fx.peers.lineage.is_shared().then_some(self.state.fx.peers.slot));
        let done = self.callbacks.add(several(done));
        let (broadcast, now_ms) = (cast(None, message, exclude), self.state.fx.now_ms);
        let Effects { requests, .. } = &mut self.state.fx;
        let request = broadcast.request();
        let asked = requests.requester.request_each(&others, request, tally, now_ms, done);
        self.state.fx.requests.keep(asked);
    }

    /// Sends to the subscribers of a channel on all workers. Whether every mailbox took it; what did not is counted.
    pub fn publish(&mut self, publication: &Publication<'_>) -> bool {
        self.publish_here(publication);
        let others = self.other_subscribed(publication.channel);
        let in_slot = self.state.fx.peers.publish(publication, self.state.fx.requests.handle());
        if others.is_empty() {
            return in_slot;
        }
        let sent = self.state.fx.requests.handle().publish(others.into_iter(), publication, None);
        in_slot & all_sent(sent)
    }

    /// As [`Self::publish`], and tells later how many connections it reached.
    pub fn publish_ack(
        &mut self,
        publication: &Publication<'_>,
        done: impl FnOnce(&mut Context<'_>, Result<DeliveryCount, RequestError>) + 'static,
    ) {
        let tally = self.publish_here(publication);
        let mut others = self.other_subscribed(publication.channel);
        if self.state.fx.peers.lineage.is_shared() {
            let own = self.state.fx.peers.slot;
            let subscribed = self.state.fx.requests.handle().subscribed(publication.channel);
            others.extend(subscribed.filter(|slot| *slot == own));
        }
        let (now_ms, done) = (self.state.fx.now_ms, self.callbacks.add(several(done)));
        let asked =
            self.state.fx.requests.requester.publish(&others, publication, tally, now_ms, done);
        self.state.fx.requests.keep(asked);
    }

    /// Sends an event to a side process that is a program, if its mailbox has room; what has none is counted. A closure is
    /// sent messages instead: [`Handle::send_to_process`].
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn notify(
        &mut self,
        process: Address,
        header: EventHeader,
        line: &[u8],
    ) -> Result<(), SendError> {
        self.state.fx.requests.handle().notify(process, header, line)
    }

    /// Asks a side process that is a program, and tells what its host says, or why nothing came within this time. `done`
    /// says whether whoever it is for still waits ([`Self::awaits_answer`], [`Self::awaits_verdict`]), which the program
    /// hears if it wants to know.
    pub fn ask(
        &mut self,
        process: Address,
        header: EventHeader,
        question: &[u8],
        timeout: Duration,
        done: impl FnOnce(&mut Context<'_>, Result<Vec<u8>, RequestError>) -> bool + 'static,
    ) {
        let done = self.callbacks.add(on_reply(move |context, reply| {
            let answer = reply.into_info().and_then(|said| said.ok_or(RequestError::Unanswered));
            done(context, answer)
        }));
        let (timeout_ms, now_ms) = (timeout.as_millis() as u64, self.state.fx.now_ms);
        let asked = self
            .state
            .fx
            .requests
            .requester
            .ask_process(process, header, question, timeout_ms, now_ms, done);
        self.state.fx.requests.keep(asked);
    }

    /// Counts messages of clients that the application drops.
    pub fn count_dropped(&mut self, messages: u64) {
        self.state.fx.stats.add(Counter::DroppedByHandler, messages);
    }

    // ----- HTTP -----

    /// During [`Handler::on_handshake`](crate::Handler::on_handshake): the right to decide it later.
    pub fn undecided(&self) -> Option<Undecided> {
        let connection = self.state.connections.at(self.current?)?;
        Some(Undecided { key: connection.key, number: connection.messages_in as u32 })
    }

    /// Decides a handshake that was left open with [`Verdict::Later`]. When the client is gone by then, nothing happens. The
    /// connection is opened when the present call is over: what its client is to get first is sent in
    /// [`Handler::on_open`](crate::Handler::on_open).
    pub fn decide(&mut self, undecided: Undecided, verdict: Verdict) {
        self.state.fx.events.decisions.push_back((undecided, verdict));
    }

    /// Whether a client still waits for its handshake to be decided, as far as is known here.
    pub fn awaits_verdict(&self, undecided: &Undecided) -> bool {
        self.state.awaits_verdict(undecided)
    }

    /// Answers a request. When the client is gone by then, nothing happens.
    pub fn respond(&mut self, responder: Responder, response: &Response) {
        if let Some((connection, fx)) = self.state.lend_key(responder.key) {
            connection.http().respond(responder.number, response, fx);
        }
    }

    /// Whether a client still waits for the answer to its request, as far as is known here.
    pub fn awaits_answer(&self, responder: &Responder) -> bool {
        self.state.awaits_answer(responder)
    }

    // ----- timers -----

    /// Calls [`Handler::on_timer`](crate::Handler::on_timer) once, after this time. `None` when as many timers run as may
    /// ([`TIMERS_MAX`](crate::timers::TIMERS_MAX)). Timers end with their worker.
    pub fn after(&mut self, wait: Duration) -> Option<TimerId> {
        self.state.fx.events.timers.after(wait, self.state.fx.now_ms)
    }

    /// As [`Self::after`], again and again, at least 1 ms apart. What a busy loop misses is not made up for.
    pub fn tick(&mut self, every: Duration) -> Option<TimerId> {
        self.state.fx.events.timers.every(every, self.state.fx.now_ms)
    }

    /// Ends a timer. Whether it was running.
    pub fn clear(&mut self, timer: TimerId) -> bool {
        self.state.fx.events.timers.clear(timer)
    }

    // ----- blocking work -----

    /// Runs `work`, which may block, on one of the worker's threads for jobs, and then calls `done` on the loop with what it
    /// returned.
    ///
    /// As long as the worker lives `done` is called exactly once, whatever becomes of the job, and never during this call.
    /// It is called for the connection that this call is for: it can reply to it, push, and answer a request whose
    /// [`Responder`] it holds. When that connection has ended meanwhile (its `on_close` has been called),
    /// [`Self::current`] is `None` there.
    ///
    /// Threads ([`Limits::job_threads`]) are started when there is work for them, at most [`Limits::job_queue_max`] jobs may
    /// wait or run, and a worker that leaves waits for its jobs as long as for its clients.
    pub fn run_job<T: Send + 'static>(
        &mut self,
        order: JobOrder,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(&mut Context<'_>, Result<T, JobError>) + 'static,
    ) {
        let (work, end) = job(work, done);
        let end = self.callbacks.add(end);
        let connection = self.current();
        let Effects { events, limits, stats, .. } = &mut self.state.fx;
        events.submit_job(connection, order, work, end, limits, stats);
    }

    /// Gives a task to whichever task process is free first, and tells later what became of it: its result, or why there is
    /// none. What the data means is between the application and its
    /// task handler.
    ///
    /// A task may take as long as it likes. When this worker has to leave before the answer is there (a reload),
    /// `done` is called with [`TaskError::Unanswered`].
    pub fn task(
        &mut self,
        data: &[u8],
        done: impl FnOnce(&mut Context<'_>, Result<Vec<u8>, TaskError>) + 'static,
    ) {
        self.give_task(None, data, done);
    }

    /// As [`Self::task`], to the task process with this number, from 0: tasks that one worker gives to one process are done
    /// in their order.
    pub fn task_to(
        &mut self,
        process: u16,
        data: &[u8],
        done: impl FnOnce(&mut Context<'_>, Result<Vec<u8>, TaskError>) + 'static,
    ) {
        self.give_task(Some(process), data, done);
    }

    /// How many task processes there are.
    pub fn task_processes(&self) -> u16 {
        self.state.fx.requests.thread_handle.tasks().processes()
    }

    // ----- the worker -----

    /// The slot of this worker.
    pub fn slot(&self) -> Slot {
        self.state.fx.peers.slot
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.state.fx.limits
    }

    /// A way to all connections that other threads can have too. Its commands leave at once.
    pub fn handle(&self) -> &Handle {
        &self.state.fx.requests.thread_handle
    }

    /// Milliseconds of the monotonic clock of the machine, which nobody sets and which is the same in all processes; it stands
    /// still during a turn of the loop.
    pub fn clock_ms(&self) -> u64 {
        self.state.fx.now_ms
    }

    /// Milliseconds since 1970, by the wall clock.
    pub fn unix_ms(&self) -> u64 {
        Effects::unix_ms()
    }

    /// Whether the server stops. While only this worker leaves, its successor serves.
    pub fn is_stopping(&self) -> bool {
        self.state.fx.drain.is_stopping
    }

    /// Whether the worker takes new connections: not while it leaves.
    pub fn is_serving(&self) -> bool {
        !self.state.fx.drain.is_leaving
    }

    fn give_task(
        &mut self,
        process: Option<u16>,
        data: &[u8],
        done: impl FnOnce(&mut Context<'_>, Result<Vec<u8>, TaskError>) + 'static,
    ) {
        let done = self.callbacks.add(on_reply(move |context, reply| {
            done(context, reply.into_task());
            true
        }));
        let asked = self.state.fx.requests.requester.task(process, data, done);
        self.state.fx.requests.keep(asked);
    }

    fn lend_current(&mut self) -> Option<(&mut Connection, &mut Effects)> {
        self.state.lend(self.current?)
    }

    fn broadcast_among(
        &mut self,
        group: Option<Group>,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> bool {
        self.state.broadcast_here(group, message, exclude);
        let others = self.others();
        let broadcast = cast(group, message, exclude);
        let sent = self.state.fx.requests.handle().broadcast(others.into_iter(), &broadcast, None);
        self.state.fx.peers.broadcast(group, message, exclude, self.state.fx.requests.handle())
            & all_sent(sent)
    }

    fn publish_here(&mut self, publication: &Publication<'_>) -> DeliveryCount {
        let message = Message::from_parts(publication.kind, publication.payload);
        let only = Recipients::to_bytes(publication.only);
        let only = Recipients::from_bytes(&only);
        self.state.publish_here(publication.channel, message, publication.exclude, only)
    }

    fn others(&self) -> Vec<Slot> {
        let own = self.state.fx.peers.slot;
        self.state.fx.requests.handle().workers().filter(|slot| *slot != own).collect()
    }

    fn other_subscribed(&self, channel: &str) -> Vec<Slot> {
        let own = self.state.fx.peers.slot;
        self.state.fx.requests.handle().subscribed(channel).filter(|slot| *slot != own).collect()
    }
}

fn cast<'a>(
    group: Option<Group>,
    message: Message<'a>,
    exclude: Option<ConnectionId>,
) -> Broadcast<'a> {
    Broadcast { group, kind: message.kind(), payload: message.payload(), exclude }
}

fn all_sent(sent: Result<Vec<Sent>, SendError>) -> bool {
    sent.is_ok_and(|sent| sent.iter().all(|one| one.result.is_ok()))
}

/// What is to be done when something has ended that the application waits for.
pub(crate) enum Callback {
    /// An answer has come, or none will. It returns whether somebody still waits for it.
    Reply(ReplyCallback),
    /// A job is over; with an error, its result is not looked for.
    JobEnd(JobEndCallback),
}

pub(crate) type ReplyCallback = Box<dyn FnOnce(&mut Context<'_>, Reply) -> bool>;
pub(crate) type JobEndCallback = Box<dyn FnOnce(&mut Context<'_>, Result<(), JobError>)>;

/// The callbacks that wait. There are as many as requests and tasks under way and jobs that are not over, each of which has
/// its bound.
#[derive(Default)]
pub(crate) struct Callbacks(Slab<Callback>);

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Callbacks").field(&self.0.len()).finish()
    }
}

impl Callbacks {
    fn add(&mut self, callback: Callback) -> CallbackId {
        CallbackId(self.0.insert(callback))
    }

    /// Takes one out, to be called.
    pub(crate) fn take(&mut self, id: CallbackId) -> Option<Callback> {
        self.0.try_remove(id.0)
    }
}

fn on_reply(callback: impl FnOnce(&mut Context<'_>, Reply) -> bool + 'static) -> Callback {
    Callback::Reply(Box::new(callback))
}

fn one(done: impl FnOnce(&mut Context<'_>, Result<Outcome, RequestError>) + 'static) -> Callback {
    on_reply(move |context, reply| {
        done(context, reply.into_outcome());
        true
    })
}

fn several(
    done: impl FnOnce(&mut Context<'_>, Result<DeliveryCount, RequestError>) + 'static,
) -> Callback {
    on_reply(move |context, reply| {
        done(context, reply.into_tally());
        true
    })
}

/// A job as the thread and the loop have it: the result goes from the one to the other by itself.
fn job<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(&mut Context<'_>, Result<T, JobError>) + 'static,
) -> (Work, Callback) {
    let (put, take) = bounded(1);
    let work = Box::new(move || {
        // Nobody takes the result of a job that was abandoned.
        let _ = put.send(work());
    });
    let end = Callback::JobEnd(Box::new(move |context, result| {
        // A job that did not get as far as its result has panicked.
        let result = result.and_then(|()| take.try_recv().map_err(|_| JobError::Panicked));
        done(context, result);
    }));
    (work, end)
}
