//! The sending side: one bounded queue for each mailbox of the server. It never waits and never loses silently.
//!
//! Commands for the same mailbox are put together into one packet until it is full or the queue is flushed. What the kernel does not
//! take stays here, in order, up to `backlog_bytes_max` bytes for each mailbox; then a command is refused.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::{
    command::Command,
    id::Address,
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

/// The sending ends of all mailboxes, and what waits for them.
#[derive(Debug)]
pub struct MailboxSender {
    queues: Vec<Queue>,
    backlog_bytes_max: usize,
}

#[derive(Debug)]
struct Queue {
    writer: OwnedFd,
    open: Vec<u8>,
    waiting: VecDeque<QueuedPacket>,
    bytes: usize,
}

#[derive(Debug)]
struct QueuedPacket {
    packet: Vec<u8>,
    attachment: Option<Arc<OwnedFd>>,
    weight: usize,
}

/// A body that was put into a sealed file once, to be sent to many.
pub type Attached = Arc<OwnedFd>;

impl MailboxSender {
    /// A mailbox sender with the sending ends in the order of their addresses.
    pub fn new(writers: Vec<OwnedFd>, backlog_bytes_max: usize) -> Self {
        let queues = writers
            .into_iter()
            .map(|writer| Queue { writer, open: Vec::new(), waiting: VecDeque::new(), bytes: 0 })
            .collect();
        Self { queues, backlog_bytes_max }
    }

    /// The sending end of a mailbox, so that a loop can learn when it has room again.
    pub fn writer(&self, to: Address) -> Option<BorrowedFd<'_>> {
        self.queues.get(usize::from(to.0)).map(|queue| queue.writer.as_fd())
    }

    /// How many mailboxes there are.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Checks a command's size, and makes the file for its body when that is too large for a packet.
    ///
    /// # Errors
    /// `TooLarge` and `NoRoom`.
    pub fn attach(command: &Command<'_>) -> Result<Option<Attached>, SendError> {
        let body = wire::body(command);
        let recipients = match command {
            Command::Publish { only, .. } => only.iter().count(),
            Command::Push { .. }
            | Command::Broadcast { .. }
            | Command::Disconnect { .. }
            | Command::Info { .. }
            | Command::List { .. }
            | Command::Inspect { .. }
            | Command::Part(_)
            | Command::Answer { .. }
            | Command::Message { .. }
            | Command::Task { .. }
            | Command::Event { .. } => 0,
        };
        if recipients > wire::RECIPIENTS_MAX || wire::fields_bytes(command) > wire::FIELDS_BYTES_MAX
        {
            return Err(SendError::TooLarge);
        }
        if body.len() <= wire::INLINE_BODY_BYTES_MAX {
            return Ok(None);
        }
        if body.len() > wire::ATTACHED_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        reserve::or_with_one(|| memory::sealed_file(body))
            .map(|file| Some(Arc::new(file)))
            .map_err(|_| SendError::NoRoom)
    }

    /// Puts a command into the queue of a mailbox. `attached` is what [`Self::attach`] made of it.
    ///
    /// # Errors
    /// `Full` and `NoSuchProcess`.
    pub fn send(
        &mut self,
        to: Address,
        command: &Command<'_>,
        attached: Option<&Attached>,
    ) -> Result<(), SendError> {
        let queue = self.queues.get_mut(usize::from(to.0)).ok_or(SendError::NoSuchProcess)?;
        let body_bytes = wire::body(command).len();
        // What a command costs beside its body: ids, a channel name, some recipients. The exact number is known after it
        // is encoded; the bound may be passed by one command's fields.
        if queue.bytes + body_bytes > self.backlog_bytes_max && queue.bytes > 0 {
            return Err(SendError::Full);
        }
        // Nothing else dies with the process that takes a task.
        let is_task = matches!(command, Command::Task { .. });
        if attached.is_some() || is_task {
            queue.close_packet();
            let mut packet = vec![wire::VERSION];
            wire::encode(command, attached.is_some(), &mut packet);
            let weight = packet.len() + attached.map_or(0, |_| body_bytes);
            queue.bytes += weight;
            queue.waiting.push_back(QueuedPacket { packet, attachment: attached.cloned(), weight });
            return Ok(());
        }
        let before = queue.open.len();
        if before == 0 {
            queue.open.push(wire::VERSION);
        }
        wire::encode(command, false, &mut queue.open);
        queue.bytes += queue.open.len() - before;
        if queue.open.len() > wire::PACKET_BYTES_MAX {
            // It did not fit behind the others: it begins the next packet.
            let mut next = vec![wire::VERSION];
            next.extend_from_slice(&queue.open[before..]);
            queue.open.truncate(before);
            queue.bytes += 1;
            queue.close_packet();
            queue.open = next;
            // A packet that is full gains nothing by waiting for the flush.
            queue.send_waiting();
        }
        Ok(())
    }

    /// Hands what waits for a mailbox to the kernel, as far as it takes it. Whether nothing is left.
    pub fn flush(&mut self, to: Address) -> bool {
        let Some(queue) = self.queues.get_mut(usize::from(to.0)) else { return true };
        queue.flush()
    }

    /// Flushes every queue. Whether nothing is left in any.
    pub fn flush_all(&mut self) -> bool {
        let mut empty = true;
        for queue in &mut self.queues {
            empty &= queue.flush();
        }
        empty
    }
}

