//! A side process as the application of connections: each connection belongs to one of its instances, and what happens on it
//! is sent to that instance in order.
//!
//! What the instance cannot take now waits here, at most one message of each connection: the connection is paused, so that its
//! client waits. Nothing is dropped as long as the process takes it within its `answer_timeout`; after that the client is
//! closed with 1013. A process that was started again is told first which connections it has.

use std::{collections::VecDeque, time::Duration};

use rustc_hash::FxHashMap;
use wsmaster_protocol::{
    close::CloseCode,
    http::RequestHead,
    plugin::{self, EventKind, Opened},
};
use wsmaster_workers::{
    Closed, ConnectionInfo, Context, Message, Verdict,
    ipc::{
        ConnectionId, EventHeader,
        side_status::{Decider, Incarnation, SideStatus},
    },
};

use super::{
    event_fanout,
    program_requests::{self, ProgramRequests},
};
use crate::{
    config::ProcessConfig,
    side::{Instances, event_header},
};

/// Bytes of lines that wait in one worker for one side process. The connection whose message would be too much is closed.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct ProgramApp {
    instances: Instances,
    requests: ProgramRequests,
    timeout_ms: u64,
    connections: FxHashMap<ConnectionId, AppConnection>,
    /// One for each instance.
    queues: Vec<InstanceQueue>,
    pending_bytes: usize,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
}

/// What one instance is to be sent, in the order of these fields.
#[derive(Clone, Debug, Default)]
struct InstanceQueue {
    /// The incarnation that was seen last.
    seen: u64,
    /// Connections of its predecessor, which it does not know yet.
    unknown: VecDeque<ConnectionId>,
    /// It is to be told that these are all.
    is_syncing: bool,
    /// Connections with lines that wait.
    waiting: VecDeque<ConnectionId>,
}

impl InstanceQueue {
    fn is_empty(&self) -> bool {
        self.unknown.is_empty() && !self.is_syncing && self.waiting.is_empty()
    }
}

/// What an instance knows of a connection, and what it is to be sent.
#[derive(Debug, Default)]
struct AppConnection {
    /// The incarnation that was told of it.
    known_to: Option<u64>,
    /// What comes after that.
    pending: VecDeque<PendingLine>,
    /// It is in [`InstanceQueue::waiting`].
    waits: bool,
    /// Since when it waits with something that cannot wait for ever.
    since_ms: Option<u64>,
    state: ConnState,
}

/// How far a connection is, as far as there is something to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ConnState {
    #[default]
    Open,
    /// It is closed. What waits is for the incarnation that was told of the connection, and for no other.
    Closed,
    /// It is closed, and what waits begins with its `open`: any incarnation may be sent it.
    ClosedAndWhole,
}

#[derive(Debug)]
struct PendingLine {
    kind: EventKind,
    text: Vec<u8>,
}

impl PendingLine {
    fn is_message(&self) -> bool {
        self.kind == EventKind::Message
    }
}

/// Whether an instance can be sent something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Availability {
    Open(Incarnation),
    /// It lives, and has enough to do.
    Full(Incarnation),
    /// It does not live.
    Absent,
}

impl Availability {
    /// The number of the living incarnation.
    fn incarnation(self) -> Option<u64> {
        match self {
            Self::Open(incarnation) | Self::Full(incarnation) => Some(incarnation.number),
            Self::Absent => None,
        }
    }
}

/// How much was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delivered {
    All,
    /// The rest waits.
    NotNow,
}

impl ProgramApp {
    pub(super) fn new(instances: Instances, config: &ProcessConfig) -> Self {
        let count = usize::from(instances.count());
        Self {
            instances,
            requests: ProgramRequests::new(instances, config.answer_timeout),
            timeout_ms: config.answer_timeout.as_millis() as u64,
            connections: FxHashMap::default(),
            queues: vec![InstanceQueue::default(); count],
            pending_bytes: 0,
            line: Vec::new(),
        }
    }

