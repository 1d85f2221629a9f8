//! The text check against the standard library's, for every cut of strings that are nearly right.

use proptest::prelude::*;
use wsmaster_protocol::utf8::{InvalidUtf8, Utf8Stream};

/// Boundaries of the encoding, on both sides.
const TRICKY: &[&[u8]] = &[
    b"",
    b"plain",
    "é€😀".as_bytes(),
    "κόσμε".as_bytes(),
    b"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
    b"a\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xee\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xff",
    b"\xfe",
    b"\xc3",
    b"\xc3\x28",
    b"\xe2\x82",
    b"\xe2\x28\xa1",
    b"\xe2\x82\x28",
    b"\xf0\x9f\x98",
    b"\xf0\x28\x8c\xbc",
    b"\xf0\x90\x28\xbc",
    b"\xf0\x9f\x98\x28",
    b"\xe2\x82\xc3\xa9",
    b"abc\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65",
];

/// The first byte after which no continuation makes the text valid.
fn first_hopeless_byte(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|end| {
        std::str::from_utf8(&bytes[..=*end]).is_err_and(|error| error.error_len().is_some())
    })
}

/// Pushes `pieces` and checks after each of them that the stream failed if and only if it had to.
fn check(bytes: &[u8], pieces: &[&[u8]]) {
    let hopeless = first_hopeless_byte(bytes);
    let (mut stream, mut text, mut pushed) = (Utf8Stream::default(), String::new(), 0);
    let mut checking = Utf8Stream::default();
    for piece in pieces {
        pushed += piece.len();
        let expected =
            if hopeless.is_some_and(|at| at < pushed) { Err(InvalidUtf8) } else { Ok(()) };
        assert_eq!(stream.push_into(piece, &mut text), expected, "{bytes:x?} at {pushed}");
        assert_eq!(checking.push(piece), expected, "{bytes:x?} at {pushed}");
        if expected.is_err() {
            return;
        }
        assert_eq!(text.len() + stream.open_bytes(), pushed);
    }
    assert_eq!(stream.finish().is_ok(), std::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
    assert!(bytes.starts_with(text.as_bytes()));
}

#[test]
fn every_cut_in_three_fails_where_the_standard_library_gives_up() {
    for bytes in TRICKY {
        let bytes = [b"0123456789", *bytes, b"z"].concat();
        for bytes in [&bytes[..], &bytes[10..], &bytes[..bytes.len() - 1]] {
            for second in 0..=bytes.len() {
                for first in 0..=second {
                    check(bytes, &[&bytes[..first], &bytes[first..second], &bytes[second..]]);
                }
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            check(bytes, &single);
        }
    }
}

#[test]
fn every_two_bytes_and_every_lead_of_three() {
    for first in 0..=u8::MAX {
        for second in 0..=u8::MAX {
            let bytes = [first, second, 0x80, 0x80];
            for bytes in [&bytes[..2], &bytes[..3], &bytes] {
                let single: Vec<&[u8]> = bytes.chunks(1).collect();
                check(bytes, &single);
                check(bytes, &[bytes]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_text_in_pieces(text in "[a-zé€😀]{1,40}", at: prop::sample::Index, byte: u8, step in 1_usize..9) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        check(&bytes, &pieces);
    }
}
