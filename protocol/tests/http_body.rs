//! What a `BodyReader` takes, refuses and waits for, and that its memory is bounded by what arrived.

use HttpError as E;
use Want::{Complete, Partial, Refused};
use wsmaster_protocol::http::{
    BodyKind, BodyReader, BodyStep, CHUNK_EXTENSION_BYTES_MAX, CHUNK_EXTENSIONS_BYTES_MAX,
    HttpError, HttpLimits,
};

const LIMITS: HttpLimits = HttpLimits { head_bytes_max: 64, headers_max: 8, body_bytes_max: 32 };

#[derive(Debug, PartialEq, Eq)]
enum Want {
    /// The body, and how many bytes of the input belong to the next request.
    Complete(&'static [u8], usize),
    Partial,
    Refused(HttpError),
}

#[rustfmt::skip]
const CHUNKED: &[(u16, &str, &[u8], Want)] = &[
    (1, "RFC 9112 7.1: one chunk", b"5\r\nhello\r\n0\r\n\r\n", Complete(b"hello", 0)),
    (2, "RFC 9112 7.1: two chunks", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", Complete(b"hello", 0)),
    (3, "RFC 9112 7.1: none", b"0\r\n\r\n", Complete(b"", 0)),
    (4, "RFC 9112 7.1: last-chunk is one or more zeros", b"000\r\n\r\n", Complete(b"", 0)),
    (5, "RFC 9112 7.1: hexadecimal in both cases", b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Complete(b"01234567890123456789", 0)),
    (6, "RFC 9112 7.1: line ends are content inside of a chunk", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", Complete(b"\r\n\r\n", 0)),
    (7, "RFC 9112 9.3.2: the next request is left", b"0\r\n\r\nGET /", Complete(b"", 5)),
    (8, "RFC 9112 7.1.1: an extension is skipped", b"5;a=\"b c\"\r\nhello\r\n0;x\r\n\r\n", Complete(b"hello", 0)),
    (9, "RFC 9112 7.1.1: white space before an extension", b"5 \t;a\r\nhello\r\n0\r\n\r\n", Complete(b"hello", 0)),
    (10, "RFC 9112 7.1.2: trailers are dropped", b"0\r\nA: b\r\nC:\r\n\r\n", Complete(b"", 0)),
    (11, "RFC 9112 7.1: 16 digits", b"0000000000000001\r\na\r\n0\r\n\r\n", Complete(b"a", 0)),
    (12, "RFC 9112 7.1: 17 digits", b"00000000000000001\r\na\r\n0\r\n\r\n", Refused(E::Chunk)),
    (13, "RFC 9112 7.1: the largest size", b"ffffffffffffffff\r\n", Refused(E::BodyTooLarge)),
    (14, "the limit exactly", b"20\r\n01234567890123456789012345678901\r\n0\r\n\r\n", Complete(b"01234567890123456789012345678901", 0)),
    (15, "one over the limit, before its content", b"21\r\n", Refused(E::BodyTooLarge)),
    (16, "one over the limit in the second chunk", b"20\r\n01234567890123456789012345678901\r\n1\r\n", Refused(E::BodyTooLarge)),
    (17, "RFC 9112 7.1: no size", b"\r\n", Refused(E::Chunk)),
    (18, "RFC 9112 7.1: only an extension", b";a\r\n", Refused(E::Chunk)),
    (19, "RFC 9112 7.1: minus sign", b"-1\r\n", Refused(E::Chunk)),
    (20, "RFC 9112 7.1: 0x", b"0x5\r\n", Refused(E::Chunk)),
    (21, "RFC 9112 7.1: white space before the size", b" 5\r\nhello\r\n", Refused(E::Chunk)),
    (22, "RFC 9112 7.1: white space after the size", b"5 \r\nhello\r\n", Refused(E::Chunk)),
    (23, "RFC 9112 2.2: size ends with bare LF", b"5\nhello\r\n", Refused(E::Chunk)),
    (24, "RFC 9112 2.2: size ends with bare CR", b"5\rhello\r\n", Refused(E::Chunk)),
    (25, "RFC 9112 2.2: extension ends with bare LF", b"5;a\nhello\r\n", Refused(E::Chunk)),
    (26, "RFC 9112 7.1.1: NUL in an extension", b"5;\0\r\nhello\r\n", Refused(E::Chunk)),
    (27, "RFC 9112 7.1: content longer than its size", b"4\r\nhello\r\n", Refused(E::Chunk)),
    (28, "RFC 9112 7.1: content ends with bare LF", b"5\r\nhello\n0\r\n\r\n", Refused(E::Chunk)),
    (29, "RFC 9112 7.1: content ends with bare CR", b"5\r\nhello\r0\r\n\r\n", Refused(E::Chunk)),
    (30, "RFC 9112 7.1: last line is a bare LF", b"0\r\n\n", Refused(E::Chunk)),
    (31, "RFC 9112 7.1: CR without LF at the end", b"0\r\n\rX", Refused(E::Chunk)),
    (32, "RFC 9112 5.1: space before a trailer's colon", b"0\r\nA : b\r\n\r\n", Refused(E::Chunk)),
    (33, "RFC 9112 5.2: folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", Refused(E::Chunk)),
    (34, "RFC 9112 5.1: trailer without a colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", Refused(E::Chunk)),
    (35, "RFC 9112 2.2: trailer ends with bare LF", b"0\r\nA: b\n\r\n", Refused(E::Chunk)),
    (36, "RFC 9110 5.5: NUL in a trailer", b"0\r\nA: \0\r\n\r\n", Refused(E::Chunk)),
    (37, "trailers over the limit of a head", b"0\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n", Refused(E::HeadTooLarge)),
    (38, "nothing arrived", b"", Partial),
    (39, "half a size", b"1", Partial),
    (40, "half a chunk", b"5\r\nhel", Partial),
    (41, "no last chunk", b"5\r\nhello\r\n", Partial),
    (42, "all but the last byte", b"0\r\n\r", Partial),
];

#[track_caller]
fn reader(kind: BodyKind) -> BodyReader {
    BodyReader::new(kind, &LIMITS).expect("the declared length is within the limit")
}

/// Feeds the input in pieces of `piece` bytes.
fn read(kind: BodyKind, input: &[u8], piece: usize) -> (usize, Result<Option<Vec<u8>>, HttpError>) {
    let mut reader = reader(kind);
    let mut consumed = 0;
    for piece in input.chunks(piece) {
        let step = reader.receive(piece);
        consumed += step.consumed;
        if step.done != Ok(None) {
            return (consumed, step.done);
        }
        assert_eq!(step.consumed, piece.len(), "an unfinished body takes everything");
    }
    (consumed, Ok(None))
}

#[test]
fn the_table_of_chunked_bodies_holds_in_pieces_of_any_size() {
    for (index, (number, rule, input, want)) in CHUNKED.iter().enumerate() {
        assert_eq!(usize::from(*number), index + 1, "{rule}");
        for piece in 1..=input.len().max(1) {
            let (consumed, done) = read(BodyKind::Chunked, input, piece);
            match (want, done) {
                (Complete(body, left), Ok(Some(got))) => {
                    assert_eq!(got, *body, "{number} {rule}, pieces of {piece}");
                    assert_eq!(input.len() - consumed, *left, "{number} {rule}, pieces of {piece}");
                }
                (Partial, Ok(None)) => {}
                (Refused(want), Err(got)) => assert_eq!(got, *want, "{number} {rule}"),
                (want, got) => panic!("{number} {rule}, pieces of {piece}: {want:?}, got {got:?}"),
            }
        }
    }
}

#[test]
fn a_body_of_known_length_ends_there() {
    for piece in 1..8 {
        let (consumed, done) = read(BodyKind::Length(5), b"helloGET", piece);
        assert_eq!((consumed, done), (5, Ok(Some(b"hello".to_vec()))));
    }
    let step = BodyStep { consumed: 4, done: Ok(None) };
    assert_eq!(reader(BodyKind::Length(5)).receive(b"hell"), step);
}

#[test]
fn no_body_is_done_without_a_byte() {
    let empty = BodyStep { consumed: 0, done: Ok(Some(Vec::new())) };
    assert_eq!(reader(BodyKind::None).receive(b""), empty);
    assert_eq!(reader(BodyKind::None).receive(b"GET /"), empty);
    assert_eq!(reader(BodyKind::Length(0)).receive(b"GET /"), empty);
}

#[test]
fn a_declared_length_over_the_limit_is_refused_at_once() {
    assert!(BodyReader::new(BodyKind::Length(32), &LIMITS).is_ok());
    for length in [33, u64::MAX] {
        let refused = BodyReader::new(BodyKind::Length(length), &LIMITS).err();
        assert_eq!(refused, Some(E::BodyTooLarge));
    }
}

#[test]
fn a_finished_reader_takes_nothing_and_a_failed_one_repeats_itself() {
    let mut finished = reader(BodyKind::Length(1));
    assert_eq!(finished.receive(b"ab"), BodyStep { consumed: 1, done: Ok(Some(b"a".to_vec())) });
    assert_eq!(finished.receive(b"b"), BodyStep { consumed: 0, done: Ok(None) });
    let mut failed = reader(BodyKind::Chunked);
    assert_eq!(failed.receive(b"x").done, Err(E::Chunk));
    assert_eq!(failed.receive(b"0\r\n\r\n"), BodyStep { consumed: 0, done: Err(E::Chunk) });
}

#[test]
fn extensions_are_bounded_for_a_chunk_and_for_a_body() {
    let chunk = |bytes: usize| format!("1;{}\r\nx\r\n", "e".repeat(bytes)).into_bytes();
    assert_eq!(reader(BodyKind::Chunked).receive(&chunk(CHUNK_EXTENSION_BYTES_MAX)).done, Ok(None));
    let over = reader(BodyKind::Chunked).receive(&chunk(CHUNK_EXTENSION_BYTES_MAX + 1)).done;
    assert_eq!(over, Err(E::Chunk));
    let blank = format!("1{};\r\nx\r\n", " ".repeat(CHUNK_EXTENSION_BYTES_MAX + 1));
    assert_eq!(reader(BodyKind::Chunked).receive(blank.as_bytes()).done, Err(E::Chunk));

    let limits = HttpLimits { body_bytes_max: 1024, ..LIMITS };
    let mut reader = BodyReader::new(BodyKind::Chunked, &limits).expect("chunked declares nothing");
    for _ in 0..CHUNK_EXTENSIONS_BYTES_MAX / CHUNK_EXTENSION_BYTES_MAX {
        assert_eq!(reader.receive(&chunk(CHUNK_EXTENSION_BYTES_MAX)).done, Ok(None));
    }
    assert_eq!(reader.receive(&chunk(1)).done, Err(E::Chunk));
}

/// A length that is only declared costs nothing, and content costs at most double of what arrived, never over the limit.
#[test]
fn memory_grows_with_what_arrived() {
    let limits = HttpLimits { body_bytes_max: 1_000_000, ..LIMITS };
    for kind in [BodyKind::Length(1_000_000), BodyKind::Chunked] {
        let mut reader = BodyReader::new(kind, &limits).expect("within the limit");
        if kind == BodyKind::Chunked {
            assert_eq!(reader.receive(b"f4240\r\n").done, Ok(None));
        }
        assert!(reader.memory_bytes() < 256, "{kind:?}");
        for round in 1..1_000 {
            assert_eq!(reader.receive(&[b'a'; 1_000]).done, Ok(None));
            let bound = (round * 2_000).min(1_000_000) + 256;
            assert!(reader.memory_bytes() <= bound, "{kind:?} {}", reader.memory_bytes());
        }
    }
}

#[test]
fn a_log_shows_no_content() {
    let mut reader = reader(BodyKind::Length(9));
    assert_eq!(reader.receive(b"hunter2").done, Ok(None));
    let debug = format!("{reader:?}");
    assert!(debug.contains('7') && !debug.contains("104") && !debug.contains("hunter"), "{debug}");
}
