//! What one process may ask of another through its mailbox. Owns the vocabulary; how it stands in a packet is in [`crate::wire`].
//!
//! A payload is no field for serde: it may be large, and stands behind the fields or beside the packet.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{
    event::EventHeader,
    id::{Address, ConnectionId, wide},
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The mailbox that waits for the answer.
    pub reply_to: Address,
    /// The requester's own number for it.
    #[serde(with = "wide")]
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
}

/// A command as it stands in a packet: it borrows from the packet.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Command<'a> {
    /// Something is asked of the receiver.
    Request {
        /// Who wants to know what became of it.
        ticket: Option<ReplyTo>,
        /// What is asked.
        #[serde(borrow)]
        request: Request<'a>,
    },
    /// The answer to an earlier request that carried a ticket.
    Answer {
        /// Who answers.
        from: Address,
        /// The number that the ticket had.
        #[serde(with = "wide")]
        request: u64,
        /// What became of it.
        #[serde(borrow)]
        answer: Answer<'a>,
        /// Who wants to know whether somebody still waited for it: an [`Answer::One`], `Delivered` or `NoSuchConnection`.
        ticket: Option<ReplyTo>,
    },
    /// Something is told that nobody answers.
    Note(#[serde(borrow)] Note<'a>),
}

/// What one process asks of another. To add one, add it here, and let [`Self::scope`] and [`Command::payload`] say what it is; who
/// receives it decides in `workers/src/state/commands.rs` or in `src/side` what it does.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Request<'a> {
    /// A message for one connection.
    Push {
        /// The receiver.
        id: ConnectionId,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        #[serde(skip)]
        payload: &'a [u8],
    },
    /// A message for every connection of the receiving worker, or for those of one group.
    Broadcast {
        /// The group; without one everybody is meant.
        group: Option<Group>,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        #[serde(skip)]
        payload: &'a [u8],
        /// A connection that does not get it: usually the sender.
        exclude: Option<ConnectionId>,
    },
    /// A message for the receiving worker's subscribers of a channel.
    Publish {
        /// The channel's name.
        channel: &'a str,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        #[serde(skip)]
        payload: &'a [u8],
        /// A connection that does not get it: usually the sender.
        exclude: Option<ConnectionId>,
        /// When not empty, only these subscribers get it.
        #[serde(borrow)]
        only: Recipients<'a>,
    },
    /// Close one connection.
    Disconnect {
        /// The connection.
        id: ConnectionId,
        /// The WebSocket close code (RFC 6455, 7.4).
        code: u16,
        /// The reason, at most 123 bytes.
        reason: &'a str,
    },
    /// Tell what is known of one connection.
    Info {
        /// The connection.
        id: ConnectionId,
    },
    /// Tell the ids of the worker's WebSockets.
    List,
    /// Look over the worker's connections and channels, a part at a time. What may be asked, and how the JSON of the
    /// answer looks, is the business of those who ask and answer.
    Inspect {
        /// The question.
        #[serde(skip)]
        question: &'a [u8],
    },
    /// Work for the task process that takes it from its queue. It travels in a packet of its own, so that a process that
    /// dies takes one task with it and no others.
    Task {
        /// What is to be done.
        #[serde(skip)]
        payload: &'a [u8],
    },
    /// Something that happened, for a side process that has asked for it.
    Event {
        /// What it is.
        header: EventHeader,
        /// Its line for the program, if it has one. The text is the business of those who write and read it.
        #[serde(skip)]
        payload: &'a [u8],
        /// In which life of the process it was sent ([`Incarnation::number`](crate::side_status::Incarnation)): a successor finds in its
        /// mailbox what was meant for its predecessor.
        incarnation: u64,
    },
}

/// What one process tells another.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Note<'a> {
    /// A message of the application.
    Message {
        /// The sender's mailbox.
        from: Address,
        /// Text or binary.
        kind: PayloadKind,
        /// The message.
        #[serde(skip)]
        payload: &'a [u8],
    },
    /// What the answer to the next command says already. Only between two processes of one slot, where the answer is made by
    /// both of them and given by the last.
    Part(#[serde(borrow)] Part<'a>),
}

