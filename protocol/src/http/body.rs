//! The body of a request, read whole into bounded memory.
//!
//! Owns the rules of RFC 9112 7.1. Memory grows with what has arrived, never with what a peer declared. It never
//! decodes content: what is inside is the application's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::HttpError;
use super::framing::BodyKind;
use super::limits::HttpLimits;
use super::token::is_token_byte;

/// Bytes of the extensions of one chunk (RFC 9112 7.1.1), which are skipped. Beyond: 400.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 256;

/// Bytes of the extensions of all chunks of a body. Beyond: 400, since otherwise a body of one-byte chunks could cost
/// hundreds of times its size.
pub const CHUNK_EXTENSIONS_BYTES_MAX: usize = 16 * 1024;

/// Hexadecimal digits of a chunk size: what 64 bits hold.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// What [`BodyReader::receive`] did with its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyStep {
    /// Bytes at the front of the input that belong to this body and that the caller drops: all of them unless the body
    /// ended. What is left belongs to the next request.
    pub consumed: usize,
    /// The whole body, once; `None` as long as it is incomplete. After an error: answer and close.
    pub done: Result<Option<Vec<u8>>, HttpError>,
}

/// Reads one body, piece by piece, into one buffer of at most [`HttpLimits::body_bytes_max`] bytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct BodyReader {
    state: State,
    body: Vec<u8>,
    body_bytes_max: usize,
    trailer_bytes_left: usize,
    extension_bytes_left: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Content of a known length.
    Length {
        left: usize,
    },
    /// The digits of a chunk's size.
    Size {
        value: u64,
        digits: u8,
    },
    /// White space between the size and a `;`.
    SizeBlank {
        value: u64,
        bytes: usize,
    },
    /// Behind the `;`, up to the CR.
    Extension {
        value: u64,
        bytes: usize,
    },
    /// The LF that ends the line of the size.
    SizeEnd {
        value: u64,
    },
    /// The content of a chunk.
    Data {
        left: usize,
    },
    /// The CR, then the LF, after the content of a chunk.
    DataCr,
    DataLf,
    /// The first byte of a trailer, or the CR of the empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// The last LF of the body.
    EndLf,
    /// All of the body is there.
    Complete,
    /// The body was handed out.
    Done,
    Failed(HttpError),
}

impl BodyReader {
    /// A reader for a body of this kind.
    ///
    /// # Errors
    /// [`HttpError::BodyTooLarge`] at once when the declared length is over the limit.
    pub fn new(kind: BodyKind, limits: &HttpLimits) -> Result<Self, HttpError> {
        let (state, body_bytes_max) = match kind {
            BodyKind::None => (State::Complete, 0),
            BodyKind::Length(length) => match usize::try_from(length) {
                Ok(0) => (State::Complete, 0),
                Ok(left) if left <= limits.body_bytes_max => (State::Length { left }, left),
                Ok(_) | Err(_) => return Err(HttpError::BodyTooLarge),
            },
            BodyKind::Chunked => (State::Size { value: 0, digits: 0 }, limits.body_bytes_max),
        };
        Ok(Self {
            state,
            body: Vec::new(),
            body_bytes_max,
            trailer_bytes_left: limits.head_bytes_max,
            extension_bytes_left: CHUNK_EXTENSIONS_BYTES_MAX,
        })
    }

