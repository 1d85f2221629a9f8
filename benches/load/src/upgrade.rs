//! The opening handshake (RFC 6455 sections 4.1 and 4.2.2), client's side, always with the same key.

use std::net::SocketAddr;

/// Longest response head that is read.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The key of the RFC's own example; nothing here depends on its being a secret.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request, whole.
pub(crate) fn request(address: SocketAddr) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// Where the head in `bytes` ends, blank line included; `None` while it has no end.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether `head` accepts the upgrade.
///
/// # Errors
/// The reason, for people.
pub(crate) fn check(head: &[u8]) -> Result<(), String> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the answer is {status:?}"));
    }
    let accept = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"))
        .map(|(_, value)| value.trim());
    match accept {
        Some(ACCEPT) => Ok(()),
        Some(other) => Err(format!("the accept key is {other:?}, expected {ACCEPT:?}")),
        None => Err("the answer has no Sec-WebSocket-Accept".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proper_answer_is_taken() {
        let cases = [
            (
                "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: other\r\n\r\n", false),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
            (
                "HTTP/1.1 503 Service Unavailable\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                false,
            ),
            ("", false),
        ];
        for (head, expected) in cases {
            assert_eq!(check(head.as_bytes()).is_ok(), expected, "{head:?}");
        }
        assert_eq!(head_length(b"a\r\n\r\nrest"), Some(5));
        assert_eq!(head_length(b"a\r\n\r"), None);
    }
}
