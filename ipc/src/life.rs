//! The life of a server as its processes hear of it from the master. Owns the vocabulary; it travels on [`crate::link`].

use serde::{Deserialize, Serialize};

use crate::{id::Slot, sys::process::Ended};

/// Something that happened to the server or to one of its workers. The master tells it to every worker, and to the side
/// processes that want to know, in the order in which it happened.
///
/// It comes on the same line as the request to leave, so a worker hears of the reload before it is its turn. A process
/// that does not listen misses what its line cannot hold, and is told nothing twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LifeEvent {
    /// All workers serve for the first time. A worker that is forked later does not hear of it.
    ServerStart,
    /// A worker serves.
    WorkerStart {
        /// Its slot.
        slot: Slot,
        /// Its process.
        pid: u32,
    },
    /// A worker has ended as it was told to.
    WorkerStop {
        /// Its slot.
        slot: Slot,
        /// Its process.
        pid: u32,
        /// Why it was told to.
        reason: LeaveReason,
    },
    /// A worker has died, or did not end in time and was killed.
    WorkerError {
        /// Its slot.
        slot: Slot,
        /// Its process.
        pid: u32,
        /// The exit code or the signal.
        how: Ended,
    },
    /// A reload begins. No worker has been asked to leave yet.
    ReloadStart,
    /// A reload is over.
    ReloadEnd {
        /// Whether all workers have been replaced.
        complete: bool,
    },
}

/// Why a worker leaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// All workers are replaced, one after the other.
    Reload,
    /// It has had its share of messages (`max_request`).
    Share,
    /// It holds more memory than it may (`worker_memory_max`).
    Memory,
    /// It was sent SIGTERM.
    Asked,
    /// The server stops.
    ServerStop,
}

impl LeaveReason {
    /// Its stable name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Share => "share",
            Self::Memory => "memory",
            Self::Asked => "asked",
            Self::ServerStop => "server_stop",
        }
    }
}
