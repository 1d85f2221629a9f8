//! A connection that was taken out of its process at any moment, and goes on in another one, against one that was not.
//!
//! Both hear the same conversation: bytes of a client in pieces of any size, what the application and other processes send,
//! time that passes, a client that reads slowly. One of them is written, forgotten, read again and resumed at every cut,
//! with another worker around it each time. What the client reads, what the application is told and what an operator sees
//! must be the same.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    os::unix::net::UnixStream as StdStream,
    time::Duration,
};

use mio::net::UnixStream;
use proptest::prelude::*;
use wsmaster_ipc::{
    ConnectionId, Handle, LeaveReason, Slot, link,
    mailbox::MailboxPair,
    mailbox_sender::MailboxSender,
    shared_state::{SerialClock, SharedState},
};
use wsmaster_protocol::{
    deflate::{Policy, WindowBits},
    http::{RequestHead, Response},
    peer::Peer,
    session::Extension,
};

mod client_bytes;

use self::client_bytes::{bytes_of, words};
use super::*;
use crate::{
    conn_index::ConnIndex,
    context::{Callbacks, Context},
    handler::Handler,
    limits::{CompressionLimits, Limits, RatePolicy, SlowClient},
    lineage::Lineage,
    state::WorkerState,
    vocabulary::{Closed, HttpRequest, Message, Responder, Verdict},
    worker::{Buffers, Calls},
};

const START_MS: u64 = 1_000_000;
/// The id of every connection here.
fn id() -> ConnectionId {
    ConnectionId::new(slot(), 77).unwrap()
}

fn slot() -> Slot {
    Slot::new(0).unwrap()
}

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    /// The client sends so many of the bytes that it has to say.
    Say(usize),
    /// The client reads so many bytes, if so many have come.
    Hear(usize),
    /// Another process publishes so many bytes to the channel "news".
    Publish(usize),
    /// Another process pushes so many bytes.
    Push(usize),
    /// So many ms pass.
    Pass(u64),
    /// The application reads on.
    ReadOn,
    /// It goes on in another process.
    Cut,
}

/// An application that tells what it is told.
#[derive(Default)]
struct App {
    told: Vec<String>,
}

impl Handler for App {
    fn on_handshake(&mut self, _: &mut Context<'_>, head: &RequestHead) -> Verdict {
        self.told.push(format!("handshake {}", head.path()));
        Verdict::accept()
    }

    fn on_open(&mut self, context: &mut Context<'_>) {
        self.told.push("open".to_owned());
        context.keep("visits", 1.into());
        context.reply(Message::Text("welcome"));
    }

    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        self.told.push(format!("message {:?} {:08x}", message.kind(), sum(message.payload())));
        match message {
            Message::Text("subscribe") => drop(context.subscribe("news")),
            Message::Text("unsubscribe") => drop(context.unsubscribe("news")),
            Message::Text("pause") => context.pause(),
            Message::Text("keep") => {
                let visits = context.value("visits").and_then(|it| it.as_u64()).unwrap_or(0);
                context.keep("visits", (visits + 1).into());
            }
            message => drop(context.reply(message)),
        }
    }

    fn on_close(&mut self, _: &mut Context<'_>, closed: &Closed) {
        self.told.push(format!("close {:?} {:?} {}", closed.by, closed.code, closed.reason));
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        self.told.push(format!("request {} {:08x}", request.head.path(), sum(&request.body)));
        context.respond(responder, &Response::new(200).body("text/plain", request.body));
    }

    fn on_leave(&mut self, _: &mut Context<'_>, _: LeaveReason) {}
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(16_777_619))
}

fn effects(limits: &Limits, now_ms: u64) -> Effects {
    let clock = SerialClock::new(START_MS, Duration::from_secs(1_800_000_000));
    let shared = SharedState::new(1, 1, clock, 7).unwrap();
    let mailbox = MailboxPair::new().unwrap();
    let handle =
        Handle::new(slot().address(), shared, MailboxSender::new(vec![mailbox.writer], 1 << 20));
    let stats = handle.shared_state().worker_stats(slot(), 0);
    let lineage = Lineage::new(slot().address(), 0, 1, false);
    Effects::new(slot(), stats, handle, limits.clone(), lineage, 7, now_ms)
}

