//! Answers to those who look over this worker's connections and channels. Each looks at a bounded part of them, and nothing
//! is counted for it in between.

use std::cmp::Reverse;

use serde::Serialize;
use wsmaster_ipc::ConnectionId;
use wsmaster_protocol::session::Extension;

use crate::{
    conn_index::ConnIndex,
    connection::{Connection, USER_KEY},
    connections::Connections,
    effects::Effects,
    inspect::{
        ChannelRow, ConnectionRow, InspectRequest, PLACES_PER_PAGE_MAX, Page, Query,
        ROWS_PER_PAGE_MAX, shown_path, shown_user, user_text,
    },
};

/// Answers a request, in JSON. `None` when it is not understood.
pub(crate) fn answer(request: &[u8], connections: &Connections, fx: &Effects) -> Option<Vec<u8>> {
    let InspectRequest { what, from, rows_max } = serde_json::from_slice(request).ok()?;
    let rows_max = usize::from(rows_max.clamp(1, ROWS_PER_PAGE_MAX));
    let inspection = Inspection { connections, fx };
    match what {
        Query::Connections { channel, user } => {
            json(&inspection.connections(from, rows_max, channel.as_deref(), user.as_deref()))
        }
        Query::Slowest => json(&inspection.slowest(from, rows_max)),
        Query::Channels => json(&inspection.busiest(from, rows_max)),
    }
}

/// What is known of a connection, as a JSON object. The query of its target is shown without secrets.
pub(crate) fn describe(connection: &Connection, fx: &Effects) -> Option<Vec<u8>> {
    let info = &connection.info;
    let id: ConnectionId = info.id;
    let head = info.head.as_ref();
    let mut channels: Vec<&str> = fx.channels.table.of_connection(connection.index()).collect();
    channels.sort_unstable();
    let json = serde_json::json!({
        "connection": id,
        "worker": fx.peers.slot,
        "state": if connection.state.can_send() { "open" } else { "closing" },
        "address": info.peer.address(),
        "port": info.peer.port(),
        "secure": info.secure,
        "listener": fx.rules.listeners.rules(info.listener).map(|rules| &rules.name),
        "opened_at": info.opened_unix_ms as f64 / 1000.0,
        "target": head.map(|head| head.target_redacted()),
        "user_agent": head.and_then(|head| head.header("user-agent")),
        "sec_websocket_key": head.and_then(|head| head.header("sec-websocket-key")),
        "subprotocol": info.subprotocol,
        "compressed": match info.extension {
            Extension::None => false,
            Extension::Deflate(_) => true,
        },
        "channels": channels,
        "messages_in": connection.messages_in,
        "messages_out": connection.messages_out,
        "tls": info.tls,
        "queued_bytes": connection.waiting_bytes(),
        "idle_ms": fx.now_ms.saturating_sub(connection.times.received_ms),
        "memory_bytes": connection.memory_bytes(),
    });
    serde_json::to_vec(&json).ok()
}

/// What is looked over.
struct Inspection<'a> {
    connections: &'a Connections,
    fx: &'a Effects,
}

impl<'a> Inspection<'a> {
    fn connections(
        &self,
        from: u32,
        rows_max: usize,
        channel: Option<&str>,
        user: Option<&str>,
    ) -> Page<ConnectionRow> {
        let places = self.connections.places();
        let (end, mut next) = part(from, places);
        let table = &self.fx.channels.table;
        let mut rows = Vec::new();
        for place in from..end {
            let Some(connection) = self.websocket(place) else { continue };
            let index = connection.index();
            let is_member = channel.is_none_or(|channel| table.is_subscribed(index, channel));
            let is_users = user.is_none_or(|user| user_of(connection).as_deref() == Some(user));
            if is_member && is_users {
                rows.push(self.row(connection));
            }
            if rows.len() == rows_max {
                next = (place + 1 < places).then_some(place + 1);
                break;
            }
        }
        Page { rows, next }
    }

    fn slowest(&self, from: u32, rows_max: usize) -> Page<ConnectionRow> {
        let (end, next) = part(from, self.connections.places());
        let mut waiting: Vec<&Connection> = (from..end)
            .filter_map(|place| self.websocket(place))
            .filter(|connection| connection.waiting_bytes() > 0)
            .collect();
        waiting.sort_by_key(|connection| Reverse(connection.waiting_bytes()));
        waiting.truncate(rows_max);
        Page { rows: waiting.into_iter().map(|connection| self.row(connection)).collect(), next }
    }

    fn busiest(&self, from: u32, rows_max: usize) -> Page<ChannelRow> {
        let table = &self.fx.channels.table;
        let (end, next) = part(from, table.places());
        let now_ms = self.fx.now_ms;
        let mut busy: Vec<(f64, usize, &str)> = (from..end)
            .filter_map(|place| table.at(place))
            .map(|it| (it.frequency.per_second(now_ms), it.subscribers, it.name))
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
        Page { rows, next }
    }

    /// The connection at a place, if its id may address it.
    fn websocket(&self, place: u32) -> Option<&'a Connection> {
        let index = ConnIndex(place);
        let connection = self.connections.at(index)?;
        (self.fx.ids.find(connection.info.id) == Some(index)).then_some(connection)
    }

    fn row(&self, connection: &Connection) -> ConnectionRow {
        let info = &connection.info;
        let path = info.head.as_ref().map(|head| head.target_redacted()).unwrap_or_default();
        ConnectionRow {
            connection: info.id,
            worker: self.fx.peers.slot,
            peer: info.peer.to_string(),
            user: user_of(connection).map(shown_user),
            path: shown_path(path),
            open: connection.state.can_send(),
            age_ms: Effects::unix_ms().saturating_sub(info.opened_unix_ms),
            idle_ms: self.fx.now_ms.saturating_sub(connection.times.received_ms),
            channels: self.fx.channels.table.of_connection(connection.index()).len() as u32,
            messages_in: connection.messages_in,
            messages_out: connection.messages_out,
            queued_bytes: connection.waiting_bytes() as u64,
        }
    }
}

/// The end of the part that begins at `from`, and where the next one begins, if there is one.
fn part(from: u32, places: u32) -> (u32, Option<u32>) {
    let end = from.saturating_add(PLACES_PER_PAGE_MAX).min(places).max(from);
    (end, (end < places).then_some(end))
}

fn user_of(connection: &Connection) -> Option<String> {
    user_text(connection.info.context.as_ref()?.get(USER_KEY)?)
}

fn json(part: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(part).ok()
}
