//! What one process may ask of another through its mailbox. Owns the vocabulary; its bytes are in [`crate::wire`].

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{
    event::EventHeader,
    id::{Address, ConnectionId},
};

/// How the bytes of a message are to be sent: as a text frame (they are valid UTF-8) or as a binary one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Where the answer to a command goes, and what the requester calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyTo {
    /// The mailbox that waits for the answer.
    pub reply_to: Address,
    /// The requester's own number for it.
    pub request: u64,
}

/// Connections that belong together, such as those of one application: a broadcast can be for them alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Group(NonZeroU32);

impl Group {
    /// The group with this name. It is the same in every process, and after every reload: a hash of the name (FNV-1a, 32 bits).
    pub fn named(name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self(NonZeroU32::new(hash).unwrap_or(NonZeroU32::MIN))
    }

    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

/// A command as it stands in a packet: it borrows from the packet.
#[derive(Clone, PartialEq, Debug)]
pub enum Command<'a> {
    /// A message for one connection.
    Push {
        /// The receiver.
        id: ConnectionId,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        payload: &'a [u8],
        /// Who wants to know what became of it.
        ticket: Option<ReplyTo>,
    },
    /// A message for every connection of the receiving worker, or for those of one group.
    Broadcast {
        /// The group; without one everybody is meant.
        group: Option<Group>,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        payload: &'a [u8],
        /// A connection that does not get it: usually the sender.
        exclude: Option<ConnectionId>,
        /// Who wants to know what became of it.
        ticket: Option<ReplyTo>,
    },
    /// A message for the receiving worker's subscribers of a channel.
    Publish {
        /// The channel's name.
        channel: &'a str,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        payload: &'a [u8],
        /// A connection that does not get it: usually the sender.
        exclude: Option<ConnectionId>,
        /// When not empty, only these subscribers get it.
        only: Recipients<'a>,
        /// Who wants to know what became of it.
        ticket: Option<ReplyTo>,
    },
    /// Close one connection.
    Disconnect {
        /// The connection.
        id: ConnectionId,
        /// The WebSocket close code (RFC 6455, 7.4).
        code: u16,
        /// The reason, at most 123 bytes.
        reason: &'a str,
        /// Who wants to know what became of it.
        ticket: Option<ReplyTo>,
    },
    /// Tell what is known of one connection.
    Info {
        /// The connection.
        id: ConnectionId,
        /// Who asks.
        ticket: ReplyTo,
    },
    /// Tell the ids of the worker's WebSockets.
    List {
        /// Who asks.
        ticket: ReplyTo,
    },
    /// Look over the worker's connections and channels, a part at a time. What may be asked, and how the JSON of the
    /// answer looks, is the business of those who ask and answer.
    Inspect {
        /// The question.
        question: &'a [u8],
        /// Who asks.
        ticket: ReplyTo,
    },
    /// The answer to an earlier command that carried a ticket.
    Answer {
        /// Who answers.
        from: Address,
        /// The number that the ticket had.
        request: u64,
        /// What became of it.
        answer: Answer<'a>,
        /// Who wants to know whether somebody still waited for it: an [`Answer::One`], `Delivered` or `NoSuchConnection`.
        ticket: Option<ReplyTo>,
    },
    /// A message from one process to another.
    Message {
        /// The sender's mailbox.
        from: Address,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        payload: &'a [u8],
    },
    /// Work for the task process that takes it from its queue. It travels in a packet of its own, so that a process that
    /// dies takes one task with it and no others.
    Task {
        /// Who waits for the result.
        ticket: ReplyTo,
        /// What is to be done.
        payload: &'a [u8],
    },
    /// What the answer to the next command says already. Only between two processes of one slot, where the answer is made by
    /// both of them and given by the last.
    Part(Part<'a>),
    /// Something that happened, for a side process that has asked for it.
    Event {
        /// What it is.
        header: EventHeader,
        /// Its line for the program, if it has one. The text is the business of those who write and read it.
        payload: &'a [u8],
        /// In which life of the process it was sent ([`Incarnation::number`](crate::side_status::Incarnation)): a successor finds in its
        /// mailbox what was meant for its predecessor.
        incarnation: u64,
        /// Who waits for what the process says to it: an [`Answer::Info`].
        ticket: Option<ReplyTo>,
    },
}

/// A part of an answer that several processes make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// Of a broadcast or a publish.
    Many {
        /// As in [`Answer::Many`].
        delivered: u64,
        /// As in [`Answer::Many`].
        dropped: u64,
    },
    /// Of a list: a JSON array of ids.
    Ids(&'a [u8]),
}

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Answer<'a> {
    /// Of a push or a disconnect.
    One(Outcome),
    /// Of a broadcast or a publish, by one worker.
    Many {
        /// Connections whose outbox took it.
        delivered: u64,
        /// Connections that should have had it and did not: their outbox was full.
        dropped: u64,
    },
    /// Of an info or an inspection: a JSON object. Of a list: a JSON array of ids. Of an event: whatever the process says.
    Info(&'a [u8]),
    /// Of anything but a broadcast, a publish or a task: its body did not arrive, since the process that it was for had no
    /// descriptor left for a memory file. The command has no effect.
    NoRoom,
    /// Of a task.
    Task(TaskAnswer<'a>),
}

/// What became of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskAnswer<'a> {
    /// It is done: its result.
    Done(&'a [u8]),
    /// The application says that it cannot be done, and why.
    Failed(&'a str),
    /// The process that was at it died. It is not known how far it was.
    Died,
}

/// What the owner of a connection did with a command for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The message is in the connection's outbox, or the close has begun.
    Delivered,
    /// No connection has this id: it is closed, or the number never was one.
    NoSuchConnection,
    /// The connection is in its close handshake and takes no more messages.
    Closing,
    /// The connection does not read fast enough: its outbox has no room for the message.
    OutboxFull,
    /// The message is larger than an empty outbox (`limits.outbox_bytes_max`): no connection can be sent it.
    TooLarge,
    /// The worker that has the connection leaves, and does not keep up with what its successor passes on: no effect.
    MailboxFull,
}

/// Connection ids as they stand in a packet.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Recipients<'a>(pub(crate) &'a [u8]);

impl<'a> Recipients<'a> {
    /// Ids from bytes made by [`Recipients::to_bytes`].
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of these ids, for a [`Command`] that is about to be sent.
    pub fn to_bytes(ids: &[ConnectionId]) -> Vec<u8> {
        ids.iter().flat_map(|id| id.as_u64().to_le_bytes()).collect()
    }

    /// Whether everybody is meant.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids. A number that is no id is passed over.
    pub fn iter(&self) -> impl Iterator<Item = ConnectionId> + 'a {
        self.0
            .chunks_exact(8)
            .filter_map(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .filter_map(|bytes| ConnectionId::try_from(u64::from_le_bytes(bytes)).ok())
    }
}
