//! The connections of a worker: by place, by key and by id. Owns the generations that tell a stale event from a live one.

use rustc_hash::FxHashMap;
use slab::Slab;
use wsmaster_ipc::{ConnectionId, command::Group};

use crate::{connection::Connection, token::Key};

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    connections: Slab<Connection>,
    generations: Vec<u32>,
    /// Those that an id may address: the WebSockets. Serial numbers are our own, so a fast hash is safe here.
    by_id: FxHashMap<ConnectionId, u32>,
}

impl Registry {
    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether none is.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many of them are WebSockets.
    pub(crate) fn websockets(&self) -> usize {
        self.by_id.len()
    }

    /// The key that the next connection will have.
    pub(crate) fn vacant_key(&mut self) -> Key {
        let index = self.connections.vacant_key();
        if self.generations.len() <= index {
            self.generations.resize(index + 1, 0);
        }
        Key { index: index as u32, generation: self.generations[index] }
    }

    /// Adds a connection under the key that [`Self::vacant_key`] gave.
    pub(crate) fn insert(&mut self, connection: Connection) {
        self.connections.insert(connection);
    }

    /// Lets an id address a connection.
    pub(crate) fn publish_id(&mut self, id: ConnectionId, index: u32) {
        self.by_id.insert(id, index);
    }

    /// Takes an id out of use.
    pub(crate) fn retire_id(&mut self, id: ConnectionId) {
        self.by_id.remove(&id);
    }

    /// Takes a connection out.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Connection> {
        let connection = self.connections.try_remove(index as usize)?;
        self.by_id.remove(&connection.durable.id);
        let generation = &mut self.generations[index as usize];
        *generation = (*generation + 1) % Key::GENERATIONS;
        Some(connection)
    }

    /// The connection at a place.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&Connection> {
        self.connections.get(index as usize)
    }

    /// The connection at a place.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.get_mut(index as usize)
    }

    /// The place of a key, if its connection is still there.
    #[inline]
    pub(crate) fn index_of(&self, key: Key) -> Option<u32> {
        let live = self.generations.get(key.index as usize) == Some(&key.generation)
            && self.connections.contains(key.index as usize);
        live.then_some(key.index)
    }

    /// The key of a place.
    pub(crate) fn key_of(&self, index: u32) -> Key {
        let generation = self.generations.get(index as usize).copied().unwrap_or(0);
        Key { index, generation }
    }

    /// The place of an id.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The ids of all WebSockets, in no order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.by_id.keys().copied()
    }

    /// How many places there are: those in use, and those that once were.
    pub(crate) fn places(&self) -> u32 {
        self.generations.len() as u32
    }

    /// The places of a group; without one, all in use.
    pub(crate) fn indexes_of(&self, group: Option<Group>) -> Vec<u32> {
        let Some(group) = group else { return self.indexes() };
        let members = self.connections.iter().filter(|(_, it)| it.durable.group == Some(group));
        members.map(|(index, _)| index as u32).collect()
    }

    /// All places in use.
    pub(crate) fn indexes(&self) -> Vec<u32> {
        self.connections.iter().map(|(index, _)| index as u32).collect()
    }
}
