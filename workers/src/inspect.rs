//! Looking over a worker's connections and channels from outside, a part at a time: what can be asked, and how the answers
//! look. Pure.
//!
//! One question is about at most [`PLACES_PER_PAGE_MAX`] places, whatever stands there, so that a worker with very many
//! connections is not kept from its clients by those who look at it. The answer says where the next question goes on.
//! A connection that stays is seen once by whoever asks for one part after the other; one that comes or goes meanwhile
//! may be seen or not.

pub(crate) mod answer;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wsmaster_ipc::{ConnectionId, Slot};

/// Connections, or channels, that one question looks at.
pub const PLACES_PER_PAGE_MAX: u32 = 4096;
/// Rows that one answer has. So many fit into one packet as long as nobody has an unusual name.
pub const ROWS_PER_PAGE_MAX: u16 = 64;
/// The longest path that a row shows, in bytes.
const PATH_BYTES_MAX: usize = 256;
/// The longest user that a row shows, in bytes.
const USER_BYTES_MAX: usize = 128;

/// A question to one worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InspectRequest {
    /// What to look for.
    pub what: Query,
    /// Where to begin: 0, and then what [`Page::next`] of the answer before says.
    pub from: u32,
    /// The most rows that are wanted; more than [`ROWS_PER_PAGE_MAX`] are not given.
    pub rows_max: u16,
}

/// What to look for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// WebSockets in the order of their places: [`ConnectionRow`]s.
    Connections {
        /// Only subscribers of this channel.
        channel: Option<String>,
        /// Only connections of this user.
        user: Option<String>,
    },
    /// The WebSockets of this part that have the most bytes waiting for them, the largest first: [`ConnectionRow`]s.
    /// Those that have none are left out.
    Slowest,
    /// The channels of this part with the most messages a second, the busiest first: [`ChannelRow`]s.
    Channels,
}

/// The answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Page<R> {
    /// What was found.
    pub rows: Vec<R>,
    /// Where the next question has to begin; `None` when all has been looked at.
    pub next: Option<u32>,
}

/// What an operator sees of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Its id.
    pub connection: ConnectionId,
    /// The worker that has it.
    pub worker: Slot,
    /// The peer's address.
    pub peer: String,
    /// Whose it is, if the application has said so: what it keeps under [`USER_KEY`](crate::USER_KEY), cut
    /// after 128 bytes.
    pub user: Option<String>,
    /// The path and query of its request without secrets, cut after 256 bytes.
    pub path: String,
    /// Whether it takes messages; otherwise it is in its close handshake.
    pub open: bool,
    /// How long ago it was accepted, by the wall clock.
    pub age_ms: u64,
    /// How long ago the peer has last shown that it lives.
    pub idle_ms: u64,
    /// Channels that it is subscribed to.
    pub channels: u32,
    /// Messages that came from it.
    pub messages_in: u64,
    /// Messages put into its outbox.
    pub messages_out: u64,
    /// Bytes that wait in its outbox.
    pub queued_bytes: u64,
}

/// What an operator sees of a channel on one worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Its name.
    pub channel: String,
    /// Subscribers on this worker.
    pub subscribers: u64,
    /// Messages a second that have lately reached this worker for it.
    pub messages_per_s: f64,
}

/// A user as it is shown: a text, or a number in digits. Nothing else is a user.
pub(crate) fn user_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The user of a row.
pub(crate) fn shown_user(user: String) -> String {
    cut(user, USER_BYTES_MAX)
}

/// The path of a row.
pub(crate) fn shown_path(path: String) -> String {
    cut(path, PATH_BYTES_MAX)
}

/// At most so many bytes of a text, and a mark where something is missing.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for (text, bytes_max, shown) in
            [("abc", 3, "abc"), ("abcd", 3, "abc…"), ("aé", 2, "a…"), ("é", 1, "…"), ("", 0, "")]
        {
            assert_eq!(cut(text.to_owned(), bytes_max), shown, "{text}");
        }
    }

    #[test]
    fn a_user_is_a_text_or_a_number() {
        for (value, user) in [
            (json!("ann"), Some("ann")),
            (json!(500), Some("500")),
            (json!(null), None),
            (json!(["ann"]), None),
        ] {
            assert_eq!(user_text(&value).as_deref(), user, "{value}");
        }
    }
}