/// One connection, the worker around it, and its client.
struct World {
    limits: Limits,
    state: WorkerState,
    app: App,
    callbacks: Callbacks,
    buffers: Buffers,
    client: StdStream,
    said: Vec<u8>,
    heard: Vec<u8>,
}

impl World {
    fn new(limits: &Limits, said: Vec<u8>) -> Self {
        let (ours, client) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut state = WorkerState::new(effects(limits, START_MS), link::pair().unwrap().1);
        let info = ConnectionInfo {
            id: id(),
            peer: Peer::inet("192.0.2.7".parse().unwrap(), Some(4000)),
            secure: false,
            listener: 0,
            group: None,
            opened_unix_ms: 5,
            head: None,
            subprotocol: None,
            extension: Extension::None,
            tls: None,
            context: None,
        };
        let key = state.connections.vacant_key();
        let ticket = state.fx.admission.enter(None);
        let stream = Stream::Unix(UnixStream::from_std(ours));
        let connection = Connection::new(key, stream, info, ticket, START_MS);
        state.connections.insert(connection).timers().tick(&mut state.fx);
        Self {
            limits: limits.clone(),
            state,
            app: App::default(),
            callbacks: Callbacks::default(),
            buffers: Buffers::new(),
            client,
            said,
            heard: Vec::new(),
        }
    }

    fn index(&self) -> Option<ConnIndex> {
        self.state.connections.iter().next().map(Connection::index)
    }

    fn calls(&mut self) -> (Calls<'_, App>, &mut Buffers) {
        (
            Calls {
                state: &mut self.state,
                callbacks: &mut self.callbacks,
                handler: &mut self.app,
            },
            &mut self.buffers,
        )
    }

    fn step(&mut self, step: &Step, cuts: bool) {
        match *step {
            Step::Say(bytes) => {
                let bytes = bytes.min(self.said.len());
                // A client that nobody reads from any more has to keep the rest.
                let written = self.client.write(&self.said[..bytes]).unwrap_or(0);
                self.said.drain(..written);
                self.set_readable();
            }
            Step::Hear(bytes) => {
                let mut buffer = vec![0; bytes];
                let count = self.client.read(&mut buffer).unwrap_or(0);
                self.heard.extend_from_slice(&buffer[..count]);
                if let Some((connection, fx)) = self.index().and_then(|it| self.state.lend(it))
                    && connection.waiting_bytes() > 0
                {
                    // As the poll does when there is room again.
                    connection.times.alive_at(fx.now_ms);
                    connection.mark_dirty(&mut fx.schedule);
                }
            }
            Step::Publish(bytes) => {
                let payload = "n".repeat(bytes);
                let only = wsmaster_ipc::command::Recipients::from_bytes(&[]);
                self.state.publish_here("news", Message::Text(&payload), None, only);
            }
            Step::Push(bytes) => {
                self.state.push_here(id(), Message::Binary(&vec![7; bytes]));
            }
            Step::Pass(ms) => {
                self.state.fx.now_ms += ms;
                let mut due = Vec::new();
                self.state.fx.schedule.wheel.advance(self.state.fx.now_ms, &mut due);
                for index in due {
                    if let Some((connection, fx)) = self.state.lend(index) {
                        connection.timers().tick(fx);
                    }
                }
            }
            Step::ReadOn => {
                if let Some((connection, fx)) = self.state.lend_id(id()) {
                    connection.timers().resume_reading(fx);
                }
            }
            Step::Cut if cuts => self.cut(),
            Step::Cut => {}
        }
        self.turn();
    }

