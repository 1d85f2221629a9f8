//! What the server asks of handshakes, whatever the application thinks of them. Owns data only.

use wsmaster_protocol::{origin::AllowedOrigins, subprotocols::Subprotocols};

/// The rules for all handshakes of a worker.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HandshakeRules {
    /// Which web pages may open a WebSocket.
    pub allowed_origins: AllowedOrigins,
    /// What a client gets when the application does not choose a subprotocol itself.
    pub subprotocols: Subprotocols,
}
