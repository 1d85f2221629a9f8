//! The connections that a program was told of and not yet of their end, so that it can be told of that when their worker is
//! gone. Pure.
//!
//! Nobody else knows them then: what a worker knew dies with it. An entry is a number in a hash table, 9 to 18 bytes.

use rustc_hash::FxHashSet;
use wsmaster_ipc::{ConnectionId, LostConnections};
use wsmaster_protocol::plugin::EventKind;

/// How many are known at most. What comes beyond is passed over: were its worker to die, the program would hear that
/// something is missing, and not what.
pub(super) const KNOWN_CONNECTIONS_MAX: usize = 1 << 19;

/// See the module.
#[derive(Debug)]
pub(super) struct KnownConnections {
    connections: FxHashSet<ConnectionId>,
    connections_max: usize,
    /// Which line makes one known. Without one nothing is to be known.
    by: Option<By>,
    /// Those that had no room since the last [`Self::take_passed_over`].
    passed_over: u64,
}

/// What tells a program of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// Its beginning: what comes later says nothing new.
    Open,
    /// Whatever is said of it.
    Any,
}

impl KnownConnections {
    /// None yet.
    pub(super) fn new(wanted: &[EventKind], connections_max: usize) -> Self {
        let mut known =
            Self { connections: FxHashSet::default(), connections_max, by: None, passed_over: 0 };
        known.want(wanted);
        known
    }

    /// What the program wants to be told of. Who does not want to hear of ends needs to know nobody; who hears no beginnings
    /// knows those that have done something.
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

    /// The program is told of this event of a connection.
    pub(super) fn tell(&mut self, subject: Option<(EventKind, ConnectionId)>) {
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
            self.passed_over += 1;
        }
    }

    /// These connections are no more. Those of them that were known, the oldest first.
    pub(super) fn lose(&mut self, lost: &LostConnections) -> Vec<ConnectionId> {
        let is_lost = |id: &ConnectionId| lost.covers(*id);
        let mut gone: Vec<ConnectionId> = self.connections.extract_if(is_lost).collect();
        gone.sort_unstable_by_key(|id| id.serial());
        gone
    }

    /// How many had no room since the last call.
    pub(super) fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
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
            known.tell(Some((EventKind::Open, id(slot, serial))));
        }
        known.tell(Some((EventKind::Close, id(1, 20))));
        known.tell(Some((EventKind::Message, id(1, 50))));
        // The predecessor dies while its successor serves.
        assert_eq!(known.lose(&LostConnections { end: 40, ..all_of(1) }), [id(1, 10), id(1, 30)]);
        assert_eq!(known.lose(&all_of(1)), [id(1, 40)], "no message makes one known");
        assert_eq!(known.lose(&all_of(1)), []);
        assert_eq!(known.lose(&all_of(2)), [id(2, 10)]);
    }

    #[test]
    fn who_hears_no_beginnings_knows_who_spoke_and_who_hears_no_ends_nobody() {
        let mut known = KnownConnections::new(&[EventKind::Publish, EventKind::Close], 100);
        known.tell(Some((EventKind::Publish, id(1, 1))));
        known.tell(Some((EventKind::Publish, id(1, 1))));
        known.tell(None);
        assert_eq!(known.lose(&all_of(1)), [id(1, 1)]);
        let mut known = KnownConnections::new(&[EventKind::Open, EventKind::Message], 100);
        known.tell(Some((EventKind::Open, id(1, 1))));
        assert_eq!(known.lose(&all_of(1)), []);
    }

    #[test]
    fn there_is_a_bound_and_what_it_keeps_out_is_counted() {
        let mut known = KnownConnections::new(&[EventKind::Open, EventKind::Close], 2);
        for serial in 1..=5 {
            known.tell(Some((EventKind::Open, id(1, serial))));
        }
        known.tell(Some((EventKind::Open, id(1, 1))));
        assert_eq!((known.take_passed_over(), known.take_passed_over()), (3, 0));
        assert_eq!(known.lose(&all_of(1)), [id(1, 1), id(1, 2)]);
    }
}
