//! The bytes of a packet of commands. Pure: it encodes into a buffer and decodes from one, and believes no length before
//! it is checked. Nothing is allocated to decode: a command borrows from its packet.
//!
//! ```text
//! packet  := version:u8 command*
//! command := fields payload?
//! fields  := what postcard makes of a Command
//! payload := length:u32 bytes                 (little endian; only of a kind of command that has one)
//! ```
//! A payload too large for a packet is attached: the highest bit of its length says so, and the bytes travel in a sealed
//! memory file beside the packet. A packet with an attachment holds one command.

use postcard::ser_flavors::Flavor;

pub use crate::command::RECIPIENTS_MAX;
use crate::command::{Command, ReplyTo};

/// The first byte of a packet. A process of another version refuses the packet and counts it.
pub const VERSION: u8 = 2;
/// The largest packet, in bytes.
pub const PACKET_BYTES_MAX: usize = 60 * 1024;
/// The largest payload that travels inside a packet, in bytes; a larger one is attached.
pub const INLINE_BODY_BYTES_MAX: usize = 32 * 1024;
/// The largest attached payload, in bytes.
pub const ATTACHED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The largest sum of attached payloads that may wait in one mailbox, in bytes; a single one may always.
pub const ATTACHED_WAITING_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most that all fields of a command beside its payload take, in bytes.
pub const FIELDS_BYTES_MAX: usize = 16 * 1024;

/// In the length of a payload: it is attached.
const ATTACHED: u32 = 1 << 31;
const LENGTH_BYTES: usize = 4;

/// As many bytes from the front of a packet as [`task_ticket`] needs: the version and the fields of a task.
pub const TASK_HEAD_BYTES: usize = 16;

// A packet holds the largest command.
const _: () =
    assert!(1 + FIELDS_BYTES_MAX + LENGTH_BYTES + INLINE_BODY_BYTES_MAX < PACKET_BYTES_MAX);
const _: () = assert!(RECIPIENTS_MAX * 8 < FIELDS_BYTES_MAX);
const _: () = assert!(ATTACHED_BYTES_MAX < ATTACHED as usize);

/// Why a packet could not be read. What stood before the bad place has been handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The first byte is not [`VERSION`].
    #[error("a packet of another version")]
    Version,
    /// A field or a payload ends behind the packet's end.
    #[error("a packet that ends too early")]
    Truncated,
    /// A kind of command that this version does not know, or a field with a value that cannot be.
    #[error("a command of an unknown kind or with an impossible field")]
    Malformed,
    /// The packet says that a payload is attached, and none of that length is.
    #[error("a command whose attached payload is missing")]
    Attachment,
}

/// The fields of a command take more than [`FIELDS_BYTES_MAX`], or it names more than [`RECIPIENTS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a command with fields that are too large")]
pub struct FieldsTooLarge;

/// Appends `command` to a packet; with `attached`, of its payload the length only.
///
/// # Errors
/// See [`FieldsTooLarge`]: the packet is as it was.
pub fn encode(
    command: &Command<'_>,
    attached: bool,
    packet: &mut Vec<u8>,
) -> Result<(), FieldsTooLarge> {
    let start = packet.len();
    let fields = postcard::serialize_with_flavor(command, Append(packet));
    if fields.is_err() || packet.len() - start > FIELDS_BYTES_MAX {
        packet.truncate(start);
        return Err(FieldsTooLarge);
    }
    let mut command = *command;
    if let Some(payload) = command.payload_mut() {
        let length = payload.len() as u32 | if attached { ATTACHED } else { 0 };
        packet.extend_from_slice(&length.to_le_bytes());
        if !attached {
            packet.extend_from_slice(payload);
        }
    }
    Ok(())
}

/// A packet that postcard appends to.
struct Append<'p>(&'p mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Who waits for the task in a packet, from its first [`TASK_HEAD_BYTES`]. `None` when it holds no task.
pub fn task_ticket(head: &[u8]) -> Option<ReplyTo> {
    match decode(head, None).fields() {
        Ok(command) if command.is_task() => command.ticket(),
        Ok(_) | Err(_) => None,
    }
}

/// The command of a packet whose attached payload was lost on the way, with an empty payload, and how many bytes that had.
///
/// # Errors
/// As of [`decode`]; `Attachment` when the packet says that nothing was attached.
pub fn bodiless(packet: &[u8]) -> Result<(Command<'_>, usize), WireError> {
    let mut decoder = Decoder { lost_bytes: Some(0), ..decode(packet, None) };
    match (decoder.command()?, decoder.lost_bytes) {
        (_, None | Some(0)) => Err(WireError::Attachment),
        (command, Some(bytes)) => Ok((command, bytes)),
    }
}

