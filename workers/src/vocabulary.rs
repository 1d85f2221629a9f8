//! What applications are told of and say: messages, requests, verdicts, ends. Data only.

use std::borrow::Cow;

use wsmaster_ipc::{ConnectionId, PayloadKind};
use wsmaster_protocol::{
    close::CloseCode,
    http::{RequestHead, Response},
    peer::Peer,
};

use crate::token::Key;

/// A message from a client, or for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Its bytes.
    #[inline]
    pub fn payload(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Text or binary.
    #[inline]
    pub fn kind(self) -> PayloadKind {
        match self {
            Self::Text(_) => PayloadKind::Text,
            Self::Binary(_) => PayloadKind::Binary,
        }
    }

    /// Its text; of a binary message its bytes, as the error.
    pub fn text(self) -> Result<&'a str, &'a [u8]> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(bytes) => Err(bytes),
        }
    }

    /// A message that came from another process: text that is not UTF-8 becomes binary.
    pub fn from_parts(kind: PayloadKind, payload: &'a [u8]) -> Self {
        match (kind, std::str::from_utf8(payload)) {
            (PayloadKind::Text, Ok(text)) => Self::Text(text),
            (PayloadKind::Text, Err(_)) | (PayloadKind::Binary, _) => Self::Binary(payload),
        }
    }
}

/// What the application says to a handshake.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Become a WebSocket.
    Accept {
        /// The subprotocol chosen of those that the client offers; another one is left out. `None` leaves the
        /// choice to the rules of the server, [`HandshakeRules`](crate::HandshakeRules).
        subprotocol: Option<String>,
        /// Headers to add to the answer.
        headers: Vec<(String, String)>,
    },
    /// Answer like this, and close.
    Reject(Response),
    /// It is told later, with [`Context::decide`](crate::Context::decide). The client waits so long, and hears 503 when that takes longer than the
    /// limits allow.
    Later,
}

impl Verdict {
    /// Accepts without more.
    pub fn accept() -> Self {
        Self::Accept { subprotocol: None, headers: Vec::new() }
    }
}

/// How a WebSocket ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Which one it was.
    pub id: ConnectionId,
    /// Who ended it.
    pub by: ClosedBy,
    /// The code of the close frame that began the end: the peer's, or ours. `None` when there was none.
    pub code: Option<CloseCode>,
    /// The reason that stood beside it.
    pub reason: Cow<'static, str>,
}

/// Who ended a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClosedBy {
    /// The client, with a close frame.
    Peer,
    /// This server: a disconnect, a limit, a timeout, a fault of the client's, the worker's end.
    Server,
    /// Nobody: the socket broke or ended without a close frame.
    Lost,
}

/// An HTTP request, whole.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Its line and headers.
    pub head: RequestHead,
    /// Its body, at most as long as the limits allow.
    pub body: Vec<u8>,
    /// The client's address: what a trusted proxy says it is, or else the peer's.
    pub peer: Peer,
    /// Whether the client came over TLS, to this server or to a trusted proxy that says so.
    pub secure: bool,
    /// What the rules of the listener say to the application: [`ListenerRules::tag`](crate::ListenerRules::tag).
    pub listener_tag: u32,
}

/// An HTTP request of which the head is known.
#[derive(Clone, Copy, Debug)]
pub struct HttpHead<'a> {
    /// Its line and headers.
    pub head: &'a RequestHead,
    /// As [`HttpRequest::peer`].
    pub peer: Peer,
    /// As [`HttpRequest::secure`].
    pub secure: bool,
    /// As [`HttpRequest::listener_tag`].
    pub listener_tag: u32,
}

impl HttpRequest {
    /// What of it was known before its body came.
    pub fn facts(&self) -> HttpHead<'_> {
        let Self { head, body: _, peer, secure, listener_tag } = self;
        HttpHead { head, peer: *peer, secure: *secure, listener_tag: *listener_tag }
    }
}

/// The right to decide one handshake, once.
#[derive(Debug)]
pub struct Undecided {
    pub(crate) key: Key,
    pub(crate) number: u32,
}

/// The right to answer one request, once.
#[derive(Debug)]
pub struct Responder {
    pub(crate) key: Key,
    pub(crate) number: u32,
}
