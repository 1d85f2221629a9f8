//! The channels of a connection.

use super::Connection;
use crate::{
    channel_table::{Joined, Parted},
    effects::Effects,
};

impl Connection {
    /// Subscribes it to a channel.
    pub(crate) fn subscribe(&mut self, channel: &str, fx: &mut Effects) -> Joined {
        let board = fx.requests.handle().board();
        fx.channels.subscribe(self.key.index, channel, fx.limits.subscriptions_max, board)
    }

    /// Ends its subscription to a channel.
    pub(crate) fn unsubscribe(&mut self, channel: &str, fx: &mut Effects) -> Parted {
        let is_alone = !fx.peers.lineage.is_shared();
        let board = fx.requests.handle().board();
        fx.channels.unsubscribe(self.key.index, channel, is_alone, board)
    }
}
