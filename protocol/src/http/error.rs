//! Why a request is refused, and the answer to it.

use serde::{Deserialize, Serialize};

use super::response::Response;

/// Why a request is refused. The connection is closed after the answer: where the next request would begin is not known.
///
/// Its text is one line for a person and is fixed: nothing the peer sent is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HttpError {
    /// Not `method SP target SP HTTP-version` (RFC 9112 3), or an empty line too many before it (2.2).
    #[error("the request line is not of the form: method, target, HTTP version")]
    RequestLine,
    /// A CR without LF or an LF without CR (RFC 9112 2.2).
    #[error("a line of the request does not end with CR LF")]
    LineEnd,
    /// A NUL or another control character in the head (RFC 9110 5.5).
    #[error("the request head contains a control character")]
    ControlCharacter,
    /// A header name that is not a token, or white space around it: also a folded line (RFC 9112 5.1, 5.2).
    #[error("a header name is malformed or has white space around it")]
    HeaderName,
    /// A target in none of the forms this server serves, or with a byte no target may have (RFC 9112 3.2).
    #[error("the request target is malformed")]
    Target,
    /// HTTP/1.1 without a Host header (RFC 9112 3.2).
    #[error("the Host header is missing")]
    HostMissing,
    /// More than one Host header (RFC 9112 3.2).
    #[error("there is more than one Host header")]
    HostRepeated,
    /// A Host header, or the authority of an absolute target, that is not a host and an optional port (RFC 9112 3.2).
    #[error("the host is malformed")]
    HostMalformed,
    /// A Content-Length that is not one plain decimal number, or is there twice (RFC 9112 6.3).
    #[error("the Content-Length is not one plain number")]
    ContentLength,
    /// Both Content-Length and Transfer-Encoding (RFC 9112 6.3).
    #[error("both Content-Length and Transfer-Encoding are present")]
    FramingConflict,
    /// A Transfer-Encoding in HTTP/1.0, a malformed one, or one that does not end in one `chunked` (RFC 9112 6.1, 6.3).
    #[error("the Transfer-Encoding does not say where the body ends")]
    TransferEncoding,
    /// A chunk size, extension, line end or trailer that is malformed or too long (RFC 9112 7.1).
    #[error("the chunked body is malformed")]
    Chunk,
    /// The request did not arrive in time. Never raised here: for the shell, which has the clock.
    #[error("the request did not arrive in time")]
    Timeout,
    /// The body is, or is declared to be, longer than `HttpLimits::body_bytes_max`.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The target is longer than `TARGET_BYTES_MAX`.
    #[error("the request target is too long")]
    TargetTooLong,
    /// An `Expect` other than `100-continue` (RFC 9110 10.1.1).
    #[error("the expectation is not supported, only 100-continue is")]
    Expectation,
    /// The head or the trailers are longer than `HttpLimits::head_bytes_max`.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// More headers than `HttpLimits::headers_max`.
    #[error("the request has too many headers")]
    TooManyHeaders,
    /// CONNECT or TRACE: known methods that no resource of this server could implement (RFC 9110 9.1, 9.3.6, 9.3.8).
    #[error("the method is not implemented")]
    MethodNotImplemented,
    /// A transfer coding before `chunked` (RFC 9112 6.1).
    #[error("the transfer coding is not implemented, only chunked is")]
    TransferCodingUnknown,
    /// A version other than HTTP/1.0 and HTTP/1.1, such as the preface of HTTP/2 (RFC 9110 15.6.6).
    #[error("the HTTP version is not supported, only 1.0 and 1.1 are")]
    Version,
}

impl HttpError {
    /// The status code of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::RequestLine
            | Self::LineEnd
            | Self::ControlCharacter
            | Self::HeaderName
            | Self::Target
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostMalformed
            | Self::ContentLength
            | Self::FramingConflict
            | Self::TransferEncoding
            | Self::Chunk => 400,
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::MethodNotImplemented | Self::TransferCodingUnknown => 501,
            Self::Version => 505,
        }
    }

    /// The reason in one line for a person; the same as its `Display`.
    #[must_use]
    pub fn text(self) -> String {
        self.to_string()
    }

    /// The answer to send, with `keep_alive` false, before the connection is closed.
    #[must_use]
    pub fn response(self) -> Response {
        Response::error(self.status(), &self.text())
    }
}
