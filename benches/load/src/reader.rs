//! Reads the frames of a server from bytes in pieces of any size, keeping nothing of a message.
//!
//! Hands out the payload in the parts in which it arrived, so a length that the server declares costs no memory. It
//! checks what RFC 6455 section 5 asks of a server's frames and no more; texts are the scenarios' matter.

use crate::frame::Opcode;

/// Longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Longest header of an unmasked frame: two bytes and a length of eight.
const HEADER_BYTES_MAX: usize = 10;

/// Why bytes are no frame of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame with reserved bits or a reserved opcode (first byte {0:#04x})")]
    Reserved(u8),
    #[error("a masked frame; a server must not mask (RFC 6455 section 5.1)")]
    Masked,
    #[error("a control frame that is fragmented or longer than 125 bytes")]
    Control,
    #[error("a continuation without a beginning, or a new message within another")]
    Sequence,
}

/// What was found next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Data(Part<'a>),
    Ping(ControlPayload),
    Pong,
    /// With its code, if it has one (RFC 6455 section 7.1.5).
    Close(Option<u16>),
}

/// A stretch of a message's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Where in the message `bytes` stand.
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    /// Whether the message ends with `bytes`.
    pub(crate) ends_message: bool,
}

/// The payload of a control frame, at most 125 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlPayload {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: usize,
}

impl ControlPayload {
    const EMPTY: Self = Self { bytes: [0; CONTROL_BYTES_MAX], length: 0 };

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Takes what fits.
    fn append(&mut self, part: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(part) {
            *to = *from;
            self.length += 1;
        }
    }

    fn close_code(&self) -> Option<u16> {
        self.as_slice().first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

/// Where in the stream of frames a connection stands.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    header: [u8; HEADER_BYTES_MAX],
    /// Payload of the control frame that is being read.
    control: ControlPayload,
    /// Payload bytes of the unfinished message so far; `None` between messages.
    message_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of the header are there.
    Header(usize),
    Data {
        left: u64,
        is_final: bool,
    },
    Control {
        control: Control,
        left: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Close,
    Ping,
    Pong,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Header(0),
            header: [0; HEADER_BYTES_MAX],
            control: ControlPayload::EMPTY,
            message_bytes: None,
        }
    }

    /// Takes the next thing off the front of `input`; `None` when `input` is used up.
    ///
    /// # Errors
    /// What stands there is no frame a server may send. The connection is of no use after that.
    #[inline]
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Incoming<'a>>, FrameError> {
        loop {
            match self.state {
                State::Header(length) => {
                    let Some((first, rest)) = input.split_first() else { return Ok(None) };
                    *input = rest;
                    if let Some(slot) = self.header.get_mut(length) {
                        *slot = *first;
                    }
                    self.state = State::Header(length + 1);
                    if let Some(header) = Header::parse(&self.header, length + 1)? {
                        self.begin(header)?;
                    }
                }
                // A frame without payload is complete as soon as it has begun.
                State::Data { left: 1.., .. } | State::Control { left: 1.., .. }
                    if input.is_empty() =>
                {
                    return Ok(None);
                }
                State::Data { left, is_final } => {
                    return Ok(Some(Incoming::Data(self.part(left, is_final, input))));
                }
                State::Control { control, left } => {
                    let taken = take(input, left);
                    self.control.append(taken);
                    let left = left - taken.len() as u64;
                    if left > 0 {
                        self.state = State::Control { control, left };
                        continue;
                    }
                    self.state = State::Header(0);
                    return Ok(Some(match control {
                        Control::Close => Incoming::Close(self.control.close_code()),
                        Control::Ping => Incoming::Ping(self.control),
                        Control::Pong => Incoming::Pong,
                    }));
                }
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), FrameError> {
        let Header { kind, is_final, payload_bytes: left } = header;
        self.state = match (kind, self.message_bytes) {
            (Kind::Continuation, Some(_)) => State::Data { left, is_final },
            (Kind::Message, None) => {
                self.message_bytes = Some(0);
                State::Data { left, is_final }
            }
            (Kind::Continuation, None) | (Kind::Message, Some(_)) => {
                return Err(FrameError::Sequence);
            }
            (Kind::Control(control), _) => {
                self.control = ControlPayload::EMPTY;
                State::Control { control, left }
            }
        };
        Ok(())
    }

    #[inline]
    fn part<'a>(&mut self, left: u64, is_final: bool, input: &mut &'a [u8]) -> Part<'a> {
        let bytes = take(input, left);
        let offset = self.message_bytes.unwrap_or(0);
        let left = left - bytes.len() as u64;
        let ends_message = left == 0 && is_final;
        self.message_bytes = (!ends_message).then_some(offset + bytes.len() as u64);
        self.state = if left > 0 { State::Data { left, is_final } } else { State::Header(0) };
        Part { offset, bytes, ends_message }
    }
}