/// The commands of a packet, one after the other. After an error there is nothing more.
pub fn decode<'a>(packet: &'a [u8], attachment: Option<&'a [u8]>) -> Decoder<'a> {
    let (rest, failed) = match packet.split_first() {
        Some((&VERSION, rest)) => (rest, None),
        Some(_) => (&[][..], Some(WireError::Version)),
        None => (&[][..], Some(WireError::Truncated)),
    };
    Decoder { rest, attachment, lost_bytes: None, failed }
}

/// See [`decode`].
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    attachment: Option<&'a [u8]>,
    /// An attached payload is known to be lost: how many bytes it had.
    lost_bytes: Option<usize>,
    failed: Option<WireError>,
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Command<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() && self.failed.is_none() {
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
    fn command(&mut self) -> Result<Command<'a>, WireError> {
        let mut command = self.fields()?;
        if let Some(payload) = command.payload_mut() {
            *payload = self.payload()?;
        }
        Ok(command)
    }

    fn fields(&mut self) -> Result<Command<'a>, WireError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (command, rest) =
            postcard::take_from_bytes::<Command<'a>>(self.rest).map_err(|error| match error {
                postcard::Error::DeserializeUnexpectedEnd => WireError::Truncated,
                _ => WireError::Malformed,
            })?;
        self.rest = rest;
        Ok(command)
    }

    fn payload(&mut self) -> Result<&'a [u8], WireError> {
        let (length, rest) =
            self.rest.split_first_chunk::<LENGTH_BYTES>().ok_or(WireError::Truncated)?;
        let length = u32::from_le_bytes(*length);
        let (is_attached, length) = (length & ATTACHED != 0, (length & !ATTACHED) as usize);
        self.rest = rest;
        if !is_attached {
            let (payload, rest) = rest.split_at_checked(length).ok_or(WireError::Truncated)?;
            self.rest = rest;
            return Ok(payload);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        command::{
            Answer, Group, Note, Outcome, Part, PayloadKind, Recipients, Request, TaskAnswer,
        },
        event::{EventCode, EventHeader, LostConnections},
        id::{Address, ConnectionId, Slot},
    };

    fn id(serial: u64) -> ConnectionId {
        ConnectionId::new(Slot::new(3).unwrap(), serial).unwrap()
    }

    fn answer(answer: Answer<'_>, ticket: Option<ReplyTo>) -> Command<'_> {
        Command::Answer { from: Address(3), request: 5, answer, ticket }
    }

    fn request(request: Request<'_>) -> Command<'_> {
        Command::Request { request, ticket: None }
    }

    fn every_command<'a>(payload: &'a [u8], only: &'a [u8]) -> Vec<Command<'a>> {
        let ticket = ReplyTo { reply_to: Address(2), request: 77 };
        let asked = |request| Command::Request { request, ticket: Some(ticket) };
        let event = |header| Request::Event { header, payload, incarnation: 7 };
        vec![
            request(Request::Push { id: id(1), kind: PayloadKind::Text, payload }),
            asked(Request::Push { id: id(2), kind: PayloadKind::Binary, payload }),
            asked(Request::Broadcast {
                group: Some(Group::named("plugin:chat")),
                kind: PayloadKind::Text,
                payload,
                exclude: Some(id(9)),
            }),
            request(Request::Broadcast {
                group: None,
                kind: PayloadKind::Binary,
                payload,
                exclude: None,
            }),
            asked(Request::Publish {
                channel: "chat.room.1",
                kind: PayloadKind::Text,
                payload,
                exclude: None,
                only: Recipients::from_bytes(only),
            }),
            request(Request::Disconnect { id: id(4), code: 1000, reason: "bye" }),
            asked(Request::Info { id: id(4) }),
            asked(Request::List),
            asked(Request::Inspect { question: payload }),
            asked(Request::Task { payload }),
            asked(event(EventHeader::Line { code: EventCode(3), connection: Some(id(5)) })),
            request(event(EventHeader::Line { code: EventCode(4), connection: None })),
            request(event(EventHeader::Synced { worker: id(1).slot() })),
            request(event(EventHeader::Lost(LostConnections {
                worker: id(1).slot(),
                first: 1,
                end: 9,
            }))),
            answer(Answer::One(Outcome::OutboxFull), None),
            answer(Answer::Many { delivered: 8, dropped: 1 }, None),
            answer(Answer::NoRoom, None),
            answer(Answer::Info(payload), Some(ticket)),
            answer(Answer::Task(TaskAnswer::Done(payload)), None),
            answer(Answer::Task(TaskAnswer::Failed("no")), None),
            answer(Answer::Task(TaskAnswer::Died), None),
            Command::Note(Note::Message { from: Address(6), kind: PayloadKind::Binary, payload }),
            Command::Note(Note::Part(Part::Many { delivered: 3, dropped: 4 })),
            Command::Note(Note::Part(Part::Ids(payload))),
        ]
    }

    #[test]
    fn every_command_comes_back_from_a_packet_of_all_of_them() {
        let only = Recipients::to_bytes(&[id(1), id(2)]);
        let commands = every_command(b"hello", &only);
        let mut packet = vec![VERSION];
        for command in &commands {
            encode(command, false, &mut packet).unwrap();
        }
        let decoded: Result<Vec<_>, _> = decode(&packet, None).collect();
        assert_eq!(decoded.unwrap(), commands);
        assert_eq!(Recipients::from_bytes(&only).iter().collect::<Vec<_>>(), vec![id(1), id(2)]);
    }

    #[test]
    fn an_attached_body_must_be_there_with_its_length() {
        let command =
            request(Request::Push { id: id(1), kind: PayloadKind::Text, payload: b"hello" });
        let mut packet = vec![VERSION];
        encode(&command, true, &mut packet).unwrap();
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
            encode(command, false, &mut packet).unwrap();
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
    fn a_changed_bit_makes_an_error_or_another_list_that_can_be_written_again() {
        let only = Recipients::to_bytes(&[id(1), id(2)]);
        for command in every_command(b"hello", &only) {
            let mut packet = vec![VERSION];
            encode(&command, false, &mut packet).unwrap();
            for bit in 0..packet.len() * 8 {
                let mut changed = packet.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let read: Vec<_> = decode(&changed, None).map_while(Result::ok).collect();
                let mut again = vec![VERSION];
                for command in &read {
                    encode(command, false, &mut again).unwrap();
                }
                let reread: Result<Vec<_>, _> = decode(&again, None).collect();
                assert_eq!(reread.as_ref(), Ok(&read), "{command:?}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_a_field_cannot_be_is_refused() {
        let packet = |command: &Command<'_>| {
            let mut packet = vec![VERSION];
            encode(command, false, &mut packet).unwrap();
            packet
        };
        let ticket = ReplyTo { reply_to: Address(2), request: 77 };
        let refused = |packet: &[u8]| decode(packet, None).next().map(|step| step.map(|_| ()));
        // The bytes of the id are the last ones but for a ticket.
        let mut no_id = packet(&Command::Request {
            ticket: Some(ticket),
            request: Request::Info { id: id(4) },
        });
        let at = no_id.windows(8).position(|bytes| bytes == id(4).as_u64().to_le_bytes()).unwrap();
        no_id[at..at + 8].fill(0);
        assert_eq!(refused(&no_id), Some(Err(WireError::Malformed)));
        no_id[at..at + 8].fill(0xff);
        assert_eq!(refused(&no_id), Some(Err(WireError::Malformed)));
        let mut no_text =
            packet(&request(Request::Disconnect { id: id(4), code: 1000, reason: "bye" }));
        let at = no_text.windows(3).position(|bytes| bytes == b"bye").unwrap();
        no_text[at] = 0xff;
        assert_eq!(refused(&no_text), Some(Err(WireError::Malformed)));
        assert_eq!(refused(&[VERSION, 0x7f]), Some(Err(WireError::Malformed)));
        let recipients = Recipients::from_bytes(&[1; 12]);
        let publish = Request::Publish {
            channel: "c",
            kind: PayloadKind::Text,
            payload: b"",
            exclude: None,
            only: recipients,
        };
        assert_eq!(refused(&packet(&request(publish))), Some(Err(WireError::Malformed)));
    }

    #[test]
    fn whose_task_a_packet_holds_stands_in_its_first_bytes() {
        let ticket = ReplyTo { reply_to: Address(u16::MAX), request: u64::MAX - 1 };
        let mut packet = vec![VERSION];
        encode(
            &Command::Request { ticket: Some(ticket), request: Request::Task { payload: b"work" } },
            false,
            &mut packet,
        )
        .unwrap();
        assert_eq!(task_ticket(&packet[..TASK_HEAD_BYTES]), Some(ticket));
        assert_eq!(task_ticket(&packet[..TASK_HEAD_BYTES - 1]), None);
        let mut packet = vec![VERSION];
        encode(
            &Command::Request { ticket: Some(ticket), request: Request::List },
            false,
            &mut packet,
        )
        .unwrap();
        assert_eq!(task_ticket(&packet), None);
    }

    #[test]
    fn a_command_without_its_body_says_who_waits_and_how_much_is_missing() {
        let body = vec![7; 40_000];
        let only = id(5).as_u64().to_le_bytes();
        for command in every_command(&body, &only) {
            if command.payload().is_empty() {
                continue;
            }
            let mut packet = vec![VERSION];
            encode(&command, true, &mut packet).unwrap();
            let (without, bytes) = bodiless(&packet).unwrap();
            assert_eq!((bytes, without.payload().len()), (command.payload().len(), 0));
            assert_eq!(std::mem::discriminant(&without), std::mem::discriminant(&command));
            assert_eq!(without.ticket(), command.ticket());
            let mut whole = vec![VERSION];
            encode(&command, false, &mut whole).unwrap();
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
