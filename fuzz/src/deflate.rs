//! Compression: any payload is a message within the bounds or refused, cuts do not matter, what we compress comes back, and
//! any offer is answered in words that can be read.

use wsmaster_protocol::{
    deflate::{Agreement, Deflater, Inflater, Policy, WindowBits, first_offer},
    frame::MessageKind,
    session::{Event, Extension, Session, SessionLimits},
};

use crate::cuts;

/// Large enough for an input of a fuzzer's size, small enough for bombs to reach.
const LIMITS: SessionLimits =
    SessionLimits { frame_bytes_max: 4096, message_bytes_max: 20_000, fragments_max: 8 };

/// See the module. The first byte says how the rest is cut.
pub fn run(data: &[u8]) {
    let (input, read_bytes) = cuts::split(data);
    check_offer(input);
    check_round(input);
    for takeover in [false, true] {
        let whole = hear(input, usize::MAX, takeover);
        assert_eq!(whole, hear(input, read_bytes, takeover), "the cuts change what is heard");
    }
}

/// The input as the payload of a compressed text and then of a binary message.
fn hear(input: &[u8], read_bytes: usize, takeover: bool) -> Vec<String> {
    let (first, second) = (frame(0xc1, input), frame(0xc2, input));
    let agreement = Agreement {
        server_window: WindowBits::MAX,
        client_window: WindowBits::MAX,
        server_takeover: takeover,
        client_takeover: takeover,
    };
    let mut session = Session::with(Extension::Deflate(agreement));
    let (mut inflater, mut said) = (Inflater::new(), Vec::new());
    let mut heard = Vec::new();
    for piece in [first, second].concat().chunks(read_bytes.max(1)) {
        let mut piece = piece.to_vec();
        let mut rest = piece.as_mut_slice();
        while !rest.is_empty() {
            let step = session.receive(rest, &LIMITS, &mut inflater, &mut said);
            match &step.event {
                Some(Event::Text(text)) => assert!(text.len() <= LIMITS.message_bytes_max),
                Some(Event::Binary(bytes)) => assert!(bytes.len() <= LIMITS.message_bytes_max),
                Some(Event::Failed(error)) => {
                    assert!(matches!(u16::from(error.close_code()), 1007 | 1009));
                }
                Some(other) => panic!("from data frames: {other:?}"),
                None => {}
            }
            heard.extend(step.event.as_ref().map(|event| format!("{event:?}")));
            let consumed = step.consumed;
            rest = &mut rest[consumed..];
        }
        assert!(inflater.take_work_bytes() <= 2 * (LIMITS.message_bytes_max + 1));
        assert!(session.pinned_bytes() <= 64 * 1024);
    }
    heard
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().min(LIMITS.frame_bytes_max);
    let mut bytes = vec![first];
    if length < 126 {
        bytes.push(0x80 | length as u8);
    } else {
        bytes.push(0x80 | 126);
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&payload[..length]);
    bytes
}

/// What is compressed, alone or with what was said before, is shorter and comes back as it was.
fn check_round(input: &[u8]) {
    let (before, message) = input.split_at(input.len() / 3);
    let (mut deflater, mut inflater) = (Deflater::new(1), Inflater::new());
    for window in [&b""[..], before] {
        if let Some(payload) = deflater.deflate(message, WindowBits::MAX, window) {
            assert!(payload.len() < message.len());
            let plain = inflater.inflate(MessageKind::Binary, payload, window, message.len());
            assert_eq!(plain.expect("our own words").bytes(), message);
        }
    }
}

/// Room for two windows of the largest size.
const ROOM_BYTES: usize = 2 * WindowBits::MAX.bytes();

fn check_offer(input: &[u8]) {
    let Ok(Some(offer)) = first_offer([input]) else { return };
    for takeover in [false, true] {
        for bits in 9..=15 {
            let window = WindowBits::new(bits).unwrap_or(WindowBits::MAX);
            let policy = Policy { server_takeover: takeover, client_takeover: takeover, window };
            let Some(answer) = offer.answer(&policy, ROOM_BYTES) else {
                panic!("two windows find room in {ROOM_BYTES} bytes");
            };
            assert!(answer.agreement.server_window <= window);
            let read = first_offer([answer.header.as_bytes()]);
            assert!(matches!(read, Ok(Some(_))), "{}", answer.header);
        }
    }
}
