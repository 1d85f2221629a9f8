//! From the socket: bytes, the peer's end, and what a proxy says of a client before the client's first byte.

use std::io;

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::proxy::preface::{Step, read};

use super::{Incoming, LAST, State};
use crate::{
    close_reason::CloseReason, effects::Effects, http1::RequestState, rate_limiter::Cost,
    received::Received,
};

impl Incoming<'_> {
    /// Whether more bytes of it can be handled now.
    pub(crate) fn wants_input(&self, fx: &Effects) -> bool {
        if !self.0.flags.readable || self.0.is_read_blocked(&fx.limits) {
            return false;
        }
        match self.0.state {
            State::Http(RequestState::Answering { .. } | RequestState::Undecided { .. }) => false,
            State::Http(RequestState::Head { .. } | RequestState::Body { .. })
            | State::WebSocket(_)
            | State::Lingering { .. } => true,
        }
    }

    /// Reads once. `None` when there is nothing to handle: empty, ended or broken; 0 when there may be more behind bytes
    /// that are not for the application.
    pub(crate) fn read(&mut self, buffer: &mut [u8], fx: &mut Effects) -> Option<usize> {
        loop {
            match self.0.stream.receive(buffer) {
                Ok(Received::End) => {
                    self.0.flags.readable = false;
                    self.0.flags.peer_done = true;
                    self.peer_done(fx);
                    return None;
                }
                Ok(Received::Refused) => {
                    fx.stats.add(Counter::TlsFailures, 1);
                    let does = "does not speak TLS with us";
                    fx.warn_client(self.0.info.peer, Counter::TlsFailures, does);
                    self.0.linger(fx);
                    return None;
                }
                Ok(Received::Bytes(count)) => {
                    self.has_read(count, buffer.len(), fx);
                    return Some(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.0.flags.readable = false;
                    self.0.flags.urgent = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.0.abort(CloseReason::Broken, fx);
                    return None;
                }
            }
        }
    }

    #[inline]
    fn has_read(&mut self, count: usize, buffer_len: usize, fx: &mut Effects) {
        // A short read has emptied the socket (epoll(7), Q9): what comes later is told of again. Unless the peer's end is
        // behind it, which was told of already, or an urgent byte.
        if count < buffer_len
            && self.0.stream.short_read_is_empty()
            && !self.0.flags.peer_done
            && !self.0.flags.urgent
        {
            self.0.flags.readable = false;
        }
        self.0.times.alive_at(fx.now_ms);
        if let Some(facts) = self.0.stream.take_peer_info() {
            fx.stats.add(Counter::TlsHandshakes, 1);
            fx.stats.add(Counter::TlsResumed, u64::from(facts.resumed));
            self.0.info.tls = Some(Box::new(facts));
        }
        fx.stats.add(Counter::BytesIn, count as u64);
        let ahead = match self.0.state {
            State::WebSocket(_) => self.0.rate.spend(Cost::Bytes(count), &fx.limits, fx.now_ms),
            State::Http(_) | State::Lingering { .. } => None,
        };
        if let Some(ahead_ms) = ahead {
            self.0.timers().throttle(ahead_ms, fx);
        }
    }

    /// The peer has ended its side and everything it sent has been read.
    fn peer_done(&mut self, fx: &mut Effects) {
        match self.0.state {
            // It may still wait for its answer.
            State::Http(RequestState::Answering { .. } | RequestState::Undecided { .. }) => {}
            State::Lingering { shut: false } => {}
            // The answers before may still be on their way to it.
            State::Http(RequestState::Head { .. }) => self.0.linger(fx),
            State::Http(RequestState::Body { .. })
            | State::WebSocket(_)
            | State::Lingering { shut: true } => self.0.abort(CloseReason::PeerEnded, fx),
        }
    }

    /// Takes the PROXY header from the front of what has come, and nothing behind it: the client's own words may be those of
    /// TLS. Whether it has come, so that the connection can be served.
    ///
    /// Until a header is complete it stays in the kernel, which tells of every byte that joins it (epoll(7)). Without one a
    /// connection is worth nothing, and ends at once.
    pub(crate) fn take_proxy_header(&mut self, buffer: &mut [u8], fx: &mut Effects) -> bool {
        self.0.flags.readable = false;
        let front = match self.0.stream.peek(buffer) {
            Ok(Some(count)) => &buffer[..count],
            Ok(None) => return false,
            Err(_) => {
                self.0.abort(CloseReason::Broken, fx);
                return false;
            }
        };
        match read(front) {
            Step::Partial => {
                if self.0.flags.peer_done {
                    self.0.abort(CloseReason::PeerEnded, fx);
                }
                false
            }
            Step::Complete { consumed, client } => {
                if self.0.stream.skip(&mut buffer[..consumed]).is_err() {
                    self.0.abort(CloseReason::Broken, fx);
                    return false;
                }
                self.0.flags.preface = false;
                self.0.flags.readable = true;
                self.0.times.alive_at(fx.now_ms);
                fx.stats.add(Counter::BytesIn, consumed as u64);
                if let Some(client) = client {
                    self.0.info.peer = client.peer;
                    self.0.info.secure |= client.secure;
                    if let Some(response) = self.0.recount_client(fx) {
                        self.0.http().write_response(&response, LAST, fx);
                        self.0.linger(fx);
                    }
                }
                true
            }
            Step::Malformed(fault) => {
                fx.stats.add(Counter::BadProxyHeaders, 1);
                let does = format_args!("is hung up on: {fault}");
                fx.warn_client(self.0.info.peer, Counter::BadProxyHeaders, does);
                self.0.abort(CloseReason::BadProxyHeader, fx);
                false
            }
        }
    }
}
