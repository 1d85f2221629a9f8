//! What a session tells its owner.

use std::borrow::Cow;

use crate::{close::CloseCode, error::SessionError};

/// What the peer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping, at most 125 bytes. The pong is in the output already.
    Ping(Cow<'a, [u8]>),
    /// A pong, at most 125 bytes.
    Pong(Cow<'a, [u8]>),
    /// The peer closed, and has been answered unless it answered us. The session is closed.
    Close {
        /// The peer's code, if its frame had one.
        code: Option<CloseCode>,
        /// The peer's reason, at most 123 bytes.
        reason: String,
    },
    /// The peer broke the protocol or a limit, and has been told so unless a close frame was sent before.
    /// The session is closed.
    Failed(SessionError),
}

/// What one call of [`Session::receive`](super::Session::receive) did.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// How many bytes at the front of the input are done with.
    pub consumed: usize,
    /// The first event in them; without one the whole input was consumed.
    pub event: Option<Event<'a>>,
}

impl Step<'_> {
    /// The whole input was consumed, and nothing came of it yet.
    pub(super) fn nothing_more(consumed: usize) -> Self {
        Self { consumed, event: None }
    }
}
