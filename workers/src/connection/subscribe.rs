//! The channels of a connection.

use super::Connection;
use crate::{
    channel_table::{Joined, Parted},
    effects::Effects,
};

impl Connection {
    /// Subscribes it to a channel.
    pub(crate) fn subscribe(&mut self, channel: &str, fx: &mut Effects) -> Joined {
        let shared_state = fx.requests.handle().shared_state();
        fx.channels.subscribe(self.key.index, channel, fx.limits.subscriptions_max, shared_state)
    }

    /// Ends its subscription to a channel.
    pub(crate) fn unsubscribe(&mut self, channel: &str, fx: &mut Effects) -> Parted {
        let is_alone = !fx.peers.lineage.is_shared();
        let shared_state = fx.requests.handle().shared_state();
        fx.channels.unsubscribe(self.key.index, channel, is_alone, shared_state)
    }
}