    /// The kernel has told of bytes.
    fn set_readable(&mut self) {
        if let Some((connection, fx)) = self.index().and_then(|it| self.state.lend(it)) {
            connection.flags.readable = true;
            connection.make_ready(&mut fx.schedule);
        }
    }

    /// What is left of a turn of the loop.
    fn turn(&mut self) {
        for _ in 0..1000 {
            let (mut calls, buffers) = self.calls();
            calls.serve_all(&mut Vec::new(), buffers);
            for index in std::mem::take(&mut self.state.fx.schedule.dirty) {
                if let Some((connection, fx)) = self.state.lend(index) {
                    connection.flags.dirty = false;
                    connection.flush(fx);
                }
            }
            self.calls().0.run_callbacks();
            self.state.remove_closed();
            let schedule = &self.state.fx.schedule;
            if schedule.ready.is_empty() && schedule.dirty.is_empty() {
                return;
            }
        }
        panic!("the connection always has something to do");
    }

    /// Goes on in another process.
    fn cut(&mut self) {
        let Some(index) = self.index() else { return };
        let connection = self.state.connections.at(index).unwrap();
        let bytes = connection.snapshot(&self.state.fx).unwrap();
        let Stream::Unix(stream) = self.state.connections.remove(index).unwrap().stream else {
            panic!("it came over a unix socket");
        };
        let now_ms = self.state.fx.now_ms;
        self.state = WorkerState::new(effects(&self.limits, now_ms), link::pair().unwrap().1);
        // Places differ from process to process.
        self.state.connections.vacant_key();
        let key = self.state.connections.vacant_key();
        let resumed =
            Connection::resume(&bytes, key, Stream::Unix(stream), &mut self.state.fx).unwrap();
        assert_eq!(resumed.snapshot(&self.state.fx).unwrap(), {
            // All is as it was, but for the lists that it stands on.
            let mut twin: Snapshot<'_> = postcard::from_bytes(&bytes[2..]).unwrap();
            (twin.flags.dirty, twin.flags.ready) = (resumed.flags.dirty, resumed.flags.ready);
            twin.times = resumed.times;
            postcard::to_extend(&twin, VERSION.to_le_bytes().to_vec()).unwrap()
        });
        self.state.connections.insert(resumed);
    }

    /// All that can be seen of it.
    fn seen(&self) -> String {
        let mut seen = String::new();
        let fx = &self.state.fx;
        for connection in self.state.connections.iter() {
            let json = crate::inspect::answer::describe(connection, fx).unwrap();
            let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            // How buffers grow depends on their past.
            json["memory_bytes"].take();
            let state = match &connection.state {
                State::Http(state) => format!("{state:?}"),
                State::WebSocket(session) => format!("{session:?}"),
                State::Lingering { shut } => format!("lingering {shut}"),
            };
            let times = connection.times;
            writeln!(
                seen,
                "{json} {state} {times:?} {:?} {:?}",
                connection.rate, connection.ticket
            )
            .unwrap();
            writeln!(seen, "{:?} {:?}", connection.unparsed, connection.info.context).unwrap();
        }
        let (outboxes, unfinished) = (fx.delivery.waiting_bytes(), fx.delivery.unfinished_bytes);
        let promised = fx.delivery.compressor.as_ref().map(|it| it.promised_bytes());
        let (ids, channels) = (fx.ids.len(), fx.channels.table.len());
        let paused = fx.stats.paused_connections;
        let _ = unfinished;
        write!(seen, "{outboxes} {promised:?} {ids} {channels} {paused} {:?}", fx.admission)
            .unwrap();
        seen
    }
}

