//! The receiving end of a process's mailbox. It never sends, and knows nothing of what a command means.
//!
//! A mailbox is a `SOCK_SEQPACKET` pair that the master makes before the first fork. Every process has all sending ends;
//! the master keeps the receiving ends too, so a mailbox outlives its reader and its packets wait for the successor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    sys::{memory, reserve, socket},
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
    /// A packet whose attached body could not be taken, for lack of a descriptor: [`wire::bodiless`] reads what is left.
    Bodiless(&'m [u8]),
    /// A packet that cannot be used: too large, or its attachment is not what it should be. It is gone.
    Bad,
    /// Nothing waits.
    Empty,
    /// All writers are gone, the master first of all, and nothing waits.
    Closed,
}

impl Mailbox {
    /// The mailbox with this receiving end.
    pub fn new(reader: OwnedFd) -> Self {
        Self { reader, buffer: vec![0; wire::PACKET_BYTES_MAX] }
    }

    /// Copies the front of the next packet, without taking it: how much of `front` is filled. `None` when nothing waits.
    ///
    /// # Errors
    /// `UnexpectedEof` when all writers are gone; what recv(2) says of the socket itself.
    pub fn peek(&self, front: &mut [u8]) -> io::Result<Option<usize>> {
        socket::peek(self.reader.as_fd(), front)
    }

    /// Takes the next packet, without waiting. `may_have_body`: bodies are attached to packets that wait
    /// ([`Board::attached_bytes`](crate::board::Board::attached_bytes)), so a descriptor of the reserve is freed for the one
    /// that may come.
    pub fn receive(&mut self, may_have_body: bool) -> Mail<'_> {
        let Self { reader, buffer } = self;
        let mut take = || match socket::receive_packet(reader.as_fd(), buffer) {
            // The file is read, and its descriptor free again, before the next one comes.
            Ok(socket::Received::Packet { length, attachment, cut: false }) => {
                Some((length, Body::of(attachment)))
            }
            Ok(socket::Received::Packet { cut: true, .. }) => Some((0, Body::Unusable)),
            Ok(socket::Received::Empty) => None,
            Ok(socket::Received::Closed) => Some((0, Body::End)),
            Err(error) => {
                // Only the end of the line means that the master is dead.
                log::error!("the mailbox could not be read, and is tried again: {error}");
                None
            }
        };
        let taken = if may_have_body { reserve::with_one_free(take) } else { take() };
        let Some((length, body)) = taken else { return Mail::Empty };
        let bytes = &self.buffer[..length];
        match body {
            Body::None => Mail::Packet(Packet { bytes, attachment: None }),
            Body::Read(body) => Mail::Packet(Packet { bytes, attachment: Some(body) }),
            Body::Lost => Mail::Bodiless(bytes),
            Body::Unusable => Mail::Bad,
            Body::End => Mail::Closed,
        }
    }
}

/// What came beside a packet, if one came.
enum Body {
    None,
    Read(Vec<u8>),
    Lost,
    Unusable,
    End,
}

impl Body {
    fn of(attachment: socket::Attachment) -> Self {
        match attachment {
            socket::Attachment::None => Self::None,
            socket::Attachment::Lost => Self::Lost,
            socket::Attachment::Descriptor(file) => {
                match memory::read_sealed_file(file, wire::ATTACHED_BYTES_MAX) {
                    Ok(body) => Self::Read(body),
                    Err(_) => Self::Unusable,
                }
            }
        }
    }
}

impl Mailbox {
    /// Lets nothing more come in: what waits can still be taken, and who sends is told that nobody takes it.
    pub fn end_reading(&self) {
        socket::end_reading(self.reader.as_fd());
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
