//! A line for a program, with what its host has to know of it.

use wsmaster_ipc::ConnectionId;
use wsmaster_protocol::plugin::EventKind;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EventLine {
    /// The connection that it is about, and what happened to it.
    pub(super) subject: Option<(EventKind, ConnectionId)>,
    /// The line, with its end.
    pub(super) text: Vec<u8>,
}
