//! What all outboxes of a worker hold together, and how it gets less: the fullest are closed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use super::Core;
use crate::{
    close_reason::CloseReason,
    connection::{Connection, State},
    outbox::Outbox,
};

/// What is closed brings the sum this far below its bound, so that it is not the next message that reaches it again.
const RELIEF_PARTS: usize = 8;

/// What waits, in one outbox or in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Waiting {
    /// Bytes to be written.
    pub(super) bytes: usize,
    /// Bytes in memory that are nobody else's.
    own_bytes: usize,
}

impl Waiting {
    pub(super) fn of(outbox: &Outbox) -> Self {
        Self { bytes: outbox.len(), own_bytes: outbox.own_bytes() }
    }

    /// Of a sum: one of its parts has changed.
    pub(super) fn replace(&mut self, old: Self, new: Self) {
        self.bytes = self.bytes + new.bytes - old.bytes;
        self.own_bytes = self.own_bytes + new.own_bytes - old.own_bytes;
    }
}

/// Frames that many connections wait for, each of which is in memory once.
#[derive(Debug, Default)]
pub(super) struct SharedFrames {
    alive_bytes: Arc<AtomicUsize>,
}

/// A frame that is counted as long as somebody waits for it.
struct Counted {
    frame: Vec<u8>,
    alive_bytes: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive_bytes.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}

impl SharedFrames {
    /// Shares a frame.
    pub(super) fn frame(&self, frame: Vec<u8>) -> Bytes {
        self.alive_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        Bytes::from_owner(Counted { frame, alive_bytes: Arc::clone(&self.alive_bytes) })
    }
}

impl Core {
    /// Bytes of memory that all outboxes hold, and what has left them but not this process.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let own_bytes = self.waiting.own_bytes + self.backlogs.held_bytes();
        own_bytes + self.shared.alive_bytes.load(Ordering::Relaxed)
    }

    /// Whether the outboxes hold more than they may.
    #[inline]
    pub(crate) fn is_over_budget(&self) -> bool {
        self.held_bytes() > self.limits.outboxes_bytes_max
    }

    /// Writes what can be written, and closes those for whom the most is left until the rest is within the bound.
    #[cold]
    pub(crate) fn relieve(&mut self) {
        let most = self.limits.outboxes_bytes_max;
        let enough = most - most / RELIEF_PARTS;
        let waiting =
            |core: &Self, index: u32| core.registry.at(index).map_or(0, Connection::waiting_bytes);
        let mut fullest = self.registry.indexes();
        fullest.retain(|index| waiting(self, *index) > 0);
        for index in &fullest {
            self.flush(*index);
        }
        fullest.sort_unstable_by_key(|index| std::cmp::Reverse(waiting(self, *index)));
        for index in fullest {
            if self.held_bytes() <= enough || waiting(self, index) == 0 {
                return;
            }
            let Some(connection) = self.registry.at(index) else { continue };
            // What is encrypted stays until it is read: where that is the most of it, the connection goes at once.
            let frees = connection.outbox.len() >= connection.stream.unsent_bytes();
            match connection.state {
                State::WebSocket(_) if connection.can_send() && frees => {
                    self.cut_off(index, CloseReason::Evicted);
                }
                State::WebSocket(_) | State::Http(_) | State::Lingering { .. } => {
                    self.count_closed(index, CloseReason::Evicted);
                    self.lose(index, CloseReason::Evicted);
                    self.discard_output(index);
                }
            }
        }
    }

    /// Frees now what a lost connection would free when it is buried, so that no other one has to go for it.
    fn discard_output(&mut self, index: u32) {
        let Some(connection) = self.registry.at_mut(index) else { return };
        self.waiting.replace(Waiting::of(&connection.outbox), Waiting::default());
        connection.outbox = Outbox::default();
        connection.stream.give_up();
    }
}
