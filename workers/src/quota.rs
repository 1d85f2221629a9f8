//! How many messages of clients a worker handles before it asks for a successor.

use crate::limits::Limits;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageQuota {
    /// Messages that were handled.
    pub(crate) messages: u64,
    /// Zero is any number.
    messages_max: u64,
}

impl MessageQuota {
    /// The configured number and a part of the spread, so that workers that were started together do not ask for their
    /// successors together.
    pub(crate) fn new(limits: &Limits, random: &mut fastrand::Rng) -> Self {
        let messages_max = match limits.requests_max {
            0 => 0,
            most => most.saturating_add(random.u64(0..=limits.requests_spread)),
        };
        Self { messages: 0, messages_max }
    }

    /// Whether it is time to ask.
    pub(crate) fn is_reached(&self) -> bool {
        self.messages_max > 0 && self.messages >= self.messages_max
    }
}
