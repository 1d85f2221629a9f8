//! How the body of a request is delimited (RFC 9112 6).

use super::error::HttpError;
use super::token::is_token_byte;

/// How the body of a request is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// No bytes follow the head: neither header is there, or `Content-Length: 0`.
    None,
    /// As many bytes as Content-Length says, at least one.
    Length(u64),
    /// Chunks, whose end is in the body itself.
    Chunked,
}

/// How a body is delimited, by the values of Content-Length and the elements of Transfer-Encoding (RFC 9112 6.3).
///
/// What other servers read in different ways is refused: that is how requests are smuggled (11.2).
pub(super) fn framing<'a>(
    mut lengths: impl Iterator<Item = &'a [u8]>,
    codings: impl Iterator<Item = &'a [u8]>,
    http_minor: u8,
) -> Result<BodyKind, HttpError> {
    let mut codings = codings.peekable();
    let length = lengths.next();
    if codings.peek().is_none() {
        return match (length, lengths.next()) {
            (None, _) => Ok(BodyKind::None),
            (Some(digits), None) => content_length(digits),
            (Some(_), Some(_)) => Err(HttpError::ContentLength),
        };
    }
    if length.is_some() {
        return Err(HttpError::FramingConflict);
    }
    // RFC 9112 6.1: HTTP/1.0 has no transfer codings, so whoever forwarded this did not understand it.
    if http_minor == 0 {
        return Err(HttpError::TransferEncoding);
    }
    transfer_coding(codings)
}

fn content_length(digits: &[u8]) -> Result<BodyKind, HttpError> {
    // `parse` alone would accept a sign.
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits);
    let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(0) => Ok(BodyKind::None),
        Some(length) => Ok(BodyKind::Length(length)),
        None => Err(HttpError::ContentLength),
    }
}

/// RFC 9112 6.3: the last coding must be `chunked`, once, or there is no telling where the body ends (400); a coding
/// before it would have to be undone (501).
fn transfer_coding<'a>(codings: impl Iterator<Item = &'a [u8]>) -> Result<BodyKind, HttpError> {
    let (mut others, mut last_is_chunked) = (false, false);
    for coding in codings {
        // Nothing may follow `chunked`, not even itself.
        if last_is_chunked || coding.is_empty() {
            return Err(HttpError::TransferEncoding);
        }
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        others |= !last_is_chunked;
        let name = coding.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if name.is_empty() || !name.iter().copied().all(is_token_byte) {
            return Err(HttpError::TransferEncoding);
        }
    }
    match (last_is_chunked, others) {
        (true, false) => Ok(BodyKind::Chunked),
        (true, true) => Err(HttpError::TransferCodingUnknown),
        (false, _) => Err(HttpError::TransferEncoding),
    }
}
