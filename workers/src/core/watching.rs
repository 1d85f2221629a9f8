//! What the clock asks for at a connection.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{
    frame::encode_ping,
    http::{HttpError, Response},
    session::Phase,
};

use super::{Core, LAST, admitting::come_back};
use crate::{
    close_reason::CloseReason,
    connection::State,
    exchange::Exchange,
    limits::RatePolicy,
    moment::Moment,
    patience::{Due, Waiting, due},
};

/// Who is left unread is so for this long at least: not woken for each single message that may come again.
const PAUSE_MS_MIN: u64 = 100;

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
        if connection.flags.held {
            // Its pong may be among what is left unread.
            connection.times.alive_at(self.now_ms);
        }
        let mut last = LAST;
        let waiting = match &connection.state {
            State::Http(Exchange::Answering { manner, .. }) => {
                last.head_only = manner.head_only;
                Waiting::Answer
            }
            State::Http(Exchange::Undecided { .. }) => Waiting::Answer,
            State::Http(Exchange::Head { begun: false, .. }) => Waiting::NextRequest,
            State::Http(Exchange::Head { begun: true, .. } | Exchange::Body { .. }) => {
                Waiting::Request
            }
            State::WebSocket(session) => match session.phase() {
                Phase::Open if connection.flags.paused => Waiting::Pace,
                Phase::Open => Waiting::Messages,
                Phase::CloseSent | Phase::Closed => Waiting::End,
            },
            State::Lingering { .. } => Waiting::End,
        };
        match due(waiting, &connection.times, &self.limits, self.now_ms) {
            Due::Later(at_ms) => self.wheel.schedule(index, at_ms),
            Due::Never => {}
            Due::Ping => {
                connection.times.pinged = Some(Moment::at_ms(self.now_ms));
                let mut ping = Vec::new();
                encode_ping(b"", &mut ping);
                self.enqueue(index, |outbox| outbox.push_copy(&ping));
                self.note_ping(index, ping.len());
                // Again at once: to be idle for too long may be due before the pong is.
                self.watch(index);
            }
            // It takes what was sent before the ping, steadily and in steps too small for the socket to be writable again.
            Due::PongLate if self.has_taken_some(index) => {
                if let Some(connection) = self.registry.at_mut(index) {
                    connection.times.pinged = Some(Moment::at_ms(self.now_ms));
                }
                self.watch(index);
            }
            Due::PongLate => self.close(index, CloseReason::PongTimeout),
            Due::Idle => self.close(index, CloseReason::IdleTimeout),
            // The rest of it may be here and unread, because the peer does not read its answers.
            Due::MessageLate if self.is_choked(index) => self.begin_message(index),
            Due::MessageLate => self.close(index, CloseReason::MessageTimeout),
            Due::RequestLate => self.request_late(index),
            // A kept connection between two requests: it just ends, as HTTP clients expect (RFC 9112, 9.5).
            Due::NoFurtherRequest => self.linger(index),
            Due::AnswerLate => {
                let response = Response::error(503, "the server did not answer in time");
                self.write_response(index, &response, last);
                self.linger(index);
            }
            Due::Resume => self.resume(index),
            Due::EndLate => self.lose(index, CloseReason::CloseTimeout),
        }
    }

    /// A peer is `ahead_ms` ahead of what it may send.
    #[cold]
    pub(crate) fn hold_back(&mut self, index: u32, ahead_ms: u64) {
        let now_ms = self.now_ms;
        let Some(connection) = self.registry.at_mut(index) else { return };
        if connection.is_ending() {
            return;
        }
        let resume_ms = now_ms + ahead_ms.max(PAUSE_MS_MIN);
        connection.times.resume_ms = connection.times.resume_ms.max(resume_ms);
        if std::mem::replace(&mut connection.flags.paused, true) {
            return;
        }
        self.cell.add(Counter::RateLimited, 1);
        self.complain_of(index, Counter::RateLimited, "sends more in a second than it may");
        match self.limits.rate_policy {
            RatePolicy::Pause => self.watch(index),
            RatePolicy::Close => self.close(index, CloseReason::RateLimited),
        }
    }

    fn resume(&mut self, index: u32) {
        let now_ms = self.now_ms;
        let Some(connection) = self.registry.at_mut(index) else { return };
        connection.flags.paused = false;
        connection.times.alive_at(now_ms);
        // What is missing of a message may have been here all the time.
        connection.times.message_began =
            connection.times.message_began.map(|_| Moment::at_ms(now_ms));
        if connection.has_input() {
            self.make_ready(index);
        }
        self.watch(index);
    }

    /// A message has begun and is not complete: from now on its time runs.
    pub(crate) fn begin_message(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index) {
            connection.times.message_began = Some(Moment::at_ms(self.now_ms));
            self.watch(index);
        }
    }

    /// A further request has begun, and is not complete: from now on its time runs, and it counts among those that have not
    /// been asked wholly. `false`: there is no room for it, and it was told so.
    #[cold]
    pub(crate) fn begin_request(&mut self, index: u32) -> bool {
        let Some(connection) = self.registry.at_mut(index) else { return false };
        let peer = connection.durable.peer;
        match self.admission.asks_again(&mut connection.counted, &self.limits) {
            Ok(()) => {
                self.restart_patience(index);
                true
            }
            Err(crowded) => {
                let sentence = self.count_crowded(crowded, peer);
                self.write_response(index, &come_back(sentence), LAST);
                self.linger(index);
                false
            }
        }
    }

    pub(super) fn request_late(&mut self, index: u32) {
        let Some(connection) = self.registry.at(index) else { return };
        let is_handshaking = connection.stream.is_handshaking();
        self.cell.add(Counter::HandshakeTimeouts, 1);
        self.complain_of(index, Counter::HandshakeTimeouts, "sent no whole request in time");
        if is_handshaking {
            // No words of ours would be understood.
            self.lose(index, CloseReason::TlsTimeout);
            return;
        }
        let error = HttpError::Timeout;
        self.write_response(index, &error.response(), LAST);
        self.linger(index);
    }
}
