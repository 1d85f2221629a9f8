//! The receiving end of a process's mailbox. It never sends, and knows nothing of what a command means.
//!
//! A mailbox is a `SOCK_SEQPACKET` pair that the master makes before the first fork. Every process has all sending ends;
//! the master keeps the receiving ends too, so a mailbox outlives its reader and its packets wait for the successor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    sys::{memory, socket},
    wire,
};

/// How many bytes of packets wait in the kernel for one reader, as far as the kernel grants it.
pub const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Both ends of one mailbox, as the master makes them.
#[derive(Debug)]
pub struct MailboxPair {
    /// The end that its owner reads.
    pub reader: OwnedFd,
    /// The end that everybody writes to.
    pub writer: OwnedFd,
}

impl MailboxPair {
    /// A new mailbox.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = socket::packet_pair(QUEUE_BYTES)?;
        Ok(Self { reader, writer })
    }
}

/// The receiving end, with the one buffer that all packets are read into.
#[derive(Debug)]
pub struct Mailbox {
    reader: OwnedFd,
    buffer: Vec<u8>,
}

/// A packet that was taken: `wire::decode(packet.bytes, packet.attachment)` reads it.
#[derive(Debug)]
pub struct Packet<'m> {
    /// The packet itself.
    pub bytes: &'m [u8],
    /// The body that was attached.
    pub attachment: Option<Vec<u8>>,
}

/// What [`Mailbox::receive`] found.
#[derive(Debug)]
pub enum Mail<'m> {
    /// A packet.
    Packet(Packet<'m>),
    /// A packet that cannot be used: too large, or its attachment is not what it should be. It is gone.
    Bad,
    /// Nothing waits.
    Empty,
}

impl Mailbox {
    /// The mailbox with this receiving end.
    pub fn new(reader: OwnedFd) -> Self {
        Self { reader, buffer: vec![0; wire::PACKET_BYTES_MAX] }
    }

    /// Copies the front of the next packet, without taking it: how much of `front` is filled. `None` when nothing waits.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn peek(&self, front: &mut [u8]) -> io::Result<Option<usize>> {
        socket::peek(self.reader.as_fd(), front)
    }

    /// Takes the next packet, without waiting.
    ///
    /// # Errors
    /// The socket itself fails, or all writers are gone: the master is dead.
    pub fn receive(&mut self) -> io::Result<Mail<'_>> {
        match socket::receive_packet(self.reader.as_fd(), &mut self.buffer)? {
            socket::Received::Empty => Ok(Mail::Empty),
            socket::Received::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
            socket::Received::Packet { cut: true, .. } => Ok(Mail::Bad),
            socket::Received::Packet { length, attachment, cut: false } => {
                let attachment = match attachment {
                    None => None,
                    Some(file) => match memory::read_sealed_file(file, wire::ATTACHED_BYTES_MAX) {
                        Ok(body) => Some(body),
                        Err(_) => return Ok(Mail::Bad),
                    },
                };
                Ok(Mail::Packet(Packet { bytes: &self.buffer[..length], attachment }))
            }
        }
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
