//! Whether a client that does not answer a ping takes what is before it: a slow reader lives, and its pong can only come when
//! the ping has reached it.
//!
//! Asked when a ping is sent, and before somebody is closed for a pong that did not come; never for a message.

use super::Core;

/// What was on its way to a client when it was pinged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Undelivered {
    /// What it had taken at the last look.
    taken: u64,
    /// What it will have taken when it has the ping.
    end: u64,
}

impl Core {
    /// A ping of this length was put behind all that waits for a connection. Remembers it where there is something before it.
    pub(super) fn note_ping(&mut self, index: u32, ping_bytes: usize) {
        self.undelivered.remove(&index);
        let Some(connection) = self.registry.at(index) else { return };
        let waiting = connection.waiting_bytes() as u64;
        let Ok(left) = connection.stream.left_bytes() else { return };
        if left + waiting <= ping_bytes as u64 {
            return;
        }
        if let Ok(delivery) = connection.stream.delivery() {
            let end = delivery.taken.saturating_add(delivery.left).saturating_add(waiting);
            self.undelivered.insert(index, Undelivered { taken: delivery.taken, end });
        }
    }

    /// Whether a connection whose pong is late has taken some of what was before the ping since this was asked last. With the
    /// ping itself it has the time for its pong once more, and then nothing is before it any longer.
    pub(super) fn has_taken_some(&mut self, index: u32) -> bool {
        let Some(before) = self.undelivered.remove(&index) else { return false };
        let Some(connection) = self.registry.at(index) else { return false };
        let Ok(now) = connection.stream.delivery() else { return false };
        if now.taken > before.taken && now.taken < before.end {
            self.undelivered.insert(index, Undelivered { taken: now.taken, ..before });
        }
        now.taken > before.taken
    }
}