#[derive(Debug, Clone, Copy)]
struct Header {
    kind: Kind,
    is_final: bool,
    payload_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Continuation,
    Message,
    Control(Control),
}

impl Header {
    /// Reads the first `length` of `bytes`; `None` while they are not all of a header.
    #[inline]
    fn parse(bytes: &[u8; HEADER_BYTES_MAX], length: usize) -> Result<Option<Self>, FrameError> {
        let [first, second, a, b, c, d, e, f, g, h] = *bytes;
        let payload_bytes = match (second & 0x7F, length) {
            (_, ..2) | (126, ..4) | (127, ..10) => return Ok(None),
            (126, _) => u64::from(u16::from_be_bytes([a, b])),
            (127, _) => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            (short, _) => u64::from(short),
        };
        let is_final = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(FrameError::Reserved(first));
        }
        let kind = match Opcode::from_bits(first & 0x0F) {
            Some(Opcode::Continuation) => Kind::Continuation,
            Some(Opcode::Text | Opcode::Binary) => Kind::Message,
            Some(Opcode::Close) => Kind::Control(Control::Close),
            Some(Opcode::Ping) => Kind::Control(Control::Ping),
            Some(Opcode::Pong) => Kind::Control(Control::Pong),
            None => return Err(FrameError::Reserved(first)),
        };
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        if matches!(kind, Kind::Control(_))
            && (!is_final || payload_bytes > CONTROL_BYTES_MAX as u64)
        {
            return Err(FrameError::Control);
        }
        Ok(Some(Self { kind, is_final, payload_bytes }))
    }
}

/// Takes at most `bytes_max` off the front of `input`.
fn take<'a>(input: &mut &'a [u8], bytes_max: u64) -> &'a [u8] {
    let length = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream says, told part by part with neighbouring parts joined.
    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        Message(Vec<u8>),
        Ping(Vec<u8>),
        Pong,
        Close(Option<u16>),
    }

    fn read(stream: &[u8], piece_bytes: usize) -> Result<Vec<Told>, FrameError> {
        let mut reader = Reader::new();
        let mut message = Vec::new();
        let mut told = Vec::new();
        for mut piece in stream.chunks(piece_bytes) {
            while let Some(incoming) = reader.next(&mut piece)? {
                told.push(match incoming {
                    Incoming::Data(part) => {
                        assert_eq!(part.offset, message.len() as u64);
                        message.extend_from_slice(part.bytes);
                        if !part.ends_message {
                            continue;
                        }
                        Told::Message(std::mem::take(&mut message))
                    }
                    Incoming::Ping(payload) => Told::Ping(payload.as_slice().to_vec()),
                    Incoming::Pong => Told::Pong,
                    Incoming::Close(code) => Told::Close(code),
                });
            }
        }
        Ok(told)
    }

    #[test]
    fn frames_are_read_from_pieces_of_any_size() {
        let mut stream = vec![0x81, 0, 0x82, 1, b'a', 0x89, 2, b'h', b'i', 0x8A, 0];
        // In three fragments, the second empty, with a ping between them.
        stream.extend_from_slice(&[0x01, 2, b'x', b'y', 0x89, 0, 0x00, 0, 0x80, 1, b'z']);
        stream.extend_from_slice(&[0x82, 126, 0x01, 0x00]);
        stream.extend_from_slice(&[7; 256]);
        stream.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend_from_slice(&[8; 65_536]);
        stream.extend_from_slice(&[0x88, 2, 0x03, 0xE8, 0x88, 0]);
        let expected = vec![
            Told::Message(vec![]),
            Told::Message(b"a".to_vec()),
            Told::Ping(b"hi".to_vec()),
            Told::Pong,
            Told::Ping(vec![]),
            Told::Message(b"xyz".to_vec()),
            Told::Message(vec![7; 256]),
            Told::Message(vec![8; 65_536]),
            Told::Close(Some(1000)),
            Told::Close(None),
        ];
        for piece_bytes in [1, 2, 3, 5, 7, 64, 1000, stream.len()] {
            assert_eq!(
                read(&stream, piece_bytes).as_ref(),
                Ok(&expected),
                "pieces of {piece_bytes}"
            );
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let cases: [(&[u8], FrameError); 8] = [
            (&[0xC1, 0], FrameError::Reserved(0xC1)),
            (&[0x83, 0], FrameError::Reserved(0x83)),
            (&[0x8B, 0], FrameError::Reserved(0x8B)),
            (&[0x81, 0x80, 0, 0, 0, 0], FrameError::Masked),
            (&[0x09, 0], FrameError::Control),
            (&[0x89, 126, 0, 126], FrameError::Control),
            (&[0x80, 0], FrameError::Sequence),
            (&[0x01, 0, 0x81, 0], FrameError::Sequence),
        ];
        for (stream, expected) in cases {
            assert_eq!(read(stream, 1), Err(expected), "{stream:02X?}");
        }
    }
}
