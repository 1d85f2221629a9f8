//! The head of a request: finding its end, reading it once, keeping it small.
//!
//! Owns [`parse_head`] and [`RequestHead`]. `httparse` checks the grammar of each line; the rules it does not enforce
//! (line ends, one Host, counts, lengths) are checked here. A head is read through one and the same walk over its bytes by
//! these checks and by the application, so that they cannot disagree. It never looks at the body's bytes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::HttpError;
use super::framing::{BodyKind, framing};
use super::limits::HttpLimits;
use super::target::{self, TARGET_BYTES_MAX};
use super::token::{is_token_byte, list_elements};

/// What [`parse_head`] found at the front of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadStep {
    /// The head is not complete; call again when more has arrived.
    Partial,
    /// A valid head. The caller drops `head_len` bytes from the front of its input; the body, if any, follows.
    Complete {
        /// The head.
        head: RequestHead,
        /// Bytes of the input that the head took, a leading empty line included.
        head_len: usize,
    },
    /// Answer and close.
    Refused(HttpError),
}

/// Looks for a request head at the front of `input`, without consuming it.
///
/// `scanned` is a hint between calls for the same request: how many bytes at the front were looked at before. It starts
/// at 0, belongs to this input, and is set back to 0 with every `Complete` and `Refused`. It makes a head that arrives
/// byte by byte cost no more than one that arrives at once.
///
/// A malformed line end, a control character and an overlong head are refused as soon as they are there; everything else
/// when the head is complete. One empty line before the request line is skipped (RFC 9112 2.2).
pub fn parse_head(input: &[u8], limits: &HttpLimits, scanned: &mut usize) -> HeadStep {
    match read_head(input, limits, scanned) {
        Ok(None) => HeadStep::Partial,
        Ok(Some((head, head_len))) => {
            *scanned = 0;
            HeadStep::Complete { head, head_len }
        }
        Err(error) => {
            *scanned = 0;
            HeadStep::Refused(error)
        }
    }
}

/// A request's start line and headers, checked once and kept for as long as the connection lives.
///
/// It is one boxed copy of the bytes as sent and a few indexes into it: a head of `n` bytes costs `n + 64` at most.
/// `Debug` shows neither credentials nor secrets of the query. Serialized, it is one string with a character (U+0000 to
/// U+00FF) for each byte; deserialized, it goes through the same checks again.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// From the first byte of the method to the empty line, both included.
    raw: Box<[u8]>,
    body: BodyKind,
    method_end: u32,
    path_start: u32,
    path_end: u32,
    target_end: u32,
    http_minor: u8,
}

impl RequestHead {
    /// The method as sent; methods are case-sensitive (RFC 9110 9.1). Never CONNECT or TRACE.
    #[must_use]
    pub fn method(&self) -> &str {
        self.ascii(0..self.method_end)
    }

    /// The target as sent: `/path?query`, `http://host/path?query`, or `*` with OPTIONS.
    #[must_use]
    pub fn target(&self) -> &str {
        self.ascii(self.method_end + 1..self.target_end)
    }

    /// The target as a log may show it: the values of query parameters that look like secrets are replaced.
    #[must_use]
    pub fn target_redacted(&self) -> String {
        target::redacted(self.target())
    }

    /// The path for a log: without its long segments, any of which may be a token.
    #[must_use]
    pub fn path_redacted(&self) -> String {
        target::redacted_path(self.path())
    }

