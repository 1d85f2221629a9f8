//! The answer to a request, and its bytes.
//!
//! Owns the builder [`Response`] and what every answer has: its length, whether the connection goes on, and a guard against
//! content sniffing. It has no clock (a date is an argument) and writes to a buffer, never to a socket.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;
use serde::Serialize;

use super::token::is_token_byte;

/// The interim answer to `Expect: 100-continue` (RFC 9110 15.2.1); the final answer follows.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// One answer: status, headers and a whole body.
///
/// Content-Length, Connection and X-Content-Type-Options are written by [`encode`](Self::encode) and cannot be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, String)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without a body. A status outside of 200 to 599 becomes 500: it may come from an application's message,
    /// and interim answers have no place here (see [`CONTINUE`]; the answer to an upgrade is the handshake's).
    #[must_use]
    pub fn new(status: u16) -> Self {
        let status = if (200..=599).contains(&status) { status } else { 500 };
        Self { status, headers: Vec::new(), body: Cow::Borrowed(&[]) }
    }

    /// The answer of an error as JSON: `{"success":false,"status":404,"error":"..."}`.
    ///
    /// 426 says what to upgrade to: `Upgrade: websocket` and `Sec-WebSocket-Version: 13` (RFC 9110 15.5.22, RFC 6455 4.4).
    /// For 405 there is [`method_not_allowed`](Self::method_not_allowed).
    #[must_use]
    pub fn error(status: u16, text: &str) -> Self {
        let response = Self::new(status);
        let body = ErrorBody { success: false, status: response.status, error: text };
        let response = match response.status {
            426 => response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
            _ => response,
        };
        response.json(&body)
    }

    /// 405 with the methods that the resource does have (RFC 9110 15.5.6), for example `&["GET", "HEAD"]`.
    #[must_use]
    pub fn method_not_allowed(allow: &[&str]) -> Self {
        let allow = allow.join(", ");
        Self::error(405, "the method is not allowed here").header("Allow", &allow)
    }

    /// Adds a header; one of the same name is kept, except for Content-Type, which there is once.
    ///
    /// A value with CR, LF, NUL or another control character but HTAB is dropped together with its header, so that nothing
    /// that came from outside can begin a header or an answer of its own. A name is the program's: in debug builds it is a
    /// panic when it is not a token or is one that `encode` writes, in release builds the header is dropped.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        let name = name.into();
        let name_is_valid = !name.is_empty() && name.bytes().all(is_token_byte) && !is_ours(&name);
        debug_assert!(name_is_valid, "not a header that a response can be given: {name:?}");
        if !name_is_valid || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return self;
        }
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(&name));
        }
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Whether it has a header of this name.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Whether [`Self::header`] takes a header that a person or a program has thought of: its name is a token and not one
    /// that [`encode`](Self::encode) writes, and its value has no control characters but HTAB.
    #[must_use]
    pub fn takes_header(name: &str, value: &str) -> bool {
        !name.is_empty()
            && name.bytes().all(is_token_byte)
            && !is_ours(name)
            && !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// Sets the body to a value as JSON. If the value cannot be written as JSON (a map with keys that are not strings),
    /// the answer becomes a 500 that says so.
    #[must_use]
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body("application/json", body),
            Err(_) => {
                self.status = 500;
                let text = "the answer could not be written as JSON";
                self.json(&ErrorBody { success: false, status: 500, error: text })
            }
        }
    }

    /// Sets the body to plain text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.body("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Sets the body to an HTML page. One that is part of the program is not copied.
    #[must_use]
    pub fn html(self, page: impl Into<Cow<'static, str>>) -> Self {
        let page = match page.into() {
            Cow::Borrowed(page) => Cow::Borrowed(page.as_bytes()),
            Cow::Owned(page) => Cow::Owned(page.into_bytes()),
        };
        self.body("text/html; charset=utf-8", page)
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Appends the bytes of the answer to `out`.
    ///
    /// `keep_alive` is the request's [`keep_alive`](super::RequestHead::keep_alive), or false when the server wants to
    /// close. `head_only` answers HEAD: everything but the body, its length included (RFC 9110 9.3.2). 204 and 304 have
    /// neither body nor length (RFC 9110 8.6, 15.3.5, 15.4.5).
    pub fn encode(&self, keep_alive: bool, head_only: bool, out: &mut Vec<u8>) {
        self.write(None, keep_alive, head_only, out);
    }

    /// As [`encode`](Self::encode), with the Date header that a server with a clock has to send (RFC 9110 6.6.1). The time
    /// is in seconds since 1970. A Date that the answer was given stays the only one.
    pub fn encode_dated(
        &self,
        unix_seconds: u64,
        keep_alive: bool,
        head_only: bool,
        out: &mut Vec<u8>,
    ) {
        self.write(Some(unix_seconds), keep_alive, head_only, out);
    }

    fn write(&self, date: Option<u64>, keep_alive: bool, head_only: bool, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        if let Some(unix_seconds) = date.filter(|_| !self.has("date")) {
            let _ = write!(out, "Date: {}\r\n", http_date(unix_seconds));
        }
        let bodyless = matches!(self.status, 204 | 304);
        if !bodyless {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        // Said in both cases, since an HTTP/1.0 client takes silence for `close`.
        let connection = if keep_alive { "keep-alive" } else { "close" };
        // RFC 9110 7.8: whoever sends Upgrade says so in Connection.
        let upgrade = if self.has("upgrade") { ", Upgrade" } else { "" };
        let _ = write!(out, "Connection: {connection}{upgrade}\r\n");
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n\r\n");
        if !bodyless && !head_only {
            out.extend_from_slice(&self.body);
        }
    }

    /// Whether it was given a header of this name.
    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    success: bool,
    status: u16,
    error: &'a str,
}

/// The headers that only `encode` writes.
fn is_ours(name: &str) -> bool {
    ["content-length", "transfer-encoding", "connection", "x-content-type-options"]
        .iter()
        .any(|ours| ours.eq_ignore_ascii_case(name))
}

/// The reason phrase (RFC 9110 15); empty, which is allowed (RFC 9112 4), for a code without one here.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// As RFC 9110 5.6.7 has it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(unix_seconds: u64) -> HttpDate {
    // The format has four digits for the year: the last second of 9999.
    let seconds = unix_seconds.min(253_402_300_799);
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds))
}
