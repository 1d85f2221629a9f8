//! Answers to HTTP requests.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::http::Response;

use super::Core;
use crate::{
    connection::State,
    exchange::{Exchange, Manner},
    handler::Responder,
};

/// When clients that are refused are told to come back, in seconds.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 2..=8;

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

    /// An answer 503 with the time after which it is worth to try again, where the application has not named one. The time is
    /// a random one: clients that are refused together would else come back together.
    #[cold]
    fn with_retry_after(&mut self, response: &Response) -> Response {
        let response = response.clone();
        if response.has_header("Retry-After") {
            return response;
        }
        response.header("Retry-After", &self.random.u64(RETRY_AFTER_S).to_string())
    }

    /// Puts an HTTP answer into the outbox.
    pub(crate) fn write_response(&mut self, index: u32, response: &Response, manner: Manner) {
        let Manner { keep_alive, head_only } = manner;
        let later = (response.status() == 503).then(|| self.with_retry_after(response));
        let response = later.as_ref().unwrap_or(response);
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
