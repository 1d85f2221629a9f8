//! Which id stands for which place in the table of connections. Kept apart from the connections, so that a connection can
//! take its id out of use.

use rustc_hash::FxHashMap;
use wsmaster_ipc::ConnectionId;

use crate::conn_index::ConnIndex;

/// The ids that address a connection of this worker: those of its WebSockets. Serial numbers are our own, so a fast hash is
/// safe here.
#[derive(Debug, Default)]
pub(crate) struct Ids(FxHashMap<ConnectionId, ConnIndex>);

impl Ids {
    /// How many WebSockets there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Lets an id address a connection.
    pub(crate) fn insert(&mut self, id: ConnectionId, index: ConnIndex) {
        self.0.insert(id, index);
    }

    /// Takes an id out of use.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.0.remove(&id);
    }

    /// The place of an id.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<ConnIndex> {
        self.0.get(&id).copied()
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.0.keys().copied()
    }
}
