//! The event loop. It feeds the pure parts, and its only decisions are the order and the budgets of a turn:
//!
//! 1. **poll**: wait for events, or for the next moment that something is due;
//! 2. **control**: what the master says;
//! 3. **mailbox**: what other processes say, at most [`PACKETS_PER_TURN_MAX`](budgets::PACKETS_PER_TURN_MAX) packets;
//! 4. **jobs**: those that have ended since the last turn;
//! 5. **accepts**: new connections, at most [`ACCEPTS_PER_TURN_MAX`](budgets::ACCEPTS_PER_TURN_MAX) from all listeners, each with its share;
//! 6. **connections**: those with events, then those with work left; each at most [`READS_PER_TURN_MAX`](budgets::READS_PER_TURN_MAX) reads and
//!    [`MESSAGES_PER_TURN_MAX`](budgets::MESSAGES_PER_TURN_MAX) messages and [`INFLATED_BYTES_PER_TURN_MAX`](budgets::INFLATED_BYTES_PER_TURN_MAX) decompressed bytes, and what is left goes to
//!    the end of the line; of those that begin with TLS [`HELLOS_PER_TURN_MAX`](budgets::HELLOS_PER_TURN_MAX);
//! 7. **timers**: connections that have waited too long, questions without an answer;
//! 8. **flush**: what was sent to connections that were not being served, answers to those who look at the worker, and the
//!    commands for other processes. Jobs that the turn has brought up are given to their threads.

mod accepting;
pub mod budgets;
mod calls;
mod http;
mod jobs;
mod leaving;
mod mail;
mod serving;

pub(crate) use self::{calls::Calls, serving::Buffers};

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, unix::SourceFd};
use wsmaster_ipc::{
    Handle, LeaveReason, Slot,
    inbox::Inbox,
    link::{ChildLink, ToMaster},
    relay::Relay,
    shared_state::Counter,
    sys::{random, reserve, signal::TermSignal},
};

use crate::{
    accept_sockets::AcceptSockets,
    conn_index::ConnIndex,
    context::{Callbacks, Context},
    effects::Effects,
    handler::Handler,
    handshakes::HandshakeRules,
    lifecycle::Life,
    limits::Limits,
    lineage::Lineage,
    listening::{Listeners, Listening, Proxies, Rules},
    state::WorkerState,
    threads::Threads,
    tls,
    token::Source,
};

const EVENTS_MAX: usize = 1024;
/// How soon a full mailbox of another process is tried again, should its event be missed.
const BACKLOG_RETRY_MS: u64 = 10;

/// All that a worker is built from.
pub struct WorkerSetup {
    /// Its slot.
    pub slot: Slot,
    /// Which process of this slot it is: the rows of statistics alternate.
    pub generation: u64,
    /// What it listens on; the master keeps the sockets too.
    pub listeners: Vec<Listening>,
    /// Whom to believe about clients behind proxies.
    pub proxies: Proxies,
    /// What is asked of handshakes.
    pub handshakes: HandshakeRules,
    /// The receiving end of the slot's mailbox; the master keeps it too.
    pub mailbox: OwnedFd,
    /// The line to the master.
    pub link: ChildLink,
    /// The way to all other processes.
    pub handle: Handle,
    /// The line to the worker before, if that is still leaving: what is its own is passed on to it.
    pub elder: Option<OwnedFd>,
    /// What it may be made to hold.
    pub limits: Limits,
    /// What its connections are encrypted with, if they are.
    pub tls: Option<tls::SealedCredentials>,
    /// Connections that another worker has served so far. Usually there are none.
    pub connections: Vec<MovedConnection>,
    /// Takes the file that the log is from now on.
    pub take_log: Box<dyn FnMut(OwnedFd)>,
}

/// A connection on its way from one worker to another.
#[derive(Debug)]
pub struct MovedConnection {
    /// All that it is, in a form that another build may refuse.
    pub state: Vec<u8>,
    /// Its socket.
    pub socket: OwnedFd,
}

