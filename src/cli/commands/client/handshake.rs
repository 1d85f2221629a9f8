//! The opening handshake of a client (RFC 6455, 4.1): the request, and what is to be thought of the answer. Pure.
//!
//! tungstenite's own client handshake is not used: it writes the names of headers in small letters, does not keep the words
//! of a status nor an answer that is no HTTP, which a person is shown, refuses a server that chooses none of the subprotocols
//! and one that says `Connection: keep-alive, upgrade`, and takes extensions that were not offered.

use httparse::{EMPTY_HEADER, Response, Status};
use tungstenite::handshake::derive_accept_key;

use super::address::Address;
use crate::{cli::ClientOptions, logging::escape};

/// The longest head of an answer.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How much of the body of a refusal is shown.
pub(super) const BODY_BYTES_MAX: usize = 2048;
const HEADERS_MAX: usize = 128;

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status and its words.
    pub(super) status: u16,
    reason: String,
    headers: Vec<(String, String)>,
    /// Bytes that it is long.
    pub(super) length: usize,
}

/// The request. `key` is the base64 of 16 random bytes.
pub(super) fn request(address: &Address, options: &ClientOptions, key: &str) -> String {
    let mut lines = vec![format!("GET {} HTTP/1.1", address.target)];
    let own_host = options.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !own_host {
        lines.push(format!("Host: {}", address.authority));
    }
    lines.push("Upgrade: websocket".to_owned());
    lines.push("Connection: Upgrade".to_owned());
    lines.push(format!("Sec-WebSocket-Key: {key}"));
    lines.push("Sec-WebSocket-Version: 13".to_owned());
    if !options.subprotocols.is_empty() {
        lines.push(format!("Sec-WebSocket-Protocol: {}", options.subprotocols.join(", ")));
    }
    if let Some(origin) = &options.origin {
        lines.push(format!("Origin: {origin}"));
    }
    lines.extend(options.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.join("\r\n") + "\r\n\r\n"
}

/// Reads the head of an answer. `None` while it is not whole.
///
/// # Errors
/// It is no HTTP.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(Status::Complete(length)) => Ok(Some(Answer {
            status: response.code.unwrap_or(0),
            reason: response.reason.unwrap_or_default().to_owned(),
            headers: response
                .headers
                .iter()
                .map(|header| {
                    let value = String::from_utf8_lossy(header.value).trim().to_owned();
                    (header.name.to_owned(), value)
                })
                .collect(),
            length,
        })),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(Status::Partial) => {
            Err(format!("the head of its answer has more than {HEAD_BYTES_MAX} bytes"))
        }
        // An alert of TLS (RFC 8446, 5.1 and 6): the answer to a request in the clear.
        Err(_) if bytes.starts_with(&[21, 3]) => {
            Err("the server speaks TLS there; write wss:// instead of ws://".to_owned())
        }
        Err(_) => {
            let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
            Err(format!("not a WebSocket server: its answer is no HTTP: \"{}\"", escape(&begin)))
        }
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// How long the body is, if that is said.
    pub(super) fn body_bytes(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Checks an answer that says 101. The subprotocol that was agreed on.
    ///
    /// # Errors
    /// Why this is no WebSocket, in one line.
    pub(super) fn check(&self, key: &str, offered: &[String]) -> Result<Option<String>, String> {
        let has = |name: &str, token: &str| {
            let value = self.header(name).unwrap_or_default();
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        };
        if !has("upgrade", "websocket") || !has("connection", "upgrade") {
            return Err("not a WebSocket server: it switches to something else".to_owned());
        }
        if self.header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
            return Err("not a WebSocket server: Sec-WebSocket-Accept is wrong".to_owned());
        }
        if let Some(extensions) = self.header("sec-websocket-extensions") {
            let extensions = escape(extensions);
            return Err(format!("the server uses extensions that were not offered: {extensions}"));
        }
        match self.header("sec-websocket-protocol") {
            None => Ok(None),
            Some(chosen) if offered.iter().any(|offered| offered == chosen) => {
                Ok(Some(chosen.to_owned()))
            }
            Some(other) => {
                let other = escape(other);
                Err(format!("the server chose a subprotocol that was not offered: {other}"))
            }
        }
    }

    /// An answer that does not say 101, in one line.
    pub(super) fn refusal(&self, body: &[u8]) -> String {
        let mut line = format!("HTTP {} {}", self.status, escape(&self.reason));
        if let Some(location) = self.header("location") {
            line.push_str(&format!(", to {}", escape(location)));
        }
        if self.status == 200 {
            line.push_str(": an ordinary web page, not a WebSocket");
        }
        let body = String::from_utf8_lossy(body);
        let body = body.trim();
        if !body.is_empty() {
            line.push_str(&format!(": {}", escape(body)));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    /// What the RFC says belongs to that key (1.3).
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn checked(headers: &str, offered: &[&str]) -> Result<Option<String>, String> {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n\r\n");
        let answer = read(text.as_bytes()).expect("HTTP").expect("whole");
        assert_eq!(answer.length, text.len());
        let offered: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
        answer.check(KEY, &offered)
    }

    #[test]
    fn an_answer_is_a_websockets_only_if_all_of_it_is() {
        let good = format!(
            "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Accept: {ACCEPT}"
        );
        assert_eq!(checked(&good, &[]), Ok(None));
        let chosen = format!("{good}\r\nSec-WebSocket-Protocol: b");
        assert_eq!(checked(&chosen, &["a", "b"]), Ok(Some("b".to_owned())));
        for (headers, offered, problem) in [
            (chosen.clone(), &["a"][..], "subprotocol"),
            (good.replace("WebSocket\r", "h2c\r"), &[], "something else"),
            (good.replace("upgrade", "close"), &[], "something else"),
            (good.replace("s3p", "S3p"), &[], "Sec-WebSocket-Accept"),
            (format!("{good}\r\nSec-WebSocket-Extensions: x"), &[], "extensions"),
        ] {
            let found = checked(&headers, offered).expect_err(&headers);
            assert!(found.contains(problem), "{headers}: {found}");
        }
    }

    #[test]
    fn what_is_no_http_is_told_with_its_beginning() {
        for (bytes, part) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "SSH-2.0"),
            (b"\x15\x03\x01\x00\x02\x02\x16", "write wss://"),
            (b"\x15\x04", "\\u{15}"),
            (b"\x00\xff", "no HTTP"),
        ] {
            let found = read(bytes).expect_err("no HTTP");
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(read(b"HTTP/1.1 101 Sw"), Ok(None));
        assert!(
            read(&[b"HTTP/1.1 200 ".as_slice(), &vec![b'a'; HEAD_BYTES_MAX]].concat()).is_err()
        );
    }

    #[test]
    fn a_refusal_is_one_line_with_its_body() {
        let text = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n";
        let answer = read(text).expect("HTTP").expect("whole");
        assert_eq!(answer.body_bytes(), Some(9));
        let line = answer.refusal(b"no\r\nkey\x1b[\n");
        assert_eq!(line, "HTTP 401 Unauthorized: no\\u{d}\\u{a}key\\u{1b}[");
    }
}
