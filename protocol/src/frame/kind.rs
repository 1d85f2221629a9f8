//! What kinds of messages and frames there are (RFC 6455, sections 5.4 to 5.6), and the bits that say so.

use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::error::SessionError;

/// The first reserved bit: the message is compressed, where permessage-deflate was agreed on (RFC 7692, section 6).
pub(crate) const RSV1: u8 = 0x40;
const OPCODE_BITS: u8 = 0x0f;

/// What a message consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// The opcodes a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// The first frame of a message.
    Message(MessageKind),
    /// A further frame of the message begun before.
    Continuation,
    /// A control frame.
    Control(ControlKind),
}

/// The control opcodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ControlKind {
    Ping,
    Pong,
    Close,
}

impl FrameKind {
    /// The kind that the first byte of a header names.
    pub(super) fn of(first: u8) -> Result<Self, SessionError> {
        match OpCode::from(first & OPCODE_BITS) {
            OpCode::Data(Data::Text) => Ok(Self::Message(MessageKind::Text)),
            OpCode::Data(Data::Binary) => Ok(Self::Message(MessageKind::Binary)),
            OpCode::Data(Data::Continue) => Ok(Self::Continuation),
            OpCode::Control(Control::Ping) => Ok(Self::Control(ControlKind::Ping)),
            OpCode::Control(Control::Pong) => Ok(Self::Control(ControlKind::Pong)),
            OpCode::Control(Control::Close) => Ok(Self::Control(ControlKind::Close)),
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                Err(SessionError::ReservedOpcode)
            }
        }
    }
}
