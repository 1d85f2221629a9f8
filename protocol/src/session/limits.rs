//! What a peer may make a session hold.
//!
//! Owns the bounds and their comparison with a header, before any byte of its payload is taken.

use super::assembly::PartialMessage;
use crate::{
    deflate::grown_bytes_max,
    error::SessionError,
    frame::{ClientHeader, FrameKind},
};

/// What a peer may make the session hold. Reaching a bound is allowed, going beyond it ends the session.
///
/// A compressed message may be a little longer on the wire than the bounds say (nine bits for a byte): what cannot be
/// compressed grows. The bound on a message holds for what it is decompressed to, while that is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The longest payload of one data frame; a longer one is refused by its header (1009).
    pub frame_bytes_max: usize,
    /// The longest message, all its frames together; a longer one is refused by a header (1009).
    pub message_bytes_max: usize,
    /// In how many frames a message may come, empty ones included (1008). A message in one frame is always accepted.
    pub fragments_max: usize,
}

impl SessionLimits {
    /// Judges a data frame by its header; `message` is what it continues.
    #[inline]
    pub(super) fn check(
        &self,
        header: &ClientHeader,
        message: Option<&PartialMessage>,
    ) -> Result<(), SessionError> {
        let (held_bytes, fragments, is_compressed) = match (header.kind, message) {
            (FrameKind::Control(_), _) => return Ok(()),
            (FrameKind::Message(_), _) | (FrameKind::Continuation, None) => {
                (0, 0, header.is_compressed)
            }
            (FrameKind::Continuation, Some(message)) => {
                (message.len(), message.fragments, message.is_compressed())
            }
        };
        if fragments > 0 && fragments >= self.fragments_max {
            return Err(SessionError::TooManyFragments);
        }
        if is_compressed {
            return self.on_the_wire().check_message(header.payload_len, held_bytes);
        }
        self.check_message(header.payload_len, held_bytes)
    }

    /// What holds for the frames of a compressed message.
    #[cold]
    fn on_the_wire(&self) -> Self {
        Self {
            frame_bytes_max: grown_bytes_max(self.frame_bytes_max),
            message_bytes_max: grown_bytes_max(self.message_bytes_max),
            ..*self
        }
    }

    /// Judges the next `payload_len` bytes of a message of which `held_bytes` have come.
    #[inline]
    pub(super) fn check_message(
        &self,
        payload_len: u64,
        held_bytes: usize,
    ) -> Result<(), SessionError> {
        if payload_len > self.frame_bytes_max as u64 {
            return Err(SessionError::FrameTooBig);
        }
        if payload_len > self.message_bytes_max.saturating_sub(held_bytes) as u64 {
            return Err(SessionError::MessageTooBig);
        }
        Ok(())
    }

    /// Judges bytes that have arrived for a message, as they are added to it. The headers that promised them were judged
    /// before, but of a resumed session that is only its predecessor's word.
    pub(super) fn check_arrived(
        &self,
        message: &PartialMessage,
        arrived_bytes: usize,
    ) -> Result<(), SessionError> {
        let bytes_max = if message.is_compressed() {
            grown_bytes_max(self.message_bytes_max)
        } else {
            self.message_bytes_max
        };
        if message.len() + arrived_bytes > bytes_max {
            return Err(SessionError::MessageTooBig);
        }
        Ok(())
    }
}
