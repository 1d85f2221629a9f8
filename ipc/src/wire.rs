//! The bytes of a packet of commands. Pure: it encodes into a buffer and decodes from one, and believes no length before
//! it is checked.
//!
//! ```text
//! packet  := version:u8 command*
//! command := kind:u8 flags:u8 fields...      (little endian; a string or a body has its u32 length before it)
//! ```
//! A body too large for a packet is attached: the flag says so, the length stands in the packet, and the bytes
//! travel in a sealed memory file beside it. A packet with an attachment holds one command.

use crate::{
    command::{
        Answer, Command, Group, Outcome, Part, PayloadKind, Recipients, ReplyTo, TaskAnswer,
    },
    event::{EventCode, EventHeader, LostConnections},
    id::{Address, ConnectionId, Slot},
};

/// The first byte of a packet. A process of another version refuses the packet and counts it.
pub const VERSION: u8 = 1;
/// The largest packet, in bytes.
pub const PACKET_BYTES_MAX: usize = 60 * 1024;
/// The largest body that travels inside a packet, in bytes; a larger one is attached.
pub const INLINE_BODY_BYTES_MAX: usize = 32 * 1024;
/// The largest attached body, in bytes.
pub const ATTACHED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The largest sum of attached bodies that may wait in one mailbox, in bytes; a single one may always.
pub const ATTACHED_WAITING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The largest sum of a command's fields beside its body: names, reasons, recipients; in bytes.
pub const FIELDS_BYTES_MAX: usize = 16 * 1024;
/// The most recipients that one publish may name.
pub const RECIPIENTS_MAX: usize = 1024;

const FLAG_BINARY: u8 = 1;
const FLAG_TICKET: u8 = 2;
const FLAG_EXCLUDE: u8 = 4;
const FLAG_ATTACHED: u8 = 8;

const PUSH: u8 = 1;
const BROADCAST: u8 = 2;
const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 4;
const INFO: u8 = 5;
const ANSWER_ONE: u8 = 6;
const ANSWER_MANY: u8 = 7;
const ANSWER_INFO: u8 = 8;
const MESSAGE: u8 = 9;
const EVENT: u8 = 10;
const LIST: u8 = 11;
const TASK: u8 = 12;
const ANSWER_TASK_DONE: u8 = 13;
const ANSWER_TASK_FAILED: u8 = 14;
const ANSWER_TASK_DIED: u8 = 15;
const SURVEY: u8 = 16;
const ANSWER_NO_ROOM: u8 = 17;
const PART_MANY: u8 = 18;
const PART_IDS: u8 = 19;

const HEADER_LINE: u8 = 0;
const HEADER_SYNCED: u8 = 1;
const HEADER_LOST: u8 = 2;

/// As many bytes from the front of a packet as [`task_ticket`] needs: version, kind, flags, ticket.
pub const TASK_HEAD_BYTES: usize = 13;

/// Why a packet could not be read. What stood before the bad place has been handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The first byte is not [`VERSION`].
    #[error("a packet of another version")]
    Version,
    /// A field or a body ends behind the packet's end.
    #[error("a packet that ends too early")]
    Truncated,
    /// A kind of command that this version does not know.
    #[error("a command of an unknown kind")]
    UnknownKind,
    /// A field's value cannot be.
    #[error("a command with an impossible field")]
    BadField,
    /// The packet says that a body is attached, and none of that length is.
    #[error("a command whose attached body is missing")]
    Attachment,
}

/// The body of a command, if it has one that may be attached.
pub fn body<'a>(command: &Command<'a>) -> &'a [u8] {
    match command {
        Command::Push { payload, .. }
        | Command::Broadcast { payload, .. }
        | Command::Publish { payload, .. }
        | Command::Message { payload, .. }
        | Command::Task { payload, .. }
        | Command::Event { payload, .. } => payload,
        Command::Inspect { question, .. } => question,
        Command::Part(Part::Ids(json)) => json,
        Command::Part(Part::Many { .. }) => &[],
        Command::Answer { answer, .. } => match answer {
            Answer::Info(json) => json,
            Answer::Task(TaskAnswer::Done(result)) => result,
            Answer::Task(TaskAnswer::Failed(reason)) => reason.as_bytes(),
            Answer::Task(TaskAnswer::Died)
            | Answer::One(_)
            | Answer::Many { .. }
            | Answer::NoRoom => &[],
        },
        Command::Disconnect { .. } | Command::Info { .. } | Command::List { .. } => &[],
    }
}

