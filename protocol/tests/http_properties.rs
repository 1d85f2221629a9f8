//! Properties of reading requests: pieces do not matter, requests do not mix, and no bytes can break the reader.

use proptest::collection::vec;
use proptest::prelude::*;
use wsmaster_protocol::http::{
    BodyKind, BodyReader, HeadStep, HttpError, HttpLimits, RequestHead, decode_path, parse_head,
};

const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 2048, headers_max: 16, body_bytes_max: 4096 };

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    requests: Vec<(RequestHead, Vec<u8>)>,
    refused: Option<HttpError>,
}

/// What a connection does: keeps what has arrived, drops what was consumed, stops at a refusal.
#[derive(Default)]
struct Connection {
    input: Vec<u8>,
    scanned: usize,
    body: Option<(RequestHead, BodyReader)>,
    outcome: Outcome,
}

impl Connection {
    fn receive(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        while self.outcome.refused.is_none() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.outcome.refused = Some(error),
            }
        }
    }

    /// Whether it got on.
    fn step(&mut self) -> Result<bool, HttpError> {
        if let Some((_, reader)) = &mut self.body {
            let step = reader.receive(&self.input);
            assert!(step.consumed <= self.input.len());
            self.input.drain(..step.consumed);
            let Some(body) = step.done? else {
                assert!(self.input.is_empty(), "an unfinished body takes everything");
                return Ok(false);
            };
            let (head, _) = self.body.take().expect("it was there above");
            assert!(body.len() <= LIMITS.body_bytes_max);
            self.outcome.requests.push((head, body));
            return Ok(true);
        }
        match parse_head(&self.input, &LIMITS, &mut self.scanned) {
            HeadStep::Partial => {
                assert!(self.input.len() < LIMITS.head_bytes_max, "a full head is answered");
                Ok(false)
            }
            HeadStep::Complete { head, head_len } => {
                self.input.drain(..head_len);
                let reader = BodyReader::new(head.body(), &LIMITS)?;
                self.body = Some((head, reader));
                Ok(true)
            }
            HeadStep::Refused(error) => Err(error),
        }
    }
}

fn whole(input: &[u8]) -> Outcome {
    let mut connection = Connection::default();
    connection.receive(input);
    connection.outcome
}

/// Cuts `input` at these places, each taken modulo its length.
fn in_pieces(input: &[u8], cuts: &[usize]) -> Outcome {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(input.len());
    let mut connection = Connection::default();
    let mut from = 0;
    for to in cuts {
        connection.receive(&input[from..to]);
        from = to;
    }
    connection.outcome
}

