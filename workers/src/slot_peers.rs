//! The other processes of this worker's slot, while one of them leaves: see [`crate::lineage`]. Owns the line to the worker
//! before, and what the worker after has of an answer.

use std::os::fd::OwnedFd;

use wsmaster_ipc::{
    Command, ConnectionId, Handle, Part, Request, SendError, Slot,
    command::Group,
    handle::Publication,
    relay::{Flushed, Relay},
    shared_state::Counter,
    wire,
};

use crate::{lineage::Lineage, stats::Stats, vocabulary::Message};

/// What the process after this one has of the answer to the command that comes next.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    /// A JSON array of connection ids.
    pub(crate) ids: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SlotPeers {
    pub(crate) slot: Slot,
    /// Which process of its slot this worker is.
    pub(crate) lineage: Lineage,
    /// The line to the worker before, while that leaves.
    pub(crate) predecessor: Option<Relay>,
    /// The line to a worker before the one that is gone, until it is taken into use.
    pub(crate) next_predecessor: Option<OwnedFd>,
    pub(crate) carried: Carried,
}

impl SlotPeers {
    /// Of a slot, in which this process is the one that `lineage` says.
    pub(crate) fn new(slot: Slot, lineage: Lineage) -> Self {
        Self {
            slot,
            lineage,
            predecessor: None,
            next_predecessor: None,
            carried: Carried::default(),
        }
    }

    /// Whether a connection could only be here.
    pub(crate) fn is_here(&self, id: ConnectionId) -> bool {
        id.slot() == self.slot && self.lineage.is_own_serial(id.serial())
    }

    /// Keeps what the process after this one says of the next command's answer.
    pub(crate) fn carry(&mut self, part: Part<'_>) {
        match part {
            Part::Many { delivered, dropped } => {
                self.carried = Carried { delivered, dropped, ids: Vec::new() };
            }
            Part::Ids(json) => self.carried = Carried { ids: json.to_vec(), ..Carried::default() },
        }
    }

    /// Passes commands on to the worker before.
    ///
    /// # Errors
    /// It does not keep up, or there is none. They are lost, which is counted.
    pub(crate) fn pass_on(
        &mut self,
        commands: &[Command<'_>],
        handle: &Handle,
        stats: &mut Stats,
        now_ms: u64,
    ) -> Result<(), SendError> {
        let (own, shared_state) = (handle.own_address(), handle.shared_state());
        let bytes: usize = commands.iter().map(|command| command.payload().len()).sum();
        let waiting = shared_state.attached_bytes(own);
        let is_full = bytes > wire::INLINE_BODY_BYTES_MAX
            && waiting > 0
            && waiting + bytes as u64 > wire::ATTACHED_WAITING_BYTES_MAX;
        let result = match &mut self.predecessor {
            Some(_) if is_full => Err(SendError::Full),
            Some(predecessor) => predecessor.pass_on(commands),
            None => Err(SendError::NoSuchProcess),
        };
        match result {
            Ok(attached_bytes) => {
                // What waits for any process of the slot counts as waiting for the slot.
                shared_state.add_attached(own, attached_bytes);
                stats.add(Counter::Relayed, 1);
                Ok(())
            }
            Err(error) => {
                stats.add(Counter::DroppedRelayFull, 1);
                stats.warn(Counter::DroppedRelayFull, now_ms, || {
                    "the worker before, which is leaving, does not keep up: messages for its clients are lost"
                        .to_owned()
                });
                Err(error)
            }
        }
    }

    /// Sends what is to be passed on. Whether nothing waits; `None` when the worker before is gone.
    pub(crate) fn flush(&mut self) -> Option<bool> {
        let Some(predecessor) = &mut self.predecessor else { return Some(true) };
        match predecessor.flush() {
            Flushed::Whole => Some(true),
            Flushed::Waiting => Some(false),
            Flushed::Closed => None,
        }
    }

    /// Sends a message to the connections that other processes of this slot have. Whether the mailbox took it.
    pub(crate) fn broadcast(
        &self,
        group: Option<Group>,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        handle: &Handle,
    ) -> bool {
        if !self.lineage.is_shared() {
            return true;
        }
        let (kind, payload, ticket) =
            (message.kind(), message.payload(), Some(self.lineage.mark()));
        let request = Request::Broadcast { group, kind, payload, exclude };
        let command = Command::Request { ticket, request };
        handle.send(self.slot.address(), &command).is_ok()
    }

    /// As [`Self::broadcast`], for the subscribers of a channel.
    pub(crate) fn publish(&self, publication: &Publication<'_>, handle: &Handle) -> bool {
        let bit = handle.shared_state().interest_bit(publication.channel);
        if !self.lineage.is_shared() || !handle.shared_state().is_interested(self.slot, bit) {
            return true;
        }
        let request = Some(self.lineage.mark().request);
        let posted = handle.publish(std::iter::once(self.slot), publication, request);
        posted.is_ok_and(|posted| posted.iter().all(|one| one.result.is_ok()))
    }
}
