//! Answers to those who look over this worker's connections and channels. Each looks at a bounded part of them, and nothing
//! is counted for it in between.

use std::cmp::Reverse;

use serde::Serialize;
use wsmaster_ipc::{Answer, board::Counter};

use super::Core;
use crate::{
    connection::{Connection, USER_KEY},
    survey::{
        ChannelRow, ConnectionRow, PLACES_PER_PART_MAX, Part, Question, ROWS_PER_PART_MAX, What,
        shown_path, shown_user, user_text,
    },
};

impl Core {
    /// Answers what this turn has brought, when everything that it has for clients has been offered to their sockets: what
    /// still waits then waits for a client.
    pub(crate) fn answer_surveys(&mut self) {
        for (ticket, question) in std::mem::take(&mut self.surveys) {
            match self.survey(&question) {
                Some(json) => self.answer(ticket.reply_to, ticket.request, Answer::Info(&json)),
                // A question of another version: its asker's deadline tells it.
                None => self.cell.add(Counter::BadPackets, 1),
            }
        }
    }

    /// Answers a question, in JSON. `None` when it is not understood.
    fn survey(&self, question: &[u8]) -> Option<Vec<u8>> {
        let Question { what, from, rows_max } = serde_json::from_slice(question).ok()?;
        let rows_max = usize::from(rows_max.clamp(1, ROWS_PER_PART_MAX));
        match what {
            What::Connections { channel, user } => {
                json(&self.connections(from, rows_max, channel.as_deref(), user.as_deref()))
            }
            What::Slowest => json(&self.slowest(from, rows_max)),
            What::Channels => json(&self.busiest(from, rows_max)),
        }
    }

    fn connections(
        &self,
        from: u32,
        rows_max: usize,
        channel: Option<&str>,
        user: Option<&str>,
    ) -> Part<ConnectionRow> {
        let (end, mut next) = part(from, self.registry.places());
        let mut rows = Vec::new();
        for index in from..end {
            let Some(connection) = self.websocket(index) else { continue };
            let is_member = channel.is_none_or(|channel| self.topics.is_subscribed(index, channel));
            let is_users = user.is_none_or(|user| user_of(connection).as_deref() == Some(user));
            if is_member && is_users {
                rows.push(self.row(index, connection));
            }
            if rows.len() == rows_max {
                next = (index + 1 < self.registry.places()).then_some(index + 1);
                break;
            }
        }
        Part { rows, next }
    }

    fn slowest(&self, from: u32, rows_max: usize) -> Part<ConnectionRow> {
        let (end, next) = part(from, self.registry.places());
        let mut waiting: Vec<(usize, u32)> = (from..end)
            .filter_map(|index| Some((self.websocket(index)?.waiting_bytes(), index)))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        waiting.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        waiting.truncate(rows_max);
        let rows = waiting
            .into_iter()
            .filter_map(|(_, index)| Some(self.row(index, self.websocket(index)?)))
            .collect();
        Part { rows, next }
    }

    fn busiest(&self, from: u32, rows_max: usize) -> Part<ChannelRow> {
        let (end, next) = part(from, self.topics.places());
        let mut busy: Vec<(f64, usize, &str)> = (from..end)
            .filter_map(|place| self.topics.at(place))
            .map(|topic| (topic.frequency.per_second(self.now_ms), topic.subscribers, topic.name))
            .collect();
        busy.sort_unstable_by(|one, other| {
            other.0.total_cmp(&one.0).then(other.1.cmp(&one.1)).then(one.2.cmp(other.2))
        });
        busy.truncate(rows_max);
        let rows = busy
            .into_iter()
            .map(|(messages_per_s, subscribers, name)| ChannelRow {
                channel: name.to_owned(),
                subscribers: subscribers as u64,
                messages_per_s,
            })
            .collect();
        Part { rows, next }
    }

    /// The connection at a place, if its id may address it.
    fn websocket(&self, index: u32) -> Option<&Connection> {
        let connection = self.registry.at(index)?;
        (self.registry.find(connection.durable.id) == Some(index)).then_some(connection)
    }

    fn row(&self, index: u32, connection: &Connection) -> ConnectionRow {
        let head = connection.durable.head.as_ref();
        ConnectionRow {
            connection: connection.durable.id,
            worker: self.slot,
            peer: connection.durable.peer.to_string(),
            user: user_of(connection).map(shown_user),
            path: shown_path(head.map(|head| head.target_redacted()).unwrap_or_default()),
            open: connection.can_send(),
            age_ms: Self::unix_ms().saturating_sub(connection.durable.opened_unix_ms),
            idle_ms: self.now_ms.saturating_sub(connection.times.received_ms),
            channels: self.topics.of_connection(index).len() as u32,
            messages_in: connection.messages_in,
            messages_out: connection.messages_out,
            queued_bytes: connection.waiting_bytes() as u64,
        }
    }
}

/// The end of the part that begins at `from`, and where the next one begins, if there is one.
fn part(from: u32, places: u32) -> (u32, Option<u32>) {
    let end = from.saturating_add(PLACES_PER_PART_MAX).min(places).max(from);
    (end, (end < places).then_some(end))
}

fn user_of(connection: &Connection) -> Option<String> {
    user_text(connection.durable.context.as_ref()?.get(USER_KEY)?)
}

fn json(part: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(part).ok()
}
