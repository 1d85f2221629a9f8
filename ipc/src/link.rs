//! The private line between the master and one child: typed messages, one JSON value a packet.
//!
//! It is for life and death, not for data: a child says that it is ready, the master says that it is time to go. A line
//! that is closed tells each side that the other is dead.

use std::{
    cell::Cell,
    fmt, io,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    life::{LeaveReason, LifeEvent},
    sys::{reserve, socket},
};

/// The largest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const QUEUE_BYTES: usize = 256 * 1024;

/// What the master says to a child.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToChild {
    /// Take no more connections, ask the clients to come back, and leave: a successor stands by.
    Drain {
        /// Why.
        reason: LeaveReason,
        /// Clients are told one by one within this time, and to come back at a random moment within as much.
        reconnect_spread_ms: u64,
        /// With this close code.
        close_code: u16,
        /// Who has not finished its close handshake by then is cut off.
        deadline_ms: u64,
    },
    /// The server stops: take no more connections, tell the clients that it goes away, and leave.
    Stop {
        /// Clients are told after this time, or when [`ToChild::CloseClients`] comes: side processes may have something to
        /// say to them before.
        wait_ms: u64,
        /// Clients are told one by one within this time.
        spread_ms: u64,
        /// As above.
        deadline_ms: u64,
    },
    /// The side processes have ended: the clients need not wait for what they say any more.
    CloseClients,
    /// Serve a listener as well, of another slot or a new one of its own, which comes beside this message. Who is asked to leave lets go of it by
    /// itself.
    Cover {
        /// The slot.
        slot: u16,
        /// What is to be known of the listener, as a seat has it.
        rules: serde_json::Value,
    },
    /// The successor is about to be started: it reads the slot's mailbox, and passes on what is for this worker. The end of the
    /// line that is to be read comes beside this message.
    Relay,
    /// The worker before is gone, and one before that still lives: pass on to it what is not this worker's own. The end of the
    /// line that is to be written to comes beside this message.
    Elder,
    /// Let go of the listeners of another slot.
    Uncover {
        /// The slot.
        slot: u16,
    },
    /// Accept what waits in the listener with this number, of whichever slot, and then let go of it: there is no such
    /// listener any more.
    Retire {
        /// The number.
        listener: u16,
    },
    /// The log is another file from now on, which comes beside these words: write to it, and answer.
    TakeLog {
        /// Of this file; a later one has a higher number.
        number: u64,
    },
    /// What has happened to the server.
    Life {
        /// What it is.
        what: LifeEvent,
    },
    /// Side processes have come, gone or taken other names: the attached memory file says who is where.
    Names,
    /// Show the certificates in the attached memory file from now on, and answer.
    Certificates {
        /// Of these; later ones have a higher number.
        number: u64,
    },
    /// Seal session tickets with the keys in the attached memory file, and answer.
    TicketKeys {
        /// Of these; later ones have a higher number.
        number: u64,
    },
}

/// What a child says to the master.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToMaster {
    /// It serves.
    Ready,
    /// It cannot serve, and why; it exits now.
    Failed {
        /// One line for a person.
        reason: String,
    },
    /// Its program was executed, and runs with this pid.
    Runs {
        /// The pid of the program, which is a child of the sender.
        pid: u32,
        /// What its files were: two of these are the same when they are.
        files: u64,
    },
    /// Its program ended without having said that it is ready, and this was the last line on its stderr.
    LastWords {
        /// The line, shortened.
        line: String,
    },
    /// It accepts no more and is nobody's subscriber any more: its successor may start.
    Draining,
    /// It would like to be replaced.
    Recycle {
        /// Why: its share is done, or it was asked to.
        reason: LeaveReason,
    },
    /// It cannot serve the listener of another slot that it was to cover.
    CannotCover {
        /// The slot.
        slot: u16,
    },
    /// It uses what it was handed under this number, and nothing earlier.
    Taken {
        /// What it was handed.
        what: Handed,
        /// As it came with that.
        number: u64,
    },
    /// It goes on with what it had: what it was handed under this number did not come, since it has no descriptor left.
    NotTaken {
        /// What it was handed.
        what: Handed,
        /// As it came with that.
        number: u64,
    },
}

/// What the master hands to its children while they serve, and expects an answer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handed {
    /// With [`ToChild::TakeLog`].
    Log,
    /// With [`ToChild::Certificates`].
    Certificates,
    /// With [`ToChild::TicketKeys`].
    TicketKeys,
}

/// One end of a line.
pub struct Link<Tx, Rx> {
    socket: OwnedFd,
    /// What came beside the last message.
    attachment: Cell<Option<OwnedFd>>,
    directions: PhantomData<fn(Tx) -> Rx>,
}

impl<Tx, Rx> fmt::Debug for Link<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The master's end.
pub type MasterLink = Link<ToChild, ToMaster>;
/// The child's end.
pub type ChildLink = Link<ToMaster, ToChild>;

/// What came over the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received<Rx> {
    /// A message.
    Message(Rx),
    /// Something that is no message of this version.
    Malformed,
    /// Nothing waits.
    Empty,
    /// The other side is gone.
    Closed,
}

/// Both ends of a new line.
///
/// # Errors
/// Out of descriptors.
pub fn pair() -> io::Result<(MasterLink, ChildLink)> {
    let (master, child) = socket::packet_pair(QUEUE_BYTES)?;
    Ok((Link::new(master), Link::new(child)))
}