/// What the client has heard, without the moments of the wall clock.
fn undated(heard: &[u8]) -> Vec<u8> {
    let mut undated = heard.to_vec();
    let mut at = 0;
    while let Some(found) = undated[at..].windows(6).position(|bytes| bytes == b"Date: ") {
        at += found + 6;
        let end = undated[at..].windows(2).position(|bytes| bytes == b"\r\n");
        let end = end.map_or(undated.len(), |end| at + end);
        undated[at..end].fill(b'-');
    }
    undated
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![1..40_usize, Just(400), Just(70_000), Just(1 << 20)].prop_map(Step::Say),
        4 => prop_oneof![1..100_usize, Just(5_000), Just(300_000)].prop_map(Step::Hear),
        2 => prop_oneof![1..300_usize, Just(40_000)].prop_map(Step::Publish),
        2 => prop_oneof![1..300_usize, Just(40_000)].prop_map(Step::Push),
        1 => prop_oneof![1..3_000_u64, Just(40_000)].prop_map(Step::Pass),
        1 => Just(Step::ReadOn),
        6 => Just(Step::Cut),
    ];
    prop::collection::vec(step, 1..60)
}

fn limits() -> impl Strategy<Value = Limits> {
    let slow_client = prop::sample::select(vec![
        SlowClient::Close,
        SlowClient::DropNewest,
        SlowClient::DropOldest,
        SlowClient::KeepLatest,
    ]);
    let rate = prop_oneof![Just(0_u32), Just(2)];
    let policy = prop::sample::select(vec![RatePolicy::Pause, RatePolicy::Close]);
    (slow_client, rate, policy).prop_map(|(slow_client, messages_per_second_max, rate_policy)| {
        Limits {
            slow_client,
            messages_per_second_max,
            rate_policy,
            outbox_bytes_max: 150_000,
            compression: Some(CompressionLimits {
                level: 6,
                message_bytes_min: 20,
                policy: Policy {
                    server_takeover: true,
                    client_takeover: true,
                    window: WindowBits::MAX,
                },
                context_bytes_max: 1 << 20,
            }),
            ..Limits::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_connection_that_moves_goes_on_as_one_that_stays(
        words in words(), steps in steps(), limits in limits(),
    ) {
        let said = bytes_of(&words);
        let mut stays = World::new(&limits, said.clone());
        let mut moves = World::new(&limits, said);
        for step in &steps {
            stays.step(step, false);
            moves.step(step, true);
            prop_assert_eq!(&stays.app.told, &moves.app.told);
            prop_assert!(undated(&stays.heard) == undated(&moves.heard), "the client hears another thing");
            prop_assert_eq!(stays.seen(), moves.seen());
        }
    }

    /// Whatever bytes come: an error, or a connection that can be counted and forgotten again.
    #[test]
    fn bytes_that_are_no_connection_are_refused(
        words in words(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>(),
    ) {
        let limits = Limits::default();
        let mut world = World::new(&limits, bytes_of(&words));
        world.step(&Step::Say(2000), false);
        let Some(index) = world.index() else { return Ok(()) };
        let mut bytes = world.state.connections.at(index).unwrap().snapshot(&world.state.fx).unwrap();
        let place = at.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] ^= with }
        let mut fx = effects(&limits, START_MS);
        let (ours, _client) = StdStream::pair().unwrap();
        let mut connections = crate::connections::Connections::default();
        let key = connections.vacant_key();
        let stream = Stream::Unix(UnixStream::from_std(ours));
        match Connection::resume(&bytes, key, stream, &mut fx) {
            Ok(connection) => connection.leave(&mut fx),
            Err(_) => prop_assert_eq!(fx.delivery.waiting_bytes(), 0),
        }
    }
}

#[test]
fn another_version_is_refused() {
    let limits = Limits::default();
    let world = World::new(&limits, Vec::new());
    let connection = world.state.connections.iter().next().unwrap();
    let mut bytes = connection.snapshot(&world.state.fx).unwrap();
    bytes[..2].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let (ours, _client) = StdStream::pair().unwrap();
    let mut fx = effects(&limits, START_MS);
    let stream = Stream::Unix(UnixStream::from_std(ours));
    let refused = Connection::resume(&bytes, connection.key, stream, &mut fx).unwrap_err();
    assert_eq!(refused, ResumeError::Version { found: VERSION + 1 });
}
