//! The order of a program's events: what a predecessor has not read and what happens meanwhile waits until all workers have
//! told it which connections it has. Pure.

use std::time::Duration;

use wsmaster_ipc::Moment;

use wsmaster_ipc::{ConnectionId, LostConnections, Slot};
use wsmaster_protocol::plugin::{self, EventKind};

use super::{
    connection_sync::ConnectionSync,
    event_line::EventLine,
    known_connections::{KNOWN_CONNECTIONS_MAX, KnownConnections},
    line_queue::LineQueue,
    stale_events::StaleEvents,
};

/// How long a program that was started again waits for the last worker to tell which connections it has there: a worker that
/// hangs does not.
const SYNC_TIME: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct EventSequencer {
    /// Of an application nothing is dropped, and everything has its order. Others lose what has no room.
    is_application: bool,
    stale: StaleEvents,
    /// When what is left of them is dropped.
    stale_until: Moment,
    sync: ConnectionSync,
    sync_until: Moment,
    known: KnownConnections,
}

/// What a sequencer is made for.
#[derive(Debug)]
pub(super) struct Sequence<'a> {
    /// The program has connections of its own.
    pub(super) is_application: bool,
    /// The events that it wants.
    pub(super) wanted: &'a [EventKind],
    /// The workers that have connections of its predecessor.
    pub(super) workers: Vec<Slot>,
    /// Bytes that may wait here.
    pub(super) bytes_max: usize,
    /// How long stale events are kept for.
    pub(super) stale_time: Duration,
}

impl EventSequencer {
    pub(super) fn new(sequence: Sequence<'_>, now: Moment) -> Self {
        let Sequence { is_application, wanted, workers, bytes_max, stale_time } = sequence;
        Self {
            is_application,
            stale: StaleEvents::new(bytes_max),
            stale_until: now + stale_time,
            sync: ConnectionSync::of(workers, bytes_max),
            sync_until: now + SYNC_TIME,
            known: KnownConnections::new(wanted, KNOWN_CONNECTIONS_MAX),
        }
    }

    /// The events that the program wants from now on.
    pub(super) fn want(&mut self, wanted: &[EventKind]) {
        self.known.want(wanted);
    }

    /// Takes a line; what the program may read now goes into the queue. `is_stale`: it was sent to its predecessor.
    pub(super) fn take(&mut self, line: EventLine, is_stale: bool, queue: &mut LineQueue) {
        let Self { stale, sync, known, .. } = self;
        if !self.is_application {
            if queue.push_event(line.text, plugin::dropped) {
                known.note(line.subject);
            }
            return;
        }
        let pass = |line: EventLine| {
            known.note(line.subject);
            sync.pass(line, |line| queue.push_kept(line));
        };
        if is_stale {
            stale.take_stale(line, pass);
        } else {
            stale.take_present(line, pass);
        }
    }

    /// A worker has told of all connections that the program has there.
    pub(super) fn synced(&mut self, worker: Slot, queue: &mut LineQueue) {
        self.sync.worker_synced(worker, |line| queue.push_kept(line));
    }

    /// A worker has died: the program gets the `close` events that it has not sent. How many are missing, since more
    /// connections were open than are tracked.
    pub(super) fn lose(&mut self, lost: &LostConnections, queue: &mut LineQueue) -> u64 {
        let Self { stale, sync, .. } = self;
        // An `open` that waits is known nowhere else. It is passed on with its `close`, or neither is.
        stale.lose(lost, close_of, |line| sync.pass(line, |line| queue.push_kept(line)));
        for id in self.known.lose(lost) {
            self.take(close_of(id), false, queue);
        }
        let untracked = self.known.take_untracked();
        if untracked > 0 {
            queue.count_dropped(untracked);
        }
        untracked
    }

    /// When [`Self::expire`] may have something to do.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let sync = self.sync.is_waiting().then_some(self.sync_until);
        let stale = (!self.stale.is_empty()).then_some(self.stale_until);
        sync.into_iter().chain(stale).min()
    }

    /// Waits no longer for workers that are late.
    pub(super) fn expire(&mut self, now: Moment, queue: &mut LineQueue) {
        if self.sync.is_waiting() && now >= self.sync_until {
            self.sync.end(|line| queue.push_kept(line));
        }
        if !self.stale.is_empty() && now >= self.stale_until {
            self.stale.drop_all();
        }
    }

    /// The program has ended: what waits for a word of a worker is dropped.
    pub(super) fn end(&mut self) {
        self.stale.drop_all();
    }

    /// How many messages were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        self.stale.take_dropped()
    }
}

/// The event of a connection that has ended with its worker.
fn close_of(id: ConnectionId) -> EventLine {
    let mut text = Vec::new();
    let (reason, by) = ("the worker has ended", plugin::ClosedBy::Lost);
    plugin::closed(&mut text, id.as_u64(), None, reason, by);
    EventLine { subject: Some((EventKind::Close, id)), text }
}