    /// Takes what has arrived. Call it once also when nothing has: an empty body is done without a byte.
    ///
    /// After the body was handed out it consumes nothing; after an error it repeats the error.
    pub fn receive(&mut self, input: &[u8]) -> BodyStep {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match self.advance(rest) {
                Ok(Advance::Took(0)) => return BodyStep { consumed, done: Ok(None) },
                Ok(Advance::Took(bytes)) => consumed += bytes,
                Ok(Advance::Finished) => {
                    self.state = State::Done;
                    let body = std::mem::take(&mut self.body);
                    return BodyStep { consumed, done: Ok(Some(body)) };
                }
                Err(error) => {
                    self.state = State::Failed(error);
                    self.body = Vec::new();
                    return BodyStep { consumed, done: Err(error) };
                }
            }
        }
    }

    /// Bytes of memory held for the body so far.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.body.capacity()
    }

    /// One step at the front of `input`: the content that is there, or one byte of the framing.
    fn advance(&mut self, input: &[u8]) -> Result<Advance, HttpError> {
        match self.state {
            State::Complete => return Ok(Advance::Finished),
            State::Done => return Ok(Advance::Took(0)),
            State::Failed(error) => return Err(error),
            State::Length { left } => {
                let taken = self.take_content(input, left);
                let left = left - taken;
                self.state = if left == 0 { State::Complete } else { State::Length { left } };
                return Ok(Advance::Took(taken));
            }
            State::Data { left } => {
                let taken = self.take_content(input, left);
                let left = left - taken;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                return Ok(Advance::Took(taken));
            }
            State::Size { .. }
            | State::SizeBlank { .. }
            | State::Extension { .. }
            | State::SizeEnd { .. }
            | State::DataCr
            | State::DataLf
            | State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => {}
        }
        let Some(&byte) = input.first() else { return Ok(Advance::Took(0)) };
        self.state = self.framing_byte(byte)?;
        Ok(Advance::Took(1))
    }

    /// The state after one byte that is not content (RFC 9112 7.1).
    fn framing_byte(&mut self, byte: u8) -> Result<State, HttpError> {
        match self.state {
            State::Size { value, digits } => match (char::from(byte).to_digit(16), byte) {
                (Some(_), _) if digits == CHUNK_SIZE_DIGITS_MAX => Err(HttpError::Chunk),
                (Some(digit), _) => {
                    Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
                }
                (None, _) if digits == 0 => Err(HttpError::Chunk),
                (None, b'\r') => Ok(State::SizeEnd { value }),
                (None, b';') => Ok(State::Extension { value, bytes: 0 }),
                (None, b' ' | b'\t') => Ok(State::SizeBlank { value, bytes: 1 }),
                (None, _) => Err(HttpError::Chunk),
            },
            State::SizeBlank { value, bytes } => match byte {
                b';' => Ok(State::Extension { value, bytes }),
                b' ' | b'\t' => Ok(State::SizeBlank { value, bytes: self.extension_byte(bytes)? }),
                _ => Err(HttpError::Chunk),
            },
            State::Extension { value, bytes } => match byte {
                b'\r' => Ok(State::SizeEnd { value }),
                _ if is_text(byte) => {
                    Ok(State::Extension { value, bytes: self.extension_byte(bytes)? })
                }
                _ => Err(HttpError::Chunk),
            },
            State::SizeEnd { value } => {
                expect(byte, b'\n')?;
                self.chunk_begins(value)
            }
            State::DataCr => expect(byte, b'\r').map(|()| State::DataLf),
            State::DataLf => expect(byte, b'\n').map(|()| State::Size { value: 0, digits: 0 }),
            State::TrailerStart if byte == b'\r' => Ok(State::EndLf),
            State::TrailerStart if is_token_byte(byte) => self.trailer_byte(State::TrailerName),
            State::TrailerStart => Err(HttpError::Chunk),
            State::TrailerName if byte == b':' => self.trailer_byte(State::TrailerValue),
            State::TrailerName if is_token_byte(byte) => self.trailer_byte(State::TrailerName),
            State::TrailerName => Err(HttpError::Chunk),
            State::TrailerValue if byte == b'\r' => self.trailer_byte(State::TrailerLf),
            State::TrailerValue if is_text(byte) => self.trailer_byte(State::TrailerValue),
            State::TrailerValue => Err(HttpError::Chunk),
            State::TrailerLf => {
                expect(byte, b'\n')?;
                self.trailer_byte(State::TrailerStart)
            }
            State::EndLf => expect(byte, b'\n').map(|()| State::Complete),
            // No byte of these is framing.
            state @ (State::Length { .. }
            | State::Data { .. }
            | State::Complete
            | State::Done
            | State::Failed(_)) => Ok(state),
        }
    }

    fn chunk_begins(&self, size: u64) -> Result<State, HttpError> {
        match usize::try_from(size) {
            Ok(0) => Ok(State::TrailerStart),
            Ok(left) if left <= self.body_bytes_max - self.body.len() => Ok(State::Data { left }),
            Ok(_) | Err(_) => Err(HttpError::BodyTooLarge),
        }
    }

    fn extension_byte(&mut self, bytes: usize) -> Result<usize, HttpError> {
        self.extension_bytes_left =
            self.extension_bytes_left.checked_sub(1).ok_or(HttpError::Chunk)?;
        if bytes < CHUNK_EXTENSION_BYTES_MAX { Ok(bytes + 1) } else { Err(HttpError::Chunk) }
    }

    fn trailer_byte(&mut self, next: State) -> Result<State, HttpError> {
        self.trailer_bytes_left =
            self.trailer_bytes_left.checked_sub(1).ok_or(HttpError::HeadTooLarge)?;
        Ok(next)
    }

    /// Copies up to `left` bytes of content, which the caller has checked against the limit.
    fn take_content(&mut self, input: &[u8], left: usize) -> usize {
        let content = input.get(..left).unwrap_or(input);
        let needed = self.body.len() + content.len();
        if needed > self.body.capacity() {
            // Doubling, as a Vec does by itself, but not past the limit.
            let capacity = needed.max(self.body.capacity() * 2).min(self.body_bytes_max);
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(content);
        content.len()
    }
}

impl fmt::Debug for BodyReader {
    /// Without the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader")
            .field("state", &self.state)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

enum Advance {
    /// So many bytes; none when more have to arrive first.
    Took(usize),
    Finished,
}

fn expect(byte: u8, wanted: u8) -> Result<(), HttpError> {
    if byte == wanted { Ok(()) } else { Err(HttpError::Chunk) }
}

/// What a field value or an extension may consist of: no control character but HTAB (RFC 9110 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
