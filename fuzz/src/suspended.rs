//! A session that was suspended and comes from another process: whatever it says of itself is refused or served on within
//! the bounds, whatever the client sends next.

use wsmaster_protocol::{
    deflate::Inflater,
    session::{Event, Phase, Session},
};

use crate::frames::{LIMITS, check_frames};

/// See the module. The first line is the session, the rest is what its client sends.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (state, rest) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(mut session) = serde_json::from_slice::<Session>(state) else { return };
    let again = serde_json::to_vec(&session).expect("a session can be written");
    assert_eq!(serde_json::from_slice::<Session>(&again).ok().as_ref(), Some(&session));

    let (mut inflater, mut said) = (Inflater::new(), Vec::new());
    // A state takes several bytes of JSON for each byte of a buffer.
    let held_max = session.pinned_bytes() + 4096;
    let mut rest = rest.to_vec();
    let mut rest = rest.as_mut_slice();
    while !rest.is_empty() && session.phase() != Phase::Closed {
        let length = rest.len();
        let step = session.receive(rest, &LIMITS, &mut inflater, &mut said);
        let consumed = step.consumed;
        assert!(consumed <= length);
        match step.event {
            Some(Event::Text(text)) => assert!(text.len() <= LIMITS.message_bytes_max),
            Some(Event::Binary(bytes)) => assert!(bytes.len() <= LIMITS.message_bytes_max),
            Some(Event::Ping(bytes) | Event::Pong(bytes)) => assert!(bytes.len() <= 125),
            Some(Event::Close { reason, .. }) => assert!(reason.len() <= 123),
            Some(Event::Failed(_)) => {}
            None => assert_eq!(consumed, length, "without an event everything is taken"),
        }
        assert!(session.pinned_bytes() <= held_max, "more is held than the limits allow");
        rest = &mut rest[consumed..];
    }
    assert!(check_frames(&said) <= 1);
}
