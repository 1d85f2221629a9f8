//! However the bytes are cut into reads, and wherever the session is suspended, the peer is understood the same.
#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

mod session_support;

use proptest::{collection::vec, prelude::*, sample::Index};
use session_support::*;
use wsmaster_protocol::{
    close::CloseCode,
    frame::{encode_close, encode_pong},
    session::{Event, Session, SessionLimits},
};

/// A message, where it is cut into frames, and the control frame behind each of them.
#[derive(Debug, Clone)]
struct Said {
    message: Message,
    cuts: Vec<(Index, Option<Control>)>,
    key: [u8; 4],
}

#[derive(Debug, Clone)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// The bytes of a conversation and what a server must make of it.
#[derive(Debug, Clone, Default)]
struct Conversation {
    bytes: Vec<u8>,
    events: Vec<Event<'static>>,
    out: Vec<u8>,
}

impl Conversation {
    fn of(all: Vec<Said>, closes: bool) -> Self {
        let mut conversation = Self::default();
        for said in all {
            conversation.say(said);
        }
        if closes {
            conversation.bytes.extend(frame(FIN | CLOSE, b"\x03\xe8bye", [9, 8, 7, 6]));
            let code = Some(CloseCode::Normal);
            conversation.events.push(Event::Close { code, reason: "bye".to_owned() });
            encode_close(code, "", &mut conversation.out);
        }
        conversation
    }

    fn say(&mut self, said: Said) {
        let (opcode, payload) = match &said.message {
            Message::Text(text) => (TEXT, text.as_bytes().to_vec()),
            Message::Binary(bytes) => (BINARY, bytes.clone()),
        };
        let mut cuts: Vec<(usize, Option<Control>)> = said
            .cuts
            .into_iter()
            .map(|(index, control)| (index.index(payload.len() + 1), control))
            .collect();
        cuts.sort_by_key(|(at, _)| *at);
        let (mut from, mut first) = (0, opcode);
        for (at, control) in cuts {
            self.bytes.extend(frame(first, &payload[from..at], said.key));
            (from, first) = (at, CONTINUATION);
            match control {
                None => {}
                Some(Control::Ping(bytes)) => {
                    self.bytes.extend(frame(FIN | PING, &bytes, said.key));
                    encode_pong(&bytes, &mut self.out);
                    self.events.push(Event::Ping(bytes.into()));
                }
                Some(Control::Pong(bytes)) => {
                    self.bytes.extend(frame(FIN | PONG, &bytes, said.key));
                    self.events.push(Event::Pong(bytes.into()));
                }
            }
        }
        self.bytes.extend(frame(FIN | first, &payload[from..], said.key));
        self.events.push(match said.message {
            Message::Text(text) => Event::Text(text.into()),
            Message::Binary(bytes) => Event::Binary(bytes.into()),
        });
    }
}

fn message(longest: usize) -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => "[a-zé€😀]{0,60}".prop_map(Message::Text),
        2 => vec(any::<u8>(), 0..200).prop_map(Message::Binary),
        1 => (0..=longest).prop_map(|len| Message::Text("ab€".chars().cycle().take(len).collect())),
        1 => (any::<u8>(), 0..=longest).prop_map(|(byte, len)| Message::Binary(vec![byte; len])),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    let payload = || vec(any::<u8>(), 0..=125);
    prop_oneof![payload().prop_map(Control::Ping), payload().prop_map(Control::Pong)]
}

fn conversation(longest: usize) -> impl Strategy<Value = Conversation> {
    let cut = (any::<Index>(), proptest::option::of(control()));
    let said = (message(longest), vec(cut, 0..5), any::<[u8; 4]>())
        .prop_map(|(message, cuts, key)| Said { message, cuts, key });
    (vec(said, 0..6), any::<bool>()).prop_map(|(all, closes)| Conversation::of(all, closes))
}

