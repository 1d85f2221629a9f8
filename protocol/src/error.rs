//! What a peer can do wrong, and which close code answers it.

use tungstenite::protocol::frame::coding::CloseCode;

use crate::utf8::InvalidUtf8;

/// How a peer broke RFC 6455 or a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A reserved bit is set that no negotiated extension uses (section 5.2).
    #[error("reserved bit set")]
    ReservedBit,
    /// The opcode is not one of the six in use (section 5.2).
    #[error("reserved opcode")]
    ReservedOpcode,
    /// A client's frame is not masked (section 5.1).
    #[error("unmasked frame")]
    Unmasked,
    /// A control frame is not final (section 5.5).
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A control frame has more than 125 bytes (section 5.5).
    #[error("control frame too long")]
    LongControl,
    /// A continuation without a message to continue (section 5.4).
    #[error("continuation without a message")]
    LoneContinuation,
    /// A new message before the last fragment of another (section 5.4).
    #[error("message inside a message")]
    InterruptedMessage,
    /// The length is not in its shortest form, or has the top bit set (section 5.2).
    #[error("invalid length encoding")]
    LengthEncoding,
    /// A frame longer than [`frame_bytes_max`](crate::session::SessionLimits::frame_bytes_max).
    #[error("frame too big")]
    FrameTooBig,
    /// A message longer than [`message_bytes_max`](crate::session::SessionLimits::message_bytes_max).
    #[error("message too big")]
    MessageTooBig,
    /// A message in more frames than [`fragments_max`](crate::session::SessionLimits::fragments_max).
    #[error("too many fragments")]
    TooManyFragments,
    /// A text message that is not UTF-8 (section 8.1).
    #[error("text is not UTF-8")]
    InvalidText,
    /// A compressed message that is no deflate data (RFC 7692, section 7.2.2).
    #[error("broken compression")]
    Compression,
    /// A compressed message refers to an earlier one, and the client has offered to do without (RFC 7692, section 7.1.1.2).
    #[error(
        "broken compression: refers to earlier messages in spite of client_no_context_takeover"
    )]
    ForgottenContext,
    /// A compressed message refers to what is beyond the window (RFC 7692, section 7.1.2.2).
    #[error("broken compression: refers to what is beyond the window (client_max_window_bits)")]
    BeyondWindow,
    /// A close frame of one byte, which is half a code (section 5.5.1).
    #[error("invalid close payload")]
    ClosePayload,
    /// A close code that may not be sent (section 7.4).
    #[error("invalid close code {0}")]
    CloseCode(u16),
    /// The reason in a close frame is not UTF-8 (section 5.5.1).
    #[error("close reason is not UTF-8")]
    CloseReason,
}

impl SessionError {
    /// The code of the close frame that answers it.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBit
            | Self::ReservedOpcode
            | Self::Unmasked
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LoneContinuation
            | Self::InterruptedMessage
            | Self::LengthEncoding
            | Self::ClosePayload
            | Self::CloseCode(_) => CloseCode::Protocol,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::Size,
            Self::TooManyFragments => CloseCode::Policy,
            Self::InvalidText
            | Self::Compression
            | Self::ForgottenContext
            | Self::BeyondWindow
            | Self::CloseReason => CloseCode::Invalid,
        }
    }
}

impl From<InvalidUtf8> for SessionError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidText
    }
}