impl<Tx, Rx> Link<Tx, Rx> {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, attachment: Cell::default(), directions: PhantomData }
    }

    /// The descriptor that came beside the message that was heard last.
    pub fn take_attachment(&self) -> Option<OwnedFd> {
        self.attachment.take()
    }
}

impl<Tx: Serialize, Rx: DeserializeOwned> Link<Tx, Rx> {
    /// Says something without waiting. Whether it is on its way: a line that is full or closed takes nothing, and the
    /// speaker's deadlines decide what that means.
    pub fn send(&self, message: &Tx) -> bool {
        matches!(self.try_send(message), Ok(socket::Sent::Whole))
    }

    /// As [`Self::send`], and tells a full line from a closed one.
    ///
    /// # Errors
    /// What sendmsg(2) says beside that.
    pub fn try_send(&self, message: &Tx) -> io::Result<socket::Sent> {
        self.send_packet(message, None)
    }

    /// Says something and hands a duplicate of a descriptor over with it (`SCM_RIGHTS`, unix(7)); otherwise as
    /// [`Self::send`].
    pub fn send_with(&self, message: &Tx, descriptor: BorrowedFd<'_>) -> bool {
        matches!(self.send_packet(message, Some(descriptor)), Ok(socket::Sent::Whole))
    }

    /// Hears the next message, without waiting. A descriptor that comes with it is closed.
    pub fn receive(&self) -> Received<Rx> {
        self.receive_with().0
    }

    /// Hears the next message and takes the descriptor that comes with it, without waiting. A receiver that has no room
    /// for another descriptor hears the message without it.
    pub fn receive_with(&self) -> (Received<Rx>, Option<OwnedFd>) {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        // A line is heard seldom: a descriptor of the reserve is freed for each message, whether one comes with it or not.
        let received =
            reserve::with_one_free(|| socket::receive_packet(self.socket.as_fd(), &mut buffer));
        match received {
            // What was cut off is the end of the JSON, which is none then.
            Ok(socket::Received::Packet { length, attachment, cut: _ }) => {
                let message = serde_json::from_slice(&buffer[..length]);
                let descriptor = match attachment {
                    socket::Attachment::Descriptor(descriptor) => Some(descriptor),
                    socket::Attachment::None | socket::Attachment::Lost => None,
                };
                (message.map_or(Received::Malformed, Received::Message), descriptor)
            }
            Ok(socket::Received::Empty) => (Received::Empty, None),
            Ok(socket::Received::Closed) => (Received::Closed, None),
            Err(error) => {
                // Only the end of the line means that the other side is dead.
                log::error!("a line could not be read, and is tried again: {error}");
                (Received::Empty, None)
            }
        }
    }

    fn send_packet(
        &self,
        message: &Tx,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<socket::Sent> {
        let json = serde_json::to_vec(message)?;
        debug_assert!(json.len() <= MESSAGE_BYTES_MAX);
        socket::send_packet(self.socket.as_fd(), &json, descriptor)
    }
}

impl<Tx, Rx> AsFd for Link<Tx, Rx> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_hear_what_the_other_says_and_that_it_is_gone() {
        let (master, child) = pair().unwrap();
        assert!(child.send(&ToMaster::Ready));
        assert!(child.send(&ToMaster::Failed { reason: "no \"luck\"".into() }));
        assert_eq!(master.receive(), Received::Message(ToMaster::Ready));
        assert_eq!(
            master.receive(),
            Received::Message(ToMaster::Failed { reason: "no \"luck\"".into() })
        );
        assert_eq!(master.receive(), Received::Empty);
        assert!(master.send(&ToChild::Stop { wait_ms: 1, spread_ms: 2, deadline_ms: 5 }));
        drop(master);
        assert_eq!(
            child.receive(),
            Received::Message(ToChild::Stop { wait_ms: 1, spread_ms: 2, deadline_ms: 5 })
        );
        assert_eq!(child.receive(), Received::Closed);
    }

    #[test]
    fn a_descriptor_comes_with_its_message_and_with_no_other() {
        let (master, child) = pair().unwrap();
        let (given, kept) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(
            master.send_with(&ToChild::Cover { slot: 3, rules: "of TCP".into() }, given.as_fd())
        );
        assert!(master.send(&ToChild::Uncover { slot: 3 }));
        drop(given);
        let (received, descriptor) = child.receive_with();
        assert_eq!(received, Received::Message(ToChild::Cover { slot: 3, rules: "of TCP".into() }));
        let mut taken = std::os::unix::net::UnixStream::from(descriptor.unwrap());
        io::Write::write_all(&mut taken, b"!").unwrap();
        assert_eq!(io::Read::read(&mut &kept, &mut [0; 2]).unwrap(), 1);
        let (received, descriptor) = child.receive_with();
        assert_eq!(
            (received, descriptor.is_none()),
            (Received::Message(ToChild::Uncover { slot: 3 }), true)
        );
    }

    #[test]
    fn noise_is_not_the_end_of_the_line() {
        let (master, child) = pair().unwrap();
        socket::send_packet(child.as_fd(), b"hello?", None).unwrap();
        assert!(child.send(&ToMaster::Draining));
        assert_eq!(master.receive(), Received::Malformed);
        assert_eq!(master.receive(), Received::Message(ToMaster::Draining));
    }
}
