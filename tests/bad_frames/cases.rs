//! What is sent after the handshake to a server that echoes, and what must come back. Only data.

use Then::{Answered, Failed, Open};

use crate::wire::{
    BINARY, CLOSE, CONTINUATION, FIN, Frame, Length, PING, PONG, TEXT, close, frame, frame_with,
    header, masked,
};

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// It goes on.
    Open,
    /// The server has closed it for a fault, with this code.
    Failed(u16),
    /// The server has answered the client's close frame with this code; 1005 stands for none.
    Answered(u16),
}

/// One thing a client does.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What is tried.
    pub(crate) rule: String,
    /// What is sent; each piece is a read of its own for the server.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// What comes back before the end.
    pub(crate) answers: Vec<Frame>,
    /// What becomes of the connection.
    pub(crate) then: Then,
}

/// The limits of the server, which are the defaults.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
const FRAGMENTS_MAX: usize = 1024;

const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    [headers(), lengths(), sequences(), texts(), closes(), good()].concat()
}

fn fault(rule: impl Into<String>, bytes: Vec<u8>, code: u16) -> Case {
    Case { rule: rule.into(), pieces: vec![bytes], answers: Vec::new(), then: Failed(code) }
}

fn answered(rule: impl Into<String>, bytes: Vec<u8>, answers: &[Frame]) -> Case {
    Case { rule: rule.into(), pieces: vec![bytes], answers: answers.to_vec(), then: Open }
}