/// Cuts `bytes` into reads at these places.
fn reads<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_into_reads_is_understood(
        conversation in conversation(70_000),
        places in vec(any::<Index>(), 0..30),
    ) {
        let (events, out) = run(&reads(&conversation.bytes, &places), &WIDE);
        prop_assert_eq!(events, conversation.events);
        prop_assert_eq!(out, conversation.out);
    }

    #[test]
    fn suspended_after_every_byte_it_goes_on_the_same(conversation in conversation(300)) {
        let mut session = Session::new();
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for byte in &conversation.bytes {
            events.extend(feed(&mut session, &[*byte], &WIDE, &mut out));
            let suspended = serde_json::to_string(&session).expect("a session is serialisable");
            let resumed: Session = serde_json::from_str(&suspended).expect("and comes back");
            prop_assert_eq!(&resumed, &session);
            session = resumed;
        }
        prop_assert_eq!(events, conversation.events);
        prop_assert_eq!(out, conversation.out);
        prop_assert!(!session.is_receiving());
    }

    /// Broken conversations too: what is wrong does not depend on where a read ended.
    #[test]
    fn a_fault_is_the_same_in_any_cut(
        conversation in conversation(2_000),
        places in vec(any::<Index>(), 0..20),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let limits = SessionLimits { frame_bytes_max: 1500, message_bytes_max: 1800, fragments_max: 4 };
        let mut bytes = conversation.bytes;
        for (index, byte) in damage {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let whole = run(&[&bytes], &limits);
        prop_assert_eq!(&run(&reads(&bytes, &places), &limits), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&run(&single, &limits), &whole);
    }

    #[test]
    fn no_bytes_panic(
        bytes in vec(any::<u8>(), 0..200),
        places in vec(any::<Index>(), 0..5),
        close_at in any::<Index>(),
    ) {
        let reads = reads(&bytes, &places);
        let close_at = close_at.index(reads.len());
        let (mut session, mut out) = (Session::new(), Vec::new());
        for (index, read) in reads.into_iter().enumerate() {
            if index == close_at {
                session.close(CloseCode::Normal, "", &mut out);
            }
            feed(&mut session, read, &WIDE, &mut out);
        }
    }
}

#[test]
fn a_suspended_state_that_no_session_has_is_refused_or_harmless() {
    let with = |reading: &str, message: &str| {
        format!(
            r#"{{"phase":"Open","extension":"None","contexts":null,"assembly":{{"reading":{reading},"message":{message}}}}}"#
        )
    };
    let long_header = with(r#"{"Header":[1,2,3,4,5,6,7,8,9,10,11,12,13,14]}"#, "null");
    assert!(serde_json::from_str::<Session>(&long_header).is_err());
    let tail = |bytes: &str| {
        let body =
            format!(r#"{{"fragments":1,"body":{{"Text":{{"finished":"","stream":{bytes}}}}}}}"#);
        serde_json::from_str::<Session>(&with(r#"{"Header":[]}"#, &body))
    };
    assert!(tail("[226,130]").is_ok());
    for no_open_character in ["[255]", "[97]", "[97,226]", "[226,130,172]", "[240,159,152,128]"] {
        assert!(tail(no_open_character).is_err(), "{no_open_character}");
    }

    let frame = |target: &str, missing: u64| {
        format!(r#"{{"Payload":{{"target":{target},"key":[0,0,0,0],"missing_bytes":{missing}}}}}"#)
    };
    for reading in [
        frame(r#"{"Message":{"is_final":true}}"#, 1),
        frame(r#"{"Message":{"is_final":false}}"#, u64::MAX),
        frame(r#""Nowhere""#, 0),
        frame(r#"{"Control":{"kind":"Ping","payload":[]}}"#, u64::MAX),
        r#"{"Header":[]}"#.to_owned(),
        r#"{"Header":[129,128,0,0,0,0]}"#.to_owned(),
    ] {
        let mut session: Session =
            serde_json::from_str(&with(&reading, "null")).expect("well-formed");
        feed(&mut session, &[b'x'; 300], &WIDE, &mut Vec::new());
        assert!(session.pinned_bytes() < 512);
    }
}