/// The bytes of a command's fields of variable length, beside its body.
pub fn fields_bytes(command: &Command<'_>) -> usize {
    match command {
        Command::Publish { channel, only, .. } => channel.len() + only.0.len(),
        Command::Disconnect { reason, .. } => reason.len(),
        Command::Push { .. }
        | Command::Broadcast { .. }
        | Command::Info { .. }
        | Command::List { .. }
        | Command::Inspect { .. }
        | Command::Part(_)
        | Command::Answer { .. }
        | Command::Message { .. }
        | Command::Task { .. }
        | Command::Event { .. } => 0,
    }
}

// A packet holds the largest command: its fields, its body, and what both cost to encode.
const _: () = assert!(FIELDS_BYTES_MAX + INLINE_BODY_BYTES_MAX + 128 < PACKET_BYTES_MAX);
const _: () = assert!(RECIPIENTS_MAX * 8 < FIELDS_BYTES_MAX);

/// Appends `command` to a packet; with `attached`, its body's length only.
pub fn encode(command: &Command<'_>, attached: bool, packet: &mut Vec<u8>) {
    let mut writer = Writer { packet, attached };
    match *command {
        Command::Push { id, kind, payload, ticket } => {
            writer.head(PUSH, Some(kind), ticket, None);
            writer.u64(id.as_u64());
            writer.body(payload);
        }
        Command::Broadcast { group, kind, payload, exclude, ticket } => {
            writer.head(BROADCAST, Some(kind), ticket, exclude);
            // No group has the number 0.
            writer.u32(group.map_or(0, Group::number));
            writer.body(payload);
        }
        Command::Publish { channel, kind, payload, exclude, only, ticket } => {
            writer.head(PUBLISH, Some(kind), ticket, exclude);
            writer.bytes(channel.as_bytes());
            writer.bytes(only.0);
            writer.body(payload);
        }
        Command::Disconnect { id, code, reason, ticket } => {
            writer.head(DISCONNECT, None, ticket, None);
            writer.u64(id.as_u64());
            writer.u16(code);
            writer.bytes(reason.as_bytes());
        }
        Command::Info { id, ticket } => {
            writer.head(INFO, None, Some(ticket), None);
            writer.u64(id.as_u64());
        }
        Command::List { ticket } => writer.head(LIST, None, Some(ticket), None),
        Command::Inspect { question, ticket } => {
            writer.head(SURVEY, None, Some(ticket), None);
            writer.body(question);
        }
        Command::Part(Part::Many { delivered, dropped }) => {
            writer.head(PART_MANY, None, None, None);
            writer.u64(delivered);
            writer.u64(dropped);
        }
        Command::Part(Part::Ids(json)) => {
            writer.head(PART_IDS, None, None, None);
            writer.body(json);
        }
        Command::Event { header, payload, incarnation, ticket } => {
            writer.head(EVENT, None, ticket, None);
            writer.u64(incarnation);
            writer.event_header(header);
            writer.body(payload);
        }
        Command::Answer { from, request, answer, ticket } => match answer {
            Answer::One(outcome) => {
                writer.head(ANSWER_ONE, None, ticket, None);
                writer.u16(from.0);
                writer.u64(request);
                writer.u16(outcome_number(outcome));
            }
            Answer::Many { delivered, dropped } => {
                writer.head(ANSWER_MANY, None, ticket, None);
                writer.u16(from.0);
                writer.u64(request);
                writer.u64(delivered);
                writer.u64(dropped);
            }
            Answer::NoRoom => {
                writer.head(ANSWER_NO_ROOM, None, ticket, None);
                writer.u16(from.0);
                writer.u64(request);
            }
            Answer::Info(json) => {
                writer.head(ANSWER_INFO, None, ticket, None);
                writer.u16(from.0);
                writer.u64(request);
                writer.body(json);
            }
            Answer::Task(end) => {
                let (number, body) = match end {
                    TaskAnswer::Done(result) => (ANSWER_TASK_DONE, result),
                    TaskAnswer::Failed(reason) => (ANSWER_TASK_FAILED, reason.as_bytes()),
                    TaskAnswer::Died => (ANSWER_TASK_DIED, [].as_slice()),
                };
                writer.head(number, None, ticket, None);
                writer.u16(from.0);
                writer.u64(request);
                writer.body(body);
            }
        },
        Command::Task { ticket, payload } => {
            writer.head(TASK, None, Some(ticket), None);
            writer.body(payload);
        }
        Command::Message { from, kind, payload } => {
            writer.head(MESSAGE, Some(kind), None, None);
            writer.u16(from.0);
            writer.body(payload);
        }
    }
}