/// The mask, the reserved bits, the opcodes (RFC 6455, 5.1, 5.2 and 5.5).
fn headers() -> Vec<Case> {
    let mut cases = vec![
        fault("a text without a mask", b"\x81\x02hi".to_vec(), 1002),
        fault("a ping without a mask", b"\x89\x00".to_vec(), 1002),
        fault("a close frame without a mask", b"\x88\x02\x03\xe8".to_vec(), 1002),
        fault("a long frame without a mask", b"\x82\x7f\0\0\0\0\0\x01\0\0".to_vec(), 1002),
        fault("a request instead of a frame", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
        fault("RSV1", frame(FIN | RSV1 | TEXT, b"hi"), 1002),
        fault("RSV2", frame(FIN | RSV2 | TEXT, b"hi"), 1002),
        fault("RSV3", frame(FIN | RSV3 | BINARY, b"hi"), 1002),
        fault("all reserved bits", frame(FIN | 0x70 | BINARY, b"hi"), 1002),
        fault("RSV1 of a ping", frame(FIN | RSV1 | PING, b""), 1002),
        fault("RSV1 of a close frame", frame(FIN | RSV1 | CLOSE, b"\x03\xe8"), 1002),
        fault(
            "RSV1 of a continuation",
            [frame(TEXT, b"a"), frame(FIN | RSV1 | CONTINUATION, b"b")].concat(),
            1002,
        ),
        fault("a ping in fragments", frame(PING, b"hi"), 1002),
        fault("a pong in fragments", frame(PONG, b"hi"), 1002),
        fault("a close frame in fragments", frame(CLOSE, b"\x03\xe8"), 1002),
        fault("a ping of 126 bytes", frame(FIN | PING, &[b'a'; 126]), 1002),
        fault("a pong of 126 bytes", frame(FIN | PONG, &[b'a'; 126]), 1002),
        fault("a close frame of 126 bytes", close(1000, &[b'a'; 124]), 1002),
        fault("a ping of 64 bits", header(FIN | PING, Length::Long(1 << 40)), 1002),
    ];
    cases.extend(
        [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf]
            .map(|opcode| fault(format!("opcode {opcode:#x}"), frame(FIN | opcode, b""), 1002)),
    );
    cases
}

/// The length, its forms and its bounds (RFC 6455, 5.2 and 10.4).
fn lengths() -> Vec<Case> {
    let long = |length: u64| header(FIN | BINARY, Length::Long(length));
    let two = |first: usize, second: u64| {
        let second = header(CONTINUATION, Length::Long(second));
        [frame(BINARY, &vec![0; first]), second].concat()
    };
    let over = MESSAGE_BYTES_MAX as u64 + 1;
    vec![
        fault("125 in 16 bits", frame_with(FIN | BINARY, Length::Medium(125), &[0; 125]), 1002),
        fault("0 in 16 bits", frame_with(FIN | TEXT, Length::Medium(0), b""), 1002),
        fault("5 in 64 bits", frame_with(FIN | BINARY, Length::Long(5), b"hello"), 1002),
        fault("65,535 in 64 bits", long(65_535), 1002),
        fault("the top bit", long(1 << 63), 1002),
        fault("all bits", long(u64::MAX), 1002),
        fault("one byte too many, by the header alone", long(over), 1009),
        fault("2 to the 32, by the header alone", long(1 << 32), 1009),
        fault("2 to the 63 less one, by the header alone", long((1 << 63) - 1), 1009),
        fault("a text too long, by the header alone", header(FIN | TEXT, Length::Long(over)), 1009),
        fault("a first fragment too long", header(TEXT, Length::Long(over)), 1009),
        fault("two fragments too long together", two(100, over - 100), 1009),
        fault("a sum beyond 64 bits", two(100, (1 << 63) - 1), 1009),
    ]
}

/// Fragments (RFC 6455, 5.4).
fn sequences() -> Vec<Case> {
    let inside = |first: u8, rest: Vec<u8>| [frame(first, b"a"), rest].concat();
    let flood = |payload: &[u8]| {
        [frame(TEXT, payload), frame(CONTINUATION, payload).repeat(FRAGMENTS_MAX)].concat()
    };
    vec![
        fault("a continuation of nothing", frame(FIN | CONTINUATION, b"a"), 1002),
        fault("a first continuation of nothing", frame(CONTINUATION, b"a"), 1002),
        Case {
            rule: "a continuation after the last fragment".to_owned(),
            pieces: vec![
                inside(TEXT, frame(FIN | CONTINUATION, b"b")),
                frame(FIN | CONTINUATION, b"c"),
            ],
            answers: vec![Frame::new(FIN | TEXT, b"ab")],
            then: Failed(1002),
        },
        fault("a text inside a text", inside(TEXT, frame(FIN | TEXT, b"b")), 1002),
        fault("a binary inside a text", inside(TEXT, frame(FIN | BINARY, b"b")), 1002),
        fault("a text inside a binary", inside(BINARY, frame(TEXT, b"b")), 1002),
        Case {
            rule: "a text inside a text, behind a ping".to_owned(),
            pieces: vec![inside(TEXT, [frame(FIN | PING, b"p"), frame(TEXT, b"b")].concat())],
            answers: vec![Frame::new(FIN | PONG, b"p")],
            then: Failed(1002),
        },
        fault("too many fragments", flood(b"a"), 1008),
        fault("too many empty fragments", flood(b""), 1008),
    ]
}

/// Text, which is UTF-8 from its first byte on (RFC 6455, 8.1; RFC 3629).
fn texts() -> Vec<Case> {
    let start = |length: u64, payload: &[u8]| {
        [header(FIN | TEXT, Length::Long(length)), masked(payload)].concat()
    };
    let parts = |parts: &[&[u8]]| {
        let (last, before) = parts.split_last().expect("some parts");
        let mut first = TEXT;
        let mut bytes = Vec::new();
        for part in before {
            bytes.extend(frame(first, part));
            first = CONTINUATION;
        }
        bytes.extend(frame(FIN | first, last));
        bytes
    };
    let mut cases = vec![
        fault("a bad byte at once, the rest never comes", start(200_000, b"\xff"), 1007),
        fault("a bad byte soon, the rest never comes", start(200_000, b"hello\xc3("), 1007),
        Case {
            rule: "a bad byte in a later read, the rest never comes".to_owned(),
            pieces: vec![start(200_000, b"good so far "), masked(b"\xf8")],
            answers: Vec::new(),
            then: Failed(1007),
        },
        fault(
            "a bad byte in a fragment, the last never comes",
            [frame(TEXT, "é".as_bytes()), frame(CONTINUATION, b"\x80")].concat(),
            1007,
        ),
        fault("a character cut by the end", frame(FIN | TEXT, b"\xe2\x82"), 1007),
        fault("a character cut by the last fragment", parts(&[b"a\xe2", b"\x82"]), 1007),
        fault("a character cut by an empty end", parts(&[b"a\xe2\x82", b""]), 1007),
        fault("a character broken between fragments", parts(&[b"\xe2\x82", b"(", b"x"]), 1007),
    ];
    for (rule, bytes) in [
        ("an overlong slash", &b"\xc0\xaf"[..]),
        ("an overlong NUL", b"\xc0\x80"),
        ("an overlong sequence of three", b"\xe0\x80\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("a lone continuation byte", b"a\x80"),
        ("latin-1", b"caf\xe9!"),
    ] {
        cases.push(fault(format!("text: {rule}"), frame(FIN | TEXT, bytes), 1007));
    }
    cases
}

/// Close frames (RFC 6455, 5.5.1 and 7.4).
fn closes() -> Vec<Case> {
    let answered = |rule: String, bytes: Vec<u8>, code: u16| Case {
        rule,
        pieces: vec![bytes],
        answers: Vec::new(),
        then: Answered(code),
    };
    let mut cases = vec![
        fault("a close frame of one byte", frame(FIN | CLOSE, b"\x03"), 1002),
        fault("a reason that is not UTF-8", close(1000, b"\xff"), 1007),
        fault("a reason that is cut", close(1000, b"\xe2\x82"), 1007),
        answered("no code".to_owned(), frame(FIN | CLOSE, b""), 1005),
        answered("a reason".to_owned(), close(1000, "adiós".as_bytes()), 1000),
        answered("the longest reason".to_owned(), close(1000, &[b'a'; 123]), 1000),
        answered(
            "a close frame inside a message".to_owned(),
            [frame(TEXT, b"a"), close(1001, b"")].concat(),
            1001,
        ),
        answered(
            "data behind it".to_owned(),
            [close(1000, b""), frame(FIN | TEXT, b"ignored"), frame(FIN | PING, b"")].concat(),
            1000,
        ),
        answered("faults behind it".to_owned(), [close(1000, b""), vec![0xff; 100]].concat(), 1000),
        answered("a second one".to_owned(), [close(1000, b""), close(1001, b"")].concat(), 1000),
    ];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(fault(format!("code {code}"), close(code, b""), 1002));
    }
    let allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for code in allowed.into_iter().chain([3000, 3999, 4000, 4999]) {
        cases.push(answered(format!("code {code}"), close(code, b"bye"), code));
    }
    cases
}

/// What is unusual and allowed.
fn good() -> Vec<Case> {
    let echo = |payload: &[u8]| {
        let rule = format!("{} bytes", payload.len());
        let answer = Frame::new(FIN | BINARY, payload);
        answered(rule, frame(FIN | BINARY, payload), &[answer])
    };
    let mut cases: Vec<Case> = [0, 1, 125, 126, 127, 65_535, 65_536, MESSAGE_BYTES_MAX]
        .map(|length| echo(&vec![b'x'; length]))
        .to_vec();
    let euro = "€".as_bytes();
    let fragments = [
        frame(TEXT, b""),
        frame(CONTINUATION, b"a").repeat(FRAGMENTS_MAX - 2),
        frame(FIN | CONTINUATION, b"z"),
    ];
    cases.extend([
        answered("an empty text", frame(FIN | TEXT, b""), &[Frame::new(FIN | TEXT, b"")]),
        answered(
            "empty fragments",
            [frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")].concat(),
            &[Frame::new(FIN | TEXT, b"")],
        ),
        answered(
            "as many fragments as are allowed",
            fragments.concat(),
            &[Frame::new(FIN | TEXT, format!("{}z", "a".repeat(FRAGMENTS_MAX - 2)).as_bytes())],
        ),
        answered(
            "a character over three fragments, with pings between",
            [
                frame(TEXT, &euro[..1]),
                frame(FIN | PING, b"1"),
                frame(CONTINUATION, &euro[1..2]),
                frame(FIN | PONG, b"?"),
                frame(FIN | PING, b"2"),
                frame(FIN | CONTINUATION, &euro[2..]),
            ]
            .concat(),
            &[
                Frame::new(FIN | PONG, b"1"),
                Frame::new(FIN | PONG, b"2"),
                Frame::new(FIN | TEXT, euro),
            ],
        ),
        Case {
            rule: "a character over three reads".to_owned(),
            pieces: vec![
                [header(FIN | TEXT, Length::Short(3)), masked(&euro[..1])].concat(),
                masked(euro)[1..2].to_vec(),
                masked(euro)[2..].to_vec(),
            ],
            answers: vec![Frame::new(FIN | TEXT, euro)],
            then: Open,
        },
        answered(
            "a ping of 125 bytes",
            frame(FIN | PING, &[b'p'; 125]),
            &[Frame::new(FIN | PONG, &[b'p'; 125])],
        ),
        answered("a pong nobody asked for", frame(FIN | PONG, b"hi"), &[]),
        answered(
            "all of Unicode's corners",
            frame(FIN | TEXT, "\0\u{7f}\u{80}\u{7ff}\u{800}\u{fffe}\u{ffff}\u{10ffff}".as_bytes()),
            &[Frame::new(
                FIN | TEXT,
                "\0\u{7f}\u{80}\u{7ff}\u{800}\u{fffe}\u{ffff}\u{10ffff}".as_bytes(),
            )],
        ),
    ]);
    cases
}
