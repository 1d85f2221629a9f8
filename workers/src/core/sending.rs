//! Messages into outboxes: to one connection, to many, and what happens when there is no room.

use bytes::Bytes;
use wsmaster_ipc::{
    ConnectionId, Outcome, PayloadKind,
    board::Counter,
    command::{Group, Recipients},
};
use wsmaster_protocol::frame::{MessageKind, encode_message, header_len};

use super::{
    Core,
    compressing::{Fanout, Form},
    relief::{SharedFrames, Waiting},
};
use crate::{
    asks::Tally, close_reason::CloseReason, connection::Connection, handler::Message,
    limits::SlowClient, outbox::Outbox,
};

impl Core {
    /// Puts a message into a connection's outbox.
    #[inline]
    pub(crate) fn send(&mut self, index: u32, message: Message<'_>) -> Outcome {
        let payload = message.payload();
        if self.compresses(payload.len())
            && let Some(outcome) = self.send_compressed(index, message)
        {
            return outcome;
        }
        if let Err(outcome) = self.admit(index, header_len(payload.len()) + payload.len()) {
            return outcome;
        }
        let kind = message_kind(message.kind());
        if self.corked == Some(index) {
            encode_message(kind, payload, &mut self.cork);
        } else {
            self.scratch.clear();
            encode_message(kind, payload, &mut self.scratch);
            let frame = std::mem::take(&mut self.scratch);
            self.enqueue(index, |outbox| outbox.push_copy(&frame));
            self.scratch = frame;
        }
        Outcome::Delivered
    }

    /// Puts a frame into a connection's outbox by copying it.
    pub(super) fn send_frame(&mut self, index: u32, frame: &[u8]) -> Outcome {
        if let Err(outcome) = self.admit(index, frame.len()) {
            return outcome;
        }
        if self.corked == Some(index) {
            self.cork.extend_from_slice(frame);
        } else {
            self.enqueue(index, |outbox| outbox.push_copy(frame));
        }
        Outcome::Delivered
    }

    /// Puts a frame that many connections get into one's outbox.
    #[inline]
    pub(super) fn send_shared(&mut self, index: u32, frame: &Bytes) -> Outcome {
        if let Err(outcome) = self.admit(index, frame.len()) {
            return outcome;
        }
        if self.corked == Some(index) {
            self.cork.extend_from_slice(frame);
        } else {
            self.enqueue(index, |outbox| outbox.push_shared(frame));
        }
        Outcome::Delivered
    }

    /// Whether a message of this many bytes may go to a connection, and counts it.
    #[inline]
    pub(super) fn admit(&mut self, index: u32, bytes: usize) -> Result<(), Outcome> {
        let corked = if self.corked == Some(index) { self.cork.len() } else { 0 };
        let Some(connection) = self.registry.at_mut(index) else {
            return Err(Outcome::NoSuchConnection);
        };
        if !connection.can_send() {
            return Err(Outcome::Closing);
        }
        if connection.waiting_bytes() + corked + bytes > self.limits.outbox_bytes_max {
            self.make_room(index, bytes)?;
        }
        if self.is_over_budget() {
            self.relieve();
            if !self.registry.at(index).is_some_and(Connection::can_send) {
                return Err(Outcome::Closing);
            }
        }
        if let Some(connection) = self.registry.at_mut(index) {
            connection.messages_out += 1;
        }
        self.cell.add(Counter::MessagesOut, 1);
        Ok(())
    }

    /// Tries the socket before a message is refused: what waits may be no more than what this turn has gathered.
    #[cold]
    pub(super) fn make_room(&mut self, index: u32, bytes: usize) -> Result<(), Outcome> {
        if bytes > self.limits.outbox_bytes_max {
            self.cell.add(Counter::DroppedTooLarge, 1);
            let does = format_args!(
                "was not sent a message of {bytes} bytes: larger than limits.outbox_bytes_max"
            );
            self.complain_of(index, Counter::DroppedTooLarge, does);
            return Err(Outcome::TooLarge);
        }
        self.flush(index);
        let Some(connection) = self.registry.at_mut(index) else {
            return Err(Outcome::NoSuchConnection);
        };
        if !connection.can_send() {
            return Err(Outcome::Closing);
        }
        if connection.waiting_bytes() + bytes <= self.limits.outbox_bytes_max {
            return Ok(());
        }
        let missing =
            (connection.waiting_bytes() + bytes).saturating_sub(self.limits.outbox_bytes_max);
        let dropped = match self.limits.slow_client {
            SlowClient::DropOldest => self.drop_messages(index, missing),
            SlowClient::KeepLatest => self.drop_messages(index, usize::MAX),
            SlowClient::DropNewest => 0,
            SlowClient::Close => {
                self.cut_off(index, CloseReason::SlowReader);
                0
            }
        };
        // What a frame that has begun to leave and control frames take up stays.
        let has_room = self.registry.at(index).is_some_and(|it| {
            it.can_send() && it.waiting_bytes() + bytes <= self.limits.outbox_bytes_max
        });
        let lost = if has_room { dropped } else { dropped + 1 };
        self.cell.add(Counter::DroppedOutboxFull, lost);
        self.complain_of(
            index,
            Counter::DroppedOutboxFull,
            "reads too slowly: its outbox is full, and messages for it are lost",
        );
        if has_room { Ok(()) } else { Err(Outcome::OutboxFull) }
    }

