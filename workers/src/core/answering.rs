//! Answers to HTTP requests.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::http::Response;

use super::Core;
use crate::{
    connection::State,
    exchange::{Exchange, Manner},
    handler::Responder,
};

impl Core {
    /// Answers a request. An answer that comes too late finds nobody, and is passed over.
    pub(crate) fn respond(&mut self, responder: Responder, response: &Response) {
        let Some(index) = self.registry.index_of(responder.key) else { return };
        let Some(connection) = self.registry.at_mut(index) else { return };
        let manner = match &connection.state {
            State::Http(Exchange::Answering { number, manner }) if *number == responder.number => {
                *manner
            }
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => return,
        };
        let manner = Manner { keep_alive: manner.keep_alive && !self.leaving, ..manner };
        self.cell.add(Counter::Requests, 1);
        self.write_response(index, response, manner);
        if manner.keep_alive {
            if let Some(connection) = self.registry.at_mut(index) {
                connection.state = State::Http(Exchange::next());
                if connection.has_input() && self.corked != Some(index) {
                    self.make_ready(index);
                }
            }
            self.restart_patience(index);
        } else {
            self.linger(index);
        }
    }

    /// Writes the answer that makes a WebSocket of a connection.
    pub(crate) fn write_upgrade(&mut self, index: u32, answer: &[u8]) {
        if self.corked == Some(index) {
            self.cork.extend_from_slice(answer);
            self.cork_plain = self.cork.len();
        } else {
            self.enqueue(index, |outbox| outbox.push_plain(answer));
        }
    }

    /// Puts an HTTP answer into the outbox.
    pub(crate) fn write_response(&mut self, index: u32, response: &Response, manner: Manner) {
        let Manner { keep_alive, head_only } = manner;
        let unix_seconds = Self::unix_ms() / 1000;
        if self.corked == Some(index) {
            response.encode_dated(unix_seconds, keep_alive, head_only, &mut self.cork);
        } else {
            let mut out = Vec::new();
            response.encode_dated(unix_seconds, keep_alive, head_only, &mut out);
            self.enqueue(index, |outbox| outbox.push_plain(&out));
        }
    }
}
