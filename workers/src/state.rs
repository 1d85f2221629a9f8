//! What a worker holds: its connections, and all that they act on. What can be done to them without asking the application.
//!
//! Calls of the application are never made from here. What it has to be told is queued and told by the loop when the present
//! call is over.

mod commands;
mod eviction;
mod fanout;
mod peers;

use std::{io, os::fd::OwnedFd};

use mio::Registry;
use wsmaster_ipc::{ConnectionId, link::ChildLink, shared_state::Counter};

use crate::{
    conn_index::ConnIndex,
    connection::Connection,
    connections::Connections,
    effects::Effects,
    inspect::answer,
    lifecycle::Lifecycle,
    stream::Stream,
    token::{Key, Source},
    vocabulary::{Responder, Undecided},
};

/// See the module.
pub(crate) struct WorkerState {
    pub(crate) connections: Connections,
    pub(crate) fx: Effects,
    pub(crate) lifecycle: Lifecycle,
    /// A list of receivers, which whoever takes it puts back.
    members: Vec<ConnIndex>,
}

impl std::fmt::Debug for WorkerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerState")
            .field("slot", &self.fx.peers.slot)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

impl WorkerState {
    /// Without connections.
    pub(crate) fn new(mut fx: Effects, link: ChildLink) -> Self {
        let lifecycle = Lifecycle::new(link, &fx.limits, &mut fx.random);
        Self { connections: Connections::default(), fx, lifecycle, members: Vec::new() }
    }

    /// A connection, and what it acts on.
    #[inline]
    pub(crate) fn lend(&mut self, index: ConnIndex) -> Option<(&mut Connection, &mut Effects)> {
        Some((self.connections.at_mut(index)?, &mut self.fx))
    }

    /// As [`Self::lend`], if the connection that had this key is still there.
    pub(crate) fn lend_key(&mut self, key: Key) -> Option<(&mut Connection, &mut Effects)> {
        self.lend(key.index).filter(|(connection, _)| connection.key == key)
    }

    /// As [`Self::lend`], the WebSocket with this id.
    pub(crate) fn lend_id(&mut self, id: ConnectionId) -> Option<(&mut Connection, &mut Effects)> {
        self.lend(self.fx.ids.find(id)?)
    }

    /// The place of a connection of whose end the application has not been told.
    pub(crate) fn find_open(&self, id: ConnectionId) -> Option<ConnIndex> {
        let index = self.fx.ids.find(id)?;
        self.connections.at(index).filter(|connection| connection.flags.open).map(|_| index)
    }

    /// Goes on with a connection that another worker has written.
    ///
    /// # Errors
    /// Its bytes are not understood, its socket is none, or the poll cannot watch it. Nothing has changed then.
    pub(crate) fn adopt(
        &mut self,
        registry: &Registry,
        bytes: &[u8],
        socket: OwnedFd,
    ) -> io::Result<ConnIndex> {
        let key = self.connections.vacant_key();
        let mut stream = Stream::try_from(socket)?;
        stream.watch(registry, Source::Connection(key).token())?;
        let resumed = Connection::resume(bytes, key, stream, &mut self.fx);
        let connection = resumed.map_err(io::Error::other)?;
        self.connections.insert(connection);
        Ok(key.index)
    }

    /// Whether a client waits for the answer to its request.
    pub(crate) fn awaits_answer(&self, responder: &Responder) -> bool {
        let connection = self.connections.with_key(responder.key);
        connection.is_some_and(|it| it.state.awaits_answer(responder.number).is_some())
    }

    /// Whether a client waits for its handshake to be decided.
    pub(crate) fn awaits_verdict(&self, undecided: &Undecided) -> bool {
        let connection = self.connections.with_key(undecided.key);
        connection.is_some_and(|it| it.state.awaits_verdict(undecided.number))
    }

    /// Takes the connections out that are gone. Not while one of them is being served.
    pub(crate) fn remove_closed(&mut self) {
        while let Some(index) = self.fx.schedule.closed.pop() {
            if let Some(connection) = self.connections.remove(index) {
                connection.leave(&mut self.fx);
            }
        }
    }

    /// Answers the requests to look over connections or channels that this turn has brought, when everything that it has
    /// for clients has been offered to their sockets: what still waits then waits for a client.
    pub(crate) fn answer_inspections(&mut self) {
        for (ticket, request) in std::mem::take(&mut self.fx.requests.inspections) {
            match answer::answer(&request, &self.connections, &self.fx) {
                Some(json) => {
                    let answer = wsmaster_ipc::Answer::Info(&json);
                    self.fx.answer(ticket, answer);
                }
                // A request of another version: its requester's deadline tells it.
                None => self.fx.stats.add(Counter::BadPackets, 1),
            }
        }
    }

    /// Publishes the gauges.
    pub(crate) fn show_gauges(&self) {
        let Effects { stats, ids, channels, delivery, events, requests, .. } = &self.fx;
        stats.set(Counter::Connections, self.connections.len() as u64);
        stats.set(Counter::WebSockets, ids.len() as u64);
        stats.set(Counter::Subscriptions, channels.table.len() as u64);
        stats.set(Counter::OutboxBytes, delivery.waiting_bytes() as u64);
        stats.set(Counter::OutboxHeldBytes, delivery.held_bytes() as u64);
        stats.set(Counter::Jobs, events.jobs.len() as u64);
        stats.set(Counter::Tasks, requests.requester.tasks_len() as u64);
        let compressor = delivery.compressor.as_ref();
        let context_bytes = compressor.map_or(0, |compressor| compressor.promised_bytes());
        stats.set(Counter::ContextBytes, context_bytes as u64);
        stats.set(Counter::Held, stats.paused_connections);
        stats.set(Counter::UnfinishedBytes, delivery.unfinished_bytes as u64);
        stats.copy(Counter::DroppedMailboxFull, requests.thread_handle.refused());
    }
}
