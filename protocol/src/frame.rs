//! Single frames on the wire: ours are written whole, of a client's the header is read (RFC 6455, section 5.2).
//!
//! Knows nothing of messages in pieces, limits or the state of a connection: that is the session's.

mod kind;

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

pub use self::kind::MessageKind;
pub(crate) use self::kind::{ControlKind, FrameKind, RSV1};
use crate::{close::CloseCode, error::SessionError, session::Extension};

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// The longest reason of a close frame: a control payload without the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// The longest header of a client's frame: two bytes, eight of length, four of mask key.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

const FINAL: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const MASKED: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
/// The longest payload whose length stands in the second byte.
const SHORT_BYTES_MAX: usize = 125;
/// Two bytes and the mask key: all there is before a payload of up to 125 bytes.
pub(crate) const SHORT_HEADER_BYTES: usize = 6;

/// How many bytes stand before a payload of `payload_len` bytes in a frame of ours: 2, 4 or 10.
#[inline]
pub const fn header_len(payload_len: usize) -> usize {
    match payload_len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends one unmasked frame with a whole message to `out`.
#[inline]
pub fn encode_message(kind: MessageKind, payload: &[u8], out: &mut Vec<u8>) {
    let data = match kind {
        MessageKind::Text => Data::Text,
        MessageKind::Binary => Data::Binary,
    };
    encode_frame(OpCode::Data(data), payload, out);
}

/// Appends one unmasked frame with a whole message that has been compressed to `payload` (RFC 7692, section 6.1).
pub fn encode_compressed(kind: MessageKind, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    encode_message(kind, payload, out);
    if let Some(first) = out.get_mut(start) {
        *first |= RSV1;
    }
}

/// Appends a ping to `out`; a payload beyond [`CONTROL_BYTES_MAX`] is a mistake of the caller's and cut.
#[inline]
pub fn encode_ping(payload: &[u8], out: &mut Vec<u8>) {
    encode_control(Control::Ping, payload, out);
}

/// Appends a pong to `out`; a payload beyond [`CONTROL_BYTES_MAX`] is a mistake of the caller's and cut.
#[inline]
pub fn encode_pong(payload: &[u8], out: &mut Vec<u8>) {
    encode_control(Control::Pong, payload, out);
}

/// Appends a close frame to `out`.
///
/// Without a code there is no reason either (RFC 6455, section 5.5.1). The reason is cut to [`CLOSE_REASON_BYTES_MAX`]
/// bytes at the end of a character.
pub fn encode_close(code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
    let Some(code) = code else {
        return encode_control(Control::Close, &[], out);
    };
    let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = [0; CONTROL_BYTES_MAX];
    payload[..2].copy_from_slice(&u16::from(code).to_be_bytes());
    payload[2..2 + end].copy_from_slice(&reason.as_bytes()[..end]);
    encode_control(Control::Close, &payload[..2 + end], out);
}

fn encode_control(control: Control, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(payload.len() <= CONTROL_BYTES_MAX, "a control payload of {}", payload.len());
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    encode_frame(OpCode::Control(control), payload, out);
}

#[inline]
fn encode_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    if payload.len() > SHORT_BYTES_MAX {
        return encode_long_frame(opcode, payload, out);
    }
    // Most frames are short, and two bytes are quicker written than described to the general formatter.
    out.reserve(2 + payload.len());
    out.extend_from_slice(&[FINAL | u8::from(opcode), payload.len() as u8]);
    out.extend_from_slice(payload);
}

fn encode_long_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    out.reserve(header_len(payload.len()) + payload.len());
    header.format(payload.len() as u64, out).expect("a Vec takes every write");
    out.extend_from_slice(payload);
}

/// Which data frame may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The first of a message.
    Message,
    /// The next of a message.
    Continuation,
    /// Either: what comes is thrown away.
    Any,
}

/// The header of a frame from a client, with nothing wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientHeader {
    pub(crate) kind: FrameKind,
    pub(crate) is_final: bool,
    /// It begins a compressed message.
    pub(crate) is_compressed: bool,
    pub(crate) key: [u8; 4],
    pub(crate) payload_len: u64,
    /// How long the header itself is.
    pub(crate) header_len: usize,
}

