//! Checks text that arrives in pieces, and fails at the first byte that no continuation could repair.
//!
//! Owns the open character between two pieces and nothing else: the text goes to the caller's string.

use serde::{Deserialize, Serialize};

/// The bytes are not UTF-8 and no further byte could make them so (close code 1007).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid UTF-8")]
pub struct InvalidUtf8;

/// UTF-8 in pieces: up to three bytes of a character whose rest has not arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Utf8Stream {
    tail: [u8; 3],
    tail_bytes: u8,
}

impl Utf8Stream {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when what came so far is no prefix of valid UTF-8. The stream is useless afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        self.decode(bytes, |_| {})
    }

    /// Takes the next piece and appends its finished characters to `text`, each byte looked at once.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_into(&mut self, bytes: &[u8], text: &mut String) -> Result<(), InvalidUtf8> {
        self.decode(bytes, |finished| text.push_str(finished))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`InvalidUtf8`] when a character is still open.
    pub fn finish(self) -> Result<(), InvalidUtf8> {
        if self.tail_bytes == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// How many bytes of an unfinished character are held, 0 to 3.
    pub fn open_bytes(&self) -> usize {
        usize::from(self.tail_bytes)
    }

    fn decode(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        let mut rest = bytes;
        while self.tail_bytes > 0 {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            self.close_character(byte, &mut sink)?;
            rest = after;
        }
        // The open end is cut off before the check, so the piece is looked at once and not again up to its valid part.
        let (finished, open) = rest.split_at(rest.len() - open_len(rest));
        sink(str::from_utf8(finished).map_err(|_| InvalidUtf8)?);
        *self = Self::of_open(open).ok_or(InvalidUtf8)?;
        Ok(())
    }

    /// Adds one byte to the character left open by an earlier piece.
    fn close_character(
        &mut self,
        byte: u8,
        sink: &mut impl FnMut(&str),
    ) -> Result<(), InvalidUtf8> {
        let [a, b, c] = self.tail;
        let character = match self.tail_bytes {
            1 => [a, byte, 0, 0],
            2 => [a, b, byte, 0],
            _ => [a, b, c, byte],
        };
        let held = self.open_bytes() + 1;
        let candidate = &character[..held.min(character.len())];
        if let Ok(finished) = str::from_utf8(candidate) {
            sink(finished);
            *self = Self::default();
        } else {
            *self = Self::of_open(candidate).ok_or(InvalidUtf8)?;
        }
        Ok(())
    }

    /// Holds `open`, or answers `None` when it could never become one character.
    fn of_open(open: &[u8]) -> Option<Self> {
        let mut stream = Self::default();
        if open.is_empty() {
            return Some(stream);
        }
        let error = str::from_utf8(open).err()?;
        if error.valid_up_to() > 0 || error.error_len().is_some() {
            return None;
        }
        stream.tail.get_mut(..open.len())?.copy_from_slice(open);
        stream.tail_bytes = u8::try_from(open.len()).ok()?;
        Some(stream)
    }
}

impl From<Utf8Stream> for Vec<u8> {
    fn from(stream: Utf8Stream) -> Self {
        stream.tail.into_iter().take(stream.open_bytes()).collect()
    }
}

/// A suspended stream is believed only if its bytes are an open character.
impl TryFrom<Vec<u8>> for Utf8Stream {
    type Error = InvalidUtf8;

    fn try_from(open: Vec<u8>) -> Result<Self, InvalidUtf8> {
        Self::of_open(&open).ok_or(InvalidUtf8)
    }
}

/// How many bytes at the end belong to a character that a further byte could finish: 0 to 3.
fn open_len(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let held = back + 1;
        let needed = match byte {
            0x00..=0x7f => 1,
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        return if held < needed { held } else { 0 };
    }
    0
}
