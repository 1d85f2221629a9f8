//! Whether a request may become a WebSocket, and the answer that makes it one (RFC 6455, section 4.2).
//!
//! Owns the judgement of a request head that has been parsed: it reads no bytes and knows no path, origin or user. That an
//! HTTP/1.1 request has a `Host` is the parser's to check.

use tungstenite::handshake::derive_accept_key;

use crate::{
    deflate::{Agreement, Answer, Offer, Policy, first_offer},
    http::is_token_byte,
};

/// How many subprotocols a client may offer.
pub const SUBPROTOCOLS_MAX: usize = 64;

const VERSION: &[u8] = b"13";
/// The length of 16 bytes in base64, of which the last two characters are padding.
const KEY_CHARACTERS: usize = 24;

/// A request that may be upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade<'a> {
    key: &'a [u8],
    subprotocols: Vec<&'a str>,
    offer: Option<Offer>,
    answer: Option<Answer>,
}

/// Why a request cannot be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The method is not GET.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// The request is older than HTTP/1.1.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpVersion,
    /// No `Upgrade` header with the token `websocket`.
    #[error("the header Upgrade does not say websocket")]
    NoUpgrade,
    /// No `Connection` header with the token `Upgrade`.
    #[error("the header Connection does not say Upgrade")]
    NoConnectionUpgrade,
    /// The request has a body, whose bytes could be taken for frames.
    #[error("a WebSocket handshake has no body")]
    Body,
    /// No `Sec-WebSocket-Version` header, or more than one.
    #[error("the header Sec-WebSocket-Version must be there once")]
    VersionCount,
    /// A version other than 13.
    #[error("this server speaks WebSocket version 13")]
    Version,
    /// No `Sec-WebSocket-Key` header, or more than one.
    #[error("the header Sec-WebSocket-Key must be there once")]
    KeyCount,
    /// The key is not 16 bytes in base64.
    #[error("the header Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Protocol` has an element that is not a token, or more than [`SUBPROTOCOLS_MAX`] of them.
    #[error("the header Sec-WebSocket-Protocol is not a list of at most 64 names")]
    Subprotocols,
    /// `Sec-WebSocket-Extensions` is not a list of extensions (section 9.1).
    #[error("the header Sec-WebSocket-Extensions is not a list of extensions")]
    Extensions,
}

impl Refusal {
    /// The HTTP status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version => 426,
            Self::HttpVersion
            | Self::NoUpgrade
            | Self::NoConnectionUpgrade
            | Self::Body
            | Self::VersionCount
            | Self::KeyCount
            | Self::Key
            | Self::Subprotocols
            | Self::Extensions => 400,
        }
    }

    /// The headers that an answer with this status must have (RFC 6455, section 4.4; RFC 9110, sections 15.5.6 and
    /// 15.5.22).
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::Version => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
            Self::VersionCount => &[("Sec-WebSocket-Version", "13")],
            Self::HttpVersion
            | Self::NoUpgrade
            | Self::NoConnectionUpgrade
            | Self::Body
            | Self::KeyCount
            | Self::Key
            | Self::Subprotocols
            | Self::Extensions => &[],
        }
    }
}

/// Whether the client asks for a WebSocket: the token `websocket` is in an `Upgrade` header.
///
/// A request for which this is false is an ordinary one, whatever else it says.
pub fn wants_upgrade<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
    headers
        .into_iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && has_token(value, b"websocket"))
}

/// Judges a request head. `http_minor` is the `1` of `HTTP/1.1`; names of headers are compared without case.
///
/// # Errors
/// The first reason found not to upgrade, in the order of [`Refusal`].
pub fn check<'a>(
    method: &str,
    http_minor: u8,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Upgrade<'a>, Refusal> {
    if method != "GET" {
        return Err(Refusal::Method);
    }
    if http_minor < 1 {
        return Err(Refusal::HttpVersion);
    }
    let facts = Facts::collect(headers);
    if !facts.upgrade {
        return Err(Refusal::NoUpgrade);
    }
    if !facts.connection_upgrade {
        return Err(Refusal::NoConnectionUpgrade);
    }
    if facts.body {
        return Err(Refusal::Body);
    }
    let Once::One(version) = facts.version else { return Err(Refusal::VersionCount) };
    if version != VERSION {
        return Err(Refusal::Version);
    }
    let Once::One(key) = facts.key else { return Err(Refusal::KeyCount) };
    if !is_key(key) {
        return Err(Refusal::Key);
    }
    let subprotocols = facts.subprotocols.ok_or(Refusal::Subprotocols)?;
    let offer = first_offer(facts.extensions).map_err(|_| Refusal::Extensions)?;
    Ok(Upgrade { key, subprotocols, offer, answer: None })
}

