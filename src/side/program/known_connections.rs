//! The connections that a program was told of and that are not closed yet, so that it can be sent a `close` when their worker
//! has died. Pure.
//!
//! No other process knows them then: what a worker knew dies with it. An entry is a number in a hash table, 9 to 18 bytes.

use rustc_hash::FxHashSet;
use wsmaster_ipc::{ConnectionId, LostConnections};
use wsmaster_protocol::plugin::EventKind;

/// How many are tracked at most. When the worker of others dies, the program is told how many events are missing, and not
/// which.
pub(super) const KNOWN_CONNECTIONS_MAX: usize = 1 << 19;

/// See the module.
#[derive(Debug)]
pub(super) struct KnownConnections {
    connections: FxHashSet<ConnectionId>,
    connections_max: usize,
    /// Which event makes one known; `None`: none has to be.
    by: Option<By>,
    /// Those that had no room since the last [`Self::take_untracked`].
    untracked: u64,
}

/// Which event tells a program of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// Its `open`: what comes later says nothing new.
    Open,
    /// Any event.
    Any,
}

impl KnownConnections {
    /// None yet.
    pub(super) fn new(wanted: &[EventKind], connections_max: usize) -> Self {
        let mut known =
            Self { connections: FxHashSet::default(), connections_max, by: None, untracked: 0 };
        known.want(wanted);
        known
    }

    /// The events that the program wants. Without `close` no connection has to be known; without `open` those are known that have
    /// done something.
    pub(super) fn want(&mut self, wanted: &[EventKind]) {
        self.by = match (wanted.contains(&EventKind::Close), wanted.contains(&EventKind::Open)) {
            (true, true) => Some(By::Open),
            (true, false) => Some(By::Any),
            (false, _) => None,
        };
        if self.by.is_none() {
            self.connections = FxHashSet::default();
        }
    }

    /// The program is sent this event of a connection.
    pub(super) fn note(&mut self, subject: Option<(EventKind, ConnectionId)>) {
        let Some(by) = self.by else { return };
        let Some((kind, id)) = subject else { return };
        let is_new = match by {
            By::Open => kind == EventKind::Open,
            By::Any => kind != EventKind::Close,
        };
        if !is_new && kind != EventKind::Close {
            return;
        }
        if !is_new {
            self.connections.remove(&id);
        } else if self.connections.len() < self.connections_max || self.connections.contains(&id) {
            self.connections.insert(id);
        } else {
            self.untracked += 1;
        }
    }

    /// These connections have ended. Those of them that were known, the oldest first.
    pub(super) fn lose(&mut self, lost: &LostConnections) -> Vec<ConnectionId> {
        let is_lost = |id: &ConnectionId| lost.covers(*id);
        let mut gone: Vec<ConnectionId> = self.connections.extract_if(is_lost).collect();
        gone.sort_unstable_by_key(|id| id.serial());
        gone
    }

    /// How many had no room since the last call.
    pub(super) fn take_untracked(&mut self) -> u64 {
        std::mem::take(&mut self.untracked)
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::Slot;

    use super::*;

    fn id(slot: u16, serial: u64) -> ConnectionId {
        ConnectionId::new(Slot::new(slot).unwrap(), serial).unwrap()
    }

    fn all_of(worker: u16) -> LostConnections {
        LostConnections { worker: Slot::new(worker).unwrap(), first: 0, end: u64::MAX }
    }

    #[test]
    fn what_was_opened_and_not_closed_is_lost_with_its_worker() {
        let mut known =
            KnownConnections::new(&[EventKind::Open, EventKind::Message, EventKind::Close], 100);
        for (slot, serial) in [(1, 30), (1, 10), (1, 20), (2, 10), (1, 40)] {
            known.note(Some((EventKind::Open, id(slot, serial))));
        }
        known.note(Some((EventKind::Close, id(1, 20))));
        known.note(Some((EventKind::Message, id(1, 50))));
        // The predecessor dies while its successor serves.
        assert_eq!(known.lose(&LostConnections { end: 40, ..all_of(1) }), [id(1, 10), id(1, 30)]);
        assert_eq!(known.lose(&all_of(1)), [id(1, 40)], "no message makes one known");
        assert_eq!(known.lose(&all_of(1)), []);
        assert_eq!(known.lose(&all_of(2)), [id(2, 10)]);
    }

    #[test]
    fn without_open_any_event_makes_one_known_and_without_close_none_does() {
        let mut known = KnownConnections::new(&[EventKind::Publish, EventKind::Close], 100);
        known.note(Some((EventKind::Publish, id(1, 1))));
        known.note(Some((EventKind::Publish, id(1, 1))));
        known.note(None);
        assert_eq!(known.lose(&all_of(1)), [id(1, 1)]);
        let mut known = KnownConnections::new(&[EventKind::Open, EventKind::Message], 100);
        known.note(Some((EventKind::Open, id(1, 1))));
        assert_eq!(known.lose(&all_of(1)), []);
    }

    #[test]
    fn there_is_a_bound_and_what_it_keeps_out_is_counted() {
        let mut known = KnownConnections::new(&[EventKind::Open, EventKind::Close], 2);
        for serial in 1..=5 {
            known.note(Some((EventKind::Open, id(1, serial))));
        }
        known.note(Some((EventKind::Open, id(1, 1))));
        assert_eq!((known.take_untracked(), known.take_untracked()), (3, 0));
        assert_eq!(known.lose(&all_of(1)), [id(1, 1), id(1, 2)]);
    }
}
