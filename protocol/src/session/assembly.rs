//! What a session holds of a header, frame or message that is not complete.
//!
//! Owns the buffers and how they grow: with what arrived, never with what a header promised.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Event;
use crate::{
    error::SessionError,
    frame::{ControlKind, HEADER_BYTES_MAX, MessageKind},
    utf8::Utf8Stream,
};

/// The incomplete rest of what the peer has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Assembly {
    pub(super) reading: Reading,
    pub(super) message: Option<PartialMessage>,
}

/// Which part of a frame comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reading {
    /// The header, of which these bytes have come; none between the frames of a message.
    Header(HeaderBytes),
    /// The payload.
    Payload(OpenFrame),
}

/// A frame whose payload is arriving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenFrame {
    pub(super) target: Target,
    /// The mask key, turned so that it starts at the next byte.
    pub(super) key: [u8; 4],
    pub(super) missing_bytes: u64,
}

/// Where the payload of the open frame goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Target {
    /// To the message, which ends with this frame if it is final.
    Message { is_final: bool },
    /// To the payload of a control frame, at most 125 bytes.
    Control { kind: ControlKind, payload: Vec<u8> },
    /// Nowhere: we have sent a close frame and wait for the peer's.
    Nowhere,
}

/// A message of which some frames or bytes are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartialMessage {
    /// How many of its frames have begun.
    pub(super) fragments: usize,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Body {
    /// Kept as a string from the start, so that what was checked piece by piece need not be checked again.
    Text {
        finished: String,
        stream: Utf8Stream,
    },
    Binary(Vec<u8>),
    /// As it came; it is decompressed when it is complete.
    Compressed {
        kind: MessageKind,
        bytes: Vec<u8>,
    },
}

/// A message all of whose bytes have come.
pub(super) enum Complete {
    Plain(Event<'static>),
    Compressed(MessageKind, Vec<u8>),
}

impl Default for Reading {
    fn default() -> Self {
        Self::Header(HeaderBytes::default())
    }
}

impl Assembly {
    pub(super) fn is_empty(&self) -> bool {
        match &self.reading {
            Reading::Header(bytes) => bytes.as_slice().is_empty() && self.message.is_none(),
            Reading::Payload(_) => false,
        }
    }

    /// The bytes of a header that is not complete.
    pub(super) fn header_bytes(&self) -> HeaderBytes {
        match &self.reading {
            Reading::Header(bytes) => *bytes,
            Reading::Payload(_) => HeaderBytes::default(),
        }
    }

    /// Forgets what came of messages, pings and pongs, and lets the rest of the open frame go nowhere.
    pub(super) fn discard_data(&mut self) {
        self.message = None;
        match &mut self.reading {
            Reading::Header(_) => {}
            Reading::Payload(frame) => match &frame.target {
                Target::Control { kind: ControlKind::Close, .. } => {}
                Target::Control { kind: ControlKind::Ping | ControlKind::Pong, .. }
                | Target::Message { .. }
                | Target::Nowhere => frame.target = Target::Nowhere,
            },
        }
    }

    pub(super) fn pinned_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| match &message.body {
            Body::Text { finished, .. } => finished.capacity(),
            Body::Binary(bytes) | Body::Compressed { kind: _, bytes } => bytes.capacity(),
        });
        let control = match &self.reading {
            Reading::Payload(OpenFrame { target: Target::Control { payload, .. }, .. }) => {
                payload.capacity()
            }
            Reading::Payload(_) | Reading::Header(_) => 0,
        };
        size_of::<Self>() + message + control
    }
}

impl PartialMessage {
    pub(super) fn new(kind: MessageKind, is_compressed: bool) -> Self {
        let body = match kind {
            kind if is_compressed => Body::Compressed { kind, bytes: Vec::new() },
            MessageKind::Text => {
                Body::Text { finished: String::new(), stream: Utf8Stream::default() }
            }
            MessageKind::Binary => Body::Binary(Vec::new()),
        };
        Self { fragments: 0, body }
    }

    /// Whether its frames carry compressed data.
    pub(super) fn is_compressed(&self) -> bool {
        match &self.body {
            Body::Compressed { .. } => true,
            Body::Text { .. } | Body::Binary(_) => false,
        }
    }

    /// How many payload bytes have come.
    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::Text { finished, stream } => finished.len() + stream.open_bytes(),
            Body::Binary(bytes) | Body::Compressed { kind: _, bytes } => bytes.len(),
        }
    }

    /// Adds unmasked bytes. `known_to_come` is how many more complete the message, if the final
    /// frame has begun.
    pub(super) fn append(
        &mut self,
        chunk: &[u8],
        known_to_come: Option<u64>,
    ) -> Result<(), SessionError> {
        match &mut self.body {
            Body::Text { finished, stream } => {
                let needed = chunk.len() + stream.open_bytes();
                let spare = finished.capacity() - finished.len();
                if let Some(more) = growth(spare, finished.capacity(), needed, known_to_come) {
                    finished.reserve_exact(more);
                }
                stream.push_into(chunk, finished)?;
            }
            Body::Binary(bytes) | Body::Compressed { kind: _, bytes } => {
                let spare = bytes.capacity() - bytes.len();
                if let Some(more) = growth(spare, bytes.capacity(), chunk.len(), known_to_come) {
                    bytes.reserve_exact(more);
                }
                bytes.extend_from_slice(chunk);
            }
        }
        Ok(())
    }

    /// The complete message.
    pub(super) fn finish(self) -> Result<Complete, SessionError> {
        match self.body {
            Body::Text { finished, stream } => {
                stream.finish()?;
                Ok(Complete::Plain(Event::Text(Cow::Owned(finished))))
            }
            Body::Binary(bytes) => Ok(Complete::Plain(Event::Binary(Cow::Owned(bytes)))),
            Body::Compressed { kind, bytes } => Ok(Complete::Compressed(kind, bytes)),
        }
    }
}

/// How much to add to a buffer, beyond its length, before `needed` bytes are appended to it.
///
/// Twice what it has, so that a message in many reads is copied a bounded number of times; but no more than the message
/// can still become, if that is known. A declared length alone never makes the buffer more than twice what arrived.
fn growth(
    spare: usize,
    capacity: usize,
    needed: usize,
    known_to_come: Option<u64>,
) -> Option<usize> {
    if needed <= spare {
        return None;
    }
    let doubled = needed.max(capacity);
    let Some(known_to_come) = known_to_come else { return Some(doubled) };
    let known_to_come = usize::try_from(known_to_come).unwrap_or(usize::MAX);
    Some(doubled.min(needed.saturating_add(known_to_come)))
}

/// The first bytes of a header, at most 14.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub(super) struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl HeaderBytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Copies as much as fits from the front of `input`.
    pub(super) fn fill_from(&mut self, input: &[u8]) {
        let room = self.bytes.iter_mut().skip(usize::from(self.len));
        for (byte, from) in room.zip(input) {
            *byte = *from;
            self.len += 1;
        }
    }
}

impl From<HeaderBytes> for Vec<u8> {
    fn from(header: HeaderBytes) -> Self {
        header.as_slice().to_vec()
    }
}

/// A suspended header is believed only if it is no longer than one.
impl TryFrom<Vec<u8>> for HeaderBytes {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, &'static str> {
        if bytes.len() >= HEADER_BYTES_MAX {
            return Err("a split header of 14 bytes or more is not split");
        }
        let mut header = Self::default();
        header.fill_from(&bytes);
        Ok(header)
    }
}
