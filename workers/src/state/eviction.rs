//! How memory gets less when connections hold more than they may: those go that hold the most.

use std::cmp::Reverse;

use super::WorkerState;
use crate::{close_reason::CloseReason, conn_index::ConnIndex, connection::State};

/// What is given up brings a sum this far below its bound, so that it is not the next message that reaches it again.
const RELIEF_PARTS: usize = 8;

impl WorkerState {
    /// Closes connections when the outboxes hold more than they may.
    #[inline]
    pub(crate) fn evict_if_full(&mut self) {
        if self.fx.delivery.held_bytes() > self.fx.limits.outboxes_bytes_max {
            self.evict_slowest();
        }
    }

    /// Writes what can be written, and closes those for whom the most is left until the rest is within the bound.
    #[cold]
    fn evict_slowest(&mut self) {
        let most = self.fx.limits.outboxes_bytes_max;
        let enough = most - most / RELIEF_PARTS;
        let mut fullest: Vec<ConnIndex> = self
            .connections
            .iter()
            .filter(|connection| connection.waiting_bytes() > 0)
            .map(|connection| connection.index())
            .collect();
        for index in &fullest {
            if let Some((connection, fx)) = self.lend(*index) {
                connection.flush(fx);
            }
        }
        let waiting = |index| self.connections.at(index).map_or(0, |it| it.waiting_bytes());
        fullest.sort_unstable_by_key(|index| Reverse(waiting(*index)));
        for index in fullest {
            if self.fx.delivery.held_bytes() <= enough {
                return;
            }
            let Some((connection, fx)) = self.lend(index) else { continue };
            if connection.waiting_bytes() == 0 {
                return;
            }
            // What is encrypted stays until it is read: where that is the most of it, the connection goes at once.
            let frees = connection.outbox.len() >= connection.stream.unsent_bytes();
            match connection.state {
                State::WebSocket(_) if connection.state.can_send() && frees => {
                    connection.outgoing().close_slow(CloseReason::Evicted, fx);
                }
                State::WebSocket(_) | State::Http(_) | State::Lingering { .. } => {
                    connection.count_closed(CloseReason::Evicted, fx);
                    connection.abort(CloseReason::Evicted, fx);
                    connection.discard_output(fx);
                }
            }
        }
    }

    /// Gives up what is unfinished (requests and messages that are not complete) when it is more than may be, until the rest
    /// is within the bound. Whether anything was given up. First of those whose bytes times their age are the most: who
    /// sends and is done is hardly met, however much it is, and neither is who sends little; who fills the memory and stays
    /// is.
    #[inline]
    pub(crate) fn give_up_if_unfinished_full(&mut self) -> bool {
        let is_full = self.fx.delivery.unfinished_bytes > self.fx.limits.unfinished_bytes_max;
        if is_full {
            self.give_up_unfinished();
        }
        is_full
    }

    #[cold]
    fn give_up_unfinished(&mut self) {
        let most = self.fx.limits.unfinished_bytes_max;
        let enough = most - most / RELIEF_PARTS;
        let now_ms = self.fx.now_ms;
        let mut holders: Vec<(u64, ConnIndex)> = Vec::new();
        for connection in self.connections.iter().filter(|it| it.summed_bytes > 0) {
            let age_ms = now_ms.saturating_sub(connection.unfinished_since_ms());
            let weight = u64::from(connection.summed_bytes).saturating_mul(age_ms + 1);
            holders.push((weight, connection.index()));
        }
        holders.sort_unstable_by_key(|(weight, _)| Reverse(*weight));
        for (_, index) in holders {
            if self.fx.delivery.unfinished_bytes <= enough {
                return;
            }
            if let Some((connection, fx)) = self.lend(index) {
                connection.incoming().give_up_unfinished(fx);
            }
        }
    }
}