#[derive(Debug, Clone)]
struct Sent {
    bytes: Vec<u8>,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn body() -> impl Strategy<Value = (BodyKind, Vec<u8>, Vec<usize>)> {
    prop_oneof![
        Just((BodyKind::None, Vec::new(), Vec::new())),
        vec(any::<u8>(), 1..100).prop_map(|body| (
            BodyKind::Length(body.len() as u64),
            body,
            vec![]
        )),
        (vec(any::<u8>(), 0..100), vec(1_usize..30, 100)).prop_map(|(body, sizes)| (
            BodyKind::Chunked,
            body,
            sizes
        )),
    ]
}

fn request() -> impl Strategy<Value = Sent> {
    let header = ("X-[A-Za-z0-9_-]{1,12}", "[!-~]([ -~]{0,20}[!-~])?");
    ("(\r\n)?", "(/[a-z0-9%.~_-]{0,8}){1,4}", vec(header, 0..8), body(), "(;x=y)?", "(T: u\r\n)?")
        .prop_map(|(before, path, headers, (kind, body, sizes), extension, trailer)| {
            let mut bytes = format!("{before}POST {path} HTTP/1.1\r\nHost: a\r\n").into_bytes();
            for (name, value) in &headers {
                bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            match kind {
                BodyKind::None => bytes.extend_from_slice(b"\r\n"),
                BodyKind::Length(length) => {
                    bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                    bytes.extend_from_slice(&body);
                }
                BodyKind::Chunked => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    let mut rest = body.as_slice();
                    for size in sizes {
                        let (chunk, behind) = rest.split_at(size.min(rest.len()));
                        if chunk.is_empty() {
                            break;
                        }
                        bytes.extend_from_slice(
                            format!("{:x}{extension}\r\n", chunk.len()).as_bytes(),
                        );
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                        rest = behind;
                    }
                    bytes.extend_from_slice(format!("0{extension}\r\n{trailer}\r\n").as_bytes());
                }
            }
            Sent { bytes, path, headers, body }
        })
}

/// Bytes that look like a request often enough to get past its first line.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET ",
        b"POST / HTTP/1.1\r\n",
        b"/",
        b"http://",
        b" HTTP/1.1",
        b" HTTP/1.0\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"Host: a\r\n",
        b"Host: ",
        b"Content-Length: 3\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: ",
        b"Expect: 100-continue\r\n",
        b"\r\n\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b";x",
        b":",
        b" ",
        b"\t",
        b"\0",
        b"\xff",
        b"[::1]",
        b"%2e",
        b"?a=%zz&token",
        b"ffffffffffffffff",
    ];
    let word = prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pipelined_requests_come_out_as_sent_however_they_are_cut(
        sent in vec(request(), 1..4),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let input: Vec<u8> = sent.iter().flat_map(|request| request.bytes.clone()).collect();
        let got = in_pieces(&input, &cuts);
        prop_assert_eq!(got.refused, None);
        prop_assert_eq!(got.requests.len(), sent.len());
        for ((head, body), sent) in got.requests.iter().zip(&sent) {
            prop_assert_eq!(head.path(), &sent.path);
            prop_assert_eq!(body, &sent.body);
            let headers: Vec<_> = head
                .headers()
                .filter(|(name, _)| name.starts_with("X-"))
                .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
                .collect();
            prop_assert_eq!(&headers, &sent.headers);
        }
    }

    #[test]
    fn byte_by_byte_is_the_same_as_at_once(request in request()) {
        let cuts: Vec<_> = (0..request.bytes.len()).collect();
        prop_assert_eq!(in_pieces(&request.bytes, &cuts), whole(&request.bytes));
    }

    #[test]
    fn noise_is_read_the_same_however_it_is_cut(input in noise(), cuts in vec(any::<usize>(), 0..12)) {
        let at_once = whole(&input);
        let in_pieces = in_pieces(&input, &cuts);
        prop_assert_eq!(in_pieces, at_once);
    }

    #[test]
    fn no_bytes_break_the_reader(input in vec(any::<u8>(), 0..300)) {
        whole(&input);
        for kind in [BodyKind::None, BodyKind::Length(100), BodyKind::Chunked] {
            let reader = BodyReader::new(kind, &LIMITS);
            reader.expect("100 bytes are within the limit").receive(&input);
        }
    }

    /// Also a hint that belongs to another input must not break it.
    #[test]
    fn no_hint_breaks_the_reader(input in noise(), mut scanned in any::<usize>()) {
        parse_head(&input, &LIMITS, &mut scanned);
    }

    /// What one flipped byte makes of a valid request is refused or read, and then every accessor holds.
    #[test]
    fn damage_does_not_break_the_accessors(request in request(), at in any::<usize>(), byte: u8) {
        let mut input = request.bytes;
        let at = at % input.len();
        input[at] = byte;
        for (head, _) in whole(&input).requests {
            prop_assert!(!head.method().is_empty());
            prop_assert!(head.path().starts_with('/') || head.path() == "*");
            prop_assert!(head.host().is_some() || head.http_minor() == 0);
            let debug = format!("{head:?}");
            prop_assert!(debug.starts_with("RequestHead"));
            let stored = serde_json::to_string(&head).expect("a head is one string");
            prop_assert_eq!(serde_json::from_str::<RequestHead>(&stored).expect("it was valid"), head);
        }
    }

    #[test]
    fn a_decoded_path_has_the_same_segments(path in "(/[a-z%.0-9\\\\é]{0,6}){1,4}") {
        if let Some(decoded) = decode_path(&path) {
            prop_assert_eq!(decoded.split('/').count(), path.split('/').count());
            prop_assert!(decoded.split('/').all(|segment| segment != ".." && segment != "."));
        }
    }
}
