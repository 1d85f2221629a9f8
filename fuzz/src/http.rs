//! Requests with their bodies: the cuts do not matter, the limits hold, and what is accepted can be asked for everything.

use wsmaster_protocol::http::{
    BodyReader, HeadStep, HttpError, HttpLimits, RequestHead, parse_head,
};

use crate::cuts;

const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 1024, headers_max: 16, body_bytes_max: 512 };

/// What was made of an input: the requests, and what was wrong with the next one.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    requests: Vec<(RequestHead, Vec<u8>)>,
    refused: Option<HttpError>,
}

/// See the module. The first byte says how the rest is cut.
pub fn run(data: &[u8]) {
    let (input, read_bytes) = cuts::split(data);
    let whole = hear(input, input.len().max(1));
    assert_eq!(whole, hear(input, read_bytes), "the cuts change what is heard");
    for (head, body) in &whole.requests {
        assert!(body.len() <= LIMITS.body_bytes_max);
        assert!(head.headers().count() <= LIMITS.headers_max);
        assert!(head.memory_bytes() <= 16 * LIMITS.head_bytes_max);
        assert!(!head.path().contains('\0') && !head.target_redacted().contains(['\r', '\n']));
        let _ =
            (head.query_value("token"), head.host(), head.keep_alive(), head.expects_continue());
        for (name, _) in head.headers() {
            let value = head.header(name);
            assert!(value.is_none_or(|value| !value.contains(['\r', '\n', '\0'])));
        }
    }
    if let Some(error) = whole.refused {
        assert!((400..=599).contains(&error.status()));
        let mut answer = Vec::new();
        error.response().encode(false, false, &mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 "));
    }
}

/// What a connection does: it keeps what has come, lets go of what is done with and stops at a fault.
fn hear(input: &[u8], read_bytes: usize) -> Heard {
    let mut heard = Heard::default();
    let mut held = Vec::new();
    let mut scanned = 0;
    let mut open: Option<(RequestHead, BodyReader)> = None;
    for piece in input.chunks(read_bytes) {
        held.extend_from_slice(piece);
        loop {
            if let Some((_, reader)) = &mut open {
                let step = reader.receive(&held);
                held.drain(..step.consumed);
                match step.done {
                    Ok(None) => {
                        assert!(held.is_empty(), "an unfinished body takes everything");
                        break;
                    }
                    Ok(Some(body)) => {
                        let Some((head, _)) = open.take() else { return heard };
                        heard.requests.push((head, body));
                    }
                    Err(error) => {
                        heard.refused = Some(error);
                        return heard;
                    }
                }
            }
            match parse_head(&held, &LIMITS, &mut scanned) {
                HeadStep::Partial => {
                    assert!(held.len() < LIMITS.head_bytes_max, "a full head is answered");
                    break;
                }
                HeadStep::Complete { head, head_len } => {
                    held.drain(..head_len);
                    match BodyReader::new(head.body(), &LIMITS) {
                        Ok(reader) => open = Some((head, reader)),
                        Err(error) => {
                            heard.refused = Some(error);
                            return heard;
                        }
                    }
                }
                HeadStep::Refused(error) => {
                    heard.refused = Some(error);
                    return heard;
                }
            }
        }
    }
    heard
}
