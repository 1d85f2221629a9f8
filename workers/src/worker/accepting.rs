//! New connections, one by one, as long as there is room.

use std::{io, time::Instant};

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{http::Response, session::Extension};

use super::{ACCEPTS_PER_TURN_MAX, Worker};
use crate::{
    connection::{Connection, Durable, Flags, State, Times},
    core::{Core, LAST},
    exchange::Exchange,
    gate,
    handler::Handler,
    pace::Pace,
    stream::Stream,
    token::Source,
};

/// Connections beyond the limit that are told so; yet another one is reset.
const REFUSALS_MAX: u64 = 64;

impl<H: Handler> Worker<H> {
    pub(super) fn accept(&mut self) {
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
                            opened_unix_ms: Core::unix_ms(),
                            head: None,
                            subprotocol: None,
                            extension: Extension::None,
                            tls: None,
                            context: None,
                        },
                    );
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
                        self.core.cell.add(Counter::AcceptPauses, 1);
                        self.doors.pause(now_ms + gate::PAUSE_MS);
                        self.core.complain(Counter::AcceptPauses, || {
                            format!(
                                "accepting pauses for {} ms: {error}; connections wait in the kernel",
                                gate::PAUSE_MS
                            )
                        });
                        return;
                    }
                },
            }
        }
    }

    pub(super) fn welcome(&mut self, stream: Stream, durable: Durable) {
        self.core.cell.add(Counter::Accepted, 1);
        let others = self.core.loop_handle().board().total(Counter::Connections);
        let refused = others >= self.core.limits.connections_max;
        if refused {
            self.core.cell.add(Counter::RefusedFull, 1);
            self.core.complain(Counter::RefusedFull, || {
                "the server is full (limits.connections_max): new clients are refused".to_owned()
            });
            if others >= self.core.limits.connections_max + REFUSALS_MAX {
                let _ = stream.reset_on_close();
                return;
            }
        }
        if self.core.limits.tcp_nodelay && stream.send_at_once().is_err() {
            return;
        }
        let rules = self.core.listeners.rules(durable.listener);
        let preface = rules.is_some_and(|rules| rules.proxy_protocol);
        let encrypted = rules.is_some_and(|rules| rules.tls);
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
        self.core.registry.insert(Connection {
            stream,
            durable,
            state: State::Http(Exchange::new()),
            outbox: crate::outbox::Outbox::default(),
            unparsed: Vec::new(),
            times: Times {
                since_ms: now_ms,
                received_ms: now_ms,
                pinged_ms: None,
                resume_ms: 0,
                message_ms: None,
            },
            pace: Pace::default(),
            messages_in: 0,
            messages_out: 0,
            flags: Flags { preface, ..Flags::default() },
        });
        self.core.cell.set(Counter::Connections, self.core.registry.len() as u64);
        if refused {
            let response = Response::error(503, "the server is full").header("Retry-After", "5");
            self.core.write_response(key.index, &response, LAST);
            self.core.linger(key.index);
        } else {
            self.core.watch(key.index);
        }
    }
}
