//! Frames from a peer: the cuts and a move to another process do not matter, the limits hold, and whatever the session
//! says is a frame that a server may send.

use wsmaster_protocol::{
    deflate::Inflater,
    session::{Event, Phase, Session, SessionLimits},
};

use crate::cuts;

/// Small, so that inputs of a fuzzer's size reach them.
pub(crate) const LIMITS: SessionLimits =
    SessionLimits { frame_bytes_max: 400, message_bytes_max: 600, fragments_max: 8 };

/// What the session made of an input.
#[derive(Debug, PartialEq)]
struct Heard {
    events: Vec<String>,
    said: Vec<u8>,
    phase: Phase,
}

/// See the module. The first byte says how the rest is cut.
pub fn run(data: &[u8]) {
    let (input, read_bytes) = cuts::split(data);
    let whole = hear(input, input.len().max(1), false);
    assert_eq!(whole, hear(input, read_bytes, false), "the cuts change what is heard");
    assert_eq!(whole, hear(input, read_bytes, true), "a move changes what is heard");
    let closes = check_frames(&whole.said);
    assert_eq!(closes > 0, whole.phase == Phase::Closed, "closed is what has said so");
}

fn hear(input: &[u8], read_bytes: usize, moves: bool) -> Heard {
    let (mut session, mut inflater) = (Session::new(), Inflater::new());
    let mut events = Vec::new();
    let mut said = Vec::new();
    for (number, piece) in input.chunks(read_bytes).enumerate() {
        let mut piece = piece.to_vec();
        let mut rest = piece.as_mut_slice();
        while !rest.is_empty() && session.phase() != Phase::Closed {
            let length = rest.len();
            let step = session.receive(rest, &LIMITS, &mut inflater, &mut said);
            let consumed = step.consumed;
            assert!(consumed <= length);
            match step.event {
                Some(event) => {
                    check_event(&event);
                    events.push(format!("{event:?}"));
                }
                None => assert_eq!(consumed, length, "without an event everything is taken"),
            }
            rest = &mut rest[consumed..];
        }
        assert!(session.pinned_bytes() <= 4096, "more is held than the limits allow");
        // A move costs more than all else: not at each of a thousand bytes.
        if moves && (read_bytes > 16 || number % 11 == 0) {
            let state = serde_json::to_string(&session).expect("a session can be written");
            session = serde_json::from_str(&state).expect("a session can be read again");
        }
    }
    Heard { events, said, phase: session.phase() }
}

fn check_event(event: &Event<'_>) {
    match event {
        Event::Text(text) => assert!(text.len() <= LIMITS.message_bytes_max),
        Event::Binary(bytes) => assert!(bytes.len() <= LIMITS.message_bytes_max),
        Event::Ping(bytes) | Event::Pong(bytes) => assert!(bytes.len() <= 125),
        Event::Close { reason, .. } => assert!(reason.len() <= 123),
        Event::Failed(error) => {
            assert!(matches!(u16::from(error.close_code()), 1002 | 1007..=1009));
        }
    }
}

/// Reads what a server said, by a reader that shares nothing with the server's writer (RFC 6455, section 5.2). How many
/// close frames there were: at most one, and the last of all.
pub(crate) fn check_frames(mut said: &[u8]) -> usize {
    let mut closes = 0;
    while let [first, second, rest @ ..] = said {
        assert_eq!(closes, 0, "something was said behind a close frame");
        assert_eq!(first & 0xf0, 0x80, "our frames are whole and have no reserved bit");
        let (opcode, length) = (first & 0x0f, usize::from(second & 0x7f));
        assert!(second & 0x80 == 0 && length <= 125, "unmasked and short, as all of these are");
        let (payload, next) = rest.split_at_checked(length).expect("a frame that is cut off");
        match opcode {
            8 => {
                assert!(payload.len() != 1);
                assert!(payload.is_empty() || std::str::from_utf8(&payload[2..]).is_ok());
                closes += 1;
            }
            1 | 2 | 9 | 10 => {}
            other => panic!("an opcode that nobody sends: {other}"),
        }
        said = next;
    }
    assert!(said.is_empty(), "half a frame");
    closes
}
