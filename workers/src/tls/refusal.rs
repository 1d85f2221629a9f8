//! What a client is told that speaks HTTP in the clear where TLS is spoken. Pure.

use wsmaster_protocol::http::Response;

const REASON: &str = "this port speaks TLS: use https:// or wss://";

/// Whether bytes from the beginning of a connection are those of an HTTP request. A TLS record begins with 22
/// (RFC 8446, 5.1), a method with a letter.
pub(super) fn is_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

/// The answer to it, in the clear.
pub(super) fn answer() -> Vec<u8> {
    let mut answer = Vec::new();
    Response::error(400, REASON).encode(false, false, &mut answer);
    answer
}
