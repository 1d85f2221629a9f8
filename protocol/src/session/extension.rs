//! What a negotiated extension changes in the reading of frames (RFC 6455, section 9).

use serde::{Deserialize, Serialize};

use crate::frame::FrameKind;

/// What was negotiated in the handshake that changes the meaning of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extension {
    /// Nothing: every reserved bit is an error.
    None,
}

impl Extension {
    /// The reserved bits (0x40, 0x20, 0x10) that a frame of this kind may have set.
    ///
    /// permessage-deflate would answer 0x40 (RSV1) for the first frame of a message (RFC 7692, section 6).
    #[inline]
    pub(crate) fn reserved_bits(self, _kind: FrameKind) -> u8 {
        match self {
            Self::None => 0,
        }
    }
}
