//! From a compressed message to the plain one (RFC 7692, section 7.2.2).
//!
//! Owns the bounds of that: how long the plain message may become, checked while it grows, and that text is checked as it
//! appears. One inflater serves all connections of a worker, message by message.

use std::cmp::min;

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use super::format::TAIL;
use crate::{error::SessionError, frame::MessageKind, utf8::Utf8Stream};

/// Blocks in one message that say they are the last (`BFINAL`, section 7.2.3.4). One is enough for every compressor; each
/// further one makes the inflater begin anew, which costs more than its two bytes.
pub const FINAL_BLOCKS_MAX: usize = 64;

/// How much of a message appears between two looks at it.
const STEP_BYTES: usize = 16 * 1024;
/// A buffer that grew beyond this is given back before the next message.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// A last block without content, behind [`TAIL`]: who is not at the end of a block there does not take it for an end.
const END: [u8; 2] = [0x03, 0x00];

/// A message without its compression, in the inflater's memory.
#[derive(Debug, PartialEq, Eq)]
pub enum Inflated<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Inflated<'a> {
    /// Its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// Decompresses one message after the other. Holds nothing on the heap before the first, and is small enough to be moved
/// about.
#[derive(Debug, Default)]
pub struct Inflater(Option<Box<Machine>>);

#[derive(Debug)]
struct Machine {
    engine: Decompress,
    plain: Vec<u8>,
    /// How much of `plain` is the present message.
    made: usize,
    work_bytes: usize,
}

impl Inflater {
    /// An inflater; all its memory comes with the first message.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Decompresses a message that has come whole. `window` are the last plain bytes before it, if it may refer to them.
    ///
    /// A payload of no bytes at all is taken for an empty message, although it should be one block without content.
    ///
    /// # Errors
    /// - [`SessionError::Compression`] (1007) when it is no deflate data, ends in the middle of a block, or has more than
    ///   [`FINAL_BLOCKS_MAX`] final blocks;
    /// - [`SessionError::BeyondWindow`] (1007) when it refers to what is beyond the window;
    /// - [`SessionError::MessageTooBig`] (1009) when it would become longer than `bytes_max`; no more than one byte beyond
    ///   that is ever made;
    /// - [`SessionError::InvalidText`] (1007) when it should be text and is not UTF-8.
    pub fn inflate(
        &mut self,
        kind: MessageKind,
        compressed: &[u8],
        window: &[u8],
        bytes_max: usize,
    ) -> Result<Inflated<'_>, SessionError> {
        let machine = self.0.get_or_insert_with(|| Box::new(Machine::new()));
        let plain = machine.inflate(kind, compressed, window, bytes_max)?;
        match kind {
            MessageKind::Binary => Ok(Inflated::Binary(plain)),
            MessageKind::Text => Ok(Inflated::Text(str::from_utf8(plain)?)),
        }
    }

    /// The plain bytes made since this was asked last, those of broken messages too: what decompression has cost.
    #[inline]
    pub fn take_work_bytes(&mut self) -> usize {
        self.0.as_mut().map_or(0, |machine| std::mem::take(&mut machine.work_bytes))
    }
}

impl Machine {
    fn new() -> Self {
        // The size of the window is fixed to the largest: references of any agreement are within it.
        Self { engine: Decompress::new(false), plain: Vec::new(), made: 0, work_bytes: 0 }
    }

    fn inflate(
        &mut self,
        kind: MessageKind,
        compressed: &[u8],
        window: &[u8],
        bytes_max: usize,
    ) -> Result<&[u8], SessionError> {
        if self.plain.len() > KEPT_BYTES_MAX {
            self.plain = Vec::new();
        }
        self.made = 0;
        let result = self.run(kind, compressed, window, bytes_max);
        self.work_bytes = self.work_bytes.saturating_add(self.made);
        result.map(|()| &self.plain[..self.made])
    }

    fn run(
        &mut self,
        kind: MessageKind,
        compressed: &[u8],
        window: &[u8],
        bytes_max: usize,
    ) -> Result<(), SessionError> {
        if compressed.is_empty() {
            return Ok(());
        }
        let mut text = TextSoFar::default();
        let mut parts = [compressed, &TAIL, &END].into_iter();
        let mut input = parts.next().unwrap_or_default();
        let mut final_blocks = 0;
        self.restart(window)?;
        loop {
            let end = self.room_end(bytes_max);
            let room = &mut self.plain[self.made..end];
            let room_bytes = room.len();
            let (taken_before, made_before) = (self.engine.total_in(), self.engine.total_out());
            let status = self
                .engine
                .decompress(input, room, FlushDecompress::None)
                .map_err(|error| fault(&error))?;
            let taken = (self.engine.total_in() - taken_before) as usize;
            let made = (self.engine.total_out() - made_before) as usize;
            input = &input[taken..];
            self.made += made;
            if self.made > bytes_max {
                return Err(SessionError::MessageTooBig);
            }
            match status {
                Status::StreamEnd => {
                    if input.is_empty() && parts.len() != 1 {
                        // The end of our own making, or of a message that ends in a final block and nothing else.
                        return Ok(());
                    }
                    final_blocks += 1;
                    if final_blocks > FINAL_BLOCKS_MAX {
                        return Err(SessionError::Compression);
                    }
                    self.restart(window)?;
                }
                Status::Ok | Status::BufError if made == room_bytes => {
                    if kind == MessageKind::Text {
                        text.check(&self.plain[..self.made])?;
                    }
                }
                Status::Ok | Status::BufError if input.is_empty() => match parts.next() {
                    Some(next) => input = next,
                    // Our own end was taken for something else.
                    None => return Err(SessionError::Compression),
                },
                Status::Ok | Status::BufError if taken + made > 0 => {}
                Status::Ok | Status::BufError => return Err(SessionError::Compression),
            }
        }
    }

    /// Begins a stream of blocks that may refer to the window and to what has been made of this message.
    fn restart(&mut self, window: &[u8]) -> Result<(), SessionError> {
        self.engine.reset(false);
        for known in [window, &self.plain[..self.made]] {
            if !known.is_empty() {
                self.engine.set_dictionary(known).map_err(|_| SessionError::Compression)?;
            }
        }
        Ok(())
    }

    /// Makes room for what comes next, and says where it ends: beyond what is made, and never beyond the first byte too
    /// many.
    fn room_end(&mut self, bytes_max: usize) -> usize {
        let end = min(self.made.saturating_add(STEP_BYTES), bytes_max.saturating_add(1));
        if end > self.plain.len() {
            let doubled = end.max(min(2 * self.plain.len(), bytes_max.saturating_add(1)));
            self.plain.resize(doubled, 0);
        }
        end
    }
}

/// What the engine complains of. Its words are those of zlib; were they others, less would be said and nothing else change.
fn fault(error: &DecompressError) -> SessionError {
    if error.message().is_some_and(|message| message.contains("too far back")) {
        SessionError::BeyondWindow
    } else {
        SessionError::Compression
    }
}

/// How much of a text has been looked at before it is complete.
#[derive(Default)]
struct TextSoFar {
    stream: Utf8Stream,
    checked: usize,
}

impl TextSoFar {
    fn check(&mut self, plain: &[u8]) -> Result<(), SessionError> {
        self.stream.push(&plain[self.checked..])?;
        self.checked = plain.len();
        Ok(())
    }
}

impl From<std::str::Utf8Error> for SessionError {
    fn from(_: std::str::Utf8Error) -> Self {
        Self::InvalidText
    }
}