    /// The path of the target, not decoded (see [`decode_path`](super::decode_path)): it starts with `/`, or is `*` when
    /// OPTIONS asks about the server as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.ascii(self.path_start..self.path_end) {
            // An absolute target may end after the host (RFC 9112 3.2.1, 3.2.4).
            "" if self.method() == "OPTIONS" && self.query().is_none() => "*",
            "" => "/",
            path => path,
        }
    }

    /// What follows the `?` of the target, not decoded. `Some("")` when nothing follows it.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.ascii(self.path_end..self.target_end).strip_prefix('?')
    }

    /// The value of the first query parameter called `name`, with `%` and `+` decoded; empty when it has no `=`.
    ///
    /// `None` when there is none, or when the first one has a broken escape or is not UTF-8.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        target::query_value(self.query()?, name)
    }

    /// The host and optional port the client asked for: of an absolute target, else of the Host header (RFC 9112 3.3).
    /// `None` only for HTTP/1.0 without both.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        target::authority(self.ascii(self.method_end + 1..self.path_start))
            .or_else(|| self.header("host"))
    }

    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    #[must_use]
    pub fn http_minor(&self) -> u8 {
        self.http_minor
    }

    /// The value of the first header called `name` in any case, without white space around it.
    ///
    /// `None` also when that value is not UTF-8; [`headers`](Self::headers) has the bytes.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// All headers in the order sent: the name as sent and the value without white space around it.
    ///
    /// A value has no control character but HTAB; it may have bytes from 0x80 up (RFC 9110 5.5).
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let lines = self.raw.split(|&byte| byte == b'\n').skip(1);
        lines.map_while(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((str::from_utf8(name).ok()?, value.get(1..)?.trim_ascii()))
        })
    }

    /// Whether the client lets the connection live on after the answer (RFC 9112 9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        !self.connection_has("close") && (self.http_minor > 0 || self.connection_has("keep-alive"))
    }

    /// How the body is delimited.
    #[must_use]
    pub fn body(&self) -> BodyKind {
        self.body
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 10.1.1). False without a body, and
    /// for HTTP/1.0, which has no interim answers.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.http_minor > 0 && self.body != BodyKind::None && self.named("expect").next().is_some()
    }

    /// Bytes of memory this head takes, itself included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.raw.len()
    }

    fn connection_has(&self, option: &str) -> bool {
        self.named("connection")
            .flat_map(list_elements)
            .any(|element| element.eq_ignore_ascii_case(option.as_bytes()))
    }

    /// The values of all headers of this name.
    fn named(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A part of the request line; the checks let nothing but ASCII into it.
    fn ascii(&self, range: Range<u32>) -> &str {
        let bytes = self.raw.get(range.start as usize..range.end as usize).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers().map(|(name, value)| {
            let shown = if target::is_secret_name(name) || is_credential_header(name) {
                Cow::Borrowed("(redacted)")
            } else {
                String::from_utf8_lossy(value)
            };
            (name, shown)
        });
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &self.target_redacted())
            .field("http_minor", &self.http_minor)
            .field("headers", &headers.collect::<Vec<_>>())
            .field("body", &self.body)
            .finish()
    }
}

impl Serialize for RequestHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.raw) {
            Ok(text) if text.is_ascii() => serializer.serialize_str(text),
            // A head may have bytes that are not UTF-8, so those from 0x80 up become the characters of the same number.
            Ok(_) | Err(_) => {
                let text: String = self.raw.iter().copied().map(char::from).collect();
                serializer.serialize_str(&text)
            }
        }
    }
}

impl<'de> Deserialize<'de> for RequestHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let raw = text.chars().map(u8::try_from).collect::<Result<Vec<u8>, _>>();
        let raw =
            raw.map_err(|_| D::Error::custom("a request head has a character above U+00FF"))?;
        // It was within the limits of its server when it was received: only its own length bounds it now.
        let limits =
            HttpLimits { head_bytes_max: raw.len(), headers_max: raw.len(), body_bytes_max: 0 };
        match parse_head(&raw, &limits, &mut 0) {
            HeadStep::Complete { head, head_len } if head_len == raw.len() => Ok(head),
            HeadStep::Complete { .. } => Err(D::Error::custom("bytes follow the request head")),
            HeadStep::Partial => Err(D::Error::custom("the request head is not complete")),
            HeadStep::Refused(error) => Err(D::Error::custom(error)),
        }
    }
}