    pub(super) fn instances(&self) -> Instances {
        self.instances
    }

    /// Whether something waits for an instance.
    pub(super) fn is_waiting(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    // ----- what happens to a connection -----

    pub(super) fn on_handshake(
        &mut self,
        context: &mut Context<'_>,
        head: &RequestHead,
    ) -> Verdict {
        let Some(id) = context.connection().map(|info| info.id) else {
            return Verdict::Reject(program_requests::absent());
        };
        match self.availability(context, self.instances.number_of(id)) {
            Availability::Absent => Verdict::Reject(program_requests::absent()),
            Availability::Full(_) => Verdict::Reject(program_requests::busy()),
            Availability::Open(_) => {
                let instance = self.instances.of_connection(id);
                // What the process has said at `ready` decides, not the configuration, which may be another one by now.
                match SideStatus::of(context.handle().shared_state(), instance).decider() {
                    Decider::Program | Decider::Unknown => {
                        self.requests.handshake(context, head, instance)
                    }
                    Decider::Nobody => Verdict::accept(),
                }
            }
        }
    }

    /// Its HTTP requests.
    pub(super) fn requests(&mut self) -> &mut ProgramRequests {
        &mut self.requests
    }

    pub(super) fn on_open(&mut self, context: &mut Context<'_>) {
        let Some(id) = context.current() else { return };
        self.connections.insert(id, AppConnection::default());
        self.deliver(context, id);
    }

    /// Whether the connection waits from now on.
    #[inline]
    pub(super) fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) -> bool {
        let Some(id) = context.current() else { return false };
        self.line.clear();
        event_fanout::write_message(&mut self.line, id, message);
        if self.deliver_at_once(context, id, EventKind::Message) {
            return false;
        }
        if self.pending_bytes + self.line.len() > PENDING_BYTES_MAX {
            context.count_dropped(1);
            context.close(CloseCode::Again, "too much waits for the application");
            return false;
        }
        self.enqueue(id, EventKind::Message);
        self.deliver(context, id);
        true
    }

