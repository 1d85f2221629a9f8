//! HTTP/1.1 as a server reads and answers it: bytes in, requests and encoded responses out.
//!
//! Owns the limits and the refusals; [`parse_head`] reads a head, [`BodyReader`] a body, [`Response`] writes the answer.
//! It is strict where a lenient reader and another server could disagree about where a request ends (RFC 9112 11.2,
//! request smuggling): such a request is refused, never repaired. It never reads a socket or a clock, never routes, and
//! never decides about a WebSocket upgrade.
//!
//! One request is read like this, and the next one of a pipeline in the same way from the bytes that are left:
//!
//! ```
//! use wsmaster_protocol::http::{BodyReader, HeadStep, HttpLimits, parse_head};
//!
//! let limits = HttpLimits::default();
//! let input = b"POST /api/push HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\n{}";
//! let mut scanned = 0;
//! let HeadStep::Complete { head, head_len } = parse_head(input, &limits, &mut scanned) else { panic!() };
//! assert_eq!((head.method(), head.path()), ("POST", "/api/push"));
//!
//! let mut body = BodyReader::new(head.body(), &limits).unwrap();
//! let step = body.receive(&input[head_len..]);
//! assert_eq!(step.consumed, 2);
//! assert_eq!(step.done, Ok(Some(b"{}".to_vec())));
//! ```

mod body;
mod error;
mod framing;
mod limits;
mod request;
mod response;
mod target;
mod token;

pub use body::{BodyReader, BodyStep, CHUNK_EXTENSION_BYTES_MAX, CHUNK_EXTENSIONS_BYTES_MAX};
pub use error::HttpError;
pub use framing::BodyKind;
pub use limits::HttpLimits;
pub use request::{HeadStep, RequestHead, parse_head};
pub use response::{CONTINUE, Response};
pub use target::{TARGET_BYTES_MAX, decode_path};
pub(crate) use token::is_token_byte;
