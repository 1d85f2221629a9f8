//! A program as the application: its connections are told of to one of its instances each, and wait when it does not take
//! more.
//!
//! What cannot be told now is held here, at most one message of each connection: the connection is paused, so that its client
//! waits. Nothing is dropped as long as the program takes it within its `answer_timeout`; after that the client is closed
//! with 1013. A program that was started again is told first which connections it has.

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

/// Bytes of messages that one worker holds for one program. The connection whose message would be too much is closed.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct ProgramApp {
    instances: Instances,
    asking: ProgramRequests,
    timeout_ms: u64,
    clients: FxHashMap<ConnectionId, Client>,
    lines: Vec<InstanceQueue>,
    held_bytes: usize,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
}

/// What one instance has to be told.
#[derive(Clone, Debug, Default)]
struct InstanceQueue {
    /// The life in which it was seen last.
    seen: u64,
    /// Connections that it is to be told of once more, since it was started again.
    unknown: VecDeque<ConnectionId>,
    /// It is to be told that these are all.
    is_introducing: bool,
    /// Those whose words wait, in the order of telling.
    waiting: VecDeque<ConnectionId>,
}

impl InstanceQueue {
    fn is_empty(&self) -> bool {
        self.unknown.is_empty() && !self.is_introducing && self.waiting.is_empty()
    }
}

/// What the program knows of a connection, and what it has to be told.
#[derive(Debug, Default)]
struct Client {
    /// In which life the program was told of it.
    told: Option<u64>,
    /// What comes after that.
    held: VecDeque<PendingLine>,
    /// It is in [`InstanceQueue::waiting`].
    waits: bool,
    /// Since when it waits with something that cannot wait for ever.
    since_ms: Option<u64>,
    /// How far its connection is.
    course: ConnState,
}

/// How far a connection is, as far as there is something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ConnState {
    #[default]
    Open,
    /// It is over. What is held means something to a program that was told of the connection, and to no other.
    Over,
    /// It is over, and what is held begins with its beginning: any program may be told.
    OverAndWhole,
}

#[derive(Debug)]
struct PendingLine {
    kind: EventKind,
    line: Vec<u8>,
}

impl PendingLine {
    fn is_message(&self) -> bool {
        self.kind == EventKind::Message
    }
}

/// Whether an instance can be told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Yes.
    Open(Incarnation),
    /// It lives, and has enough to do.
    Full(Incarnation),
    /// It does not live.
    Absent,
}

impl State {
    /// The number of the life that goes on.
    fn incarnation(self) -> Option<u64> {
        match self {
            Self::Open(incarnation) | Self::Full(incarnation) => Some(incarnation.number),
            Self::Absent => None,
        }
    }
}

/// What became of telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    All,
    /// The rest waits.
    NotNow,
}

impl ProgramApp {
    pub(super) fn new(instances: Instances, config: &ProcessConfig) -> Self {
        let count = usize::from(instances.count());
        Self {
            instances,
            asking: ProgramRequests::new(instances, config.answer_timeout),
            timeout_ms: config.answer_timeout.as_millis() as u64,
            clients: FxHashMap::default(),
            lines: vec![InstanceQueue::default(); count],
            held_bytes: 0,
            line: Vec::new(),
        }
    }

    /// Its instances.
    pub(super) fn instances(&self) -> Instances {
        self.instances
    }

    /// Whether some connection waits to be told of.
    pub(super) fn is_waiting(&self) -> bool {
        self.lines.iter().any(|line| !line.is_empty())
    }

    // ----- what happens to a connection -----

    pub(super) fn on_handshake(
        &mut self,
        context: &mut Context<'_>,
        head: &RequestHead,
    ) -> Verdict {
        let Some(id) = context.connection().map(|connection| connection.id) else {
            return Verdict::Reject(program_requests::absent());
        };
        match self.state(context, self.instances.number_of(id)) {
            State::Absent => Verdict::Reject(program_requests::absent()),
            State::Full(_) => Verdict::Reject(program_requests::busy()),
            State::Open(_) => {
                let instance = self.instances.of_connection(id);
                // What the program has said decides, not the configuration, which may be another one by now.
                match SideStatus::of(context.handle().shared_state(), instance).decider() {
                    Decider::Program | Decider::Unknown => {
                        self.asking.handshake(context, head, instance)
                    }
                    Decider::Nobody => Verdict::accept(),
                }
            }
        }
    }

    /// What asks it about requests.
    pub(super) fn asking(&mut self) -> &mut ProgramRequests {
        &mut self.asking
    }

    pub(super) fn on_open(&mut self, context: &mut Context<'_>) {
        let Some(id) = context.current() else { return };
        self.clients.insert(id, Client::default());
        self.tell(context, id);
    }

