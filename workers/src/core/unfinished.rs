//! What all connections of a worker have sent and what cannot be handled yet (requests and messages that are not complete),
//! and how it gets less: those go who have taken up the most of it, for the longest.

use super::{Core, LAST, admitting::come_back};
use crate::{close_reason::CloseReason, connection::State};

/// What is given up brings the sum this far below its bound, so that it is not the next read that reaches it again.
const RELIEF_PARTS: usize = 8;

impl Core {
    /// Sums a connection up again, after its input was looked at or thrown away.
    #[inline]
    pub(crate) fn sum_up_unfinished(&mut self, index: u32) {
        if let Some(connection) = self.registry.at_mut(index) {
            let bytes = u32::try_from(connection.unfinished_bytes()).unwrap_or(u32::MAX);
            let before = std::mem::replace(&mut connection.summed_bytes, bytes);
            self.unfinished_bytes = self.unfinished_bytes + bytes as usize - before as usize;
        }
    }

    /// A connection is gone, and what was summed up with it.
    pub(super) fn forget_unfinished(&mut self, summed_bytes: u32) {
        self.unfinished_bytes -= summed_bytes as usize;
    }

    /// Whether more is unfinished than may be.
    #[inline]
    pub(crate) fn is_unfinished_full(&self) -> bool {
        self.unfinished_bytes > self.limits.unfinished_bytes_max
    }

    /// Gives up what is unfinished until the rest is within the bound. First of those whose bytes times their age are the most:
    /// who sends and is done is hardly met, however much it is, and neither is who sends little; who fills the memory and
    /// stays is.
    #[cold]
    pub(crate) fn relieve_unfinished(&mut self) {
        let most = self.limits.unfinished_bytes_max;
        let enough = most - most / RELIEF_PARTS;
        let now_ms = self.now_ms;
        let mut holders: Vec<(u64, u32)> = Vec::new();
        for index in self.registry.indexes() {
            let Some(connection) = self.registry.at(index) else { continue };
            if connection.summed_bytes > 0 {
                let age_ms = now_ms.saturating_sub(connection.unfinished_since_ms());
                let weight = u64::from(connection.summed_bytes).saturating_mul(age_ms + 1);
                holders.push((weight, index));
            }
        }
        holders.sort_unstable_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        for (_, index) in holders {
            if self.unfinished_bytes <= enough {
                return;
            }
            self.give_up_unfinished(index);
        }
    }

    fn give_up_unfinished(&mut self, index: u32) {
        let Some(connection) = self.registry.at(index) else { return };
        let is_handshaking = connection.stream.is_handshaking();
        match &connection.state {
            State::Http(_) if !is_handshaking => {
                self.count_closed(index, CloseReason::TooMuchUnfinished);
                let sentence = "too much is waiting to be finished; this request was, for too long";
                self.write_response(index, &come_back(sentence), LAST);
                self.linger(index);
            }
            State::WebSocket(_) => {
                self.close(index, CloseReason::TooMuchUnfinished);
                // What was left over lies in the middle of the stream: without it nothing behind it can be read.
                self.linger(index);
            }
            State::Http(_) | State::Lingering { .. } => {
                self.count_closed(index, CloseReason::TooMuchUnfinished);
                self.lose(index, CloseReason::TooMuchUnfinished);
            }
        }
        self.sum_up_unfinished(index);
    }
}
