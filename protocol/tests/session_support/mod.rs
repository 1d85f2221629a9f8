//! The vocabulary of the session tests: a client's frames, and a session fed with reads.

pub(crate) mod naive;

use wsmaster_protocol::{
    deflate::Inflater,
    mask::unmask,
    session::{Event, Session, SessionLimits},
};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
pub(crate) const FIN: u8 = 0x80;

/// Limits that nothing in these tests reaches.
pub(crate) const WIDE: SessionLimits =
    SessionLimits { frame_bytes_max: 1 << 30, message_bytes_max: 1 << 30, fragments_max: 1 << 20 };

/// A masked frame; `first` is the opcode with the FIN and reserved bits.
pub(crate) fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64, key);
    let start = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[start..], key, 0);
    frame
}

/// The header alone, which may promise anything.
pub(crate) fn header(first: u8, payload_len: u64, key: [u8; 4]) -> Vec<u8> {
    let mut header = vec![first];
    if payload_len < 126 {
        header.push(0x80 | payload_len as u8);
    } else if let Ok(short) = u16::try_from(payload_len) {
        header.push(0x80 | 126);
        header.extend_from_slice(&short.to_be_bytes());
    } else {
        header.push(0x80 | 127);
        header.extend_from_slice(&payload_len.to_be_bytes());
    }
    header.extend_from_slice(&key);
    header
}

/// Gives `read` to the session as a caller would: again and again until it is consumed.
#[track_caller]
pub(crate) fn feed(
    session: &mut Session,
    read: &[u8],
    limits: &SessionLimits,
    out: &mut Vec<u8>,
) -> Vec<Event<'static>> {
    let mut input = read.to_vec();
    let mut events = Vec::new();
    let mut at = 0;
    // A new one each time: nothing of a session may be left in it.
    let mut inflater = Inflater::new();
    loop {
        let step = session.receive(&mut input[at..], limits, &mut inflater, out);
        let consumed = step.consumed;
        let Some(event) = step.event else {
            assert_eq!(at + consumed, read.len(), "no event, and bytes left");
            return events;
        };
        events.push(owned(event));
        at += consumed;
    }
}

/// All events and all output of a new session for these reads.
#[track_caller]
pub(crate) fn run(reads: &[&[u8]], limits: &SessionLimits) -> (Vec<Event<'static>>, Vec<u8>) {
    let mut session = Session::new();
    let mut out = Vec::new();
    let mut events = Vec::new();
    for read in reads {
        events.extend(feed(&mut session, read, limits, &mut out));
    }
    (events, out)
}

pub(crate) fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Text(text) => Event::Text(text.into_owned().into()),
        Event::Binary(bytes) => Event::Binary(bytes.into_owned().into()),
        Event::Ping(bytes) => Event::Ping(bytes.into_owned().into()),
        Event::Pong(bytes) => Event::Pong(bytes.into_owned().into()),
        Event::Close { code, reason } => Event::Close { code, reason },
        Event::Failed(error) => Event::Failed(error),
    }
}
