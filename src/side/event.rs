//! An event on its way to a program: the line, and what its host has to know of it.

use wsmaster_ipc::{ConnectionId, EventCode, EventHeader};
use wsmaster_protocol::plugin::EventKind;

/// A line for a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EventLine {
    /// The connection that it is about, and what happened to it.
    pub(super) subject: Option<(EventKind, ConnectionId)>,
    /// The line, with its end.
    pub(super) text: Vec<u8>,
}

/// What is sent beside the line of an event.
pub(crate) fn header(kind: EventKind, connection: Option<ConnectionId>) -> EventHeader {
    EventHeader::Line { code: EventCode(kind.code()), connection }
}
