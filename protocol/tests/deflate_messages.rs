//! Compressed messages in both directions: the examples and rules of RFC 7692, broken data, bombs, and every cut.
#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

mod session_support;

use flate2::{Compress, Compression, FlushCompress};
use proptest::{collection::vec, prelude::*, sample::Index};
use session_support::*;
use wsmaster_protocol::{
    close::CloseCode,
    deflate::{Agreement, Deflater, FINAL_BLOCKS_MAX, Inflater, WindowBits},
    frame::{MessageKind, encode_close, encode_compressed},
    session::{Event, Extension, Session, SessionError, SessionLimits},
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const RSV1: u8 = 0x40;

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("8 to 15")
}

fn agreement(takeover: bool, window: u8) -> Agreement {
    Agreement {
        server_window: bits(window),
        client_window: bits(window),
        server_takeover: takeover,
        client_takeover: takeover,
    }
}

fn session(takeover: bool) -> Session {
    Session::with(Extension::Deflate(agreement(takeover, 15)))
}

/// What a session makes of these reads.
#[track_caller]
fn hear(session: &mut Session, reads: &[&[u8]], limits: &SessionLimits) -> Vec<Event<'static>> {
    reads.iter().flat_map(|read| feed(session, read, limits, &mut Vec::new())).collect()
}

/// What a session without takeover makes of one compressed message.
#[track_caller]
fn heard(first: u8, payload: &[u8]) -> Vec<Event<'static>> {
    hear(&mut session(false), &[&frame(FIN | RSV1 | first, payload, KEY)], &WIDE)
}

/// A client's compressor, which keeps its window for as long as it lives.
struct Speaker(Compress);

impl Speaker {
    fn new(level: u32, window: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::new(level), false, window))
    }

    fn say(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * plain.len() + 100);
        self.0.compress_vec(plain, &mut out, FlushCompress::Sync).expect("a live compressor");
        if plain.is_empty() {
            // A second flush with nothing before it writes nothing; see section 7.2.3.6.
            return vec![0];
        }
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }
}

fn compressed(plain: &[u8]) -> Vec<u8> {
    Speaker::new(6, 15).say(plain)
}

