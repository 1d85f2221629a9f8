//! How a connection ends, whatever ends it.

use std::borrow::Cow;

use wsmaster_protocol::close::CloseCode;

use super::{Connection, State};
use crate::{
    close_reason::{CloseReason, Row},
    effects::Effects,
    vocabulary::{Closed, ClosedBy},
};

/// How long a kept connection that is idle is left open when the worker is replaced: its client may just be sending the next
/// request, which is answered as the last one.
const REQUEST_WAIT_MS: u64 = 1000;
/// The same at a stop, which somebody waits for.
const REQUEST_WAIT_AT_STOP_MS: u64 = 250;

impl Connection {
    /// Chooses the moment at which its client is told that the worker leaves.
    pub(crate) fn schedule_drain(&self, fx: &mut Effects) {
        let wait_ms = match (&self.state, fx.drain.is_stopping) {
            (State::WebSocket(_), _) => 0,
            // A request may be on its way: it is answered, and the answer says that it is the last one.
            (State::Http(_), false) => REQUEST_WAIT_MS,
            (State::Http(_), true) => REQUEST_WAIT_AT_STOP_MS,
            (State::Lingering { .. }, _) => return,
        };
        fx.drain.schedule.add(self.key, wait_ms, fx.now_ms, &mut fx.random);
    }

    /// Counts what it is closed for, and writes it into the log.
    #[cold]
    pub(crate) fn count_closed(&self, reason: CloseReason, fx: &mut Effects) {
        if let Some((counter, does)) = reason.row().told {
            fx.stats.add(counter, 1);
            fx.warn_client(self.info.peer, counter, does);
        }
    }

    /// As [`Self::count_closed`], and begins the close handshake. A connection that is closing already goes on doing so.
    #[cold]
    pub(crate) fn close(&mut self, reason: CloseReason, fx: &mut Effects) {
        self.count_closed(reason, fx);
        let Row { code, text, .. } = reason.row();
        match code {
            Some(code) => drop(self.close_with(code, Cow::Borrowed(text), fx)),
            None => self.abort(reason, fx),
        }
    }

    /// Begins the close handshake for a reason that comes from outside. Whether it began.
    pub(crate) fn close_with(
        &mut self,
        code: CloseCode,
        reason: Cow<'static, str>,
        fx: &mut Effects,
    ) -> bool {
        let State::WebSocket(session) = &mut self.state else { return false };
        let mut frame = std::mem::take(&mut fx.delivery.scratch);
        frame.clear();
        let began = session.close(code, &reason, &mut frame);
        if began {
            self.outgoing().put_frame(&frame, fx);
            self.ended(ClosedBy::Server, Some(code), reason, fx);
            self.timers().restart(fx);
        }
        fx.delivery.scratch = frame;
        began
    }

    /// Queues word of a WebSocket's end for the application and takes it out of its channels, the first time that it is
    /// called.
    pub(super) fn ended(
        &mut self,
        by: ClosedBy,
        code: Option<CloseCode>,
        reason: Cow<'static, str>,
        fx: &mut Effects,
    ) {
        if !std::mem::take(&mut self.flags.open) {
            return;
        }
        self.timers().forget_pause(fx);
        let is_alone = !fx.peers.lineage.is_shared();
        fx.channels.forget(self.key.index, is_alone, fx.requests.handle().shared_state());
        let id = self.info.id;
        fx.events.closed.push_back((self.key.index, Closed { id, by, code, reason }));
    }

    /// Lets the last words leave, then ends our side and waits for the peer's end.
    pub(crate) fn linger(&mut self, fx: &mut Effects) {
        match self.state {
            State::Lingering { .. } => return,
            State::Http(_) | State::WebSocket(_) => {}
        }
        self.give_input_up(State::Lingering { shut: false }, fx);
        self.mark_dirty(&mut fx.schedule);
        self.timers().restart(fx);
        if self.flags.readable {
            // It was left unread so far and is not told of again, and the peer may wait for room to go on.
            self.make_ready(&mut fx.schedule);
        }
    }

    /// The socket is of no use any more.
    pub(crate) fn abort(&mut self, reason: CloseReason, fx: &mut Effects) {
        let Row { by, text, .. } = reason.row();
        self.ended(by, None, Cow::Borrowed(text), fx);
        self.give_input_up(State::Lingering { shut: true }, fx);
        fx.schedule.closed.push(self.key.index);
    }

    /// Nothing that comes from it is handled any more, and no id addresses it.
    fn give_input_up(&mut self, state: State, fx: &mut Effects) {
        fx.admission.has_asked(&mut self.ticket);
        self.state = state;
        self.unparsed = Vec::new();
        self.incoming().sum_up_unfinished(fx);
        fx.ids.remove(self.info.id);
    }

    /// It is being taken out of the table: gives back what is counted as its own.
    pub(crate) fn leave(self, fx: &mut Effects) {
        fx.schedule.forget(self.key.index);
        fx.ids.remove(self.info.id);
        fx.admission.leave(self.ticket);
        fx.delivery.unfinished_bytes -= self.summed_bytes as usize;
        let waiting = crate::delivery::Waiting::of(&self.outbox);
        fx.delivery.waiting.replace(waiting, crate::delivery::Waiting::default());
        if let Some(compressor) = &mut fx.delivery.compressor {
            compressor.release(self.info.extension);
        }
    }
}
