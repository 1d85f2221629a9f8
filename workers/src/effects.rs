//! What a connection acts on beyond itself: everything of its worker but the connections.
//!
//! Each part owns its fields and knows nothing of the others. A connection is lent all of them, so it can be served without a
//! poll and without a table of connections around it.

use std::{
    fmt::Display,
    time::{SystemTime, UNIX_EPOCH},
};

use wsmaster_ipc::{
    Handle, Slot,
    shared_state::{Counter, SharedState, WorkerStats},
};
use wsmaster_protocol::peer::Peer;

use crate::{
    admission::Admission, channels::Channels, delivery::Delivery, drain::Drain, events::Events,
    ids::Ids, limits::Limits, lineage::Lineage, listening::Rules, requests::Requests,
    schedule::Schedule, slot_peers::SlotPeers, stats::Stats,
};

/// See the module.
pub(crate) struct Effects {
    /// The moment of this turn of the loop, in ms of CLOCK_MONOTONIC.
    pub(crate) now_ms: u64,
    pub(crate) limits: Limits,
    pub(crate) rules: Rules,
    pub(crate) stats: Stats,
    pub(crate) admission: Admission,
    pub(crate) schedule: Schedule,
    pub(crate) ids: Ids,
    pub(crate) delivery: Delivery,
    pub(crate) channels: Channels,
    pub(crate) requests: Requests,
    pub(crate) events: Events,
    /// The other processes of the slot, while there are any.
    pub(crate) peers: SlotPeers,
    pub(crate) drain: Drain,
    pub(crate) random: fastrand::Rng,
}

impl Effects {
    pub(crate) fn new(
        slot: Slot,
        cell: WorkerStats,
        handle: Handle,
        limits: Limits,
        lineage: Lineage,
        seed: u64,
        now_ms: u64,
    ) -> Self {
        // Answers to requests of the process before may still come: they do not look like answers to ours.
        let first_request = lineage.first_request();
        let timeout_ms = limits.ask_timeout.as_millis() as u64;
        Self {
            now_ms,
            rules: Rules::default(),
            stats: Stats::new(cell),
            admission: Admission::default(),
            schedule: Schedule::new(now_ms),
            ids: Ids::default(),
            delivery: Delivery::new(&limits),
            channels: Channels::new(slot),
            requests: Requests::new(handle, first_request, timeout_ms),
            events: Events::new(&limits),
            peers: SlotPeers::new(slot, lineage),
            drain: Drain::default(),
            random: fastrand::Rng::with_seed(seed),
            limits,
        }
    }

    /// The wall clock, in ms since 1970.
    pub(crate) fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    /// The shared memory of all processes.
    #[inline]
    pub(crate) fn shared_state(&self) -> &SharedState {
        self.requests.handle().shared_state()
    }

    /// Writes a line about what `counter` counts into the log, once a second at most.
    #[cold]
    pub(crate) fn warn(&mut self, counter: Counter, line: impl FnOnce() -> String) {
        self.stats.warn(counter, self.now_ms, line);
    }

    /// As [`Self::warn`], about what the client at `peer` does.
    #[cold]
    pub(crate) fn warn_client(&mut self, peer: Peer, counter: Counter, does: impl Display) {
        self.warn(counter, || format!("the client at {peer} {does}"));
    }

    /// When the loop has to wake without an event, as far as this is the connections' to know.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        let wheel = self.schedule.wheel.next_ms();
        let moments = [wheel, self.requests.requester.next_ms(), self.events.timers.next_ms()];
        moments.into_iter().flatten().min()
    }
}
