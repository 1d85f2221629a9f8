//! What a program answers to a handshake or a request, and its bytes on the way from the host of the program to the worker
//! that has the client.
//!
//! The bytes are one line of JSON and, behind it, the body as it is: a large one is neither escaped nor copied more than
//! once. Both ends are processes of this server; what is read is checked all the same.

use serde::{Deserialize, Serialize};

use super::Payload;
use crate::http::Response;

/// Headers of one answer at most.
pub const HEADERS_MAX: usize = 64;
/// Bytes of the names and values of the headers of one answer at most.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// What became of a request to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The client becomes a WebSocket.
    Accept {
        /// The subprotocol chosen.
        subprotocol: Option<String>,
        /// Headers to add.
        headers: Vec<(String, String)>,
    },
    /// The client gets this response.
    Respond {
        /// 200 to 599.
        status: u16,
        /// Headers to add; among them, maybe, the type of the body.
        headers: Vec<(String, String)>,
        /// The body.
        body: Body,
    },
    /// The program was not asked: it has said at `ready` that it does not want to be.
    Unwanted,
    /// The program was not asked: too much waits for it.
    Full,
    /// The program has ended before it answered.
    Ended,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// Its type, unless a header says another. Empty: there is no body.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Head {
    Accept { subprotocol: Option<String>, headers: Vec<(String, String)> },
    Respond { status: u16, headers: Vec<(String, String)>, content_type: String },
    Unwanted,
    Full,
    Ended,
}

impl Body {
    /// A body as the program has written it.
    pub(super) fn of(payload: &Payload<'_>) -> Self {
        let (content_type, bytes) = match payload {
            Payload::Text(text) => ("text/plain; charset=utf-8", text.as_bytes()),
            Payload::Json(json) | Payload::Message(json) => {
                ("application/json", json.get().as_bytes())
            }
            Payload::Binary(bytes) => ("application/octet-stream", bytes.as_slice()),
        };
        Self { content_type: content_type.to_owned(), bytes: bytes.to_vec() }
    }
}

impl Answer {
    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (head, body): (Head, &[u8]) = match self.clone() {
            Self::Accept { subprotocol, headers } => (Head::Accept { subprotocol, headers }, &[]),
            Self::Respond { status, headers, body: Body { content_type, .. } } => {
                let Self::Respond { body, .. } = self else { return };
                (Head::Respond { status, headers, content_type }, &body.bytes)
            }
            Self::Unwanted => (Head::Unwanted, &[]),
            Self::Full => (Head::Full, &[]),
            Self::Ended => (Head::Ended, &[]),
        };
        super::event::line(out, &head);
        out.extend_from_slice(body);
    }

    /// Reads what [`Self::encode`] has written; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        Some(match serde_json::from_slice(head).ok()? {
            Head::Accept { subprotocol, headers } => Self::Accept { subprotocol, headers },
            Head::Respond { status, headers, content_type } => {
                let body = Body { content_type, bytes: body.to_vec() };
                Self::Respond { status, headers, body }
            }
            Head::Unwanted => Self::Unwanted,
            Head::Full => Self::Full,
            Head::Ended => Self::Ended,
        })
    }
}

/// The response for a client. A header that no response can be given is left out.
pub fn response(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::new(status);
    if !body.content_type.is_empty() && Response::takes_header("Content-Type", &body.content_type) {
        response = response.body(&body.content_type, body.bytes);
    }
    for (name, value) in headers {
        if Response::takes_header(name, value) {
            response = response.header(name.clone(), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_answer_comes_back() {
        let headers = vec![("X-One".to_owned(), "1\" é".to_owned()), ("x-one".into(), "2".into())];
        let body = Body { content_type: "image/png".to_owned(), bytes: b"\n\x00{\n".to_vec() };
        for answer in [
            Answer::Accept { subprotocol: Some("chat".to_owned()), headers: headers.clone() },
            Answer::Accept { subprotocol: None, headers: Vec::new() },
            Answer::Respond { status: 404, headers, body },
            Answer::Respond { status: 204, headers: Vec::new(), body: Body::default() },
            Answer::Unwanted,
            Answer::Full,
            Answer::Ended,
        ] {
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            assert_eq!(Answer::decode(&bytes), Some(answer));
        }
    }

    #[test]
    fn a_header_that_would_end_the_head_is_left_out() {
        let headers = [("A", "b\r\nC: d"), ("a b", "c"), ("Content-Length", "9"), ("Good", "yes")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = Body { content_type: "text/plain".to_owned(), bytes: b"hi".to_vec() };
        let mut out = Vec::new();
        response(200, &headers, body).encode(true, false, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("Good: yes\r\n") && text.contains("Content-Length: 2\r\n"), "{text}");
        assert!(!text.contains("C: d") && !text.contains("a b"), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Answer::decode(&bytes);
        }
    }
}
