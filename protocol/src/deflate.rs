//! permessage-deflate (RFC 7692): messages that are compressed, each by itself or with what was said before.
//!
//! Owns what two peers can agree on. The reading of offers is in `offer`, the two directions in [`Inflater`] and
//! [`Deflater`]; which frames may be compressed is the session's to know.
//!
//! The machines that compress belong to a worker and not to a connection: they begin anew with each message. What a
//! connection keeps, if it has agreed to context takeover at all, is a [`Window`]: the last plain bytes that were said, with
//! which the machine is primed before the next message. So a connection without context takeover costs nothing while it
//! is idle, one with it costs its windows, and either can be taken to another process between two messages.

mod deflater;
mod inflater;
mod offer;
mod window;

use serde::{Deserialize, Serialize};

pub use self::{
    deflater::Deflater,
    inflater::{FINAL_BLOCKS_MAX, Inflated, Inflater},
    offer::{Answer, Malformed, Offer, Policy, first_offer},
    window::{Window, WindowBits},
};

/// What every compressed message ends with and no compressed message carries (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The most that a message of this length becomes when it cannot be compressed: nine bits for a byte, and the heads of
/// blocks.
pub(crate) fn grown_bytes_max(message_bytes: usize) -> usize {
    message_bytes.saturating_add(message_bytes / 8).saturating_add(64)
}

/// What client and server have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Agreement {
    /// How far back the server's messages may refer.
    pub server_window: WindowBits,
    /// How far back the client's messages may refer.
    pub client_window: WindowBits,
    /// Whether the server's messages may refer to those before.
    pub server_takeover: bool,
    /// Whether the client's messages may refer to those before.
    pub client_takeover: bool,
}

impl Agreement {
    /// The bytes of the windows that a connection with this agreement may keep.
    pub fn context_bytes(&self) -> usize {
        let kept = |takeover: bool, window: WindowBits| if takeover { window.bytes() } else { 0 };
        kept(self.server_takeover, self.server_window)
            + kept(self.client_takeover, self.client_window)
    }
}
