//! What waits for one receiver: packets that are closed, and one that is being filled. It never waits itself. The bound on its bytes
//! is for those who put something in.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::{
    command::Command,
    sys::{memory, reserve, socket},
    wire,
};

/// Why a command was not taken. It has no effect at all then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// The receiver does not keep up, and its backlog is at its bound.
    #[error("the mailbox is full")]
    Full,
    /// No process has this mailbox.
    #[error("no such process")]
    NoSuchProcess,
    /// The body is larger than [`wire::ATTACHED_BYTES_MAX`], or the fields beside it than [`wire::FIELDS_BYTES_MAX`], or
    /// there are more recipients than [`wire::RECIPIENTS_MAX`].
    #[error("the message is too large")]
    TooLarge,
    /// Out of descriptors or of memory for a large body.
    #[error("no room for a large message")]
    NoRoom,
}

impl From<wire::FieldsTooLarge> for SendError {
    fn from(_: wire::FieldsTooLarge) -> Self {
        Self::TooLarge
    }
}

/// A payload that was put into a sealed file once, to be sent to many.
pub type Attached = Arc<OwnedFd>;

/// See the module.
#[derive(Debug)]
pub(crate) struct PacketQueue {
    writer: OwnedFd,
    open: Vec<u8>,
    waiting: VecDeque<QueuedPacket>,
    bytes: usize,
}

/// A packet that the kernel has not taken.
#[derive(Debug)]
pub(crate) struct QueuedPacket {
    pub(crate) bytes: Vec<u8>,
    pub(crate) attachment: Option<Attached>,
    /// Its bytes and those of its attachment.
    weight: usize,
}

/// How far a queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// All is with the receiver.
    Whole,
    /// The receiver does not keep up.
    Waiting,
    /// The receiver has ended, and has not taken the rest.
    Closed,
}

/// Makes the file for a command's payload when that is too large for a packet.
///
/// # Errors
/// `TooLarge` and `NoRoom`.
pub fn attach(command: &Command<'_>) -> Result<Option<Attached>, SendError> {
    let payload = command.payload();
    if payload.len() <= wire::INLINE_BODY_BYTES_MAX {
        return Ok(None);
    }
    if payload.len() > wire::ATTACHED_BYTES_MAX {
        return Err(SendError::TooLarge);
    }
    reserve::or_with_one(|| memory::sealed_file(payload))
        .map(|file| Some(Arc::new(file)))
        .map_err(|_| SendError::NoRoom)
}

impl PacketQueue {
    pub(crate) fn new(writer: OwnedFd) -> Self {
        Self { writer, open: Vec::new(), waiting: VecDeque::new(), bytes: 0 }
    }

    /// Whether `more` bytes of payload fit into a queue that holds at most `bytes_max`. An empty one takes anything. What a command
    /// costs beside its payload is known after it is encoded: the bound may be passed by one command's fields.
    pub(crate) fn has_room(&self, more: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes + more <= bytes_max
    }

    /// Puts a command in. `attached` is what [`attach`] made of its payload.
    ///
    /// # Errors
    /// `TooLarge`: nothing was put in.
    pub(crate) fn push(
        &mut self,
        command: &Command<'_>,
        attached: Option<&Attached>,
    ) -> Result<(), SendError> {
        // Nothing else dies with the process that takes a task.
        if attached.is_some() || command.is_task() {
            let mut bytes = vec![wire::VERSION];
            wire::encode(command, attached.is_some(), &mut bytes)?;
            self.close_packet();
            let weight = bytes.len() + attached.map_or(0, |_| command.payload().len());
            self.bytes += weight;
            self.waiting.push_back(QueuedPacket { bytes, attachment: attached.cloned(), weight });
            return Ok(());
        }
        let before = self.open.len();
        if before == 0 {
            self.open.push(wire::VERSION);
        }
        if let Err(error) = wire::encode(command, false, &mut self.open) {
            self.open.truncate(before);
            return Err(error.into());
        }
        self.bytes += self.open.len() - before;
        if self.open.len() > wire::PACKET_BYTES_MAX {
            // It did not fit behind the others: it begins the next packet.
            let mut next = vec![wire::VERSION];
            next.extend_from_slice(&self.open[before..]);
            self.open.truncate(before);
            self.bytes += 1;
            self.close_packet();
            self.open = next;
            // A packet that is full gains nothing by waiting for the flush.
            self.send_waiting();
        }
        Ok(())
    }

    /// Hands all that waits to the kernel, as far as it takes it.
    pub(crate) fn flush(&mut self) -> Flushed {
        let flushed = self.send_waiting();
        if flushed != Flushed::Whole || self.open.is_empty() {
            return flushed;
        }
        let flushed = self.send(&self.open, None);
        match flushed {
            Flushed::Whole => {
                self.bytes -= self.open.len();
                self.open.clear();
                debug_assert_eq!(self.bytes, 0);
            }
            Flushed::Waiting | Flushed::Closed => self.close_packet(),
        }
        flushed
    }

    /// What the kernel has not taken, in order.
    pub(crate) fn take_unsent(&mut self) -> VecDeque<QueuedPacket> {
        self.close_packet();
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    fn close_packet(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.open);
        let weight = bytes.len();
        self.waiting.push_back(QueuedPacket { bytes, attachment: None, weight });
    }

    /// Sends the packets that are closed.
    fn send_waiting(&mut self) -> Flushed {
        while let Some(packet) = self.waiting.front() {
            let attachment = packet.attachment.as_ref().map(|file| file.as_fd());
            match self.send(&packet.bytes, attachment) {
                Flushed::Whole => {}
                other @ (Flushed::Waiting | Flushed::Closed) => return other,
            }
            self.bytes -= packet.weight;
            self.waiting.pop_front();
        }
        Flushed::Whole
    }

    fn send(&self, packet: &[u8], attachment: Option<BorrowedFd<'_>>) -> Flushed {
        match socket::send_packet(self.writer.as_fd(), packet, attachment) {
            Ok(socket::Sent::Whole) => Flushed::Whole,
            Ok(socket::Sent::Full) => Flushed::Waiting,
            Ok(socket::Sent::Closed) => Flushed::Closed,
            // A packet that the kernel refuses for itself cannot get better by waiting.
            Err(error) => {
                log::error!(
                    "a packet of {} bytes was dropped: sendmsg failed: {error}",
                    packet.len()
                );
                Flushed::Whole
            }
        }
    }
}

impl AsFd for PacketQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}
