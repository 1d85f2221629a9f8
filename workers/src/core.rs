//! What a worker holds and what can be done to it without asking the application: the state of the loop.
//!
//! Calls of the application are never made from here. What it has to be told is queued ([`Core::endings`],
//! [`Core::finished`]) and told by the loop when the present call is over, so it is never entered twice.

pub(crate) mod admitting;
mod answering;
mod channels;
mod commands;
mod compressing;
mod delivering;
mod ending;
mod holding;
mod jobs;
mod output;
mod relaying;
mod relief;
mod sending;
mod surveying;
mod unfinished;
mod watching;

use std::{
    collections::VecDeque,
    fmt::Display,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustc_hash::FxHashMap;
use wsmaster_ipc::{
    AskTicket, ConnectionId, Handle, Slot,
    board::{Cell, Counter, InterestBit},
    relay::Relay,
};

use self::{
    compressing::Compressor,
    delivering::Undelivered,
    relief::{SharedFrames, Waiting},
};
use crate::{
    admission::Admission,
    asker::{Asked, Asker},
    asks::Reply,
    complaints::Complaints,
    context::Context,
    exchange::Manner,
    farewells::Farewells,
    handler::{Closed, Undecided, Verdict},
    handshakes::HandshakeRules,
    jobs::{JobEnd, JobError, Jobs, Work},
    limits::Limits,
    lineage::Lineage,
    listening::{Listeners, Proxies},
    registry::Registry,
    timers::Timers,
    tls::Backlogs,
    topics::Topics,
    wheel::Wheel,
};

/// What is to be done with an answer. Whether somebody still waits for it.
pub(crate) type Completion = Box<dyn FnOnce(&mut Context<'_>, Reply) -> bool>;

/// A job that is over, of which the application has to be told.
pub(crate) struct EndedJob {
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) end: JobEnd,
    pub(crate) result: Result<(), JobError>,
}

/// See the module.
pub(crate) struct Core {
    pub(crate) slot: Slot,
    pub(crate) cell: Cell,
    /// What the loop asks others, and sends with: it gathers until the end of the turn.
    pub(crate) asker: Asker<Completion>,
    /// What other threads may send with: nothing waits for the loop.
    pub(crate) handle: Handle,
    pub(crate) limits: Limits,
    pub(crate) listeners: Listeners,
    pub(crate) proxies: Proxies,
    pub(crate) handshakes: HandshakeRules,
    pub(crate) admission: Admission,
    pub(crate) registry: Registry,
    pub(crate) topics: Topics,
    /// How many channels with subscribers here share a bit of the board.
    interest: FxHashMap<InterestBit, u32>,
    pub(crate) wheel: Wheel,
    started: Instant,
    pub(crate) now_ms: u64,
    /// Output of the connection that is being served, to leave in one write.
    pub(crate) cork: Vec<u8>,
    pub(crate) corked: Option<u32>,
    /// How much of a WebSocket's cork is HTTP still: up to the end of the answer that made it one.
    pub(crate) cork_plain: usize,
    scratch: Vec<u8>,
    compressor: Option<Compressor>,
    members: Vec<u32>,
    /// Connections whose outbox is to be flushed at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// Connections that have work left and are served again in the next turn.
    pub(crate) ready: VecDeque<u32>,
    /// Connections to be removed when nobody works on them.
    pub(crate) gone: Vec<u32>,
    /// WebSockets whose end the application has to be told of.
    pub(crate) endings: VecDeque<(u32, Closed)>,
    /// Handshakes that the application has decided after a while.
    pub(crate) decisions: VecDeque<(Undecided, Verdict)>,
    /// Answers that are complete.
    pub(crate) finished: VecDeque<(Completion, Reply)>,
    pub(crate) timers: Timers,
    pub(crate) jobs: Jobs<Work, JobEnd>,
    /// Jobs that are over, or were refused.
    pub(crate) ended_jobs: VecDeque<EndedJob>,
    pub(crate) random: fastrand::Rng,
    pub(crate) leaving: bool,
    /// The whole server stops: there will be no successor.
    pub(crate) stopping: bool,
    /// Who is to be told that the worker leaves, and when.
    pub(crate) farewells: Farewells,
    /// Which process of its slot this worker is.
    pub(crate) lineage: Lineage,
    /// The line to the worker before, while that leaves.
    pub(crate) elder: Option<Relay>,
    /// What the worker after this one has of the answer to the command that comes next.
    pub(crate) carried: relaying::Carried,
    /// What waits in all outboxes.
    waiting: Waiting,
    /// What was before the ping of connections that have not answered it, if anything was.
    undelivered: FxHashMap<u32, Undelivered>,
    /// What connections have sent and what could not be handled yet, in bytes.
    unfinished_bytes: usize,
    /// What has left them, is encrypted, and waits for its sockets.
    pub(crate) backlogs: Backlogs,
    /// The frames that many connections wait for.
    shared: SharedFrames,
    complaints: Complaints,
    /// Questions about all connections or channels, to be answered at the end of the turn.
    surveys: Vec<(AskTicket, Vec<u8>)>,
    /// WebSockets that are held.
    held: u64,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("slot", &self.slot)
            .field("connections", &self.registry.len())
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        slot: Slot,
        cell: Cell,
        handle: Handle,
        limits: Limits,
        lineage: Lineage,
        seed: u64,
    ) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        // Answers to questions of the process before may still come: they do not look like answers to ours.
        let first_request = lineage.first_request();
        let ask_timeout_ms = limits.ask_timeout.as_millis() as u64;
        Self {
            slot,
            cell,
            asker: Asker::new(handle.for_a_loop(), first_request, ask_timeout_ms),
            handle,
            jobs: Jobs::new(limits.job_queue_max),
            ended_jobs: VecDeque::new(),
            compressor: limits
                .compression
                .map(|compression| Compressor::new(compression, limits.slow_client)),
            limits,
            listeners: Listeners::default(),
            proxies: Proxies::default(),
            handshakes: HandshakeRules::default(),
            admission: Admission::default(),
            registry: Registry::default(),
            topics: Topics::default(),
            interest: FxHashMap::default(),
            wheel: Wheel::new(0),
            started: Instant::now(),
            now_ms: 0,
            cork: Vec::new(),
            corked: None,
            cork_plain: 0,
            scratch: Vec::new(),
            members: Vec::new(),
            dirty: Vec::new(),
            ready: VecDeque::new(),
            gone: Vec::new(),
            endings: VecDeque::new(),
            decisions: VecDeque::new(),
            finished: VecDeque::new(),
            timers: Timers::default(),
            random,
            leaving: false,
            stopping: false,
            farewells: Farewells::default(),
            lineage,
            elder: None,
            carried: relaying::Carried::default(),
            waiting: Waiting::default(),
            undelivered: FxHashMap::default(),
            unfinished_bytes: 0,
            backlogs: Backlogs::default(),
            shared: SharedFrames::default(),
            complaints: Complaints::default(),
            surveys: Vec::new(),
            held: 0,
        }
    }

    /// After how many messages this worker has done its share: the configured number and a part of the spread, so that
    /// workers that were started together do not ask for their successors together.
    pub(crate) fn share_of_messages(&mut self) -> u64 {
        match self.limits.requests_max {
            0 => 0,
            most => most.saturating_add(self.random.u64(0..=self.limits.requests_spread)),
        }
    }

    /// Reads the clock, once a turn.
    pub(crate) fn tick(&mut self) {
        self.now_ms = self.started.elapsed().as_millis() as u64;
    }

    pub(crate) fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    /// Tells the operator what a client does that `counter` counts: once a second at most. What is not said is not written
    /// out either.
    #[cold]
    pub(crate) fn complain_of(&mut self, index: u32, counter: Counter, does: impl Display) {
        let peer = self.registry.at(index).map(|connection| connection.durable.peer);
        self.complain(counter, || match peer {
            Some(peer) => format!("the client at {peer} {does}"),
            None => format!("a client {does}"),
        });
    }

    /// Says something to the operator about what `counter` counts, once a second at most.
    #[cold]
    pub(crate) fn complain(&mut self, counter: Counter, line: impl FnOnce() -> String) {
        match self.complaints.admit(counter, self.now_ms) {
            Some(0) => log::warn!("{}", line()),
            Some(unsaid) => {
                log::warn!("{} (and {unsaid} times more since it was last said)", line());
            }
            None => {}
        }
    }

    /// When the loop has to wake without an event, as far as this is the core's to know.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        [self.wheel.next_ms(), self.asker.next_ms(), self.timers.next_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Publishes the gauges.
    pub(crate) fn show_gauges(&self) {
        self.cell.set(Counter::Connections, self.registry.len() as u64);
        self.cell.set(Counter::WebSockets, self.registry.websockets() as u64);
        self.cell.set(Counter::Subscriptions, self.topics.len() as u64);
        let waiting_bytes = self.waiting.bytes + self.backlogs.waiting_bytes();
        self.cell.set(Counter::OutboxBytes, waiting_bytes as u64);
        self.cell.set(Counter::OutboxHeldBytes, self.held_bytes() as u64);
        self.cell.set(Counter::Jobs, self.jobs.len() as u64);
        self.cell.set(Counter::Tasks, self.asker.tasks_len() as u64);
        let context_bytes = self.compressor.as_ref().map_or(0, Compressor::promised_bytes);
        self.cell.set(Counter::ContextBytes, context_bytes as u64);
        self.cell.set(Counter::Held, self.held);
        self.cell.set(Counter::UnfinishedBytes, self.unfinished_bytes as u64);
        self.cell.copy(Counter::DroppedMailboxFull, self.handle.refused());
    }

    /// What the loop sends with: it gathers until the end of the turn.
    pub(crate) fn loop_handle(&self) -> &Handle {
        self.asker.handle()
    }

    /// Keeps an answer that is known at once until the application's present call is over.
    pub(crate) fn note(&mut self, asked: Asked<Completion>) {
        match asked {
            Asked::Waiting => {}
            Asked::Known(done, reply) => self.finished.push_back((done, reply)),
        }
    }
}

/// The manner of an answer after which the connection ends.
pub(crate) const LAST: Manner = Manner { keep_alive: false, head_only: false };