/// Who waits for the task in a packet, from its first [`TASK_HEAD_BYTES`]. `None` when it holds no task.
pub fn task_ticket(head: &[u8]) -> Option<ReplyTo> {
    let mut head = decode(head, None);
    let is_task = head.failed.is_none()
        && head.u8() == Ok(TASK)
        && head.u8().is_ok_and(|flags| flags & FLAG_TICKET != 0);
    if !is_task {
        return None;
    }
    Some(ReplyTo { reply_to: Address(head.u16().ok()?), request: head.u64().ok()? })
}

/// The command of a packet whose attached body was lost on the way, with an empty body, and how many bytes that had.
///
/// # Errors
/// As of [`decode`]; `Attachment` when the packet says that nothing was attached.
pub fn bodiless(packet: &[u8]) -> Result<(Command<'_>, usize), WireError> {
    let mut decoder = Decoder { lost_bytes: Some(0), ..decode(packet, None) };
    match decoder.failed.take() {
        Some(error) => Err(error),
        None => match (decoder.command()?, decoder.lost_bytes) {
            (_, None | Some(0)) => Err(WireError::Attachment),
            (command, Some(bytes)) => Ok((command, bytes)),
        },
    }
}

/// The commands of a packet, one after the other. After an error there is nothing more.
pub fn decode<'a>(packet: &'a [u8], attachment: Option<&'a [u8]>) -> Decoder<'a> {
    match packet.split_first() {
        Some((&VERSION, rest)) => Decoder { rest, attachment, lost_bytes: None, failed: None },
        Some(_) => Decoder::failed(WireError::Version),
        None => Decoder::failed(WireError::Truncated),
    }
}

/// See [`decode`].
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    attachment: Option<&'a [u8]>,
    /// An attached body is known to be lost: how many bytes it had.
    lost_bytes: Option<usize>,
    failed: Option<WireError>,
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Command<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.rest = &[];
            return Some(Err(error));
        }
        if self.rest.is_empty() {
            return None;
        }
        let step = self.command();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

impl<'a> Decoder<'a> {
    fn failed(error: WireError) -> Self {
        Self { rest: &[], attachment: None, lost_bytes: None, failed: Some(error) }
    }