impl Queue {
    fn close_packet(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let packet = std::mem::take(&mut self.open);
        let weight = packet.len();
        self.waiting.push_back(QueuedPacket { packet, attachment: None, weight });
    }

    /// Sends the packets that are closed. Whether none is left.
    fn send_waiting(&mut self) -> bool {
        while let Some(queued) = self.waiting.front() {
            let attachment = queued.attachment.as_ref().map(|file| file.as_fd());
            match self.send(&queued.packet, attachment) {
                Ok(socket::Sent::Full) => return false,
                // A packet that the kernel refuses for itself cannot get better by waiting.
                Ok(socket::Sent::Whole | socket::Sent::Closed) | Err(_) => {}
            }
            self.bytes -= queued.weight;
            self.waiting.pop_front();
        }
        true
    }

    fn flush(&mut self) -> bool {
        if !self.send_waiting() {
            return false;
        }
        if self.open.is_empty() {
            return true;
        }
        match self.send(&self.open, None) {
            Ok(socket::Sent::Full) => {
                self.close_packet();
                false
            }
            Ok(socket::Sent::Whole | socket::Sent::Closed) | Err(_) => {
                self.bytes -= self.open.len();
                self.open.clear();
                debug_assert_eq!(self.bytes, 0);
                true
            }
        }
    }

    fn send(&self, packet: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<socket::Sent> {
        let sent = socket::send_packet(self.writer.as_fd(), packet, file);
        if let Err(error) = &sent {
            log::error!("a packet of {} bytes could not be sent: {error}", packet.len());
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{PayloadKind, Recipients},
        id::{ConnectionId, Slot},
        mailbox::{Mail, Mailbox, MailboxPair},
    };

    const TO: Address = Address(0);

    fn push(serial: u64, payload: &[u8]) -> Command<'_> {
        let id = ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap();
        Command::Push { id, kind: PayloadKind::Binary, payload, ticket: None }
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
                        let Ok(Command::Push { id, payload, .. }) = command else {
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
            let attached = MailboxSender::attach(&command).unwrap();
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
        let publish = |channel: &str, recipients: usize| {
            let only = Recipients::to_bytes(&vec![id; recipients]);
            let only = Recipients::from_bytes(&only);
            let command = Command::Publish {
                channel,
                kind: PayloadKind::Text,
                payload: b"x",
                exclude: None,
                only,
                ticket: None,
            };
            MailboxSender::attach(&command).err()
        };
        assert_eq!(publish("chat", wire::RECIPIENTS_MAX), None);
        assert_eq!(publish("chat", wire::RECIPIENTS_MAX + 1), Some(SendError::TooLarge));
        assert_eq!(publish(&"c".repeat(20_000), 0), Some(SendError::TooLarge));
        let reason = "r".repeat(100_000);
        let disconnect = Command::Disconnect { id, code: 1000, reason: &reason, ticket: None };
        assert_eq!(MailboxSender::attach(&disconnect).err(), Some(SendError::TooLarge));
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_an_answer() {
        let (mut sender, _mailbox) = pair(1 << 20);
        assert_eq!(sender.send(Address(1), &push(1, b""), None), Err(SendError::NoSuchProcess));
    }
}