    /// Throws the oldest unsent messages of a connection away until there is this much room. How many.
    fn drop_messages(&mut self, index: u32, room_bytes: usize) -> u64 {
        self.with_outbox(index, |outbox| outbox.drop_oldest(room_bytes).messages).unwrap_or(0)
    }

    /// Closes a connection for what waits for it, which is thrown away.
    pub(super) fn cut_off(&mut self, index: u32, reason: CloseReason) {
        self.with_outbox(index, Outbox::drop_unsent);
        self.close(index, reason);
    }

    pub(super) fn enqueue(&mut self, index: u32, push: impl FnOnce(&mut Outbox)) {
        if self.with_outbox(index, push).is_some() {
            self.mark_dirty(index);
        }
    }

    /// Changes an outbox, and the sums over all of them with it.
    fn with_outbox<R>(&mut self, index: u32, change: impl FnOnce(&mut Outbox) -> R) -> Option<R> {
        let outbox = &mut self.registry.at_mut(index)?.outbox;
        let before = Waiting::of(outbox);
        let result = change(outbox);
        self.waiting.replace(before, Waiting::of(outbox));
        Some(result)
    }

    /// Sends to every WebSocket of this worker, or of a group.
    pub(crate) fn broadcast_here(
        &mut self,
        group: Option<Group>,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> Tally {
        let members = self.registry.indexes_of(group);
        self.send_to_all(&members, message, exclude)
    }

    /// Sends to this worker's subscribers of a channel.
    pub(crate) fn publish_here(
        &mut self,
        channel: &str,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        only: Recipients<'_>,
    ) -> Tally {
        let members = self.members_of(channel, only);
        let tally = if members.is_empty() {
            Tally::default()
        } else {
            self.send_to_all(&members, message, exclude)
        };
        self.members = members;
        tally
    }

    /// The connections here that a message for a channel is for. The list is to be put back when it has been used.
    pub(super) fn members_of(&mut self, channel: &str, only: Recipients<'_>) -> Vec<u32> {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        if only.is_everybody() {
            members.extend(self.topics.publish(channel, self.now_ms));
        } else if self.topics.publish(channel, self.now_ms).len() > 0 {
            // Few are named, many may be subscribed.
            let named = only.iter().filter_map(|id| self.registry.find(id));
            members.extend(named.filter(|index| self.topics.is_subscribed(*index, channel)));
            members.sort_unstable();
            members.dedup();
        }
        members
    }

    pub(super) fn send_to_all(
        &mut self,
        indexes: &[u32],
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> Tally {
        let mut tally = Tally::default();
        let compresses = self.compresses(message.payload().len());
        let mut fanout = Fanout::new(message);
        for index in indexes {
            let Some(id) = self.registry.at(*index).map(|connection| connection.durable.id) else {
                continue;
            };
            if exclude == Some(id) {
                continue;
            }
            let form = if compresses { self.form(*index) } else { Form::Plain };
            let outcome = match form {
                Form::Plain => self.send_shared(*index, fanout.plain(&self.shared)),
                Form::Alone(_) | Form::InContext => self.send_form(*index, form, &mut fanout),
            };
            match outcome {
                Outcome::Delivered => tally.delivered += 1,
                Outcome::OutboxFull | Outcome::TooLarge => tally.dropped += 1,
                Outcome::NoSuchConnection | Outcome::Closing | Outcome::MailboxFull => {}
            }
        }
        tally
    }
}

/// The frame of a message as it is.
pub(super) fn plain_frame(message: Message<'_>, shared: &SharedFrames) -> Bytes {
    let payload = message.payload();
    let mut frame = Vec::with_capacity(header_len(payload.len()) + payload.len());
    encode_message(message_kind(message.kind()), payload, &mut frame);
    shared.frame(frame)
}

pub(super) fn message_kind(kind: PayloadKind) -> MessageKind {
    match kind {
        PayloadKind::Text => MessageKind::Text,
        PayloadKind::Binary => MessageKind::Binary,
    }
}