fn read_head(
    input: &[u8],
    limits: &HttpLimits,
    scanned: &mut usize,
) -> Result<Option<(RequestHead, usize)>, HttpError> {
    // The indexes of a head are 32 bits wide.
    let head_bytes_max = limits.head_bytes_max.min(u32::MAX as usize);
    let window = input.get(..head_bytes_max).unwrap_or(input);
    let start = match window {
        [b'\r'] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    // A second empty line, white space, or the first byte of a TLS hello: no need to wait for the rest.
    if window.get(start).is_some_and(|&byte| !is_token_byte(byte)) {
        return Err(match window.get(start) {
            Some(b'\n') => HttpError::LineEnd,
            _ => HttpError::RequestLine,
        });
    }
    let Some(end) = scan(window, start, scanned)? else {
        return if window.len() < head_bytes_max {
            Ok(None)
        } else {
            Err(overlong(window.get(start..).unwrap_or_default()))
        };
    };
    let raw = window.get(start..end).unwrap_or_default();
    Ok(Some((read_lines(raw, limits)?, end)))
}

/// Looks on from `scanned` for the empty line and checks every byte on the way. Returns where the head ends.
fn scan(window: &[u8], start: usize, scanned: &mut usize) -> Result<Option<usize>, HttpError> {
    let from = if *scanned > window.len() { start } else { start.max(*scanned) };
    let mut previous = from.checked_sub(1).and_then(|at| window.get(at)).copied();
    for (at, &byte) in window.iter().enumerate().skip(from) {
        if (byte == b'\n') != (previous == Some(b'\r')) {
            return Err(HttpError::LineEnd);
        }
        if byte == b'\n' && window.get(start..=at).is_some_and(|head| head.ends_with(b"\r\n\r\n")) {
            return Ok(Some(at + 1));
        }
        if byte.is_ascii_control() && !matches!(byte, b'\r' | b'\n' | b'\t') {
            return Err(HttpError::ControlCharacter);
        }
        previous = Some(byte);
    }
    *scanned = window.len();
    Ok(None)
}

/// Which limit a head without an end broke: the target's own, if that alone is too long (RFC 9112 3).
fn overlong(head: &[u8]) -> HttpError {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    match line.split(|&byte| byte == b' ').nth(1) {
        Some(target) if target.len() > TARGET_BYTES_MAX => HttpError::TargetTooLong,
        Some(_) | None => HttpError::HeadTooLarge,
    }
}

fn read_lines(raw: &[u8], limits: &HttpLimits) -> Result<RequestHead, HttpError> {
    // Every line ends with LF; the request line and the empty line are not headers.
    let headers = raw.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(2);
    if headers > limits.headers_max {
        return Err(HttpError::TooManyHeaders);
    }
    let mut slots = vec![httparse::EMPTY_HEADER; headers];
    let mut request = httparse::Request::new(&mut slots);
    match request.parse(raw) {
        Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => {
            return Err(HttpError::RequestLine);
        }
        Err(error) => return Err(refusal(error, raw)),
    }
    let (Some(method), Some(target), Some(http_minor)) =
        (request.method, request.path, request.version)
    else {
        return Err(HttpError::RequestLine);
    };
    let path = target::path_range(method, target)?;
    let index = |at: usize| u32::try_from(at).map_err(|_| HttpError::HeadTooLarge);
    let target_start = method.len() + 1;
    let mut head = RequestHead {
        raw: raw.into(),
        body: BodyKind::None,
        method_end: index(method.len())?,
        path_start: index(target_start + path.start)?,
        path_end: index(target_start + path.end)?,
        target_end: index(target_start + target.len())?,
        http_minor,
    };
    check_host(&head)?;
    let codings = head.named("transfer-encoding").flat_map(list_elements);
    head.body = framing(head.named("content-length"), codings, http_minor)?;
    let known = |element: &[u8]| element.eq_ignore_ascii_case(b"100-continue");
    if !head.named("expect").flat_map(list_elements).all(known) {
        return Err(HttpError::Expectation);
    }
    Ok(head)
}

/// RFC 9112 3.2: exactly one Host in HTTP/1.1, at most one in HTTP/1.0, and a valid one.
fn check_host(head: &RequestHead) -> Result<(), HttpError> {
    let mut hosts = head.named("host");
    match (hosts.next(), hosts.next()) {
        (None, _) if head.http_minor == 0 => Ok(()),
        (None, _) => Err(HttpError::HostMissing),
        (Some(_), Some(_)) => Err(HttpError::HostRepeated),
        (Some(host), None) if target::is_host(host) => Ok(()),
        (Some(_), None) => Err(HttpError::HostMalformed),
    }
}

fn refusal(error: httparse::Error, raw: &[u8]) -> HttpError {
    match error {
        httparse::Error::Version if names_a_version(raw) => HttpError::Version,
        httparse::Error::HeaderName => HttpError::HeaderName,
        httparse::Error::HeaderValue => HttpError::ControlCharacter,
        httparse::Error::TooManyHeaders => HttpError::TooManyHeaders,
        httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => HttpError::RequestLine,
    }
}

/// Whether the request line is well-formed up to its version, `HTTP/` digit `.` digit (RFC 9112 2.3, 3).
fn names_a_version(raw: &[u8]) -> bool {
    let line = raw.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|&byte| byte == b' ').skip(2);
    match (parts.next(), parts.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        (Some(_) | None, _) => false,
    }
}

/// Headers that carry credentials without saying so in their name: browsers can send a token only as a subprotocol, and a
/// referring address has a query of its own.
fn is_credential_header(name: &str) -> bool {
    ["cookie", "referer", "sec-websocket-protocol"]
        .iter()
        .any(|header| header.eq_ignore_ascii_case(name))
}
