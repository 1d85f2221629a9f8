//! Answers to HTTP requests.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::http::Response;

use super::Core;
use crate::{
    connection::State,
    exchange::{Exchange, Manner},
    handler::{Responder, Undecided},
};

/// When clients that are refused are told to come back, in seconds.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 2..=8;

impl Core {
    /// Answers a request. An answer that comes too late finds nobody, and is passed over.
    pub(crate) fn respond(&mut self, responder: Responder, response: &Response) {
        let Some((index, manner)) = self.awaits_answer(&responder) else { return };
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

    /// Which connection waits for the answer to a request, and for what manner of answer.
    pub(crate) fn awaits_answer(&self, responder: &Responder) -> Option<(u32, Manner)> {
        let index = self.registry.index_of(responder.key)?;
        match &self.registry.at(index)?.state {
            State::Http(Exchange::Answering { number, manner }) => {
                (*number == responder.number).then_some((index, *manner))
            }
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => None,
        }
    }

    /// Whether a client waits for its handshake to be decided.
    pub(crate) fn awaits_verdict(&self, undecided: &Undecided) -> bool {
        let Some(index) = self.registry.index_of(undecided.key) else { return false };
        match self.registry.at(index).map(|connection| &connection.state) {
            Some(State::Http(Exchange::Undecided { number, .. })) => *number == undecided.number,
            Some(State::Http(_) | State::WebSocket(_) | State::Lingering { .. }) | None => false,
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
        if let Some(connection) = self.registry.at(index) {
            log::debug!("{}: is answered {}", connection.durable.peer, response.status());
        }
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