    /// Whether the connection waits from now on.
    #[inline]
    pub(super) fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) -> bool {
        let Some(id) = context.current() else { return false };
        self.line.clear();
        event_fanout::write_message(&mut self.line, id, message);
        if self.tell_at_once(context, id, EventKind::Message) {
            return false;
        }
        if self.held_bytes + self.line.len() > HELD_BYTES_MAX {
            context.count_dropped(1);
            context.close(CloseCode::Again, "too much waits for the application");
            return false;
        }
        self.hold(id, EventKind::Message);
        self.tell(context, id);
        true
    }

    pub(super) fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        let id = closed.id;
        self.line.clear();
        event_fanout::write_closed(&mut self.line, closed);
        if self.tell_at_once(context, id, EventKind::Close) {
            self.clients.remove(&id);
            return;
        }
        let incarnation = self.state(context, self.instances.number_of(id)).incarnation();
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.course = ConnState::Over;
        if client.told.is_none() || client.told != incarnation {
            let Some(connection) = context.connection().filter(|_| !client.held.is_empty()) else {
                // The program that knew of it is gone, or none ever has.
                self.forget(id);
                return;
            };
            // Its last message is to be understood by whoever gets it.
            let mut line = Vec::new();
            write_opened(&mut line, context.slot().number(), connection, client.told.is_some());
            self.held_bytes += line.len();
            client.held.push_front(PendingLine { kind: EventKind::Open, line });
            client.course = ConnState::OverAndWhole;
        }
        self.hold(id, EventKind::Close);
        self.tell(context, id);
    }

    // ----- time -----

    /// Tells those who wait, as far as they can be told.
    pub(super) fn tell_those_who_wait(&mut self, context: &mut Context<'_>) {
        for number in 0..self.instances.count() {
            self.tell_line(context, number);
        }
    }

    /// Looks which instances have been started again, and who has waited for too long.
    pub(super) fn poll_instances(&mut self, context: &mut Context<'_>) {
        for number in 0..self.instances.count() {
            self.notice_life(context, number);
        }
        self.give_up_the_late(context);
    }

    /// Has a program that was started again be told of all connections that it has.
    fn notice_life(&mut self, context: &Context<'_>, number: u16) {
        let instance = self.instances.of_number(number);
        let incarnation = SideStatus::of(context.handle().shared_state(), instance).incarnation();
        let line = &mut self.lines[usize::from(number)];
        if !incarnation.is_alive || line.seen == incarnation.number {
            return;
        }
        line.seen = incarnation.number;
        let instances = self.instances;
        let is_unknown = |(id, client): &(&ConnectionId, &Client)| {
            instances.number_of(**id) == number
                && client.told.is_some_and(|told| told != incarnation.number)
                && client.course == ConnState::Open
        };
        let mut unknown: Vec<ConnectionId> =
            self.clients.iter().filter(is_unknown).map(|(id, _)| *id).collect();
        // The oldest first, which is the order of their numbers.
        unknown.sort_unstable_by_key(|id| id.serial());
        line.unknown = unknown.into();
        line.is_introducing = true;
    }

    fn give_up_the_late(&mut self, context: &mut Context<'_>) {
        let now_ms = context.clock_ms();
        let is_late = |client: &Client| {
            client.since_ms.is_some_and(|since_ms| since_ms + self.timeout_ms <= now_ms)
        };
        let late: Vec<ConnectionId> = self
            .lines
            .iter()
            .flat_map(|line| &line.waiting)
            .filter(|id| self.clients.get(id).is_some_and(is_late))
            .copied()
            .collect();
        for id in late {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.since_ms = None;
            // What the end of the connection has to say stays.
            let messages = client.held.iter().filter(|held| held.is_message()).count();
            let bytes: usize = client
                .held
                .iter()
                .filter(|held| held.is_message())
                .map(|held| held.line.len())
                .sum();
            client.held.retain(|held| !held.is_message());
            self.held_bytes -= bytes;
            context.count_dropped(messages as u64);
            context.close_of(id, CloseCode::Again, "the application does not take messages");
        }
    }

    // ----- telling -----

    fn state(&self, context: &Context<'_>, number: u16) -> State {
        let status =
            SideStatus::of(context.handle().shared_state(), self.instances.of_number(number));
        let incarnation = status.incarnation();
        match (incarnation.is_alive, status.is_full()) {
            (false, _) => State::Absent,
            (true, true) => State::Full(incarnation),
            (true, false) => State::Open(incarnation),
        }
    }

    /// Tells of the connection of this call what stands in `line`, if nothing has to come before it. Whether it did.
    #[inline]
    fn tell_at_once(
        &mut self,
        context: &mut Context<'_>,
        id: ConnectionId,
        kind: EventKind,
    ) -> bool {
        let State::Open(incarnation) = self.state(context, self.instances.number_of(id)) else {
            return false;
        };
        let Some(client) = self.clients.get(&id) else { return false };
        client.held.is_empty()
            && client.told == Some(incarnation.number)
            && context
                .notify(self.instances.of_connection(id), event_header(kind, Some(id)), &self.line)
                .is_ok()
    }

    fn hold(&mut self, id: ConnectionId, kind: EventKind) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let line = self.line.clone();
        self.held_bytes += line.len();
        client.held.push_back(PendingLine { kind, line });
    }

    /// Tells what has to be told of a connection, now or in its turn; until then it is paused.
    fn tell(&mut self, context: &mut Context<'_>, id: ConnectionId) {
        let number = self.instances.number_of(id);
        self.notice_life(context, number);
        let line = &self.lines[usize::from(number)];
        if line.is_empty() && self.tell_waiting(context, id) == Told::All {
            return;
        }
        let now_ms = context.clock_ms();
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.since_ms.get_or_insert(now_ms);
        if !std::mem::replace(&mut client.waits, true) {
            self.lines[usize::from(number)].waiting.push_back(id);
        }
        match client.course {
            ConnState::Open => context.pause(),
            ConnState::Over | ConnState::OverAndWhole => {}
        }
    }

    /// Tells one instance first which connections it has, and then what they have said.
    fn tell_line(&mut self, context: &mut Context<'_>, number: u16) {
        let place = usize::from(number);
        while let Some(id) = self.lines[place].unknown.front().copied() {
            if self.introduce(context, id) == Told::NotNow {
                return;
            }
            self.lines[place].unknown.pop_front();
        }
        if self.lines[place].is_introducing {
            let header = EventHeader::Synced { worker: context.slot() };
            if context.notify(self.instances.of_number(number), header, &[]).is_err() {
                return;
            }
            self.lines[place].is_introducing = false;
        }
        while let Some(id) = self.lines[place].waiting.front().copied() {
            if self.tell_waiting(context, id) == Told::NotNow {
                return;
            }
            self.lines[place].waiting.pop_front();
        }
    }

    /// Tells of a connection that its present program does not know.
    fn introduce(&mut self, context: &mut Context<'_>, id: ConnectionId) -> Told {
        let State::Open(incarnation) = self.state(context, self.instances.number_of(id)) else {
            return Told::NotNow;
        };
        let (Some(client), Some(connection)) =
            (self.clients.get_mut(&id), context.connection_of(id))
        else {
            return Told::All;
        };
        if client.told != Some(incarnation.number) && client.course == ConnState::Open {
            self.line.clear();
            write_opened(
                &mut self.line,
                context.slot().number(),
                connection,
                client.told.is_some(),
            );
            let header = event_header(EventKind::Open, Some(id));
            if context.notify(self.instances.of_connection(id), header, &self.line).is_err() {
                return Told::NotNow;
            }
            client.told = Some(incarnation.number);
        }
        Told::All
    }

    /// Tells one connection's part. Who is told all is read on.
    fn tell_waiting(&mut self, context: &mut Context<'_>, id: ConnectionId) -> Told {
        let State::Open(incarnation) = self.state(context, self.instances.number_of(id)) else {
            return Told::NotNow;
        };
        let address = self.instances.of_connection(id);
        let Some(client) = self.clients.get_mut(&id) else { return Told::All };
        if client.told != Some(incarnation.number) {
            match client.course {
                ConnState::Open => {
                    if self.introduce(context, id) == Told::NotNow {
                        return Told::NotNow;
                    }
                }
                ConnState::OverAndWhole => {
                    client.course = ConnState::Over;
                    client.told = Some(incarnation.number);
                }
                // What is left was for a program that is gone.
                ConnState::Over => {
                    let messages = client.held.iter().filter(|held| held.is_message()).count();
                    context.count_dropped(messages as u64);
                    self.forget(id);
                    return Told::All;
                }
            }
        }
        let Some(client) = self.clients.get_mut(&id) else { return Told::All };
        while let Some(held) = client.held.front() {
            if context.notify(address, event_header(held.kind, Some(id)), &held.line).is_err() {
                return Told::NotNow;
            }
            self.held_bytes -= held.line.len();
            client.held.pop_front();
        }
        client.waits = false;
        client.since_ms = None;
        match client.course {
            ConnState::Open => context.resume(id),
            ConnState::Over | ConnState::OverAndWhole => self.forget(id),
        }
        Told::All
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(client) = self.clients.remove(&id) {
            self.held_bytes -= client.held.iter().map(|held| held.line.len()).sum::<usize>();
        }
    }
}

/// How often instances that have been started again, and clients that wait for too long, are looked for.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How often it is tried again to tell what could not be told.
pub(super) const RETRY: Duration = Duration::from_millis(10);

fn write_opened(line: &mut Vec<u8>, worker: u16, connection: &ConnectionInfo, again: bool) {
    plugin::opened(
        line,
        &Opened {
            connection: connection.id.as_u64(),
            worker,
            peer: connection.peer,
            head: connection.head.as_ref(),
            subprotocol: connection.subprotocol.as_deref(),
            time_ms: connection.opened_unix_ms,
            again,
        },
    );
}