    pub(super) fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        let id = closed.id;
        self.line.clear();
        event_fanout::write_closed(&mut self.line, closed);
        if self.deliver_at_once(context, id, EventKind::Close) {
            self.connections.remove(&id);
            return;
        }
        let incarnation = self.availability(context, self.instances.number_of(id)).incarnation();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.state = ConnState::Closed;
        if connection.known_to.is_none() || connection.known_to != incarnation {
            let Some(info) = context.connection().filter(|_| !connection.pending.is_empty()) else {
                // The incarnation that knew of it is gone, or none ever has.
                self.forget(id);
                return;
            };
            // Whichever incarnation gets the last message needs the `open` before it.
            let again = connection.known_to.is_some();
            let mut text = Vec::new();
            write_opened(&mut text, context.slot().number(), info, again);
            self.pending_bytes += text.len();
            connection.pending.push_front(PendingLine { kind: EventKind::Open, text });
            connection.state = ConnState::ClosedAndWhole;
        }
        self.enqueue(id, EventKind::Close);
        self.deliver(context, id);
    }

    // ----- time -----

    /// Sends what waits, as far as it can be sent.
    pub(super) fn deliver_all(&mut self, context: &mut Context<'_>) {
        for number in 0..self.instances.count() {
            self.drain_queue(context, number);
        }
    }

    /// Looks which instances have been started again, and which connections have waited for too long.
    pub(super) fn poll_instances(&mut self, context: &mut Context<'_>) {
        for number in 0..self.instances.count() {
            self.check_incarnation(context, number);
        }
        self.close_late(context);
    }

    /// Prepares to tell an instance that was started again which connections it has.
    fn check_incarnation(&mut self, context: &Context<'_>, number: u16) {
        let instance = self.instances.of_number(number);
        let incarnation = SideStatus::of(context.handle().shared_state(), instance).incarnation();
        let queue = &mut self.queues[usize::from(number)];
        if !incarnation.is_alive || queue.seen == incarnation.number {
            return;
        }
        queue.seen = incarnation.number;
        let instances = self.instances;
        let is_unknown = |(id, connection): &(&ConnectionId, &AppConnection)| {
            instances.number_of(**id) == number
                && connection.known_to.is_some_and(|known_to| known_to != incarnation.number)
                && connection.state == ConnState::Open
        };
        let mut unknown: Vec<ConnectionId> =
            self.connections.iter().filter(is_unknown).map(|(id, _)| *id).collect();
        // The oldest first, which is the order of their numbers.
        unknown.sort_unstable_by_key(|id| id.serial());
        queue.unknown = unknown.into();
        queue.is_syncing = true;
    }

    /// Closes connections with messages that have waited for too long.
    fn close_late(&mut self, context: &mut Context<'_>) {
        let now_ms = context.clock_ms();
        let is_late = |connection: &AppConnection| {
            connection.since_ms.is_some_and(|since_ms| since_ms + self.timeout_ms <= now_ms)
        };
        let late: Vec<ConnectionId> = self
            .queues
            .iter()
            .flat_map(|queue| &queue.waiting)
            .filter(|id| self.connections.get(id).is_some_and(is_late))
            .copied()
            .collect();
        for id in late {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.since_ms = None;
            // The `close` of the connection stays.
            let messages = || connection.pending.iter().filter(|line| line.is_message());
            let (count, bytes) =
                (messages().count(), messages().map(|line| line.text.len()).sum::<usize>());
            connection.pending.retain(|line| !line.is_message());
            self.pending_bytes -= bytes;
            context.count_dropped(count as u64);
            context.close_of(id, CloseCode::Again, "the application does not take messages");
        }
    }

    // ----- sending -----

    fn availability(&self, context: &Context<'_>, number: u16) -> Availability {
        let status =
            SideStatus::of(context.handle().shared_state(), self.instances.of_number(number));
        let incarnation = status.incarnation();
        match (incarnation.is_alive, status.is_full()) {
            (false, _) => Availability::Absent,
            (true, true) => Availability::Full(incarnation),
            (true, false) => Availability::Open(incarnation),
        }
    }

    /// Sends `line`, an event of the connection of this call, if nothing has to come before it. Whether it did.
    #[inline]
    fn deliver_at_once(
        &mut self,
        context: &mut Context<'_>,
        id: ConnectionId,
        kind: EventKind,
    ) -> bool {
        let available = self.availability(context, self.instances.number_of(id));
        let Availability::Open(incarnation) = available else { return false };
        let Some(connection) = self.connections.get(&id) else { return false };
        let (address, header) = (self.instances.of_connection(id), event_header(kind, Some(id)));
        connection.pending.is_empty()
            && connection.known_to == Some(incarnation.number)
            && context.notify(address, header, &self.line).is_ok()
    }

    fn enqueue(&mut self, id: ConnectionId, kind: EventKind) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let text = self.line.clone();
        self.pending_bytes += text.len();
        connection.pending.push_back(PendingLine { kind, text });
    }

    /// Sends what waits of a connection, now or in its turn; until then it is paused.
    fn deliver(&mut self, context: &mut Context<'_>, id: ConnectionId) {
        let number = self.instances.number_of(id);
        self.check_incarnation(context, number);
        let queue = &self.queues[usize::from(number)];
        if queue.is_empty() && self.deliver_pending(context, id) == Delivered::All {
            return;
        }
        let now_ms = context.clock_ms();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.since_ms.get_or_insert(now_ms);
        if !std::mem::replace(&mut connection.waits, true) {
            self.queues[usize::from(number)].waiting.push_back(id);
        }
        match connection.state {
            ConnState::Open => context.pause(),
            ConnState::Closed | ConnState::ClosedAndWhole => {}
        }
    }

    /// Tells one instance which connections it has, and then sends what has happened on them.
    fn drain_queue(&mut self, context: &mut Context<'_>, number: u16) {
        let place = usize::from(number);
        while let Some(id) = self.queues[place].unknown.front().copied() {
            if self.announce(context, id) == Delivered::NotNow {
                return;
            }
            self.queues[place].unknown.pop_front();
        }
        if self.queues[place].is_syncing {
            let header = EventHeader::Synced { worker: context.slot() };
            if context.notify(self.instances.of_number(number), header, &[]).is_err() {
                return;
            }
            self.queues[place].is_syncing = false;
        }
        while let Some(id) = self.queues[place].waiting.front().copied() {
            if self.deliver_pending(context, id) == Delivered::NotNow {
                return;
            }
            self.queues[place].waiting.pop_front();
        }
    }

    /// Sends the `open` of a connection that the present incarnation does not know.
    fn announce(&mut self, context: &mut Context<'_>, id: ConnectionId) -> Delivered {
        let available = self.availability(context, self.instances.number_of(id));
        let Availability::Open(incarnation) = available else { return Delivered::NotNow };
        let (Some(connection), Some(info)) =
            (self.connections.get_mut(&id), context.connection_of(id))
        else {
            return Delivered::All;
        };
        if connection.known_to != Some(incarnation.number) && connection.state == ConnState::Open {
            let again = connection.known_to.is_some();
            self.line.clear();
            write_opened(&mut self.line, context.slot().number(), info, again);
            let header = event_header(EventKind::Open, Some(id));
            if context.notify(self.instances.of_connection(id), header, &self.line).is_err() {
                return Delivered::NotNow;
            }
            connection.known_to = Some(incarnation.number);
        }
        Delivered::All
    }

    /// Sends all that waits of one connection; it is read from again then.
    fn deliver_pending(&mut self, context: &mut Context<'_>, id: ConnectionId) -> Delivered {
        let available = self.availability(context, self.instances.number_of(id));
        let Availability::Open(incarnation) = available else { return Delivered::NotNow };
        let address = self.instances.of_connection(id);
        let Some(connection) = self.connections.get_mut(&id) else { return Delivered::All };
        if connection.known_to != Some(incarnation.number) {
            match connection.state {
                ConnState::Open => {
                    if self.announce(context, id) == Delivered::NotNow {
                        return Delivered::NotNow;
                    }
                }
                ConnState::ClosedAndWhole => {
                    connection.state = ConnState::Closed;
                    connection.known_to = Some(incarnation.number);
                }
                // What is left was for an incarnation that is gone.
                ConnState::Closed => {
                    let messages = connection.pending.iter().filter(|line| line.is_message());
                    context.count_dropped(messages.count() as u64);
                    self.forget(id);
                    return Delivered::All;
                }
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Delivered::All };
        while let Some(line) = connection.pending.front() {
            let header = event_header(line.kind, Some(id));
            if context.notify(address, header, &line.text).is_err() {
                return Delivered::NotNow;
            }
            self.pending_bytes -= line.text.len();
            connection.pending.pop_front();
        }
        connection.waits = false;
        connection.since_ms = None;
        match connection.state {
            ConnState::Open => context.resume(id),
            ConnState::Closed | ConnState::ClosedAndWhole => self.forget(id),
        }
        Delivered::All
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.pending_bytes -=
                connection.pending.iter().map(|line| line.text.len()).sum::<usize>();
        }
    }
}

/// How often instances that have been started again, and connections that wait for too long, are looked for.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// How often it is tried again to send what could not be sent.
pub(super) const RETRY: Duration = Duration::from_millis(10);

fn write_opened(line: &mut Vec<u8>, worker: u16, info: &ConnectionInfo, again: bool) {
    plugin::opened(
        line,
        &Opened {
            connection: info.id.as_u64(),
            worker,
            peer: info.peer,
            head: info.head.as_ref(),
            subprotocol: info.subprotocol.as_deref(),
            time_ms: info.opened_unix_ms,
            again,
        },
    );
}
