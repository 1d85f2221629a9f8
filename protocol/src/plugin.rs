//! The lines that a side process written in any language exchanges with the server: events to it, commands from it.
//!
//! This module owns the text of that protocol in both directions (`docs/plugins.md` is its specification). It keeps no state
//! between two lines.

mod answer;
mod command;
mod event;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Body, HEADERS_BYTES_MAX, HEADERS_MAX, response};
pub use command::{Audience, Command, CommandError, Level, Line, Payload, Recipient, parse};
pub use event::{
    Asked, ClosedBy, Fate, Hello, Opened, Reply, channel, closed, dropped, from_process, handshake,
    hello, message, opened, published, question, reload_end, reload_start, reply, request, server,
    stop, tick, worker,
};

use serde::{Deserialize, Serialize};

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// The kinds of events that a program can ask for. What is addressed to it alone (`hello`, `reply`, `process`, `tick`,
/// `dropped`, `stop`) comes without being asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A client has become a WebSocket.
    Open,
    /// A client has sent a message.
    Message,
    /// A WebSocket is over.
    Close,
    /// A client asks to become a WebSocket, and the program decides.
    Handshake,
    /// A client has sent an ordinary HTTP request, and the program answers it.
    Request,
    /// A client has subscribed to a channel.
    Subscribe,
    /// A client has ended its subscription to a channel.
    Unsubscribe,
    /// A client has sent a message to a channel.
    Publish,
    /// All workers serve, for the first time.
    ServerStart,
    /// The server begins to stop.
    ServerStop,
    /// A worker serves.
    WorkerStart,
    /// A worker has ended as it was asked to.
    WorkerStop,
    /// A worker has died.
    WorkerError,
    /// A reload begins.
    ReloadStart,
    /// A reload is over.
    ReloadEnd,
}

impl EventKind {
    /// All kinds, with their names.
    pub const ALL: [(&'static str, Self); 15] = [
        ("open", Self::Open),
        ("message", Self::Message),
        ("close", Self::Close),
        ("handshake", Self::Handshake),
        ("request", Self::Request),
        ("subscribe", Self::Subscribe),
        ("unsubscribe", Self::Unsubscribe),
        ("publish", Self::Publish),
        ("server_start", Self::ServerStart),
        ("server_stop", Self::ServerStop),
        ("worker_start", Self::WorkerStart),
        ("worker_stop", Self::WorkerStop),
        ("worker_error", Self::WorkerError),
        ("reload_start", Self::ReloadStart),
        ("reload_end", Self::ReloadEnd),
    ];

    /// Its number between processes of the server. The two builds of an upgrade must agree on it: a new kind goes to the end.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(_, kind)| *kind)
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name on the line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}
