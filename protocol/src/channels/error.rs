//! A refused request: the one value an error reply is written from.

use std::borrow::Cow;

use super::error_code::ErrorCode;
use super::id::RequestId;

/// A refused request, ready for [`reply::error`](super::reply::error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError<'a> {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people: a sentence that names the field in question.
    pub sentence: Cow<'static, str>,
    /// The action asked for, as the client wrote it, where it could be read.
    pub request_action: Option<Cow<'a, str>>,
    /// The channel asked for, as the client wrote it (perhaps not a valid name), where it could be read.
    pub channel: Option<Cow<'a, str>>,
    /// The client's own mark on the request.
    pub id: Option<RequestId<'a>>,
    /// Seconds after which the same request has a chance; with [`ErrorCode::RateLimited`].
    pub retry_after_s: Option<u32>,
}

impl ProtocolError<'_> {
    /// An error about which only the code is known. [`Request::error`](super::Request::error) knows more.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            sentence: Cow::Borrowed(code.sentence()),
            request_action: None,
            channel: None,
            id: None,
            retry_after_s: None,
        }
    }
}

impl std::fmt::Display for ProtocolError<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.sentence)
    }
}

impl std::error::Error for ProtocolError<'_> {}
