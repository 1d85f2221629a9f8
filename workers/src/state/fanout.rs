//! A message to one connection, or to many.

use wsmaster_ipc::{
    ConnectionId, Outcome, Request,
    command::{Group, Recipients},
    shared_state::Counter,
};

use super::WorkerState;
use crate::{conn_index::ConnIndex, delivery::Fanout, pending::DeliveryCount, vocabulary::Message};

impl WorkerState {
    /// Puts a message into a connection's outbox.
    #[inline]
    pub(crate) fn send(&mut self, index: ConnIndex, message: Message<'_>) -> Outcome {
        self.evict_if_full();
        match self.lend(index) {
            Some((connection, fx)) => connection.outgoing().send(message, fx),
            None => Outcome::NoSuchConnection,
        }
    }

    /// As [`Self::send`], to the WebSocket with this id.
    pub(crate) fn push_here(&mut self, id: ConnectionId, message: Message<'_>) -> Outcome {
        match self.fx.ids.find(id) {
            Some(index) => self.send(index, message),
            None => {
                self.fx.stats.add(Counter::StaleCommands, 1);
                Outcome::NoSuchConnection
            }
        }
    }

    /// Does what another process asks for many connections of this worker.
    pub(crate) fn fan_out(&mut self, request: Request<'_>) -> DeliveryCount {
        if let Request::Broadcast { group, kind, payload, exclude } = request {
            self.broadcast_here(group, Message::from_parts(kind, payload), exclude)
        } else if let Request::Publish { channel, kind, payload, exclude, only } = request {
            self.publish_here(channel, Message::from_parts(kind, payload), exclude, only)
        } else {
            DeliveryCount::default()
        }
    }

    /// Sends to every WebSocket of this worker, or of a group.
    pub(crate) fn broadcast_here(
        &mut self,
        group: Option<Group>,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> DeliveryCount {
        let members = self.connections.indexes_of(group);
        self.send_to_all(&members, message, exclude)
    }

    /// Sends to this worker's subscribers of a channel.
    pub(crate) fn publish_here(
        &mut self,
        channel: &str,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        only: Recipients<'_>,
    ) -> DeliveryCount {
        let members = self.members_of(channel, only);
        let tally = if members.is_empty() {
            DeliveryCount::default()
        } else {
            self.send_to_all(&members, message, exclude)
        };
        self.members = members;
        tally
    }

    /// The connections here that a message for a channel is for. The list is to be put back when it has been used.
    fn members_of(&mut self, channel: &str, only: Recipients<'_>) -> Vec<ConnIndex> {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        let now_ms = self.fx.now_ms;
        let table = &mut self.fx.channels.table;
        if only.is_everybody() {
            members.extend(table.publish(channel, now_ms));
        } else if table.publish(channel, now_ms).len() > 0 {
            // Few are named, many may be subscribed.
            let named = only.iter().filter_map(|id| self.fx.ids.find(id));
            members.extend(named.filter(|index| table.is_subscribed(*index, channel)));
            members.sort_unstable();
            members.dedup();
        }
        members
    }

    fn send_to_all(
        &mut self,
        indexes: &[ConnIndex],
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> DeliveryCount {
        let mut tally = DeliveryCount::default();
        let compresses = self.fx.delivery.compresses(message.payload().len());
        let mut fanout = Fanout::new(message);
        for index in indexes {
            self.evict_if_full();
            let Some((connection, fx)) = self.lend(*index) else { continue };
            if exclude == Some(connection.info.id) {
                continue;
            }
            match connection.outgoing().send_fanout(&mut fanout, compresses, fx) {
                Outcome::Delivered => tally.delivered += 1,
                Outcome::OutboxFull | Outcome::TooLarge => tally.dropped += 1,
                Outcome::NoSuchConnection | Outcome::Closing | Outcome::MailboxFull => {}
            }
        }
        tally
    }

    /// How many connections a message for a group is for.
    pub(super) fn count_group(&self, group: Option<Group>, exclude: Option<ConnectionId>) -> u64 {
        self.count_meant(&self.connections.indexes_of(group), exclude)
    }

    /// How many connections a message for a channel is for.
    pub(super) fn count_members(
        &mut self,
        channel: &str,
        exclude: Option<ConnectionId>,
        only: Recipients<'_>,
    ) -> u64 {
        let members = self.members_of(channel, only);
        let count = self.count_meant(&members, exclude);
        self.members = members;
        count
    }

    fn count_meant(&self, members: &[ConnIndex], exclude: Option<ConnectionId>) -> u64 {
        let open = members.iter().filter_map(|index| self.connections.at(*index));
        let meant = open.filter(|it| it.state.can_send() && Some(it.info.id) != exclude);
        meant.count() as u64
    }
}
