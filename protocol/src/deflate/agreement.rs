//! What two peers have agreed on (RFC 7692, section 7.1).

use serde::{Deserialize, Serialize};

use super::window::WindowBits;

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
