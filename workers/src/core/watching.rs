//! What the clock asks for at a connection.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{
    close::CloseCode,
    frame::encode_ping,
    http::{HttpError, Response},
    session::Phase,
};

use super::{Core, LAST};
use crate::{
    connection::State,
    exchange::Exchange,
    handler::ClosedBy,
    patience::{Due, Waiting, due},
};

impl Core {
    /// Starts to wait for what the connection's present state waits for.
    pub(crate) fn restart_patience(&mut self, index: u32) {
        let now_ms = self.now_ms;
        if let Some(connection) = self.registry.at_mut(index) {
            connection.times.since_ms = now_ms;
        }
        self.watch(index);
    }

    /// Looks whether something is overdue at a connection, and when to look again.
    pub(crate) fn watch(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        let mut last = LAST;
        let waiting = match &connection.state {
            State::Http(Exchange::Answering { manner, .. }) => {
                last.head_only = manner.head_only;
                Waiting::Answer
            }
            State::Http(Exchange::Head { .. } | Exchange::Body { .. }) => Waiting::Request,
            State::WebSocket(session) => match session.phase() {
                Phase::Open => Waiting::Messages,
                Phase::CloseSent | Phase::Closed => Waiting::End,
            },
            State::Lingering { .. } => Waiting::End,
        };
        match due(waiting, &connection.times, &self.limits, self.now_ms) {
            Due::Later(at_ms) => self.wheel.schedule(index, at_ms),
            Due::Never => {}
            Due::Ping => {
                connection.times.pinged_ms = Some(self.now_ms);
                let mut ping = Vec::new();
                encode_ping(b"", &mut ping);
                self.enqueue(index, |connection| connection.outbox.push_copy(&ping), ping.len());
                // Again at once: to be idle for too long may be due before the pong is.
                self.watch(index);
            }
            Due::PongLate => {
                self.cell.add(Counter::PingTimeouts, 1);
                self.close(index, CloseCode::Policy, "no pong came in time");
            }
            Due::Idle => {
                self.cell.add(Counter::IdleTimeouts, 1);
                self.close(index, CloseCode::Policy, "the connection was idle for too long");
            }
            Due::RequestLate => self.request_late(index),
            Due::AnswerLate => {
                let response = Response::error(503, "the server did not answer in time");
                self.write_response(index, &response, last);
                self.linger(index);
            }
            Due::EndLate => self.lose(index, ClosedBy::Lost, "the peer did not end the connection"),
        }
    }

    pub(super) fn request_late(&mut self, index: u32) {
        let Some(connection) = self.registry.at(index) else { return };
        let begun = !connection.unparsed.is_empty()
            || matches!(connection.state, State::Http(Exchange::Body { .. }));
        let first = connection.messages_in == 0;
        if first {
            self.cell.add(Counter::HandshakeTimeouts, 1);
        }
        if begun || first {
            let error = HttpError::Timeout;
            self.write_response(index, &error.response(), LAST);
            self.linger(index);
        } else {
            // A kept-alive connection between two requests: it just ends.
            self.linger(index);
        }
    }
}
