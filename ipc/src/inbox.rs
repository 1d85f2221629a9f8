//! The mailbox that a process reads, with its accounting: which payloads are attached to packets that wait in it, and whether any
//! wait. What a command means is decided elsewhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{
    command::Command,
    id::Address,
    mailbox::{Mail, Mailbox, Packet},
    shared_state::SharedState,
    wire,
};

/// See the module.
#[derive(Debug)]
pub struct Inbox {
    mailbox: Mailbox,
    own: Address,
    shared_state: SharedState,
    has_mail: bool,
}

/// What [`Inbox::take`] finds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Incoming<'m> {
    /// A command.
    Command(Command<'m>),
    /// One whose attached payload could not be taken, for lack of a descriptor. Its payload is empty.
    Bodiless(Command<'m>),
    /// A packet that cannot be used, or not from here on. It is gone.
    Bad,
}

/// All writers are gone, the master first of all, and nothing waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

/// A packet that is accounted for, or why there is none.
#[derive(Debug)]
pub(crate) enum Received<'m> {
    Packet(Packet<'m>),
    Bodiless(Command<'m>),
    Bad,
    Empty,
    Closed,
}

impl Inbox {
    /// The inbox with this receiving end, of the mailbox at `own`. Packets may wait in it already, of which no event tells.
    pub fn new(reader: OwnedFd, own: Address, shared_state: SharedState) -> Self {
        Self { mailbox: Mailbox::new(reader), own, shared_state, has_mail: true }
    }

    /// Reads from another end from now on; what is attached to packets there is counted as before.
    pub fn read_from(&mut self, reader: OwnedFd) {
        self.mailbox = Mailbox::new(reader);
        self.has_mail = true;
    }

    /// Whether packets may wait.
    pub fn has_mail(&self) -> bool {
        self.has_mail
    }

    /// Says whether packets may wait: an event has told so, or the mailbox is somebody else's now.
    pub fn set_has_mail(&mut self, has_mail: bool) {
        self.has_mail = has_mail;
    }

    /// Takes what has come, at most so many packets. The rest waits in the mailbox, which is full for its senders when it is.
    /// `is_shared`: other processes take packets whose attachments are counted here, so that an empty mailbox says nothing of them.
    ///
    /// # Errors
    /// [`Closed`], when all that came before it has been taken.
    pub fn take(
        &mut self,
        packets_max: usize,
        is_shared: bool,
        mut each: impl FnMut(Incoming<'_>),
    ) -> Result<(), Closed> {
        for _ in 0..packets_max {
            if !self.has_mail {
                break;
            }
            match self.receive() {
                Received::Packet(packet) => {
                    for command in wire::decode(packet.bytes, packet.attachment.as_deref()) {
                        each(command.map_or(Incoming::Bad, Incoming::Command));
                    }
                }
                Received::Bodiless(command) => each(Incoming::Bodiless(command)),
                Received::Bad => each(Incoming::Bad),
                Received::Empty => {
                    self.has_mail = false;
                    if !is_shared {
                        self.shared_state.no_attached(self.own);
                    }
                }
                Received::Closed => {
                    self.has_mail = false;
                    return Err(Closed);
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Received<'_> {
        let Self { mailbox, own, shared_state, .. } = self;
        let may_have_body = shared_state.attached_bytes(*own) > 0;
        account(mailbox.receive(may_have_body), *own, shared_state)
    }

    /// As [`Mailbox::receive_noted`].
    pub(crate) fn receive_noted<const N: usize>(
        &mut self,
        note: impl FnOnce(&[u8]),
    ) -> Received<'_> {
        let Self { mailbox, own, shared_state, .. } = self;
        let mail = mailbox.receive_noted::<N>(|front| {
            note(front);
            shared_state.attached_bytes(*own) > 0
        });
        account(mail, *own, shared_state)
    }

    /// Lets nothing more come in: what waits can still be taken, and who sends is told that nobody takes it.
    pub fn end_reading(&mut self) {
        self.mailbox.end_reading();
        self.has_mail = true;
    }
}

fn account<'m>(mail: Mail<'m>, own: Address, shared_state: &SharedState) -> Received<'m> {
    match mail {
        Mail::Packet(packet) => {
            if let Some(body) = &packet.attachment {
                shared_state.take_attached(own, body.len() as u64);
            }
            Received::Packet(packet)
        }
        Mail::Bodiless(bytes) => match wire::bodiless(bytes) {
            Ok((command, body_bytes)) => {
                shared_state.take_attached(own, body_bytes as u64);
                Received::Bodiless(command)
            }
            Err(_) => Received::Bad,
        },
        Mail::Bad => Received::Bad,
        Mail::Empty => Received::Empty,
        Mail::Closed => Received::Closed,
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mailbox.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        command::{PayloadKind, Request},
        id::Slot,
        mailbox::MailboxPair,
        mailbox_sender::{MailboxSender, attach},
        shared_state::SerialClock,
    };

    #[test]
    fn what_is_taken_is_counted_and_the_rest_waits() {
        let clock = SerialClock::new(5, Duration::from_secs(1_800_000_000));
        let shared_state = SharedState::new(1, 2, clock, 1).unwrap();
        let (own, pair) = (Address(1), MailboxPair::new().unwrap());
        let id = crate::ConnectionId::new(Slot::new(0).unwrap(), 1).unwrap();
        let push = |payload| {
            let request = Request::Push { id, kind: PayloadKind::Binary, payload };
            Command::Request { request, ticket: None }
        };
        let large = vec![7; wire::INLINE_BODY_BYTES_MAX + 1];
        let mut sender = MailboxSender::new(vec![pair.writer], 1 << 20);
        let mut inbox = Inbox::new(pair.reader, own, shared_state.clone());
        assert!(inbox.has_mail(), "packets may have come before it");
        for payload in [&b"small"[..], &large] {
            let attached = attach(&push(payload)).unwrap();
            shared_state.add_attached(own, attached.as_ref().map_or(0, |_| payload.len() as u64));
            sender.send(Address(0), &push(payload), attached.as_ref()).unwrap();
        }
        sender.flush(Address(0));
        // Of a process that was killed before it sent what it had counted.
        shared_state.add_attached(own, 5);
        let mut lengths = Vec::new();
        let mut take = |inbox: &mut Inbox, packets_max, is_shared| {
            let taken = inbox.take(packets_max, is_shared, |incoming| match incoming {
                Incoming::Command(command) => lengths.push(command.payload().len()),
                Incoming::Bodiless(_) | Incoming::Bad => panic!("{incoming:?}"),
            });
            (taken, std::mem::take(&mut lengths), shared_state.attached_bytes(own))
        };
        let waiting = large.len() as u64 + 5;
        assert_eq!(take(&mut inbox, 1, false), (Ok(()), vec![5], waiting));
        assert_eq!(take(&mut inbox, 9, true), (Ok(()), vec![large.len()], 5));
        assert!(!inbox.has_mail());
        inbox.set_has_mail(true);
        assert_eq!(take(&mut inbox, 9, false), (Ok(()), vec![], 0));
        drop(sender);
        assert_eq!(take(&mut inbox, 9, false), (Ok(()), vec![], 0), "no event has come");
        inbox.set_has_mail(true);
        assert_eq!(take(&mut inbox, 9, false), (Err(Closed), vec![], 0));
    }
}