impl ClientHeader {
    /// Reads the header at the front of `input`; `None` when more bytes are needed.
    ///
    /// The checks follow the order of the bytes, so a wrong header gives the same error however it is cut into reads,
    /// and gives it as soon as the byte that shows it is there.
    pub(crate) fn parse(
        input: &[u8],
        extension: &Extension,
        expected: Expected,
    ) -> Result<Option<Self>, SessionError> {
        let Some(&first) = input.first() else { return Ok(None) };
        let is_final = first & FINAL != 0;
        let kind = FrameKind::of(first)?;
        let reserved_bits = first & RESERVED_BITS;
        if reserved_bits != 0 && reserved_bits & !extension.reserved_bits(kind) != 0 {
            return Err(SessionError::ReservedBit);
        }
        let is_compressed = reserved_bits & RSV1 != 0;
        match (kind, expected) {
            (FrameKind::Control(_), _) if !is_final => return Err(SessionError::FragmentedControl),
            (FrameKind::Message(_), Expected::Continuation) => {
                return Err(SessionError::InterruptedMessage);
            }
            (FrameKind::Continuation, Expected::Message) => {
                return Err(SessionError::LoneContinuation);
            }
            (FrameKind::Control(_) | FrameKind::Message(_) | FrameKind::Continuation, _) => {}
        }

        let Some(&second) = input.get(1) else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(SessionError::Unmasked);
        }
        let short_len = second & LENGTH_BITS;
        if usize::from(short_len) > SHORT_BYTES_MAX {
            if matches!(kind, FrameKind::Control(_)) {
                return Err(SessionError::LongControl);
            }
            return Self::parse_long(input, kind, is_final, is_compressed);
        }
        let Some(&[_, _, key @ ..]) = input.first_chunk::<SHORT_HEADER_BYTES>() else {
            return Ok(None);
        };
        let payload_len = u64::from(short_len);
        let header_len = SHORT_HEADER_BYTES;
        Ok(Some(Self { kind, is_final, is_compressed, key, payload_len, header_len }))
    }

    /// Where the payload that starts at `at` ends, if that is within an input of `input_len` bytes.
    pub(crate) fn end_within(&self, at: usize, input_len: usize) -> Option<usize> {
        let end = at.checked_add(usize::try_from(self.payload_len).ok()?)?;
        if end <= input_len { Some(end) } else { None }
    }

    /// Reads a header with an extended length; what its first two bytes can show has been checked.
    fn parse_long(
        input: &[u8],
        kind: FrameKind,
        is_final: bool,
        is_compressed: bool,
    ) -> Result<Option<Self>, SessionError> {
        let mut cursor = Cursor::new(input);
        let (header, payload_len) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            // The opcode is the only thing tungstenite checks, and it has been found good above.
            Err(_) => return Err(SessionError::ReservedOpcode),
        };
        // `len` is the length of the shortest header for this payload: another one was used if it differs.
        let header_len = header.len(payload_len);
        if payload_len >> 63 != 0 || cursor.position() != header_len as u64 {
            return Err(SessionError::LengthEncoding);
        }
        let key = header.mask.ok_or(SessionError::Unmasked)?;
        Ok(Some(Self { kind, is_final, is_compressed, key, payload_len, header_len }))
    }
}

/// Recognises what nearly every read of a server begins with: a whole message of up to 125 bytes in one frame, not
/// compressed. The kind, the key and the length of the payload, which lies behind [`SHORT_HEADER_BYTES`].
///
/// For all else, good or bad, the answer is `None`, and [`ClientHeader::parse`] has to look.
#[inline]
pub(crate) fn short_message(input: &[u8]) -> Option<(MessageKind, [u8; 4], usize)> {
    const TEXT: u8 = FINAL | 0x1;
    const BINARY: u8 = FINAL | 0x2;
    let (&[first, second, key @ ..], rest) = input.split_first_chunk::<SHORT_HEADER_BYTES>()?;
    let kind = match first {
        TEXT => MessageKind::Text,
        BINARY => MessageKind::Binary,
        _ => return None,
    };
    // Without the mask bit this is 128 or more, so one comparison finds an unmasked frame and a long one.
    let payload_len = usize::from(second ^ MASKED);
    if payload_len <= SHORT_BYTES_MAX && payload_len <= rest.len() {
        Some((kind, key, payload_len))
    } else {
        None
    }
}
