//! The line between two processes of one slot: while a worker leaves, its successor reads the slot's mailbox and passes on what
//! is for the worker before. What a command means, and whose it is, is decided elsewhere.
//!
//! The receiving end is read like a mailbox. The sending end has one bounded queue. What a receiver that has ended did not take
//! is given back, so that somebody can still say what became of it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

pub use crate::packet_queue::Flushed;
use crate::{
    command::Command,
    mailbox::MailboxPair,
    mailbox_sender::SendError,
    packet_queue::{PacketQueue, attach},
    sys::memory,
    wire,
};

/// Both ends of a new line, as the master makes them: the sending one for the successor, and the one that the worker before reads.
///
/// # Errors
/// Out of descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let MailboxPair { reader, writer } = MailboxPair::new()?;
    Ok((writer, reader))
}

/// The sending end.
#[derive(Debug)]
pub struct Relay {
    queue: PacketQueue,
    backlog_bytes_max: usize,
}

/// A packet that was not taken: `wire::decode(&packet.bytes, packet.attachment.as_deref())` reads it.
#[derive(Debug)]
pub struct Unsent {
    /// The packet itself.
    pub bytes: Vec<u8>,
    /// The payload that was attached.
    pub attachment: Option<Vec<u8>>,
}

impl Relay {
    /// A line that keeps at most `backlog_bytes_max` bytes that the kernel does not take.
    pub fn new(writer: OwnedFd, backlog_bytes_max: usize) -> Self {
        Self { queue: PacketQueue::new(writer), backlog_bytes_max }
    }

    /// Passes commands on that belong together: all of them or none. How many bytes of attached payloads go with them.
    ///
    /// # Errors
    /// `Full`, `NoRoom` and `TooLarge`.
    pub fn pass_on(&mut self, commands: &[Command<'_>]) -> Result<u64, SendError> {
        let bytes = commands.iter().map(|command| command.payload().len()).sum();
        if !self.queue.has_room(bytes, self.backlog_bytes_max) {
            return Err(SendError::Full);
        }
        let mut fields = Vec::new();
        commands.iter().try_for_each(|command| wire::encode(command, true, &mut fields))?;
        let attached = commands.iter().map(attach).collect::<Result<Vec<_>, _>>()?;
        let mut attached_bytes = 0;
        for (command, attached) in commands.iter().zip(attached) {
            self.queue.push(command, attached.as_ref())?;
            attached_bytes += attached.map_or(0, |_| command.payload().len() as u64);
        }
        Ok(attached_bytes)
    }

    /// Hands what waits to the kernel, as far as it takes it. What a receiver that has ended did not take is in
    /// [`Self::into_unsent`].
    pub fn flush(&mut self) -> Flushed {
        self.queue.flush()
    }

    /// What the receiver did not take, in order.
    pub fn into_unsent(mut self) -> impl Iterator<Item = Unsent> {
        self.queue.take_unsent().into_iter().filter_map(|packet| {
            let attachment = match packet.attachment {
                None => None,
                Some(file) => {
                    let file = file.try_clone().ok()?;
                    Some(memory::read_sealed_file(file, wire::ATTACHED_BYTES_MAX).ok()?)
                }
            };
            Some(Unsent { bytes: packet.bytes, attachment })
        })
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{PayloadKind, Request},
        id::{ConnectionId, Slot},
        mailbox::{Mail, Mailbox},
    };

    fn push(serial: u64, payload: &[u8]) -> Command<'_> {
        let id = ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap();
        let request = Request::Push { id, kind: PayloadKind::Binary, payload };
        Command::Request { request, ticket: None }
    }

    fn serials(bytes: &[u8], attachment: Option<&[u8]>) -> Vec<u64> {
        wire::decode(bytes, attachment)
            .map(|command| match command {
                Ok(Command::Request { request: Request::Push { id, .. }, .. }) => id.serial(),
                other => panic!("not a push: {other:?}"),
            })
            .collect()
    }

    fn received(mailbox: &mut Mailbox) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            match mailbox.receive(true) {
                Mail::Packet(packet) => {
                    all.extend(serials(packet.bytes, packet.attachment.as_deref()));
                }
                Mail::Empty | Mail::Closed => return all,
                other @ (Mail::Bodiless(_) | Mail::Bad) => panic!("{other:?}"),
            }
        }
    }

    /// Each command is either read before the end of the receiver, or given back: never both, never neither.
    #[test]
    fn what_a_receiver_that_ends_does_not_take_comes_back_in_order() {
        let (writer, reader) = pair().unwrap();
        let mut relay = Relay::new(writer, 1 << 20);
        let mut mailbox = Mailbox::new(reader);
        let large = vec![7; wire::INLINE_BODY_BYTES_MAX + 1];
        for serial in 1..=50 {
            let body = if serial % 10 == 0 { &large[..] } else { &b"small"[..] };
            relay.pass_on(&[push(serial, body)]).unwrap();
            if serial == 25 {
                assert_eq!(relay.flush(), Flushed::Whole);
            }
        }
        mailbox.end_reading();
        let taken = received(&mut mailbox);
        assert_eq!(relay.flush(), Flushed::Closed);
        let unsent = relay.into_unsent();
        let back = unsent.flat_map(|unsent| serials(&unsent.bytes, unsent.attachment.as_deref()));
        assert!(taken.iter().copied().chain(back).eq(1..=50));
        assert!(taken.len() >= 25);
    }

    #[test]
    fn a_full_line_takes_all_commands_of_a_group_or_none() {
        let (writer, reader) = pair().unwrap();
        let mut relay = Relay::new(writer, 100_000);
        let body = vec![1; 30_000];
        let mut taken = 0;
        while relay.pass_on(&[push(1, b""), push(2, &body)]).is_ok() {
            taken += 1;
            relay.flush();
        }
        let mut mailbox = Mailbox::new(reader);
        let mut all = Vec::new();
        loop {
            all.extend(received(&mut mailbox));
            if relay.flush() == Flushed::Whole {
                break;
            }
        }
        all.extend(received(&mut mailbox));
        assert_eq!(all, [1, 2].repeat(taken));
    }
}