    fn command(&mut self) -> Result<Command<'a>, WireError> {
        let kind = self.u8()?;
        let flags = self.u8()?;
        let payload_kind =
            if flags & FLAG_BINARY != 0 { PayloadKind::Binary } else { PayloadKind::Text };
        let attached = flags & FLAG_ATTACHED != 0;
        let ticket = if flags & FLAG_TICKET != 0 {
            Some(ReplyTo { reply_to: Address(self.u16()?), request: self.u64()? })
        } else {
            None
        };
        let exclude = if flags & FLAG_EXCLUDE != 0 { Some(self.id()?) } else { None };
        Ok(match kind {
            PUSH => Command::Push {
                id: self.id()?,
                kind: payload_kind,
                payload: self.body(attached)?,
                ticket,
            },
            BROADCAST => Command::Broadcast {
                group: Group::from_number(self.u32()?),
                kind: payload_kind,
                payload: self.body(attached)?,
                exclude,
                ticket,
            },
            PUBLISH => Command::Publish {
                channel: self.text()?,
                only: self.recipients()?,
                kind: payload_kind,
                payload: self.body(attached)?,
                exclude,
                ticket,
            },
            DISCONNECT => Command::Disconnect {
                id: self.id()?,
                code: self.u16()?,
                reason: self.text()?,
                ticket,
            },
            INFO => Command::Info { id: self.id()?, ticket: ticket.ok_or(WireError::BadField)? },
            ANSWER_ONE => Command::Answer {
                from: Address(self.u16()?),
                request: self.u64()?,
                answer: Answer::One(outcome_from(self.u16()?).ok_or(WireError::BadField)?),
                ticket,
            },
            ANSWER_MANY => Command::Answer {
                from: Address(self.u16()?),
                request: self.u64()?,
                answer: Answer::Many { delivered: self.u64()?, dropped: self.u64()? },
                ticket,
            },
            ANSWER_NO_ROOM => Command::Answer {
                from: Address(self.u16()?),
                request: self.u64()?,
                answer: Answer::NoRoom,
                ticket,
            },
            ANSWER_INFO => Command::Answer {
                from: Address(self.u16()?),
                request: self.u64()?,
                answer: Answer::Info(self.body(attached)?),
                ticket,
            },
            MESSAGE => Command::Message {
                from: Address(self.u16()?),
                kind: payload_kind,
                payload: self.body(attached)?,
            },
            TASK => Command::Task {
                ticket: ticket.ok_or(WireError::BadField)?,
                payload: self.body(attached)?,
            },
            ANSWER_TASK_DONE | ANSWER_TASK_FAILED | ANSWER_TASK_DIED => {
                let (from, request) = (Address(self.u16()?), self.u64()?);
                let body = self.body(attached)?;
                let end = match kind {
                    ANSWER_TASK_DONE => TaskAnswer::Done(body),
                    ANSWER_TASK_FAILED => {
                        let reason = std::str::from_utf8(body).map_err(|_| WireError::BadField)?;
                        TaskAnswer::Failed(reason)
                    }
                    _ => TaskAnswer::Died,
                };
                Command::Answer { from, request, answer: Answer::Task(end), ticket }
            }
            EVENT => {
                let incarnation = self.u64()?;
                let header = self.event_header()?;
                Command::Event { header, payload: self.body(attached)?, incarnation, ticket }
            }
            LIST => Command::List { ticket: ticket.ok_or(WireError::BadField)? },
            PART_MANY => Command::Part(Part::Many { delivered: self.u64()?, dropped: self.u64()? }),
            PART_IDS => Command::Part(Part::Ids(self.body(attached)?)),
            SURVEY => Command::Inspect {
                ticket: ticket.ok_or(WireError::BadField)?,
                question: self.body(attached)?,
            },
            _ => return Err(WireError::UnknownKind),
        })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    fn id(&mut self) -> Result<ConnectionId, WireError> {
        ConnectionId::try_from(self.u64()?).map_err(|_| WireError::BadField)
    }

    fn slot(&mut self) -> Result<Slot, WireError> {
        Slot::new(self.u16()?).ok_or(WireError::BadField)
    }

    fn event_header(&mut self) -> Result<EventHeader, WireError> {
        Ok(match self.u8()? {
            HEADER_LINE => {
                let (code, connection) = (EventCode(self.u8()?), self.u64()?);
                let connection = match connection {
                    0 => None,
                    _ => Some(ConnectionId::try_from(connection).map_err(|_| WireError::BadField)?),
                };
                EventHeader::Line { code, connection }
            }
            HEADER_SYNCED => EventHeader::Synced { worker: self.slot()? },
            HEADER_LOST => {
                let (worker, first, end) = (self.slot()?, self.u64()?, self.u64()?);
                EventHeader::Lost(LostConnections { worker, first, end })
            }
            _ => return Err(WireError::BadField),
        })
    }

    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::BadField)
    }

    fn recipients(&mut self) -> Result<Recipients<'a>, WireError> {
        let bytes = self.bytes()?;
        if bytes.len() % 8 != 0 || bytes.len() / 8 > RECIPIENTS_MAX {
            return Err(WireError::BadField);
        }
        Ok(Recipients(bytes))
    }

    fn body(&mut self, attached: bool) -> Result<&'a [u8], WireError> {
        let length = self.u32()? as usize;
        if !attached {
            return self.take(length);
        }
        if let Some(lost_bytes) = &mut self.lost_bytes {
            *lost_bytes = length;
            return Ok(&[]);
        }
        match self.attachment.take() {
            Some(attachment) if attachment.len() == length => Ok(attachment),
            Some(_) | None => Err(WireError::Attachment),
        }
    }
}

struct Writer<'p> {
    packet: &'p mut Vec<u8>,
    attached: bool,
}

