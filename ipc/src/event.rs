//! What stands beside the line of an event, so that the host of a program need not read the line.

use serde::{Deserialize, Serialize};

use crate::id::{ConnectionId, Slot};

/// What an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventHeader {
    /// The payload is a line for the program.
    Line {
        /// The kind of event.
        code: EventCode,
        /// The connection that it happened to.
        connection: Option<ConnectionId>,
    },
    /// A worker has sent an event for each connection that a restarted program has there. No payload.
    Synced {
        /// The worker.
        worker: Slot,
    },
    /// A process of a worker has ended, and these connections with it. No payload.
    Lost(LostConnections),
}

/// The number of a kind of event. Which number is which kind is the business of those who write and read the lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventCode(pub u8);

/// Connections of one worker process: those with its slot and a serial number from `first` on and below `end`. The others of
/// the slot are of processes that live: a predecessor that finishes, a successor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LostConnections {
    /// The slot of the worker.
    pub worker: Slot,
    /// The first serial number that the process could give to a connection.
    pub first: u64,
    /// The first serial number after those.
    pub end: u64,
}

impl LostConnections {
    /// Whether a connection is one of them.
    pub fn covers(&self, id: ConnectionId) -> bool {
        id.slot() == self.worker && (self.first..self.end).contains(&id.serial())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_lost_with_the_process_that_gave_its_serial_number() {
        let slot = |number| Slot::new(number).unwrap();
        let id = |number, serial| ConnectionId::new(slot(number), serial).unwrap();
        let lost = LostConnections { worker: slot(1023), first: 7, end: 9 };
        assert!(lost.covers(id(1023, 7)) && lost.covers(id(1023, 8)));
        assert!(!lost.covers(id(1023, 6)) && !lost.covers(id(1023, 9)) && !lost.covers(id(1, 7)));
    }
}
