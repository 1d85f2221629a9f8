//! How connections end, whoever ends them.

use std::borrow::Cow;

use wsmaster_protocol::close::CloseCode;

use super::{Core, relief::Waiting};
use crate::{
    close_reason::{CloseReason, Row},
    connection::State,
    handler::{Closed, ClosedBy},
};

/// How long a kept connection that is idle is left open when the worker is replaced: its client may just be sending the next
/// request, which is answered as the last one.
const REQUEST_WAIT_MS: u64 = 1000;
/// The same at a stop, which somebody waits for.
const REQUEST_WAIT_AT_STOP_MS: u64 = 250;

impl Core {
    /// Chooses the moment at which a client is told that the worker leaves.
    pub(crate) fn schedule_farewell(&mut self, index: u32) {
        let Some(connection) = self.registry.at(index) else { return };
        let wait_ms = match (&connection.state, self.stopping) {
            (State::WebSocket(_), _) => 0,
            // A request may be on its way: it is answered, and the answer says that it is the last one.
            (State::Http(_), false) => REQUEST_WAIT_MS,
            (State::Http(_), true) => REQUEST_WAIT_AT_STOP_MS,
            (State::Lingering { .. }, _) => return,
        };
        let key = self.registry.key_of(index);
        self.farewells.add(key, wait_ms, self.now_ms, &mut self.random);
    }

    /// Counts what a connection is closed for, and tells the operator.
    #[cold]
    pub(crate) fn count_closed(&mut self, index: u32, reason: CloseReason) {
        if let Some((counter, does)) = reason.row().told {
            self.cell.add(counter, 1);
            self.complain_of(index, counter, does);
        }
    }

    /// As [`Self::count_closed`], and begins the close handshake. A connection that is closing already goes on doing so.
    #[cold]
    pub(crate) fn close(&mut self, index: u32, reason: CloseReason) {
        self.count_closed(index, reason);
        let Row { code, text, .. } = reason.row();
        match code {
            Some(code) => drop(self.close_with(index, code, Cow::Borrowed(text))),
            None => self.lose(index, reason),
        }
    }

    /// Begins the close handshake for a reason that comes from outside. Whether it began.
    pub(crate) fn close_with(
        &mut self,
        index: u32,
        code: CloseCode,
        reason: Cow<'static, str>,
    ) -> bool {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let began = match self.registry.at_mut(index).map(|connection| &mut connection.state) {
            Some(State::WebSocket(session)) => session.close(code, &reason, &mut out),
            Some(State::Http(_) | State::Lingering { .. }) | None => false,
        };
        if began {
            if self.corked == Some(index) {
                self.cork.extend_from_slice(&out);
            } else {
                self.enqueue(index, |outbox| outbox.push_copy(&out));
            }
            self.ended(index, ClosedBy::Server, Some(code), reason);
            self.restart_patience(index);
        }
        self.scratch = out;
        began
    }

    /// Queues word of a WebSocket's end for the application and takes it out of its channels, the first time that it is
    /// called for a connection.
    pub(crate) fn ended(
        &mut self,
        index: u32,
        by: ClosedBy,
        code: Option<CloseCode>,
        reason: Cow<'static, str>,
    ) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        if !std::mem::take(&mut connection.flags.open) {
            return;
        }
        let id = connection.durable.id;
        self.release(index);
        self.leave_channels(index);
        self.endings.push_back((index, Closed { id, by, code, reason }));
    }

    /// Lets the last words leave, then ends our side and waits for the peer's end.
    pub(crate) fn linger(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        match connection.state {
            State::Lingering { .. } => return,
            State::Http(_) | State::WebSocket(_) => {}
        }
        self.admission.has_asked(&mut connection.counted);
        connection.state = State::Lingering { shut: false };
        connection.unparsed = Vec::new();
        let id = connection.durable.id;
        let unread = connection.flags.readable;
        self.sum_up_unfinished(index);
        self.mark_dirty(index);
        self.registry.retire_id(id);
        self.restart_patience(index);
        if unread {
            // It was left unread so far and is not told of again, and the peer may wait for room to go on.
            self.make_ready(index);
        }
    }

    /// The socket is of no use any more.
    pub(crate) fn lose(&mut self, index: u32, reason: CloseReason) {
        let Row { by, text, .. } = reason.row();
        self.ended(index, by, None, Cow::Borrowed(text));
        let Some(connection) = self.registry.at_mut(index) else { return };
        self.admission.has_asked(&mut connection.counted);
        connection.state = State::Lingering { shut: true };
        connection.unparsed = Vec::new();
        let id = connection.durable.id;
        self.sum_up_unfinished(index);
        self.registry.retire_id(id);
        self.gone.push(index);
    }

    /// Takes the connections out that are gone. Not while one of them is being served.
    pub(crate) fn bury(&mut self) {
        while let Some(index) = self.gone.pop() {
            self.wheel.cancel(index);
            self.undelivered.remove(&index);
            if let Some(connection) = self.registry.remove(index) {
                self.admission.leave(connection.counted);
                self.forget_unfinished(connection.summed_bytes);
                self.waiting.replace(Waiting::of(&connection.outbox), Waiting::default());
                self.release_context(connection.durable.extension);
            }
        }
    }
}