impl Writer<'_> {
    fn head(
        &mut self,
        number: u8,
        kind: Option<PayloadKind>,
        ticket: Option<ReplyTo>,
        exclude: Option<ConnectionId>,
    ) {
        let mut flags = 0;
        if kind == Some(PayloadKind::Binary) {
            flags |= FLAG_BINARY;
        }
        if ticket.is_some() {
            flags |= FLAG_TICKET;
        }
        if exclude.is_some() {
            flags |= FLAG_EXCLUDE;
        }
        if self.attached {
            flags |= FLAG_ATTACHED;
        }
        self.packet.extend_from_slice(&[number, flags]);
        if let Some(ticket) = ticket {
            self.u16(ticket.reply_to.0);
            self.u64(ticket.request);
        }
        if let Some(exclude) = exclude {
            self.u64(exclude.as_u64());
        }
    }

    fn event_header(&mut self, header: EventHeader) {
        match header {
            EventHeader::Line { code, connection } => {
                self.packet.extend_from_slice(&[HEADER_LINE, code.0]);
                // No connection has the number 0.
                self.u64(connection.map_or(0, ConnectionId::as_u64));
            }
            EventHeader::Synced { worker } => {
                self.packet.push(HEADER_SYNCED);
                self.u16(worker.number());
            }
            EventHeader::Lost(LostConnections { worker, first, end }) => {
                self.packet.push(HEADER_LOST);
                self.u16(worker.number());
                self.u64(first);
                self.u64(end);
            }
        }
    }

    fn u16(&mut self, number: u16) {
        self.packet.extend_from_slice(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.packet.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.packet.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.packet.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.packet.extend_from_slice(bytes);
    }

    fn body(&mut self, body: &[u8]) {
        self.packet.extend_from_slice(&(body.len() as u32).to_le_bytes());
        if !self.attached {
            self.packet.extend_from_slice(body);
        }
    }
}

fn outcome_number(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Delivered => 0,
        Outcome::NoSuchConnection => 1,
        Outcome::Closing => 2,
        Outcome::OutboxFull => 3,
        Outcome::TooLarge => 4,
        Outcome::MailboxFull => 5,
    }
}

