//! What is sent beside the line of an event.

use wsmaster_ipc::{ConnectionId, EventCode, EventHeader};
use wsmaster_protocol::plugin::EventKind;

/// The header of a line for a program.
pub(crate) fn event_header(kind: EventKind, connection: Option<ConnectionId>) -> EventHeader {
    EventHeader::Line { code: EventCode(kind.code()), connection }
}
