//! The connections of a worker: by place and by key. Owns the generations that tell a stale event from a live one.

use slab::Slab;
use wsmaster_ipc::command::Group;

use crate::{conn_index::ConnIndex, connection::Connection, token::Key};

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slab: Slab<Connection>,
    generations: Vec<u32>,
}

impl Connections {
    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether none is.
    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// The key that the next connection will have.
    pub(crate) fn vacant_key(&mut self) -> Key {
        let index = self.slab.vacant_key();
        if self.generations.len() <= index {
            self.generations.resize(index + 1, 0);
        }
        Key { index: ConnIndex(index as u32), generation: self.generations[index] }
    }

    /// Adds a connection, which has the key that [`Self::vacant_key`] gave.
    pub(crate) fn insert(&mut self, connection: Connection) -> &mut Connection {
        let entry = self.slab.vacant_entry();
        debug_assert_eq!(entry.key(), connection.key.index.as_usize());
        entry.insert(connection)
    }

    /// Takes a connection out.
    pub(crate) fn remove(&mut self, index: ConnIndex) -> Option<Connection> {
        let connection = self.slab.try_remove(index.as_usize())?;
        let generation = &mut self.generations[index.as_usize()];
        *generation = (*generation + 1) % Key::GENERATIONS;
        Some(connection)
    }

    /// The connection at a place.
    #[inline]
    pub(crate) fn at(&self, index: ConnIndex) -> Option<&Connection> {
        self.slab.get(index.as_usize())
    }

    /// The connection at a place.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: ConnIndex) -> Option<&mut Connection> {
        self.slab.get_mut(index.as_usize())
    }

    /// The connection with a key, if it is still there.
    #[inline]
    pub(crate) fn with_key(&self, key: Key) -> Option<&Connection> {
        self.at(key.index).filter(|connection| connection.key == key)
    }

    /// How many places there are: those in use, and those that once were.
    pub(crate) fn places(&self) -> u32 {
        self.generations.len() as u32
    }

    /// The places of a group; without one, all in use.
    pub(crate) fn indexes_of(&self, group: Option<Group>) -> Vec<ConnIndex> {
        let is_member = |it: &&Connection| group.is_none() || it.info.group == group;
        self.iter().filter(is_member).map(|it| it.key.index).collect()
    }

    /// All connections, by place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slab.iter().map(|(_, connection)| connection)
    }
}
