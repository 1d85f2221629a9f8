//! What a negotiated extension changes in the reading of frames (RFC 6455, section 9).

use serde::{Deserialize, Serialize};

use crate::{
    deflate::{Agreement, Window},
    frame::{FrameKind, RSV1},
};

/// What was negotiated in the handshake that changes the meaning of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Extension {
    /// Nothing: every reserved bit is an error.
    None,
    /// permessage-deflate: the first reserved bit says that a message is compressed.
    Deflate(Agreement),
}

impl Extension {
    /// The reserved bits (0x40, 0x20, 0x10) that a frame of this kind may have set: 0x40 (RSV1) on the first frame of a
    /// message, with permessage-deflate (RFC 7692, section 6).
    pub(crate) fn reserved_bits(&self, kind: FrameKind) -> u8 {
        match (self, kind) {
            (Self::Deflate(_), FrameKind::Message(_)) => RSV1,
            (Self::Deflate(_), FrameKind::Continuation | FrameKind::Control(_))
            | (Self::None, _) => 0,
        }
    }
}

/// What both sides may refer to. A side without context takeover remembers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contexts {
    pub(super) received: Window,
    pub(super) sent: Window,
}

impl Contexts {
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.received.memory_bytes() + self.sent.memory_bytes()
    }
}