/// Whom a request concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The worker that has this connection.
    Connection(ConnectionId),
    /// A slot, with all processes that live in it.
    Slot,
    /// The process that receives it.
    Receiver,
}

impl Request<'_> {
    /// Whom it concerns.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Push { id, .. } | Self::Disconnect { id, .. } | Self::Info { id } => {
                Scope::Connection(*id)
            }
            Self::Broadcast { .. } | Self::Publish { .. } | Self::List => Scope::Slot,
            Self::Inspect { .. } | Self::Task { .. } | Self::Event { .. } => Scope::Receiver,
        }
    }
}

impl<'a> Command<'a> {
    /// The place of its payload, if it is of a kind that has one.
    pub(crate) fn payload_mut(&mut self) -> Option<&mut &'a [u8]> {
        match self {
            Self::Request { request, .. } => match request {
                Request::Push { payload, .. }
                | Request::Broadcast { payload, .. }
                | Request::Publish { payload, .. }
                | Request::Inspect { question: payload }
                | Request::Task { payload }
                | Request::Event { payload, .. } => Some(payload),
                Request::Disconnect { .. } | Request::Info { .. } | Request::List => None,
            },
            Self::Answer { answer, .. } => match answer {
                Answer::Info(payload) | Answer::Task(TaskAnswer::Done(payload)) => Some(payload),
                Answer::One(_)
                | Answer::Many { .. }
                | Answer::NoRoom
                | Answer::Task(TaskAnswer::Failed(_) | TaskAnswer::Died) => None,
            },
            Self::Note(Note::Message { payload, .. } | Note::Part(Part::Ids(payload))) => {
                Some(payload)
            }
            Self::Note(Note::Part(Part::Many { .. })) => None,
        }
    }

    /// Its payload; of a kind that has none, an empty one.
    pub fn payload(mut self) -> &'a [u8] {
        self.payload_mut().map_or(&[], |payload| *payload)
    }

    /// Who wants to know what became of it.
    pub fn ticket(&self) -> Option<ReplyTo> {
        match self {
            Self::Request { ticket, .. } | Self::Answer { ticket, .. } => *ticket,
            Self::Note(_) => None,
        }
    }

    /// Whether it is a task.
    pub(crate) fn is_task(&self) -> bool {
        matches!(self, Self::Request { request: Request::Task { .. }, .. })
    }
}

/// A part of an answer that several processes make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part<'a> {
    /// Of a broadcast or a publish.
    Many {
        /// As in [`Answer::Many`].
        delivered: u64,
        /// As in [`Answer::Many`].
        dropped: u64,
    },
    /// Of a list: a JSON array of ids.
    Ids(#[serde(skip)] &'a [u8]),
}

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
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
    Info(#[serde(skip)] &'a [u8]),
    /// Of anything but a broadcast, a publish or a task: its body did not arrive, since the process that it was for had no
    /// descriptor left for a memory file. The command has no effect.
    NoRoom,
    /// Of a task.
    Task(#[serde(borrow)] TaskAnswer<'a>),
}

/// What became of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TaskAnswer<'a> {
    /// It is done: its result.
    Done(#[serde(skip)] &'a [u8]),
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

/// The most recipients that one publish may name.
pub const RECIPIENTS_MAX: usize = 1024;

/// Connection ids as they stand in a packet: at most [`RECIPIENTS_MAX`] there.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Recipients<'a>(&'a [u8]);

impl Serialize for Recipients<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() / 8 > RECIPIENTS_MAX {
            return Err(ser::Error::custom("too many recipients"));
        }
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Recipients<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        if !bytes.len().is_multiple_of(8) || bytes.len() / 8 > RECIPIENTS_MAX {
            return Err(de::Error::custom("not a list of recipients"));
        }
        Ok(Self(bytes))
    }
}

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
