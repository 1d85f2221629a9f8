//! What a proxy says of a client before the client's first byte, on listeners that want to hear it.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::proxy::preface::{Step, read};

use super::Worker;
use crate::{close_reason::CloseReason, core::LAST, handler::Handler};

impl<H: Handler> Worker<H> {
    /// Takes the PROXY header from the front of a connection, and nothing behind it: the client's own words may be those of
    /// TLS. Whether it has come, so that the connection can be served.
    ///
    /// Until a header is complete it stays in the kernel, which tells of every byte that joins it (epoll(7)). Without one a
    /// connection is worth nothing, and ends at once.
    pub(super) fn take_preface(&mut self, index: u32) -> bool {
        let Some(connection) = self.core.registry.at_mut(index) else { return false };
        connection.flags.readable = false;
        let front = match connection.stream.peek(&mut self.buffer) {
            Ok(Some(count)) => &self.buffer[..count],
            Ok(None) => return false,
            Err(_) => {
                self.give_up(index, CloseReason::Broken);
                return false;
            }
        };
        match read(front) {
            Step::Partial => {
                if connection.flags.peer_done {
                    self.give_up(index, CloseReason::PeerEnded);
                }
                false
            }
            Step::Complete { consumed, client } => {
                if connection.stream.skip(&mut self.buffer[..consumed]).is_err() {
                    self.give_up(index, CloseReason::Broken);
                    return false;
                }
                connection.flags.preface = false;
                connection.flags.readable = true;
                connection.times.alive_at(self.core.now_ms);
                self.core.cell.add(Counter::BytesIn, consumed as u64);
                if let Some(client) = client {
                    connection.durable.peer = client.peer;
                    connection.durable.secure |= client.secure;
                    if let Some(response) = self.core.judge_client(index) {
                        self.core.write_response(index, &response, LAST);
                        self.core.linger(index);
                    }
                }
                true
            }
            Step::Malformed(fault) => {
                self.core.cell.add(Counter::BadProxyHeaders, 1);
                let does = format_args!("is hung up on: {fault}");
                self.core.complain_of(index, Counter::BadProxyHeaders, does);
                self.give_up(index, CloseReason::BadProxyHeader);
                false
            }
        }
    }

    fn give_up(&mut self, index: u32, reason: CloseReason) {
        self.core.lose(index, reason);
        self.settle();
    }
}
