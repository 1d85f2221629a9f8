//! The sending side: one bounded queue for each mailbox of the server. It never waits and never loses silently.
//!
//! Commands for the same mailbox are put together into one packet until it is full or the queue is flushed. What the kernel does not
//! take stays here, in order, up to `backlog_bytes_max` bytes for each mailbox; then a command is refused.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use crate::packet_queue::{Attached, SendError, attach};
use crate::{
    command::Command,
    id::Address,
    packet_queue::{Flushed, PacketQueue},
};

/// The sending ends of all mailboxes, and what waits for them.
#[derive(Debug)]
pub struct MailboxSender {
    queues: Vec<PacketQueue>,
    backlog_bytes_max: usize,
}

impl MailboxSender {
    /// A mailbox sender with the sending ends in the order of their addresses.
    pub fn new(writers: Vec<OwnedFd>, backlog_bytes_max: usize) -> Self {
        let queues = writers.into_iter().map(PacketQueue::new).collect();
        Self { queues, backlog_bytes_max }
    }

    /// The sending end of a mailbox, so that a loop can learn when it has room again.
    pub fn writer(&self, to: Address) -> Option<BorrowedFd<'_>> {
        self.queues.get(usize::from(to.0)).map(PacketQueue::as_fd)
    }

    /// How many mailboxes there are.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Puts a command into the queue of a mailbox. `attached` is what [`attach`] made of it.
    ///
    /// # Errors
    /// `Full`, `TooLarge` and `NoSuchProcess`.
    pub fn send(
        &mut self,
        to: Address,
        command: &Command<'_>,
        attached: Option<&Attached>,
    ) -> Result<(), SendError> {
        let queue = self.queues.get_mut(usize::from(to.0)).ok_or(SendError::NoSuchProcess)?;
        if !queue.has_room(command.payload().len(), self.backlog_bytes_max) {
            return Err(SendError::Full);
        }
        queue.push(command, attached)
    }

    /// Hands what waits for a mailbox to the kernel, as far as it takes it. Whether nothing is left.
    pub fn flush(&mut self, to: Address) -> bool {
        self.queues.get_mut(usize::from(to.0)).is_none_or(flush)
    }

    /// Flushes every queue. Whether nothing is left in any.
    pub fn flush_all(&mut self) -> bool {
        self.queues.iter_mut().fold(true, |empty, queue| flush(queue) & empty)
    }
}

