//! One HTTP connection: a request after the other. Pure; the bytes are the connection's, the answers the application's.

use serde::{Deserialize, Serialize};
use wsmaster_protocol::http::{
    BodyKind, BodyReader, HeadStep, HttpError, HttpLimits, RequestHead, parse_head,
};

/// How far the present request is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RequestState {
    /// Waiting for a head, or for the rest of it.
    Head {
        /// How much of it has been looked at.
        scanned: usize,
        /// Its time runs: it is the first of the connection, or something of it has come.
        begun: bool,
    },
    /// The head is there, the body is not yet.
    Body {
        /// The head.
        head: Box<RequestHead>,
        /// What has come of the body.
        reader: Box<BodyReader>,
    },
    /// The application has the request; nothing more is read until it has answered.
    Answering {
        /// Which request of this connection it is.
        number: u32,
        /// What the answer must look like.
        options: ResponseOptions,
    },
    /// The application has not decided yet whether the connection becomes a WebSocket; nothing more is read until then.
    Undecided {
        /// Which request of this connection it is.
        number: u32,
        /// The request.
        head: Box<RequestHead>,
    },
}

/// What a request asks of the form of its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ResponseOptions {
    /// The connection is kept for another request.
    pub(crate) keep_alive: bool,
    /// Only the head is wanted (`HEAD`).
    pub(crate) head_only: bool,
}

/// What the front of the input is.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Not enough yet.
    Partial {
        /// Bytes that are done with.
        consumed: usize,
        /// A further request has begun with these bytes.
        begun: bool,
    },
    /// A head, and not all of its body. Whoever asked for this says whether the rest of the body is wanted.
    Head {
        /// Bytes that are done with.
        consumed: usize,
        /// A further request has begun with these bytes.
        begun: bool,
    },
    /// A request.
    Request {
        /// Bytes that are done with.
        consumed: usize,
        /// Its head.
        head: RequestHead,
        /// Its body, whole.
        body: Vec<u8>,
    },
    /// Something that is refused; the connection ends with the answer.
    Refused(HttpError),
    /// A request is being answered.
    Busy,
}

impl RequestState {
    /// Of a connection whose first request is waited for.
    pub(crate) fn new() -> Self {
        Self::Head { scanned: 0, begun: true }
    }

    /// Of a connection that may ask once more.
    pub(crate) fn next() -> Self {
        Self::Head { scanned: 0, begun: false }
    }

    /// Takes one request, or what has come of it, from the front of the input.
    pub(crate) fn take(&mut self, input: &[u8], limits: &HttpLimits) -> Taken {
        match self {
            Self::Answering { .. } | Self::Undecided { .. } => Taken::Busy,
            Self::Head { scanned, begun } => {
                // An empty line may stand before a request (RFC 9112, 2.2): some clients send one behind a body.
                if input.is_empty() || !*begun && b"\r\n".starts_with(input) {
                    return Taken::Partial { consumed: 0, begun: false };
                }
                let begins = !std::mem::replace(begun, true);
                let (head, head_len) = match parse_head(input, limits, scanned) {
                    HeadStep::Partial => {
                        return Taken::Partial { consumed: 0, begun: begins };
                    }
                    HeadStep::Refused(error) => return Taken::Refused(error),
                    HeadStep::Complete { head, head_len } => (head, head_len),
                };
                if head.body() == BodyKind::None {
                    return Taken::Request { consumed: head_len, head, body: Vec::new() };
                }
                match BodyReader::new(head.body(), limits) {
                    Ok(reader) => self.start_body(head, reader, head_len, input, begins),
                    Err(error) => Taken::Refused(error),
                }
            }
            Self::Body { reader, .. } => {
                let step = reader.receive(input);
                self.body_step(step.consumed, step.done)
            }
        }
    }

    fn start_body(
        &mut self,
        head: RequestHead,
        mut reader: BodyReader,
        head_len: usize,
        input: &[u8],
        begun: bool,
    ) -> Taken {
        let step = reader.receive(&input[head_len..]);
        *self = Self::Body { head: Box::new(head), reader: Box::new(reader) };
        match self.body_step(head_len + step.consumed, step.done) {
            Taken::Partial { consumed, .. } => Taken::Head { consumed, begun },
            taken @ (Taken::Head { .. }
            | Taken::Request { .. }
            | Taken::Refused(_)
            | Taken::Busy) => taken,
        }
    }

    fn body_step(&mut self, consumed: usize, done: Result<Option<Vec<u8>>, HttpError>) -> Taken {
        match done {
            Err(error) => Taken::Refused(error),
            Ok(None) => Taken::Partial { consumed, begun: false },
            Ok(Some(body)) => match std::mem::replace(self, Self::new()) {
                Self::Body { head, .. } => Taken::Request { consumed, head: *head, body },
                Self::Head { .. } | Self::Answering { .. } | Self::Undecided { .. } => Taken::Busy,
            },
        }
    }
}
