//! New connections, one by one, as long as there is room.

use std::io;

use wsmaster_ipc::{shared_state::Counter, sys::reserve};
use wsmaster_protocol::session::Extension;

use super::{Worker, budgets::ACCEPTS_PER_TURN_MAX};
use crate::{
    accept_state,
    admit::{Entry, come_back},
    connection::{Connection, ConnectionInfo, LAST},
    effects::Effects,
    handler::Handler,
    stream::Stream,
    token::Source,
};

impl<H: Handler> Worker<H> {
    pub(super) fn accept(&mut self) {
        let now_ms = self.state.fx.now_ms;
        if !reserve::is_whole() && self.accept_sockets.wants_turn(now_ms) {
            // What the others pass to this process comes first.
            self.pause_accepting("descriptors have run out");
            return;
        }
        let (numbers, share) = self.accept_sockets.turn(now_ms, ACCEPTS_PER_TURN_MAX);
        for number in numbers {
            self.accept_at(number, share);
        }
    }

    /// Accepts from one socket, at most `share` connections.
    fn accept_at(&mut self, number: usize, share: usize) {
        let now_ms = self.state.fx.now_ms;
        let slot = self.state.fx.peers.slot;
        for _ in 0..share {
            let Some(socket) = self.accept_sockets.at_mut(number) else { return };
            if !socket.state.may_accept(now_ms) {
                return;
            }
            // Asked for before the accept, so that no accepted connection is ever without an id.
            let shared_state = self.state.fx.shared_state();
            if !shared_state.has_id(slot, now_ms) {
                self.accept_sockets.pause(now_ms + 1);
                return;
            }
            match socket.accept() {
                Ok((stream, peer)) => {
                    let listener = socket.listener;
                    let Some(id) = shared_state.next_id(slot, now_ms) else { continue };
                    self.welcome(
                        stream,
                        ConnectionInfo {
                            id,
                            peer,
                            secure: false,
                            listener,
                            group: None,
                            opened_unix_ms: Effects::unix_ms(),
                            head: None,
                            subprotocol: None,
                            extension: Extension::None,
                            tls: None,
                            context: None,
                        },
                    );
                    let fx = &mut self.state.fx;
                    if let Some(wait_ms) = fx.admission.accepted(&fx.limits, now_ms) {
                        self.throttle_accepting(now_ms + wait_ms);
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        socket.state.emptied();
                        if socket.is_retired {
                            self.accept_sockets.close_at(self.poll.registry(), number);
                        }
                        return;
                    }
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        self.pause_accepting(error);
                        return;
                    }
                },
            }
        }
    }

    /// Takes a connection that was accepted, or tells it that there is no room.
    fn welcome(&mut self, stream: Stream, mut info: ConnectionInfo) {
        let fx = &mut self.state.fx;
        fx.stats.add(Counter::Accepted, 1);
        let entry = fx.admit(info.peer);
        match entry {
            Entry::Admitted(_) | Entry::Rejected(_) => {}
            Entry::Reset => {
                let _ = stream.reset_on_close();
                return;
            }
        }
        let rules = fx.rules.listeners.rules(info.listener);
        let has_proxy_header = rules.is_some_and(|rules| rules.proxy_protocol);
        let encrypted = rules.is_some_and(|rules| rules.tls);
        info.secure |= encrypted;
        if has_proxy_header && !fx.rules.proxies.trust.includes(info.peer) {
            // Whatever it would say of itself could not be believed, and it may be a client that is to come by the proxy.
            fx.stats.add(Counter::BadProxyHeaders, 1);
            let peer = info.peer;
            fx.warn(Counter::BadProxyHeaders, || {
                format!("rejected {peer}: not in server.trusted_proxies")
            });
            let _ = stream.reset_on_close();
            return;
        }
        let Some(mut stream) = self.encrypt(stream, encrypted, &info) else { return };
        let key = self.state.connections.vacant_key();
        let token = Source::Connection(key).token();
        if let Err(error) = stream.watch(self.poll.registry(), token) {
            log::warn!("a connection cannot be watched: {error}");
            return;
        }
        let fx = &mut self.state.fx;
        let ticket = match entry {
            Entry::Admitted(client) => fx.admission.enter(client),
            Entry::Rejected(_) | Entry::Reset => fx.admission.reject(),
        };
        let mut connection = Connection::new(key, stream, info, ticket, fx.now_ms);
        connection.flags.preface = has_proxy_header;
        let connection = self.state.connections.insert(connection);
        match entry {
            Entry::Rejected(sentence) => {
                connection.http().write_response(&come_back(sentence), LAST, fx);
                connection.linger(fx);
            }
            Entry::Admitted(_) | Entry::Reset => connection.timers().tick(fx),
        }
        fx.stats.set(Counter::Connections, self.state.connections.len() as u64);
    }

    /// The stream as it is, or below TLS; `None` where it cannot be.
    fn encrypt(&self, stream: Stream, encrypted: bool, info: &ConnectionInfo) -> Option<Stream> {
        match (stream, &self.tls) {
            (stream, _) if !encrypted => Some(stream),
            (Stream::Tcp(socket), Some(acceptor)) => match acceptor.begin(socket) {
                Ok(stream) => Some(Stream::Tls(Box::new(stream))),
                Err(error) => {
                    log::warn!("TLS setup failed for {}: {error}", info.peer);
                    None
                }
            },
            // Never in the clear what is to be encrypted: it was turned on after this worker was started.
            (Stream::Tcp(_) | Stream::Unix(_) | Stream::Tls(_), _) => None,
        }
    }

    /// There is nothing to accept a connection with: those who come wait in the kernel for a while.
    fn pause_accepting(&mut self, why: impl std::fmt::Display) {
        let fx = &mut self.state.fx;
        fx.stats.add(Counter::AcceptPauses, 1);
        self.accept_sockets.pause(fx.now_ms + accept_state::PAUSE_MS);
        fx.warn(Counter::AcceptPauses, || {
            format!(
                "accepting pauses for {} ms: {why}; connections wait in the kernel",
                accept_state::PAUSE_MS
            )
        });
    }

    /// More come than may: the others wait in the kernel for a while.
    fn throttle_accepting(&mut self, until_ms: u64) {
        let fx = &mut self.state.fx;
        fx.stats.add(Counter::AcceptsHeldBack, 1);
        self.accept_sockets.pause(until_ms);
        fx.warn(Counter::AcceptsHeldBack, || {
            "more connections come in a second than limits.accepts_per_second_max: they wait in the \
             kernel"
                .to_owned()
        });
    }
}