impl std::fmt::Debug for WorkerSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerSetup").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// See the module.
pub struct Worker<H> {
    poll: Poll,
    state: WorkerState,
    threads: Threads,
    handler: H,
    /// What the application waits for.
    callbacks: Callbacks,
    accept_sockets: AcceptSockets,
    inbox: WorkerInbox,
    term: TermSignal,
    /// Packets for other processes wait for room in their mailboxes.
    has_backlog: bool,
    buffers: Buffers,
    tls: Option<tls::Acceptor>,
    take_log: Box<dyn FnMut(OwnedFd)>,
}

/// The mailbox of the slot, or what the successor passes on of it.
#[derive(Debug)]
struct WorkerInbox {
    inbox: Inbox,
    owner: MailboxOwner,
}

/// Which process reads the mailbox of the slot. A successor reads on where its predecessor stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MailboxOwner {
    /// This worker.
    Us,
    /// The successor, which passes nothing on yet.
    Successor,
    /// The successor, which passes on what is for this worker.
    SuccessorRelays,
}

impl<H> std::fmt::Debug for Worker<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("state", &self.state)
            .field("life", &self.state.lifecycle.life)
            .finish_non_exhaustive()
    }
}

impl<H: Handler> Worker<H> {
    /// Takes the seat. Nothing is accepted before [`Self::run`].
    ///
    /// # Errors
    /// Out of descriptors, or a descriptor of the seat is not what it should be.
    pub fn new(seat: WorkerSetup, handler: H) -> io::Result<Self> {
        let WorkerSetup {
            slot,
            generation,
            listeners,
            proxies,
            handshakes,
            mailbox,
            link,
            handle,
            elder,
            limits,
            tls,
            connections,
            take_log,
        } = seat;
        let poll = Poll::new()?;
        reserve::begin()?;
        let own = handle.own_address();
        let inbox = Inbox::new(mailbox, own, handle.shared_state().clone());
        let term = TermSignal::new()?;
        let registry = poll.registry();
        let mut accept_sockets = AcceptSockets::new(limits.sending());
        let mut known = Listeners::default();
        for Listening { socket, rules } in listeners {
            accept_sockets.open(registry, slot, rules.number, socket)?;
            known.learn(rules, &limits.session());
        }
        for (descriptor, source) in [
            (inbox.as_fd(), Source::Mailbox),
            (link.as_fd(), Source::Link),
            (term.as_fd(), Source::Term),
        ] {
            let descriptor = descriptor.as_raw_fd();
            registry.register(&mut SourceFd(&descriptor), source.token(), Interest::READABLE)?;
        }
        handle.each_writer(|address, writer| {
            let source = Source::Writer(address.0);
            let writer = writer.as_raw_fd();
            registry.register(&mut SourceFd(&writer), source.token(), Interest::WRITABLE)
        })?;
        let cell = handle.shared_state().worker_stats(slot, generation);
        cell.clear();
        // What the worker before is interested in stays until it is gone.
        if elder.is_none() {
            handle.shared_state().clear_interest(slot);
        }
        let elder = elder.map(|line| Relay::new(line, limits.backlog_bytes_max));
        if let Some(elder) = &elder {
            let descriptor = elder.as_fd().as_raw_fd();
            let either = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut SourceFd(&descriptor), Source::Predecessor.token(), either)?;
        }
        let first_serial = handle.shared_state().last_serial(slot) + 1;
        let lineage = Lineage::new(slot.address(), generation, first_serial, elder.is_some());
        let threads = Threads::new(limits.job_threads);
        let now_ms = clock_ms();
        let mut fx = Effects::new(slot, cell, handle, limits, lineage, random::seed()?, now_ms);
        fx.peers.predecessor = elder;
        fx.rules = Rules { listeners: known, proxies, handshakes };
        let accept = |sealed| tls::Acceptor::new(sealed, fx.delivery.backlogs.clone());
        let tls = tls.map(accept).transpose()?;
        let mut state = WorkerState::new(fx, link);
        for MovedConnection { state: bytes, socket } in connections {
            if let Err(error) = state.adopt(poll.registry(), &bytes, socket) {
                log::error!("a connection of the worker before is lost: {error}");
            }
        }
        Ok(Self {
            threads,
            poll,
            state,
            handler,
            callbacks: Callbacks::default(),
            accept_sockets,
            // What came while no worker was there waits in the kernel, and will not be told of again.
            inbox: WorkerInbox { inbox, owner: MailboxOwner::Us },
            term,
            has_backlog: false,
            buffers: Buffers::new(),
            tls,
            take_log,
        })
    }

    /// Serves until the master says that it is time to leave, or is dead.
    ///
    /// # Errors
    /// The poll itself fails: a fault of ours or of the kernel's.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut active = Vec::with_capacity(EVENTS_MAX);
        self.state.fx.now_ms = clock_ms();
        self.call(None, |handler, context| handler.on_start(context));
        self.state.lifecycle.link.send(&ToMaster::Ready);
        self.hand_out_jobs();
        while !self.is_done() {
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.state.fx.now_ms = clock_ms();
            self.state.fx.stats.add(Counter::Turns, 1);
            self.dispatch_events(&events, &mut active);
            self.take_next_predecessor();
            self.take_mail();
            self.take_ended_jobs();
            self.accept();
            self.serve_connections(&mut active);
            self.look_at_the_clock();
            self.drain_clients();
            self.flush();
            self.hand_out_jobs();
        }
        self.abandon_jobs();
        self.end_questions();
        match self.state.lifecycle.life {
            Life::Leaving { reason, .. } => {
                self.call(None, |handler, context| handler.on_stop(context, reason));
            }
            // Whatever it would do for the server, there is none.
            Life::Serving | Life::Recycling | Life::Orphaned => {}
        }
        self.end_mail();
        self.flush();
        Ok(())
    }

    fn is_done(&self) -> bool {
        match self.state.lifecycle.life {
            Life::Serving | Life::Recycling => false,
            Life::Leaving { deadline_ms, .. } => {
                // One that leaves for longer than this one would hear nothing any more.
                let is_over = self.state.connections.is_empty()
                    && self.state.fx.events.jobs.is_empty()
                    && !self.state.fx.peers.lineage.has_predecessor();
                is_over || self.state.fx.now_ms >= deadline_ms
            }
            Life::Orphaned => true,
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        if self.inbox.inbox.has_mail() || !self.state.fx.schedule.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let leaving = match self.state.lifecycle.life {
            Life::Leaving { deadline_ms, .. } => Some(deadline_ms),
            Life::Serving | Life::Recycling | Life::Orphaned => None,
        };
        let backlog = self.has_backlog.then_some(self.state.fx.now_ms + BACKLOG_RETRY_MS);
        let farewell = self.state.fx.drain.schedule.next_ms();
        let moments = [
            self.state.fx.wake_at_ms(),
            self.accept_sockets.wake_at_ms(),
            leaving,
            farewell,
            backlog,
        ];
        let next_ms = moments.into_iter().flatten().min();
        let wait = next_ms.map(|at| Duration::from_millis(at.saturating_sub(self.state.fx.now_ms)));
        let most = Some(self.state.fx.limits.turn_interval_max).filter(|most| !most.is_zero());
        wait.into_iter().chain(most).min()
    }

    /// Sorts the events of a turn. Control is acted on at once.
    fn dispatch_events(&mut self, events: &Events, active: &mut Vec<ConnIndex>) {
        for event in events {
            match Source::of(event.token()) {
                Some(Source::Listener(number)) => self.accept_sockets.arrived(number),
                Some(Source::Mailbox) => self.inbox.inbox.set_has_mail(self.takes_mail()),
                Some(Source::Link) => self.read_link(),
                Some(Source::Predecessor) if event.is_read_closed() || event.is_error() => {
                    self.lose_predecessor();
                    self.run_callbacks();
                }
                Some(Source::Term) => {
                    if self.term.take() {
                        self.state.lifecycle.ask_for_a_successor(LeaveReason::Asked);
                    }
                }
                // The flush at the end of the turn tries it; ended jobs are looked for in each turn.
                Some(Source::Writer(_) | Source::Predecessor | Source::Jobs) => {}
                Some(Source::Connection(key)) => {
                    let Some((connection, fx)) = self.state.lend_key(key) else { continue };
                    connection.flags.readable |= event.is_readable() || event.is_error();
                    connection.flags.peer_done |= event.is_read_closed();
                    connection.flags.urgent |= event.is_priority();
                    if event.is_writable()
                        && connection.waiting_bytes() > 0
                        && !connection.flags.dirty
                    {
                        // The socket was full and has room again, so the peer takes what we send. That is a sign of life:
                        // its own words may stand unread, or the ping behind what had to leave first.
                        connection.times.alive_at(fx.now_ms);
                        connection.mark_dirty(&mut fx.schedule);
                    }
                    if connection.flags.readable {
                        active.push(key.index);
                    }
                }
                None => debug_assert!(false, "an event without a source"),
            }
        }
    }

    fn serve_connections(&mut self, active: &mut Vec<ConnIndex>) {
        let Self { state, callbacks, handler, buffers, .. } = self;
        Calls { state, callbacks, handler }.serve_all(active, buffers);
    }

    // ----- time -----

    fn look_at_the_clock(&mut self) {
        let now_ms = self.state.fx.now_ms;
        self.state.fx.schedule.wheel.advance(now_ms, &mut self.buffers.due);
        for index in self.buffers.due.drain(..) {
            if let Some((connection, fx)) = self.state.lend(index) {
                connection.timers().tick(fx);
            }
        }
        while let Some(timer) = self.state.fx.events.timers.expire(now_ms) {
            self.call(None, |handler, context| handler.on_timer(context, timer));
        }
        while let Some(expired) = self.state.fx.requests.requester.expire(self.state.fx.now_ms) {
            self.state.fx.stats.add(Counter::UnansweredAsks, 1);
            self.state.fx.requests.answered.push_back(expired);
        }
        self.run_callbacks();
    }

    // ----- output -----

    fn flush(&mut self) {
        // An end that is noticed here may make the application send more: nothing would wake the loop for that.
        while !self.state.fx.schedule.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.state.fx.schedule.dirty);
            // First come, first served: the one who was sent to first does not wait for all others.
            for index in dirty.drain(..) {
                if let Some((connection, fx)) = self.state.lend(index) {
                    connection.flags.dirty = false;
                    connection.flush(fx);
                    // What is shared in outboxes is each client's own when it is encrypted.
                    self.state.evict_if_full();
                }
            }
            if self.state.fx.schedule.dirty.is_empty() {
                self.state.fx.schedule.dirty = dirty;
            }
            self.run_callbacks();
        }
        self.state.remove_closed();
        self.state.answer_inspections();
        let relayed = self.state.fx.peers.flush();
        if relayed.is_none() {
            self.lose_predecessor();
        }
        let flushed = self.state.fx.requests.handle().flush();
        self.has_backlog = !(flushed && relayed.unwrap_or(true));
        self.state.show_gauges();
    }
}

/// The clock of the loop, in ms: CLOCK_MONOTONIC, which is the same in all processes.
fn clock_ms() -> u64 {
    wsmaster_ipc::sys::clock::now().ms()
}

impl<H: Handler> Worker<H> {
    pub(crate) fn calls(&mut self) -> Calls<'_, H> {
        Calls { state: &mut self.state, callbacks: &mut self.callbacks, handler: &mut self.handler }
    }

    /// As [`Calls::call`].
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        index: Option<ConnIndex>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.calls().call(index, call)
    }

    /// As [`Calls::run_callbacks`].
    #[inline]
    pub(crate) fn run_callbacks(&mut self) {
        self.calls().run_callbacks();
    }
}