#[test]
fn the_examples_of_section_7_2_3() {
    let hello = [Event::Text("Hello".into())];
    let blocks: [(&str, &[u8]); 5] = [
        ("7.2.3.1", b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        ("7.2.3.3", b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        ("7.2.3.4", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        ("7.2.3.5", b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        ("7.2.3.4, and nothing behind the final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00"),
    ];
    for (section, payload) in blocks {
        assert_eq!(heard(TEXT, payload), hello, "{section}");
        if !section.contains("nothing") {
            assert_eq!(naive::inflate(payload, b"", 32768), b"Hello", "{section}");
        }
    }
    let fragments = [
        frame(RSV1 | TEXT, b"\xf2\x48\xcd", KEY),
        frame(FIN | CONTINUATION, b"\xc9\xc9\x07\x00", KEY),
    ]
    .concat();
    assert_eq!(hear(&mut session(false), &[&fragments], &WIDE), hello, "7.2.3.1, in fragments");

    let mut sharing = session(true);
    for payload in [&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], b"\xf2\x00\x11\x00\x00"] {
        let message = frame(FIN | RSV1 | TEXT, payload, KEY);
        assert_eq!(hear(&mut sharing, &[&message], &WIDE), hello, "7.2.3.2");
    }
    assert_eq!(heard(TEXT, b"\x00"), [Event::Text("".into())], "7.2.3.6");
    assert_eq!(
        heard(BINARY, b"\x02\x00"),
        [Event::Binary(b"".into())],
        "an empty block with codes"
    );
    assert_eq!(heard(TEXT, b""), [Event::Text("".into())], "nothing at all");

    let mut deflater = Deflater::new(6);
    let ones = [b'1'; 100];
    let mut out = Vec::new();
    let payload = deflater.deflate(&ones, WindowBits::MAX, b"").expect("it gets shorter");
    encode_compressed(MessageKind::Text, payload, &mut out);
    assert_eq!((out[0], usize::from(out[1])), (0xc1, out.len() - 2));
    assert_eq!(naive::inflate(&out[2..], b"", 32768), ones);
}

/// A window may only be shared if that was agreed on.
#[test]
fn without_takeover_nothing_before_a_message_is_known() {
    let mut alone = session(false);
    let first = frame(FIN | RSV1 | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", KEY);
    let second = frame(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00", KEY);
    hear(&mut alone, &[&first], &WIDE);
    assert_eq!(alone.pinned_bytes(), 0, "an idle connection keeps nothing");
    let failed = [Event::Failed(SessionError::ForgottenContext)];
    assert_eq!(hear(&mut alone, &[&second], &WIDE), failed);
    // It says what it suspects, and a close frame has room for that (RFC 6455, section 5.5).
    for error in [SessionError::ForgottenContext, SessionError::BeyondWindow] {
        assert_eq!(error.close_code(), CloseCode::Invalid);
        assert!(error.to_string().len() <= 123, "{error}");
    }
}

#[test]
fn a_plain_message_between_compressed_ones_is_no_part_of_the_context() {
    let mut session = session(true);
    let mut speaker = Speaker::new(6, 15);
    for round in 0..3 {
        let text = format!("the same again and again, {round}");
        let message = frame(FIN | RSV1 | TEXT, &speaker.say(text.as_bytes()), KEY);
        assert_eq!(hear(&mut session, &[&message], &WIDE), [Event::Text(text.into())]);
        let plain = frame(FIN | TEXT, b"the same again and again, plain", KEY);
        let plain_event = Event::Text("the same again and again, plain".into());
        assert_eq!(hear(&mut session, &[&plain], &WIDE), [plain_event]);
    }
}

#[test]
fn only_the_first_frame_of_a_message_may_say_that_it_is_compressed() {
    use SessionError::{InterruptedMessage, ReservedBit, ReservedOpcode};
    let begun = frame(RSV1 | TEXT, b"\xf2\x48", KEY);
    let begun_plain = frame(TEXT, b"He", KEY);
    let with = |start: &[u8], rest: &[u8]| [start, rest].concat();
    let table: [(&str, Vec<u8>, SessionError); 9] = [
        ("a ping", vec![FIN | RSV1 | PING], ReservedBit),
        ("a pong", vec![FIN | RSV1 | PONG], ReservedBit),
        ("a close", vec![FIN | RSV1 | CLOSE], ReservedBit),
        ("a continuation", with(&begun, &[FIN | RSV1 | CONTINUATION]), ReservedBit),
        ("a continuation of a plain one", with(&begun_plain, &[RSV1 | CONTINUATION]), ReservedBit),
        ("RSV2 beside it", vec![FIN | RSV1 | 0x20 | TEXT], ReservedBit),
        ("RSV3 beside it", vec![FIN | RSV1 | 0x10 | TEXT], ReservedBit),
        ("a message in it", with(&begun, &[FIN | RSV1 | TEXT]), InterruptedMessage),
        ("a reserved opcode", vec![FIN | RSV1 | 0x3], ReservedOpcode),
    ];
    for (name, bytes, expected) in table {
        for takeover in [false, true] {
            let mut session = session(takeover);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(hear(&mut session, &single, &WIDE), [Event::Failed(expected)], "{name}");
        }
    }
    assert_eq!(ReservedBit.close_code(), CloseCode::Protocol);
    let mut without = Session::new();
    let refused = hear(&mut without, &[&[FIN | RSV1 | TEXT]], &WIDE);
    assert_eq!(refused, [Event::Failed(ReservedBit)], "nothing was agreed on");
}

#[test]
fn broken_data_is_told_with_1007() {
    let long = compressed(&b"all work and no play ".repeat(2000));
    let dynamic = compressed(&(0..4000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("a block of type 3", vec![0x06]),
        ("a stored block with a wrong complement", b"\x00\x05\x00\xfa\xfeHello\x00".to_vec()),
        ("cut in a stored block", b"\x00\x05\x00\xfa\xffHel".to_vec()),
        ("cut in a block of fixed codes", b"\xf2\x48\xcd\xc9".to_vec()),
        ("cut in a block of its own codes", dynamic[..dynamic.len() / 2].to_vec()),
        ("cut in its table of codes", dynamic[..20].to_vec()),
        ("cut before its end", long[..long.len() - 2].to_vec()),
        ("something behind the final block", b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff".to_vec()),
        ("text instead", b"{\"not\":\"compressed\"}".to_vec()),
        ("all ones", vec![0xff; 50]),
    ];
    for (name, payload) in table {
        let failed = [Event::Failed(SessionError::Compression)];
        assert_eq!(heard(BINARY, &payload), failed, "{name}");
        let message = frame(FIN | RSV1 | BINARY, &payload, KEY);
        let single: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(hear(&mut session(false), &single, &WIDE), failed, "{name}, byte by byte");
    }
    assert_eq!(SessionError::Compression.close_code(), CloseCode::Invalid);
}

/// Each final block makes the inflater begin anew; the compressor of nobody needs many.
#[test]
fn final_blocks_are_counted() {
    let message = |blocks: usize| [b"\x03\x00".repeat(blocks), vec![0]].concat();
    assert_eq!(heard(BINARY, &message(FINAL_BLOCKS_MAX)), [Event::Binary(b"".into())]);
    let failed = [Event::Failed(SessionError::Compression)];
    assert_eq!(heard(BINARY, &message(FINAL_BLOCKS_MAX + 1)), failed);

    // What comes behind a final block may still refer to what was before it.
    let mut two_streams = b"\xf3\x48\xcd\xc9\xc9\x07\x00".to_vec();
    two_streams.extend_from_slice(b"\xf2\x00\x11\x00\x00");
    assert_eq!(heard(TEXT, &two_streams), [Event::Text("HelloHello".into())]);
}

/// It ends when the bound is passed, and not when all is there.
#[test]
fn a_bomb_ends_at_the_bound() {
    let bound = 100_000;
    let limits =
        SessionLimits { frame_bytes_max: bound, message_bytes_max: bound, fragments_max: 10 };
    let bomb = |length: usize| compressed(&vec![b'0'; length]);
    for kind in [TEXT, BINARY] {
        let big = bomb(64 << 20);
        assert!(big.len() < bound, "it would be refused by its header");
        let mut input = frame(FIN | RSV1 | kind, &big, KEY);
        let (mut session, mut inflater) = (session(true), Inflater::new());
        let mut out = Vec::new();
        let step = session.receive(&mut input, &limits, &mut inflater, &mut out);
        assert_eq!(step.event, Some(Event::Failed(SessionError::MessageTooBig)));
        assert_eq!(inflater.take_work_bytes(), bound + 1);
        let mut close = Vec::new();
        encode_close(Some(CloseCode::Size), "message too big", &mut close);
        assert_eq!(out, close);
        assert_eq!(session.pinned_bytes(), 0);
    }
    for (length, fits) in [(bound - 1, true), (bound, true), (bound + 1, false)] {
        let mut session = session(false);
        let events = hear(&mut session, &[&frame(FIN | RSV1 | TEXT, &bomb(length), KEY)], &limits);
        let expected = match fits {
            true => Event::Text("0".repeat(length).into()),
            false => Event::Failed(SessionError::MessageTooBig),
        };
        assert!(events == [expected], "{length} bytes");
    }
}

#[test]
fn a_compressed_message_is_bounded_on_the_wire_too() {
    let limits = SessionLimits { frame_bytes_max: 1000, message_bytes_max: 1500, fragments_max: 3 };
    // A little more than the bounds themselves: what cannot be compressed grows.
    let allowed = |bytes: u64| bytes + bytes / 8 + 64;
    let table = [
        (header(FIN | RSV1 | TEXT, allowed(1000) + 1, KEY), SessionError::FrameTooBig),
        (header(FIN | RSV1 | TEXT, 1 << 62, KEY), SessionError::FrameTooBig),
        (
            [frame(RSV1 | TEXT, &[0; 1100], KEY), header(FIN, allowed(1500) - 1099, KEY)].concat(),
            SessionError::MessageTooBig,
        ),
        (
            [
                frame(RSV1 | TEXT, b"", KEY),
                frame(0, b"", KEY),
                frame(0, b"", KEY),
                header(FIN, 0, KEY),
            ]
            .concat(),
            SessionError::TooManyFragments,
        ),
    ];
    for (bytes, expected) in table {
        let mut session = session(false);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(hear(&mut session, &single, &limits), [Event::Failed(expected)]);
    }
    // The worst case: a message of the largest size that cannot be compressed.
    let mut noise = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(1500)
    .collect();
    for level in 0..=9 {
        let payload = Speaker::new(level, 15).say(&noise);
        assert!(payload.len() > noise.len(), "level {level}");
        let message = [
            frame(RSV1 | BINARY, &payload[..900], KEY),
            frame(FIN | CONTINUATION, &payload[900..], KEY),
        ];
        let events = hear(&mut session(false), &[&message.concat()], &limits);
        assert!(events == [Event::Binary(noise.clone().into())], "level {level}");
    }
}

/// Text is judged as it appears: a long message that goes wrong early costs one step.
#[test]
fn text_that_is_none_ends_where_that_shows() {
    for (plain, work_bytes_max) in [
        ([b"ab\xff".to_vec(), vec![b'x'; 1 << 20]].concat(), 16 * 1024),
        ([vec![b'x'; 100_000], b"\xc0".to_vec(), vec![b'x'; 1 << 20]].concat(), 128 * 1024),
        (b"ends within \xe2\x82".to_vec(), 100),
    ] {
        let mut input = frame(FIN | RSV1 | TEXT, &compressed(&plain), KEY);
        let (mut session, mut inflater) = (session(false), Inflater::new());
        let step = session.receive(&mut input, &WIDE, &mut inflater, &mut Vec::new());
        assert_eq!(step.event, Some(Event::Failed(SessionError::InvalidText)));
        let work_bytes = inflater.take_work_bytes();
        assert!(work_bytes <= work_bytes_max, "{work_bytes} bytes were made");
    }
}

/// One byte too many referred to, in a window that the client has promised not to exceed.
#[test]
fn what_is_beyond_the_agreed_window_is_forgotten() {
    let mut session = Session::with(Extension::Deflate(agreement(true, 9)));
    let mut speaker = Speaker::new(9, 15);
    let noise: Vec<u8> =
        (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let first = frame(FIN | RSV1 | BINARY, &speaker.say(&noise), KEY);
    hear(&mut session, &[&first], &WIDE);
    assert!(session.pinned_bytes() < 1024, "{} bytes kept", session.pinned_bytes());
    let second = frame(FIN | RSV1 | BINARY, &speaker.say(&noise[..300]), KEY);
    let events = hear(&mut session, &[&second], &WIDE);
    assert_eq!(events, [Event::Failed(SessionError::BeyondWindow)]);
}

#[test]
fn after_our_close_nothing_is_decompressed_and_nothing_kept() {
    let mut session = session(true);
    hear(&mut session, &[&frame(FIN | RSV1 | TEXT, &compressed(b"something"), KEY)], &WIDE);
    assert!(session.pinned_bytes() > 0);
    session.close(CloseCode::Away, "", &mut Vec::new());
    assert_eq!(session.pinned_bytes(), 0);
    let rest = [
        frame(FIN | RSV1 | TEXT, b"broken", KEY),
        frame(RSV1 | BINARY, b"broken", KEY),
        frame(FIN | CLOSE, b"\x03\xe8", KEY),
    ]
    .concat();
    let close = Event::Close { code: Some(CloseCode::Normal), reason: String::new() };
    assert_eq!(hear(&mut session, &[&rest], &WIDE), [close]);
}

/// A message that does not become shorter is told as `None`, and the compressor is as good as new after however many.
#[test]
fn a_message_becomes_shorter_or_stays_as_it_is() {
    let noise: Vec<u8> =
        (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let text = b"the quick brown fox jumps over the lazy dog; the quick brown fox again".repeat(20);
    for level in 1..=9 {
        let mut deflater = Deflater::new(level);
        for window in 8..=15 {
            for message in [&b""[..], b"a", b"ab", &noise, &text[..200], &text, &noise, &text] {
                match deflater.deflate(message, bits(window), b"") {
                    Some(payload) => {
                        assert!(payload.len() < message.len());
                        assert_eq!(naive::inflate(payload, b"", 1 << window), message);
                    }
                    None => {
                        assert!(message.len() < 3 || *message == noise || window == 8);
                    }
                }
            }
        }
    }
}

#[test]
fn a_compressor_never_wears_out() {
    let noise = |number: u32| -> Vec<u8> {
        (0..40_000_u32)
            .map(|n| ((n + number * 40_000).wrapping_mul(2_654_435_761) >> 7) as u8)
            .collect()
    };
    for level in 1..=9 {
        let mut deflater = Deflater::new(level);
        for number in 0..30 {
            let mixed = [noise(number), b"the same again".repeat(100)].concat();
            let payload = deflater.deflate(&mixed, WindowBits::MAX, b"").expect("it gets shorter");
            let mut inflater = Inflater::new();
            let plain = inflater.inflate(MessageKind::Binary, payload, b"", 1 << 20);
            assert!(plain.expect("deflate data").bytes() == mixed, "level {level}, {number}");
        }
    }
}

/// Messages as they are sent: some of them repeat what was said before.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let message = prop_oneof![
        4 => "(\\{\"action\":\"message\",\"channel\":\"[a-c]{1,3}\",\"text\":\"[a-z €]{0,80}\"\\}){1,3}"
            .prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..3000),
        2 => (vec(any::<u8>(), 1..40), 1..400_usize).prop_map(|(part, times)| part.repeat(times)),
        1 => Just(Vec::new()),
    ];
    vec(message, 1..8)
}

/// Cuts `payload` into the frames of a compressed message.
fn frames(payload: &[u8], cuts: &[Index]) -> Vec<u8> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    ends.sort_unstable();
    let (mut bytes, mut from, mut first) = (Vec::new(), 0, RSV1 | BINARY);
    for end in ends {
        bytes.extend(frame(first, &payload[from..end], KEY));
        bytes.extend(frame(FIN | PING, b"between", KEY));
        (from, first) = (end, CONTINUATION);
    }
    bytes.extend(frame(FIN | first, &payload[from..], KEY));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// What we compress, another decoder understands, that believes in our promise of a small window.
    #[test]
    fn another_decoder_understands_us(
        messages in messages(), level in 1_u8..=9, window in 8_u8..=15, takeover: bool,
    ) {
        let mut deflater = Deflater::new(level);
        // With windows of 256 bytes nobody agrees on takeover, see the table of offers.
        let takeover = takeover && window > 8;
        let mut session = Session::with(Extension::Deflate(agreement(takeover, window)));
        let mut before = Vec::new();
        for message in &messages {
            let Some(payload) = deflater.deflate(message, bits(window), session.sent_context())
            else { continue };
            prop_assert!(payload.len() < message.len());
            prop_assert_eq!(&naive::inflate(payload, &before, 1 << window), message);
            session.sent_compressed(message);
            if takeover {
                before.extend_from_slice(message);
            }
            prop_assert!(session.pinned_bytes() <= (1 << window) + 200);
        }
    }

    /// What a client compresses is understood in any fragments and any reads, and so is it when the session is suspended
    /// after every byte.
    #[test]
    fn any_cut_is_understood(
        messages in messages(),
        level in 0_u32..=9,
        window in 9_u8..=15,
        takeover: bool,
        cuts in vec(any::<Index>(), 0..4),
        read_bytes in prop_oneof![Just(1_usize), 2..2000_usize],
        suspend: bool,
    ) {
        let mut session = Session::with(Extension::Deflate(agreement(takeover, window)));
        let mut speaker = Speaker::new(level, window);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for message in &messages {
            if !takeover {
                speaker = Speaker::new(level, window);
            }
            let payload = speaker.say(message);
            bytes.extend(frames(&payload, &cuts));
            expected.extend(std::iter::repeat_n(Event::Ping(b"between".into()), cuts.len()));
            expected.push(Event::Binary(message.clone().into()));
        }
        let mut events = Vec::new();
        for (number, read) in bytes.chunks(read_bytes).enumerate() {
            events.extend(feed(&mut session, read, &WIDE, &mut Vec::new()));
            if suspend && number % 199 < 2 {
                let suspended = serde_json::to_string(&session).expect("a session is serialisable");
                let resumed: Session = serde_json::from_str(&suspended).expect("and comes back");
                prop_assert_eq!(&resumed, &session);
                session = resumed;
            }
        }
        prop_assert!(events == expected);
        prop_assert!(!session.is_receiving());
    }

    /// Damage is found or makes another message: the same in any cut, and never beyond the bounds.
    #[test]
    fn damage_is_the_same_in_any_cut(
        messages in messages(), damage in vec((any::<Index>(), any::<u8>()), 1..4), takeover: bool,
        read_bytes in 1..500_usize,
    ) {
        let limits = SessionLimits { frame_bytes_max: 5000, message_bytes_max: 9000, fragments_max: 4 };
        let mut bytes: Vec<u8> =
            messages.iter().flat_map(|message| frames(&compressed(message), &[])).collect();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = hear(&mut session(takeover), &[&bytes], &limits);
        let reads: Vec<&[u8]> = bytes.chunks(read_bytes).collect();
        prop_assert!(hear(&mut session(takeover), &reads, &limits) == whole);
        for event in &whole {
            if let Event::Binary(message) = event {
                prop_assert!(message.len() <= 9000);
            }
        }
    }

    #[test]
    fn no_bytes_panic(payload in vec(any::<u8>(), 0..300), kind in prop_oneof![Just(TEXT), Just(BINARY)]) {
        let message = frame(FIN | RSV1 | kind, &payload, KEY);
        let limits = SessionLimits { message_bytes_max: 100_000, ..WIDE };
        hear(&mut session(true), &[&message, &message], &limits);
    }
}
