//! From outboxes to sockets: what is corked, what is flushed, and who is choked.

use std::io::{self, IoSlice};

use wsmaster_ipc::board::Counter;

use super::{Core, relief::Waiting};
use crate::{
    close_reason::CloseReason,
    connection::{Connection, State},
    stream::Stream,
};

/// Slices handed to one writev(2).
const SLICES_MAX: usize = 64;
/// Output of one connection is written during its service when so much has gathered.
const CORK_BYTES_MAX: usize = 64 * 1024;
/// A cork that grew beyond this is given back after its flush.
const CORK_KEPT_BYTES_MAX: usize = 256 * 1024;

impl Core {
    /// Makes everything that is sent to this connection wait for one write at the end of its service.
    pub(crate) fn cork(&mut self, index: u32) {
        debug_assert!(self.corked.is_none() && self.cork.is_empty());
        self.corked = Some(index);
    }

    /// Ends [`Self::cork`] and writes.
    pub(crate) fn uncork(&mut self, index: u32) {
        self.flush(index);
        debug_assert!(self.cork.is_empty());
        self.corked = None;
    }

    /// Writes what waits for a connection, as far as the socket takes it.
    pub(crate) fn flush(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else {
            if self.corked == Some(index) {
                self.cork.clear();
                self.cork_plain = 0;
            }
            return;
        };
        let waited = Waiting::of(&connection.outbox);
        let before = waited.bytes;
        let mut written = 0;
        let mut result = connection.stream.push();
        if self.corked == Some(index) && !self.cork.is_empty() {
            let mut direct = 0;
            let plain = std::mem::take(&mut self.cork_plain);
            // Without a head it has not become a WebSocket.
            let plain = connection.durable.head.as_ref().map_or(self.cork.len(), |_| plain);
            if before == 0 && result.is_ok() {
                result = write_all(&mut connection.stream, &self.cork).map(|count| direct = count);
            }
            if direct < self.cork.len() {
                // With the bytes that have left, so that a piece begins where a frame does.
                let (http, frames) = self.cork.split_at(plain);
                connection.outbox.push_plain(http);
                connection.outbox.push_copy(frames);
                connection.outbox.wrote(direct);
            }
            written += direct;
            self.cork.clear();
            if self.cork.capacity() > CORK_KEPT_BYTES_MAX {
                self.cork = Vec::new();
            }
        }
        // What is left after a short write cannot be written now: only an older backlog is worth a try.
        if result.is_ok() && before > 0 {
            let length = connection.outbox.len();
            result = write_outbox(connection);
            written += length - connection.outbox.len();
        }
        let left = connection.waiting_bytes();
        if written > 0 && connection.is_ending() {
            // The peer's time begins when the last of our words has left.
            connection.times.since_ms = self.now_ms;
        }
        self.waiting.replace(waited, Waiting::of(&connection.outbox));
        if written > 0 {
            self.cell.add(Counter::BytesOut, written as u64);
        }
        if result.is_err() {
            self.lose(index, CloseReason::Broken);
            return;
        }
        self.flushed(index, left);
    }

    /// `left`: bytes that wait still.
    pub(super) fn flushed(&mut self, index: u32, left: usize) {
        let pause = self.limits.read_pause_bytes();
        let Some(connection) = self.registry.at_mut(index) else { return };
        match &mut connection.state {
            State::Lingering { shut } if left == 0 => {
                // What has to be said last may itself have to wait for the socket.
                *shut = *shut || connection.stream.end_writing().unwrap_or(true);
                // What is unread at the close would turn it into a reset.
                if *shut && connection.flags.peer_done && !connection.flags.readable {
                    self.gone.push(index);
                }
            }
            State::Lingering { .. } => {}
            State::Http(_) | State::WebSocket(_) => {
                if connection.has_input() && left <= pause && self.corked != Some(index) {
                    self.make_ready(index);
                }
            }
        }
    }

    /// Whether the output of the connection that is being served has to be written before more of its input is handled:
    /// it is much, or so much that the connection is choked if the socket does not take it.
    #[inline]
    pub(crate) fn is_cork_full(&self, index: u32) -> bool {
        let waiting = self.registry.at(index).map_or(0, Connection::waiting_bytes);
        let room = self.limits.read_pause_bytes().saturating_sub(waiting);
        self.cork.len() > CORK_BYTES_MAX.min(room)
    }

    /// Puts a connection on the list of those that are flushed at the end of the turn.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index)
            && !connection.flags.dirty
        {
            connection.flags.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Puts a connection on the list of those with work left.
    pub(crate) fn make_ready(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index)
            && !connection.flags.ready
        {
            connection.flags.ready = true;
            self.ready.push_back(index);
        }
    }

    /// Whether a connection's input is left alone: it has so much unread output, has sent more than it may, or the application
    /// wants none of it now. Not when its input is thrown away.
    #[inline]
    pub(crate) fn is_choked(&self, index: u32) -> bool {
        self.registry.at(index).is_some_and(|connection| {
            let is_behind = connection.waiting_bytes() > self.limits.read_pause_bytes();
            (is_behind || connection.flags.paused || connection.flags.held)
                && !connection.is_ending()
        })
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

/// Writes an outbox until it is empty or the socket is full.
fn write_outbox(connection: &mut Connection) -> io::Result<()> {
    while !connection.outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = connection.outbox.slices(&mut slices);
        let result = match &slices[..filled] {
            [one] => connection.stream.write(one),
            several => connection.stream.write_vectored(several),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => connection.outbox.wrote(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