fn outcome_from(number: u16) -> Option<Outcome> {
    [
        Outcome::Delivered,
        Outcome::NoSuchConnection,
        Outcome::Closing,
        Outcome::OutboxFull,
        Outcome::TooLarge,
        Outcome::MailboxFull,
    ]
    .get(usize::from(number))
    .copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(serial: u64) -> ConnectionId {
        ConnectionId::new(Slot::new(3).unwrap(), serial).unwrap()
    }

    fn task_answer(end: TaskAnswer<'_>) -> Command<'_> {
        Command::Answer { from: Address(3), request: 5, answer: Answer::Task(end), ticket: None }
    }

    fn every_command<'a>(payload: &'a [u8], only: &'a [u8]) -> Vec<Command<'a>> {
        let asked = ReplyTo { reply_to: Address(2), request: 77 };
        let ticket = Some(asked);
        let event = |header, ticket| Command::Event { header, payload, incarnation: 7, ticket };
        vec![
            Command::Push { id: id(1), kind: PayloadKind::Text, payload, ticket: None },
            Command::Push { id: id(2), kind: PayloadKind::Binary, payload, ticket },
            Command::Broadcast {
                group: Some(Group::named("plugin:chat")),
                kind: PayloadKind::Text,
                payload,
                exclude: Some(id(9)),
                ticket,
            },
            Command::Broadcast {
                group: None,
                kind: PayloadKind::Binary,
                payload,
                exclude: None,
                ticket: None,
            },
            Command::Publish {
                channel: "chat.room.1",
                kind: PayloadKind::Text,
                payload,
                exclude: None,
                only: Recipients(only),
                ticket,
            },
            Command::Disconnect { id: id(4), code: 1000, reason: "bye", ticket: None },
            Command::Info { id: id(4), ticket: asked },
            Command::Answer {
                from: Address(3),
                request: 5,
                answer: Answer::One(Outcome::OutboxFull),
                ticket: None,
            },
            Command::Answer {
                from: Address(3),
                request: 5,
                answer: Answer::Many { delivered: 8, dropped: 1 },
                ticket: None,
            },
            Command::Answer { from: Address(3), request: 5, answer: Answer::Info(payload), ticket },
            Command::Message { from: Address(6), kind: PayloadKind::Binary, payload },
            event(EventHeader::Line { code: EventCode(3), connection: Some(id(5)) }, ticket),
            event(EventHeader::Line { code: EventCode(4), connection: None }, None),
            event(EventHeader::Synced { worker: id(1).slot() }, None),
            event(
                EventHeader::Lost(LostConnections { worker: id(1).slot(), first: 1, end: 9 }),
                None,
            ),
            Command::List { ticket: asked },
            Command::Task { ticket: asked, payload },
            task_answer(TaskAnswer::Done(payload)),
            task_answer(TaskAnswer::Failed("no")),
            task_answer(TaskAnswer::Died),
            Command::Inspect { question: payload, ticket: asked },
            Command::Part(Part::Many { delivered: 3, dropped: 4 }),
            Command::Part(Part::Ids(payload)),
        ]
    }

    #[test]
    fn every_command_comes_back_from_a_packet_of_all_of_them() {
        let only = Recipients::to_bytes(&[id(1), id(2)]);
        let commands = every_command(b"hello", &only);
        let mut packet = vec![VERSION];
        for command in &commands {
            encode(command, false, &mut packet);
        }
        let decoded: Result<Vec<_>, _> = decode(&packet, None).collect();
        assert_eq!(decoded.unwrap(), commands);
        assert_eq!(Recipients(&only).iter().collect::<Vec<_>>(), vec![id(1), id(2)]);
    }

    #[test]
    fn an_attached_body_must_be_there_with_its_length() {
        let command =
            Command::Push { id: id(1), kind: PayloadKind::Text, payload: b"hello", ticket: None };
        let mut packet = vec![VERSION];
        encode(&command, true, &mut packet);
        assert_eq!(decode(&packet, Some(b"hello")).next(), Some(Ok(command)));
        assert_eq!(decode(&packet, Some(b"hell")).next(), Some(Err(WireError::Attachment)));
        assert_eq!(decode(&packet, None).next(), Some(Err(WireError::Attachment)));
    }

    #[test]
    fn every_cut_of_a_packet_is_an_error_or_a_shorter_list() {
        let commands = every_command(b"hello", &[]);
        let mut packet = vec![VERSION];
        let mut ends = vec![1];
        for command in &commands {
            encode(command, false, &mut packet);
            ends.push(packet.len());
        }
        for cut in 0..packet.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            let results: Vec<_> = decode(&packet[..cut], None).collect();
            assert_eq!(results.iter().filter(|r| r.is_ok()).count(), whole, "cut at {cut}");
            assert_eq!(results.iter().any(Result::is_err), !ends.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn whose_task_a_packet_holds_stands_in_its_first_bytes() {
        let ticket = ReplyTo { reply_to: Address(7), request: u64::MAX - 1 };
        let mut packet = vec![VERSION];
        encode(&Command::Task { ticket, payload: b"work" }, false, &mut packet);
        assert_eq!(task_ticket(&packet[..TASK_HEAD_BYTES]), Some(ticket));
        assert_eq!(task_ticket(&packet[..TASK_HEAD_BYTES - 1]), None);
        let mut packet = vec![VERSION];
        encode(&Command::List { ticket }, false, &mut packet);
        assert_eq!(task_ticket(&packet), None);
    }

    #[test]
    fn a_command_without_its_body_says_who_waits_and_how_much_is_missing() {
        let body = vec![7; 40_000];
        let only = id(5).as_u64().to_le_bytes();
        for command in every_command(&body, &only) {
            if super::body(&command).is_empty() {
                continue;
            }
            let mut packet = vec![VERSION];
            encode(&command, true, &mut packet);
            let (without, bytes) = bodiless(&packet).unwrap();
            assert_eq!((bytes, super::body(&without).len()), (super::body(&command).len(), 0));
            assert_eq!(std::mem::discriminant(&without), std::mem::discriminant(&command));
            if let (Command::Push { ticket, .. }, Command::Push { ticket: same, .. }) =
                (&command, &without)
            {
                assert_eq!(ticket, same);
            }
            let mut whole = vec![VERSION];
            encode(&command, false, &mut whole);
            assert!(bodiless(&whole).is_err(), "nothing was attached to it");
        }
        assert_eq!(bodiless(&[]), Err(WireError::Truncated));
        assert_eq!(bodiless(&[VERSION + 1]), Err(WireError::Version));
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(decode(&[VERSION + 1, 1, 2], None).next(), Some(Err(WireError::Version)));
        assert_eq!(decode(&[], None).next(), Some(Err(WireError::Truncated)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut packet = vec![VERSION];
            packet.extend(bytes);
            prop_assert!(decode(&packet, Some(&[1, 2, 3])).count() <= packet.len());
        }
    }
}
