//! From the outbox to the socket.

use std::io::{self, IoSlice};

use wsmaster_ipc::shared_state::Counter;

use super::{Connection, State};
use crate::{
    close_reason::CloseReason, delivery::Waiting, effects::Effects, outbox::Outbox, stream::Stream,
};

/// Slices handed to one writev(2).
const SLICES_MAX: usize = 64;

impl Connection {
    /// Writes what waits for it, as far as the socket takes it: its outbox, and what the cork has gathered for it.
    pub(crate) fn flush(&mut self, fx: &mut Effects) {
        let waited = Waiting::of(&self.outbox);
        let mut written = 0;
        let mut result = self.stream.push();
        if fx.delivery.cork.len_of(self.key.index) > 0 {
            let (bytes, http_bytes) = fx.delivery.cork.parts();
            // Without a head it has not become a WebSocket.
            let http_bytes = self.info.head.as_ref().map_or(bytes.len(), |_| http_bytes);
            let mut direct = 0;
            if waited.bytes == 0 && result.is_ok() {
                result = write_all(&mut self.stream, bytes).map(|count| direct = count);
            }
            if direct < bytes.len() {
                // With the bytes that have left, so that a piece begins where a frame does.
                let (http, frames) = bytes.split_at(http_bytes);
                self.outbox.push_plain(http);
                self.outbox.push_copy(frames);
                self.outbox.wrote(direct);
            }
            written += direct;
            fx.delivery.cork.clear();
        }
        // What is left after a short write cannot be written now: only an older backlog is worth a try.
        if result.is_ok() && waited.bytes > 0 {
            let length = self.outbox.len();
            result = self.write_outbox();
            written += length - self.outbox.len();
        }
        let left = self.waiting_bytes();
        if written > 0 && self.state.is_ending() {
            // The peer's time begins when the last of our words has left.
            self.times.since_ms = fx.now_ms;
        }
        fx.delivery.waiting.replace(waited, Waiting::of(&self.outbox));
        if written > 0 {
            fx.stats.add(Counter::BytesOut, written as u64);
        }
        if result.is_err() {
            self.abort(CloseReason::Broken, fx);
            return;
        }
        self.flushed(left, fx);
    }

    /// `left`: bytes that wait still.
    fn flushed(&mut self, left: usize, fx: &mut Effects) {
        match &mut self.state {
            State::Lingering { shut } if left == 0 => {
                // What has to be said last may itself have to wait for the socket.
                *shut = *shut || self.stream.end_writing().unwrap_or(true);
                // What is unread at the close would turn it into a reset.
                if *shut && self.flags.peer_done && !self.flags.readable {
                    fx.schedule.closed.push(self.key.index);
                }
            }
            State::Lingering { .. } => {}
            State::Http(_) | State::WebSocket(_) => {
                if self.has_input()
                    && left <= fx.limits.read_pause_bytes()
                    && !fx.delivery.cork.is_of(self.key.index)
                {
                    self.make_ready(&mut fx.schedule);
                }
            }
        }
    }

    /// Puts bytes into its outbox, to be flushed at the end of the turn.
    pub(super) fn enqueue(&mut self, fx: &mut Effects, push: impl FnOnce(&mut Outbox)) {
        self.with_outbox(fx, push);
        self.mark_dirty(&mut fx.schedule);
    }

    /// Changes its outbox, and the sums over all of them with it.
    pub(super) fn with_outbox<R>(
        &mut self,
        fx: &mut Effects,
        change: impl FnOnce(&mut Outbox) -> R,
    ) -> R {
        let before = Waiting::of(&self.outbox);
        let result = change(&mut self.outbox);
        fx.delivery.waiting.replace(before, Waiting::of(&self.outbox));
        result
    }

    /// Whether what the cork has gathered for it has to be written before more of its input is handled.
    #[inline]
    pub(crate) fn is_cork_full(&self, fx: &Effects) -> bool {
        let room = fx.limits.read_pause_bytes().saturating_sub(self.waiting_bytes());
        fx.delivery.cork.is_full(room)
    }

    /// Frees now what it would free when it is removed, so that no other one has to go for it.
    pub(crate) fn discard_output(&mut self, fx: &mut Effects) {
        self.with_outbox(fx, |outbox| *outbox = Outbox::default());
        self.stream.give_up();
    }

    /// Writes its outbox until it is empty or the socket is full.
    fn write_outbox(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = self.outbox.slices(&mut slices);
            let result = match &slices[..filled] {
                [one] => self.stream.write(one),
                several => self.stream.write_vectored(several),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.outbox.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes from one slice until the socket is full. How many bytes it took.
fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
