//! New connections, one by one, as long as there is room.

use std::{io, time::Instant};

use wsmaster_ipc::{board::Counter, sys::reserve};
use wsmaster_protocol::session::Extension;

use super::{ACCEPTS_PER_TURN_MAX, Worker};
use crate::{
    connection::{Connection, Durable, Flags, State, Times},
    core::{
        Core, LAST,
        admitting::{Entry, come_back},
    },
    exchange::Exchange,
    gate,
    handler::Handler,
    pace::Pace,
    stream::Stream,
    token::Source,
};

impl<H: Handler> Worker<H> {
    pub(super) fn accept(&mut self) {
        if !reserve::is_whole() && self.doors.wants_turn(self.core.now_ms) {
            // What the others pass to this process comes first.
            self.rest("descriptors have run out");
            return;
        }
        let (numbers, share) = self.doors.turn(self.core.now_ms, ACCEPTS_PER_TURN_MAX);
        for number in numbers {
            self.accept_at(number, share);
        }
    }

    /// Accepts at one door, at most `share` connections.
    fn accept_at(&mut self, number: usize, share: usize) {
        let now_ms = self.core.now_ms;
        for _ in 0..share {
            let Some(door) = self.doors.at_mut(number) else { return };
            if !door.gate.may_accept(now_ms) {
                return;
            }
            let now = Instant::now();
            // Asked for before the accept, so that no accepted connection is ever without an id.
            let board = self.core.loop_handle().board();
            if !board.has_id(self.core.slot, now) {
                self.doors.pause(now_ms + 1);
                return;
            }
            match door.accept() {
                Ok((stream, peer)) => {
                    let listener = door.listener;
                    let id = board.next_id(self.core.slot, now);
                    let Some(id) = id else { continue };
                    self.welcome(
                        stream,
                        Durable {
                            id,
                            peer,
                            secure: false,
                            listener,
                            group: None,
                            opened_unix_ms: Core::unix_ms(),
                            head: None,
                            subprotocol: None,
                            extension: Extension::None,
                            tls: None,
                            context: None,
                        },
                    );
                    if let Some(wait_ms) = self.core.admission.accepted(&self.core.limits, now_ms) {
                        self.hold_back(now_ms + wait_ms);
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        door.gate.emptied();
                        if door.is_retired {
                            self.doors.close_at(self.poll.registry(), number);
                        }
                        return;
                    }
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.rest(error);
                        return;
                    }
                },
            }
        }
    }

    pub(super) fn welcome(&mut self, stream: Stream, mut durable: Durable) {
        self.core.cell.add(Counter::Accepted, 1);
        let entry = self.core.judge(durable.peer);
        match entry {
            Entry::Admitted(_) | Entry::Dismissed(_) => {}
            Entry::Reset => {
                let _ = stream.reset_on_close();
                return;
            }
        }
        let rules = self.core.listeners.rules(durable.listener);
        let preface = rules.is_some_and(|rules| rules.proxy_protocol);
        let encrypted = rules.is_some_and(|rules| rules.tls);
        durable.secure |= encrypted;
        if preface && !self.core.proxies.trust.includes(durable.peer) {
            // Whatever it would say of itself could not be believed, and it may be a client that is to come by the proxy.
            self.core.cell.add(Counter::BadProxyHeaders, 1);
            let peer = durable.peer;
            self.core.complain(Counter::BadProxyHeaders, || {
                format!(
                    "{peer} came to a listener for trusted_proxies, and is none of them: hung up"
                )
            });
            let _ = stream.reset_on_close();
            return;
        }
        let key = self.core.registry.vacant_key();
        let token = Source::Connection(key).token();
        let mut stream = match (stream, &self.tls) {
            (stream, _) if !encrypted => stream,
            (Stream::Tcp(socket), Some(acceptor)) => match acceptor.begin(socket) {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err(error) => {
                    log::warn!("TLS cannot begin: {error}");
                    return;
                }
            },
            // Never in the clear what is to be encrypted: it was turned on after this worker was started.
            (Stream::Tcp(_) | Stream::Unix(_) | Stream::Tls(_), _) => return,
        };
        if let Err(error) = stream.watch(self.poll.registry(), token) {
            log::warn!("a connection cannot be watched: {error}");
            return;
        }
        let now_ms = self.core.now_ms;
        let counted = match entry {
            Entry::Admitted(site) => self.core.admission.enter(site),
            Entry::Dismissed(_) | Entry::Reset => self.core.admission.dismiss(),
        };
        self.core.registry.insert(Connection {
            stream,
            durable,
            state: State::Http(Exchange::new()),
            outbox: crate::outbox::Outbox::default(),
            unparsed: Vec::new(),
            times: Times {
                since_ms: now_ms,
                received_ms: now_ms,
                pinged: None,
                resume_ms: 0,
                message_began: None,
            },
            pace: Pace::default(),
            messages_in: 0,
            messages_out: 0,
            flags: Flags { preface, ..Flags::default() },
            counted,
            summed_bytes: 0,
        });
        self.core.cell.set(Counter::Connections, self.core.registry.len() as u64);
        match entry {
            Entry::Dismissed(sentence) => {
                self.core.write_response(key.index, &come_back(sentence), LAST);
                self.core.linger(key.index);
            }
            Entry::Admitted(_) | Entry::Reset => self.core.watch(key.index),
        }
    }

    /// There is nothing to accept a connection with: those who come wait in the kernel for a while.
    fn rest(&mut self, why: impl std::fmt::Display) {
        self.core.cell.add(Counter::AcceptPauses, 1);
        self.doors.pause(self.core.now_ms + gate::PAUSE_MS);
        self.core.complain(Counter::AcceptPauses, || {
            format!(
                "accepting pauses for {} ms: {why}; connections wait in the kernel",
                gate::PAUSE_MS
            )
        });
    }

    /// More come than may: the others wait in the kernel for a while.
    fn hold_back(&mut self, until_ms: u64) {
        self.core.cell.add(Counter::AcceptsHeldBack, 1);
        self.doors.pause(until_ms);
        self.core.complain(Counter::AcceptsHeldBack, || {
            "more connections come in a second than limits.accepts_per_second_max: they wait in the \
             kernel"
                .to_owned()
        });
    }
}