fn flush(queue: &mut PacketQueue) -> bool {
    match queue.flush() {
        Flushed::Whole => true,
        Flushed::Waiting => false,
        // Nobody will read this mailbox again.
        Flushed::Closed => {
            queue.take_unsent();
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{PayloadKind, Recipients, Request},
        id::{ConnectionId, Slot},
        mailbox::{Mail, Mailbox, MailboxPair},
        wire,
    };

    const TO: Address = Address(0);

    fn push(serial: u64, payload: &[u8]) -> Command<'_> {
        let id = ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap();
        let request = Request::Push { id, kind: PayloadKind::Binary, payload };
        Command::Request { request, ticket: None }
    }

    fn pair(backlog_bytes_max: usize) -> (MailboxSender, Mailbox) {
        let pair = MailboxPair::new().unwrap();
        (MailboxSender::new(vec![pair.writer], backlog_bytes_max), Mailbox::new(pair.reader))
    }

    /// The serial and the payload of every push that waits; and how many packets they came in.
    fn receive_all(mailbox: &mut Mailbox) -> (Vec<(u64, Vec<u8>)>, usize) {
        let (mut pushes, mut packets) = (Vec::new(), 0);
        loop {
            match mailbox.receive(true) {
                Mail::Empty => return (pushes, packets),
                Mail::Bad | Mail::Bodiless(_) | Mail::Closed => panic!("not a whole packet"),
                Mail::Packet(packet) => {
                    packets += 1;
                    for command in wire::decode(packet.bytes, packet.attachment.as_deref()) {
                        let Ok(Command::Request {
                            request: Request::Push { id, payload, .. }, ..
                        }) = command
                        else {
                            panic!("not a push: {command:?}")
                        };
                        pushes.push((id.serial(), payload.to_vec()));
                    }
                }
            }
        }
    }

    #[test]
    fn commands_of_one_turn_travel_in_one_packet() {
        let (mut sender, mut mailbox) = pair(1 << 20);
        for serial in 1..=100 {
            sender.send(TO, &push(serial, b"hello"), None).unwrap();
        }
        assert!(sender.flush(TO));
        let (pushes, packets) = receive_all(&mut mailbox);
        assert_eq!(packets, 1);
        assert!(pushes.iter().map(|(serial, _)| *serial).eq(1..=100));
    }

    #[test]
    fn sizes_around_every_edge_arrive_whole_and_in_order() {
        let (mut sender, mut mailbox) = pair(1 << 30);
        let sizes = [0, 1, 32 * 1024, 32 * 1024 + 1, 30_000, 30_000, 61_000, 5, 16 << 20, 7];
        let mut arrived = Vec::new();
        for (serial, size) in (1..).zip(sizes) {
            let body = vec![serial as u8; size];
            let command = push(serial, &body);
            let attached = attach(&command).unwrap();
            assert_eq!(attached.is_some(), size > wire::INLINE_BODY_BYTES_MAX);
            sender.send(TO, &command, attached.as_ref()).unwrap();
        }
        while !sender.flush(TO) {
            arrived.extend(receive_all(&mut mailbox).0);
        }
        arrived.extend(receive_all(&mut mailbox).0);
        assert_eq!(arrived.len(), sizes.len());
        for ((serial, body), (expected, size)) in arrived.iter().zip((1..).zip(sizes)) {
            assert_eq!((*serial, body.len()), (expected, size));
            assert!(body.iter().all(|byte| u64::from(*byte) == expected));
        }
    }

    #[test]
    fn a_reader_that_sleeps_fills_the_backlog_and_full_is_an_answer() {
        let (mut sender, mut mailbox) = pair(1 << 20);
        let body = vec![1; 10_000];
        let mut taken = 0;
        let refused = loop {
            match sender.send(TO, &push(taken + 1, &body), None) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            sender.flush(TO);
            assert!(taken < 10_000, "the backlog has no bound");
        };
        assert_eq!(refused, SendError::Full);
        let mut arrived = Vec::new();
        loop {
            arrived.extend(receive_all(&mut mailbox).0);
            if sender.flush(TO) {
                break;
            }
        }
        arrived.extend(receive_all(&mut mailbox).0);
        assert!(arrived.iter().map(|(serial, _)| *serial).eq(1..=taken), "lost or out of order");
        sender.send(TO, &push(1, &body), None).unwrap();
    }

    #[test]
    fn a_command_that_no_packet_could_hold_is_refused() {
        let id = ConnectionId::new(Slot::new(0).unwrap(), 1).unwrap();
        let (mut sender, mut mailbox) = pair(1 << 20);
        let mut publish = |channel: &str, recipients: usize| {
            let only = Recipients::to_bytes(&vec![id; recipients]);
            let only = Recipients::from_bytes(&only);
            let request = Request::Publish {
                channel,
                kind: PayloadKind::Text,
                payload: b"x",
                exclude: None,
                only,
            };
            sender.send(TO, &Command::Request { request, ticket: None }, None).err()
        };
        assert_eq!(publish("chat", wire::RECIPIENTS_MAX), None);
        assert_eq!(publish("chat", wire::RECIPIENTS_MAX + 1), Some(SendError::TooLarge));
        assert_eq!(publish(&"c".repeat(20_000), 0), Some(SendError::TooLarge));
        let reason = "r".repeat(100_000);
        let request = Request::Disconnect { id, code: 1000, reason: &reason };
        let disconnect = Command::Request { request, ticket: None };
        assert_eq!(sender.send(TO, &disconnect, None), Err(SendError::TooLarge));
        // What was refused has left nothing behind.
        sender.send(TO, &push(1, b"x"), None).unwrap();
        assert!(sender.flush(TO));
        let Mail::Packet(packet) = mailbox.receive(false) else { panic!("no packet") };
        let commands: Vec<_> = wire::decode(packet.bytes, None).map(Result::unwrap).collect();
        assert!(matches!(
            commands[..],
            [
                Command::Request { request: Request::Publish { .. }, .. },
                Command::Request { request: Request::Push { .. }, .. }
            ]
        ));
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_an_answer() {
        let (mut sender, _mailbox) = pair(1 << 20);
        assert_eq!(sender.send(Address(1), &push(1, b""), None), Err(SendError::NoSuchProcess));
    }
}
