//! The line between two processes of one slot: while a worker leaves, its successor reads the slot's mailbox and passes on what
//! is for the worker before. What a command means, and whose it is, is decided elsewhere.
//!
//! The receiving end is read like a mailbox. The sending end has one bounded queue. What a receiver that has ended did not take
//! is given back, so that somebody can still say what became of it.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    command::Command,
    mailbox::MailboxPair,
    mailbox_sender::{Attached, MailboxSender, SendError},
    sys::{memory, socket},
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
    writer: OwnedFd,
    open: Vec<u8>,
    waiting: VecDeque<QueuedPacket>,
    bytes: usize,
    backlog_bytes_max: usize,
    closed: bool,
}

#[derive(Debug)]
struct QueuedPacket {
    packet: Vec<u8>,
    attachment: Option<Attached>,
    weight: usize,
}

/// A packet that was not taken: `wire::decode(&packet.bytes, packet.attachment.as_deref())` reads it.
#[derive(Debug)]
pub struct Unsent {
    /// The packet itself.
    pub bytes: Vec<u8>,
    /// The body that was attached.
    pub attachment: Option<Vec<u8>>,
}

/// How far the queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// All is with the receiver.
    Whole,
    /// The receiver does not keep up.
    Waiting,
    /// The receiver has ended. What it did not take is in [`Relay::into_unsent`].
    Closed,
}

impl Relay {
    /// A line that keeps at most `backlog_bytes_max` bytes that the kernel does not take.
    pub fn new(writer: OwnedFd, backlog_bytes_max: usize) -> Self {
        Self {
            writer,
            open: Vec::new(),
            waiting: VecDeque::new(),
            bytes: 0,
            backlog_bytes_max,
            closed: false,
        }
    }

    /// Passes commands on that belong together: all of them or none. How many bytes of attached bodies go with them.
    ///
    /// # Errors
    /// `Full`, `NoRoom` and `TooLarge`.
    pub fn pass_on(&mut self, commands: &[Command<'_>]) -> Result<u64, SendError> {
        let bytes: usize = commands.iter().map(|command| wire::body(command).len()).sum();
        if self.bytes > 0 && self.bytes + bytes > self.backlog_bytes_max {
            return Err(SendError::Full);
        }
        let attached = commands.iter().map(MailboxSender::attach).collect::<Result<Vec<_>, _>>()?;
        let mut attached_bytes = 0;
        for (command, attached) in commands.iter().zip(attached) {
            if let Some(file) = attached {
                let body_bytes = wire::body(command).len();
                attached_bytes += body_bytes as u64;
                self.close_packet();
                let mut packet = vec![wire::VERSION];
                wire::encode(command, true, &mut packet);
                let weight = packet.len() + body_bytes;
                self.bytes += weight;
                self.waiting.push_back(QueuedPacket { packet, attachment: Some(file), weight });
                continue;
            }
            let mut one = Vec::new();
            wire::encode(command, false, &mut one);
            if self.open.len() + one.len() > wire::PACKET_BYTES_MAX {
                self.close_packet();
                self.send_waiting();
            }
            if self.open.is_empty() {
                self.open.push(wire::VERSION);
                self.bytes += 1;
            }
            self.open.extend_from_slice(&one);
            self.bytes += one.len();
        }
        Ok(attached_bytes)
    }

    /// Hands what waits to the kernel, as far as it takes it.
    pub fn flush(&mut self) -> Flushed {
        self.close_packet();
        self.send_waiting();
        match (self.closed, self.waiting.is_empty()) {
            (true, _) => Flushed::Closed,
            (false, true) => Flushed::Whole,
            (false, false) => Flushed::Waiting,
        }
    }

    /// What the receiver did not take, in order.
    pub fn into_unsent(mut self) -> impl Iterator<Item = Unsent> {
        self.close_packet();
        self.waiting.into_iter().filter_map(|queued| {
            let attachment = match queued.attachment {
                None => None,
                Some(file) => {
                    let file = file.try_clone().ok()?;
                    Some(memory::read_sealed_file(file, wire::ATTACHED_BYTES_MAX).ok()?)
                }
            };
            Some(Unsent { bytes: queued.packet, attachment })
        })
    }

    fn close_packet(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let packet = std::mem::take(&mut self.open);
        let weight = packet.len();
        self.waiting.push_back(QueuedPacket { packet, attachment: None, weight });
    }

    fn send_waiting(&mut self) {
        while let Some(queued) = self.waiting.front() {
            let file = queued.attachment.as_ref().map(|file| file.as_fd());
            match socket::send_packet(self.writer.as_fd(), &queued.packet, file) {
                Ok(socket::Sent::Full) => return,
                Ok(socket::Sent::Closed) => {
                    self.closed = true;
                    return;
                }
                Ok(socket::Sent::Whole) => {}
                // A packet that the kernel refuses for itself cannot get better by waiting.
                Err(error) => log::error!("a packet could not be passed on: {error}"),
            }
            self.bytes -= queued.weight;
            self.waiting.pop_front();
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::PayloadKind,
        id::{ConnectionId, Slot},
        mailbox::{Mail, Mailbox},
    };

    fn push(serial: u64, payload: &[u8]) -> Command<'_> {
        let id = ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap();
        Command::Push { id, kind: PayloadKind::Binary, payload, ticket: None }
    }

    fn serials(bytes: &[u8], attachment: Option<&[u8]>) -> Vec<u64> {
        wire::decode(bytes, attachment)
            .map(|command| match command {
                Ok(Command::Push { id, .. }) => id.serial(),
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