impl<'a> Upgrade<'a> {
    /// The client's key as it came: 24 base64 characters.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The subprotocols the client offers, the one it likes best first. Each is a token (RFC 9110, section 5.6.2).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + Clone + '_ {
        self.subprotocols.iter().copied()
    }

    /// Whether the client offers permessage-deflate.
    pub fn offers_deflate(&self) -> bool {
        self.offer.is_some()
    }

    /// Agrees on permessage-deflate, if the client offers it in a way that the policy allows and its windows find room. The
    /// answer 101 says so then.
    pub fn agree_on_deflate(&mut self, policy: &Policy, room_bytes: usize) -> Option<Agreement> {
        self.answer = self.offer.and_then(|offer| offer.answer(policy, room_bytes));
        self.answer.as_ref().map(|answer| answer.agreement)
    }

    /// The whole head of the answer 101.
    ///
    /// A subprotocol that was not offered is left out, because the client would have to fail the connection (section
    /// 4.1). Of `extra`, headers are left out that are no headers (a name that is no token, a value with control
    /// characters, line ends among them) or that the handshake itself decides (`Connection`, `Upgrade`, `Sec-WebSocket-*`,
    /// `Content-Length`, `Transfer-Encoding`).
    pub fn response<'h>(
        &self,
        subprotocol: Option<&str>,
        extra: impl IntoIterator<Item = (&'h str, &'h str)>,
    ) -> Vec<u8> {
        let accept = derive_accept_key(self.key);
        let mut head = String::with_capacity(256);
        head.push_str("HTTP/1.1 101 Switching Protocols\r\n");
        push_header(&mut head, "Upgrade", "websocket");
        push_header(&mut head, "Connection", "Upgrade");
        push_header(&mut head, "Sec-WebSocket-Accept", &accept);
        if let Some(chosen) = self.subprotocols().find(|offered| Some(*offered) == subprotocol) {
            push_header(&mut head, "Sec-WebSocket-Protocol", chosen);
        }
        if let Some(answer) = &self.answer {
            push_header(&mut head, "Sec-WebSocket-Extensions", &answer.header);
        }
        for (name, value) in extra {
            if may_be_added(name, value) {
                push_header(&mut head, name, value);
            }
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// What the headers say, before it is judged.
struct Facts<'a> {
    upgrade: bool,
    connection_upgrade: bool,
    body: bool,
    version: Once<'a>,
    key: Once<'a>,
    /// `None` once an element was wrong.
    subprotocols: Option<Vec<&'a str>>,
    extensions: Vec<&'a [u8]>,
}

/// A header that must be there exactly once.
enum Once<'a> {
    Never,
    One(&'a [u8]),
    Again,
}

impl<'a> Once<'a> {
    fn see(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Never => Self::One(value.trim_ascii()),
            Self::One(_) | Self::Again => Self::Again,
        };
    }
}

impl<'a> Facts<'a> {
    fn collect(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut facts = Self {
            upgrade: false,
            connection_upgrade: false,
            body: false,
            version: Once::Never,
            key: Once::Never,
            subprotocols: Some(Vec::new()),
            extensions: Vec::new(),
        };
        for (name, value) in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("upgrade") {
                facts.upgrade |= has_token(value, b"websocket");
            } else if is("connection") {
                facts.connection_upgrade |= has_token(value, b"upgrade");
            } else if is("content-length") {
                facts.body |= value.trim_ascii() != b"0";
            } else if is("transfer-encoding") {
                facts.body = true;
            } else if is("sec-websocket-version") {
                facts.version.see(value);
            } else if is("sec-websocket-key") {
                facts.key.see(value);
            } else if is("sec-websocket-protocol") {
                facts.subprotocols = facts.subprotocols.and_then(|so_far| offer(so_far, value));
            } else if is("sec-websocket-extensions") {
                facts.extensions.push(value);
            }
        }
        facts
    }
}

/// Adds the elements of one `Sec-WebSocket-Protocol` header.
fn offer<'a>(mut so_far: Vec<&'a str>, value: &'a [u8]) -> Option<Vec<&'a str>> {
    for element in elements(value) {
        let name = str::from_utf8(element).ok().filter(|name| is_token(name))?;
        if so_far.len() == SUBPROTOCOLS_MAX {
            return None;
        }
        so_far.push(name);
    }
    Some(so_far)
}

/// The elements of a list header; empty ones are skipped (RFC 9110, section 5.6.1.2).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(token))
}

pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// Whether these are 16 bytes in base64.
///
/// The last character before the padding has four bits to spare; they need not be zero, because the key is only hashed as
/// it came, and simple clients draw 22 characters at random.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_CHARACTERS
        && key.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(is_digit))
}

fn may_be_added(name: &str, value: &str) -> bool {
    const OURS: [&str; 4] = ["connection", "upgrade", "content-length", "transfer-encoding"];
    const FAMILY: &str = "sec-websocket-";
    let is_ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
        || name.get(..FAMILY.len()).is_some_and(|start| start.eq_ignore_ascii_case(FAMILY));
    let is_plain = value.chars().all(|c| c == '\t' || !c.is_control());
    is_token(name) && is_plain && !is_ours
}

fn push_header(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}
