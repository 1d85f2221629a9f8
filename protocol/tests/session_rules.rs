//! The rules of RFC 6455 for what a server receives, one table each.
#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

mod session_support;

use session_support::*;
use wsmaster_protocol::{
    close::CloseCode,
    deflate::Inflater,
    frame::{MessageKind, encode_close, encode_message, encode_ping, encode_pong},
    session::{Event, Phase, Session, SessionError, SessionLimits},
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[test]
fn the_examples_of_section_5_7() {
    let hello_masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(run(&[hello_masked], &WIDE), (vec![Event::Text("Hello".into())], vec![]));

    let fragments: &[u8] = &[frame(TEXT, b"Hel", KEY), frame(FIN, b"lo", KEY)].concat();
    assert_eq!(run(&[fragments], &WIDE), (vec![Event::Text("Hello".into())], vec![]));

    let ping_masked = b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let pong = b"\x8a\x05Hello".to_vec();
    assert_eq!(run(&[ping_masked], &WIDE), (vec![Event::Ping(b"Hello".into())], pong));

    let mut out = Vec::new();
    encode_message(MessageKind::Text, b"Hello", &mut out);
    assert_eq!(out, b"\x81\x05Hello");
    out.clear();
    encode_ping(b"Hello", &mut out);
    assert_eq!(out, b"\x89\x05Hello");
    out.clear();
    encode_message(MessageKind::Binary, &[0; 256], &mut out);
    assert_eq!(out[..4], [0x82, 0x7e, 0x01, 0x00]);
    out.clear();
    encode_message(MessageKind::Binary, &[0; 65536], &mut out);
    assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

/// Each is fed byte by byte: the session must fail exactly at the last one.
#[test]
fn what_is_wrong_is_found_at_the_first_byte_that_shows_it() {
    use SessionError::*;
    let limits = SessionLimits { frame_bytes_max: 1000, message_bytes_max: 1500, fragments_max: 3 };
    let unfinished_text = frame(TEXT, b"a", KEY);
    let big_half = frame(BINARY, &[0; 1000], KEY);
    let with = |start: &[u8], rest: &[u8]| [start, rest].concat();
    let close = |payload: &[u8]| frame(FIN | CLOSE, payload, KEY);
    let table: Vec<(&str, Vec<u8>, SessionError)> = vec![
        ("RSV1", vec![0xc1], ReservedBit),
        ("RSV2", vec![0xa2], ReservedBit),
        ("RSV3 of a ping", vec![0x99], ReservedBit),
        ("opcode 3", vec![0x83], ReservedOpcode),
        ("opcode 7", vec![0x07], ReservedOpcode),
        ("opcode 11", vec![0x8b], ReservedOpcode),
        ("opcode 15", vec![0x8f], ReservedOpcode),
        ("ping without FIN", vec![0x09], FragmentedControl),
        ("close without FIN", vec![0x08], FragmentedControl),
        ("continuation first", vec![0x80], LoneContinuation),
        ("continuation first, not final", vec![0x00], LoneContinuation),
        ("text in text", with(&unfinished_text, &[0x81]), InterruptedMessage),
        ("binary in text", with(&unfinished_text, &[0x02]), InterruptedMessage),
        ("unmasked text", vec![0x81, 0x05], Unmasked),
        ("unmasked ping", vec![0x89, 0x00], Unmasked),
        ("unmasked, long", vec![0x82, 0x7f], Unmasked),
        ("ping of 126", vec![0x89, 0xfe], LongControl),
        ("close of 64 bits", vec![0x88, 0xff], LongControl),
        ("125 in 16 bits", header_of(0x82, &[0xfe, 0, 125]), LengthEncoding),
        ("0 in 16 bits", header_of(0x81, &[0xfe, 0, 0]), LengthEncoding),
        ("65535 in 64 bits", header_of(0x82, &[0xff, 0, 0, 0, 0, 0, 0, 255, 255]), LengthEncoding),
        ("5 in 64 bits", header_of(0x82, &[0xff, 0, 0, 0, 0, 0, 0, 0, 5]), LengthEncoding),
        ("top bit", header_of(0x82, &[0xff, 128, 0, 0, 0, 0, 1, 0, 0]), LengthEncoding),
        ("all bits", header_of(0x82, &[0xff; 9]), LengthEncoding),
        ("frame of 1001", header(FIN | TEXT, 1001, KEY), FrameTooBig),
        ("frame of 2^62", header(FIN | BINARY, 1 << 62, KEY), FrameTooBig),
        ("message of 1501", with(&big_half, &header(FIN, 501, KEY)), MessageTooBig),
        (
            "fourth fragment, empty",
            [&unfinished_text[..], &frame(0, b"", KEY), &frame(0, b"", KEY), &header(FIN, 0, KEY)]
                .concat(),
            TooManyFragments,
        ),
        ("not UTF-8", with(&header(FIN | TEXT, 9, [0; 4]), b"ab\xc0"), InvalidText),
        ("surrogate", with(&header(TEXT, 900, [0; 4]), b"\xed\xa0"), InvalidText),
        ("open at the end", frame(FIN | TEXT, b"\xe2\x82", KEY), InvalidText),
        (
            "open at the end of the last fragment",
            [frame(TEXT, b"\xe2\x82", KEY), header(FIN, 0, KEY)].concat(),
            InvalidText,
        ),
        (
            "broken across fragments",
            [frame(TEXT, b"\xe2", KEY), header(0, 2, [0; 4]), b"\x28".to_vec()].concat(),
            InvalidText,
        ),
        ("close of one byte", close(&[3]), ClosePayload),
        ("close 1005", close(&[3, 0xed]), CloseCode(1005)),
        ("close 999", close(&[3, 0xe7]), CloseCode(999)),
        ("close 5000", close(&[0x13, 0x88]), CloseCode(5000)),
        ("close with a bad reason", close(&[3, 0xe8, 0xff]), CloseReason),
    ];
    for (name, bytes, expected) in table {
        let mut session = Session::new();
        let mut out = Vec::new();
        let (last, before) = bytes.split_last().expect("every case has bytes");
        for byte in before {
            let events = feed(&mut session, &[*byte], &limits, &mut out);
            assert_eq!(events, [], "{name}: failed too early");
        }
        assert_eq!(out, b"", "{name}");
        let events = feed(&mut session, &[*last], &limits, &mut out);
        assert_eq!(events, [Event::Failed(expected)], "{name}");
        let mut close_frame = Vec::new();
        encode_close(Some(expected.close_code()), &expected.to_string(), &mut close_frame);
        assert_eq!(out, close_frame, "{name}");
        assert_over(&mut session, &mut out, name);

        assert_eq!(run(&[&bytes], &limits), (vec![Event::Failed(expected)], close_frame), "{name}");
    }
}

#[test]
fn faults_are_answered_with_their_code() {
    let table = [
        (SessionError::ReservedBit, 1002),
        (SessionError::Unmasked, 1002),
        (SessionError::CloseCode(1005), 1002),
        (SessionError::InvalidText, 1007),
        (SessionError::CloseReason, 1007),
        (SessionError::TooManyFragments, 1008),
        (SessionError::FrameTooBig, 1009),
        (SessionError::MessageTooBig, 1009),
    ];
    for (error, code) in table {
        assert_eq!(u16::from(error.close_code()), code, "{error}");
    }
}

#[test]
fn what_reaches_a_limit_is_within_it() {
    let limits = SessionLimits { frame_bytes_max: 1000, message_bytes_max: 1500, fragments_max: 3 };
    let message = [
        frame(BINARY, &[1; 1000], KEY),
        frame(CONTINUATION, &[], KEY),
        frame(FIN | CONTINUATION, &[2; 500], KEY),
    ]
    .concat();
    let whole = [[1; 1000].as_slice(), &[2; 500]].concat();
    assert_eq!(run(&[&message], &limits).0, [Event::Binary(whole.into())]);

    let no_fragments = SessionLimits { fragments_max: 0, ..limits };
    let single = frame(FIN | TEXT, b"one", KEY);
    assert_eq!(run(&[&single], &no_fragments).0, [Event::Text("one".into())]);
}

#[test]
fn a_close_is_echoed_once_and_ends_the_session() {
    let table: [(&[u8], Option<u16>, &str); 5] = [
        (b"", None, ""),
        (b"\x03\xe8", Some(1000), ""),
        (b"\x03\xe9bye", Some(1001), "bye"),
        (b"\x03\xf6", Some(1014), ""),
        (b"\x0f\xa0\xe2\x82\xac", Some(4000), "€"),
    ];
    for (payload, code, reason) in table {
        let bytes = [frame(FIN | CLOSE, payload, KEY), frame(FIN | TEXT, b"late", KEY)].concat();
        for reads in [vec![&bytes[..]], bytes.chunks(1).collect()] {
            let mut session = Session::new();
            let mut out = Vec::new();
            let mut events = Vec::new();
            for read in reads {
                events.extend(feed(&mut session, read, &WIDE, &mut out));
            }
            let code = code.map(CloseCode::from);
            assert_eq!(events, [Event::Close { code, reason: reason.to_owned() }]);
            let mut echo = Vec::new();
            encode_close(code, "", &mut echo);
            assert_eq!(out, echo);
            assert_over(&mut session, &mut out, reason);
        }
    }
}

#[test]
fn after_our_close_only_the_peers_close_counts() {
    let deaf = [
        frame(FIN | TEXT, b"ignored \xff", KEY),
        frame(FIN | PING, b"not answered", KEY),
        frame(CONTINUATION, b"of what?", KEY),
        header(FIN | BINARY, 3, KEY),
    ]
    .concat();
    let closing = [b"xyz".to_vec(), frame(FIN | CLOSE, b"\x03\xe8", KEY)].concat();
    for step in [1, 7, 1000] {
        let mut session = Session::new();
        let mut out = Vec::new();
        assert!(session.close(CloseCode::Away, "restart", &mut out));
        assert_eq!(out, b"\x88\x09\x03\xe9restart");
        assert_eq!(session.phase(), Phase::CloseSent);
        assert!(!session.can_send());
        assert!(!session.close(CloseCode::Normal, "", &mut out), "a second close frame");
        out.clear();
        for read in deaf.chunks(step) {
            assert_eq!(feed(&mut session, read, &WIDE, &mut out), []);
        }
        let mut events = Vec::new();
        for read in closing.chunks(step) {
            events.extend(feed(&mut session, read, &WIDE, &mut out));
        }
        let code = Some(CloseCode::Normal);
        assert_eq!(events, [Event::Close { code, reason: String::new() }]);
        assert_eq!(out, b"", "an answer to an answer");
        assert_over(&mut session, &mut out, "closed");
    }
}

/// Nothing is kept of it, and the peer may have begun it before it heard of the close.
#[test]
fn after_our_close_no_message_is_too_big() {
    let limits = SessionLimits { frame_bytes_max: 10, message_bytes_max: 10, fragments_max: 1 };
    let mut session = Session::new();
    let mut out = Vec::new();
    session.close(CloseCode::Normal, "", &mut out);
    let big = [frame(BINARY, &[0; 500], KEY), frame(FIN, &[0; 500], KEY)].concat();
    assert_eq!(feed(&mut session, &big, &limits, &mut out), []);
    assert_eq!(session.phase(), Phase::CloseSent);
}

#[test]
fn a_fault_after_our_close_ends_the_session_in_silence() {
    let mut session = Session::new();
    let mut out = Vec::new();
    session.close(CloseCode::Normal, "", &mut out);
    out.clear();
    let events = feed(&mut session, b"\x81\x00", &WIDE, &mut out);
    assert_eq!(events, [Event::Failed(SessionError::Unmasked)]);
    assert_over(&mut session, &mut out, "failed");
    assert_eq!(out, b"");
}

/// Some libraries answer each close frame with 1005, or with a reason that is no text.
#[test]
fn an_answer_to_our_close_ends_the_session_whatever_it_says() {
    let long = [&b"\x03\xe8"[..], &[0xff; 10]].concat();
    for payload in [&b"\x03\xed"[..], b"\x00\x00", b"\x03", &long] {
        let mut session = Session::new();
        let mut out = Vec::new();
        session.close(CloseCode::Away, "", &mut out);
        out.clear();
        let events = feed(&mut session, &frame(FIN | CLOSE, payload, KEY), &WIDE, &mut out);
        assert_eq!(events, [Event::Close { code: None, reason: String::new() }], "{payload:?}");
        assert_over(&mut session, &mut out, "answered");
        assert_eq!(out, b"");
    }
}

/// Whatever is incomplete when we close, the peer's close frame is found behind it.
#[test]
fn closing_in_the_middle_of_anything_finds_the_next_frame() {
    let text = frame(TEXT, b"begun", KEY);
    let conversation = [
        text.clone(),
        frame(FIN | PING, b"ping", KEY),
        frame(FIN | CONTINUATION, &[b'x'; 3000], KEY),
        frame(FIN | CLOSE, b"\x03\xe8end", KEY),
    ]
    .concat();
    for cut in 0..conversation.len() {
        let (before, after) = conversation.split_at(cut);
        let mut session = Session::new();
        let mut out = Vec::new();
        feed(&mut session, before, &WIDE, &mut out);
        assert!(session.close(CloseCode::Normal, "", &mut out));
        assert!(session.pinned_bytes() < 512, "kept what nobody will get");
        out.clear();
        let events = feed(&mut session, after, &WIDE, &mut out);
        let close = Event::Close { code: Some(CloseCode::Normal), reason: "end".to_owned() };
        assert_eq!(events, [close], "cut {cut}");
        assert_eq!(out, b"");
    }
}

#[test]
fn a_local_code_is_never_sent() {
    for code in [1005, 1006, 1015, 0, 2000, 5000] {
        let mut out = Vec::new();
        assert!(Session::new().close(CloseCode::from(code), "reason", &mut out));
        assert_eq!(out, b"\x88\x00", "{code}");
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut out = Vec::new();
    encode_close(Some(CloseCode::Normal), &"€".repeat(60), &mut out);
    assert_eq!(out, [b"\x88\x7d\x03\xe8".as_slice(), "€".repeat(41).as_bytes()].concat());
    out.clear();
    encode_close(Some(CloseCode::Normal), &format!("a{}", "€".repeat(60)), &mut out);
    assert_eq!(out.len(), 2 + 2 + 1 + 40 * 3, "a character would be torn at byte 123");
    out.clear();
    encode_close(None, "no code, no reason", &mut out);
    assert_eq!(out, b"\x88\x00");
}

#[test]
fn control_frames_of_every_length_are_answered() {
    for len in 0..=125_u8 {
        let payload = vec![len; usize::from(len)];
        let mut pong = Vec::new();
        encode_pong(&payload, &mut pong);
        let ping = frame(FIN | PING, &payload, KEY);
        for reads in [vec![&ping[..]], ping.chunks(3).collect()] {
            let (events, out) = run(&reads, &WIDE);
            assert_eq!(events, [Event::Ping(payload.clone().into())]);
            assert_eq!(out, pong);
        }
    }
}

#[test]
fn an_idle_session_is_small_and_holds_nothing() {
    assert!(size_of::<Session>() <= 32, "{} bytes", size_of::<Session>());
    let mut session = Session::new();
    let mut out = Vec::new();
    let message = frame(FIN | BINARY, &[7; 100_000], KEY);
    for read in message.chunks(1460) {
        assert_eq!(session.phase(), Phase::Open);
        feed(&mut session, read, &WIDE, &mut out);
    }
    assert!(!session.is_receiving());
    assert_eq!(session.pinned_bytes(), 0);
}

#[test]
fn a_message_whole_in_the_input_is_not_copied() {
    for len in [20, 125, 126, 70_000] {
        let mut input = frame(FIN | TEXT, &vec![b'a'; len], KEY);
        let range = input.as_ptr_range();
        let mut inflater = Inflater::new();
        let mut session = Session::new();
        let step_event = session.receive(&mut input, &WIDE, &mut inflater, &mut Vec::new()).event;
        let Some(Event::Text(std::borrow::Cow::Borrowed(text))) = step_event else {
            panic!("expected a borrowed text of {len}");
        };
        assert!(range.contains(&text.as_ptr()));
    }
}

#[test]
fn memory_follows_what_arrived_and_not_what_was_promised() {
    let mut session = Session::new();
    let mut out = Vec::new();
    feed(&mut session, &header(FIN | BINARY, 1 << 30, KEY), &WIDE, &mut out);
    feed(&mut session, &[0; 10], &WIDE, &mut out);
    assert!(session.is_receiving());
    assert!(session.pinned_bytes() < 512, "{} bytes for ten", session.pinned_bytes());

    for first in [FIN | BINARY, FIN | TEXT, BINARY] {
        let mut session = Session::new();
        let message = frame(first, &vec![b'a'; 1 << 20], KEY);
        let mut arrived = 0;
        let (last, before) = message.as_chunks::<8000>().0.split_last().expect("many reads");
        for read in before {
            feed(&mut session, read, &WIDE, &mut out);
            arrived += read.len();
            assert!(session.pinned_bytes() <= 2 * arrived + 512);
        }
        feed(&mut session, last, &WIDE, &mut out);
        if first != BINARY {
            assert!(session.pinned_bytes() <= (1 << 20) + 512, "more than the message can become");
        }
    }
}

#[track_caller]
fn assert_over(session: &mut Session, out: &mut Vec<u8>, name: &str) {
    let written = out.len();
    assert_eq!(session.phase(), Phase::Closed, "{name}");
    assert!(!session.can_send() && !session.is_receiving(), "{name}");
    assert_eq!(session.pinned_bytes(), 0, "{name}");
    assert!(!session.close(CloseCode::Normal, "", out), "{name}: closed twice");
    for late in [frame(FIN | TEXT, b"late", KEY), frame(FIN | PING, b"", KEY), vec![0xff; 40]] {
        assert_eq!(feed(session, &late, &WIDE, out), [], "{name}");
    }
    assert_eq!(out.len(), written, "{name}: written after the end");
}

/// A header with a length written as the case wants it.
fn header_of(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first], length, &KEY].concat()
}

/// A resumed session has only its predecessor's word for what a header has promised.
#[test]
fn what_a_suspended_session_says_of_itself_is_held_to_the_limits() {
    const LIMITS: SessionLimits =
        SessionLimits { frame_bytes_max: 100, message_bytes_max: 100, fragments_max: 4 };
    let promise = ("\"missing_bytes\":5", "\"missing_bytes\":4096");
    let count = ("\"fragments\":1", "\"fragments\":99");
    let half = |first| [&header(first, 10, KEY)[..], &[0; 5]].concat();
    let table = [
        (half(FIN | BINARY), promise, vec![0; 200], SessionError::MessageTooBig),
        (half(FIN | PING), promise, vec![0; 200], SessionError::LongControl),
        (
            frame(BINARY, b"a", KEY),
            count,
            frame(CONTINUATION, b"b", KEY),
            SessionError::TooManyFragments,
        ),
    ];
    for (before, (was, forged), after, expected) in table {
        let mut session = Session::new();
        feed(&mut session, &before, &LIMITS, &mut Vec::new());
        let state = serde_json::to_string(&session).expect("a session can be written");
        let state = state.replace(was, forged);
        assert!(state.contains(forged), "{state}");
        let mut session: Session = serde_json::from_str(&state).expect("and read again");
        let mut out = Vec::new();
        assert_eq!(feed(&mut session, &after, &LIMITS, &mut out), [Event::Failed(expected)]);
        assert_over(&mut session, &mut out, "a forged state");
    }
}
