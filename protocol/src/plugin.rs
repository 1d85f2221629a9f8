//! The lines that a side process written in any language exchanges with the server: events to it, commands from it.
//!
//! This module owns the text of that protocol in both directions (`docs/plugins.md` is its specification). It never knows who
//! is at the other end, and keeps no state between two lines.

mod command;
mod event;
#[cfg(test)]
mod tests;

pub use command::{Command, CommandError, Level, Line, Payload, Recipient, parse};
pub use event::{
    ClosedBy, Fate, Hello, Opened, Reply, closed, dropped, from_process, hello, message, opened,
    reload_end, reload_start, reply, stop, tick, worker,
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
    /// A worker serves.
    WorkerStart,
    /// A worker has ended as it was told to.
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
    pub const ALL: [(&'static str, Self); 8] = [
        ("open", Self::Open),
        ("message", Self::Message),
        ("close", Self::Close),
        ("worker_start", Self::WorkerStart),
        ("worker_stop", Self::WorkerStop),
        ("worker_error", Self::WorkerError),
        ("reload_start", Self::ReloadStart),
        ("reload_end", Self::ReloadEnd),
    ];

    /// Its name on the line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}
