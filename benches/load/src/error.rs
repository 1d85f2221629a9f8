//! Why a measurement has no result. Every one of them ends the run: a figure from a half-working server is none.

use std::io;
use std::time::Duration;

use crate::reader::FrameError;

/// The result of everything that touches the server.
pub(crate) type Result<T> = std::result::Result<T, LoadError>;

/// What went wrong, in one line for the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The event loop or a new socket could not be had: this side's fault.
    #[error("{doing}: {source}")]
    System { doing: &'static str, source: io::Error },
    /// A connection broke.
    #[error("connection {client}: {source}")]
    Connection { client: usize, source: io::Error },
    /// The server ended a connection that should have stayed.
    #[error("connection {client}: closed by the server{}", code_text(*.code))]
    Closed { client: usize, code: Option<u16> },
    /// The answer to the upgrade request is not the one RFC 6455 section 4.2.2 asks for.
    #[error("connection {client}: the handshake failed: {reason}")]
    Upgrade { client: usize, reason: String },
    /// What arrived is no frame that a server may send.
    #[error("connection {client}: {source}")]
    Frame { client: usize, source: FrameError },
    /// A message is not the one that was due.
    #[error("connection {client}: {what}")]
    Message { client: usize, what: String },
    /// The server takes nothing more from this connection.
    #[error("connection {client}: more than {bytes_max} bytes wait to be sent")]
    Unsent { client: usize, bytes_max: usize },
    /// Nothing moved for too long.
    #[error("nothing arrived for {:.0} s while waiting for {waiting_for}", .after.as_secs_f64())]
    Stalled { waiting_for: String, after: Duration },
    /// A process of the server could not be looked at.
    #[error("process {pid}: {source}")]
    Process { pid: u32, source: io::Error },
    /// The arguments contradict each other or this machine's limits.
    #[error("{0}")]
    Arguments(String),
}

fn code_text(code: Option<u16>) -> String {
    code.map_or_else(String::new, |code| format!(" with code {code}"))
}
