//! Bodies of the HTTP API: what is accepted is a JSON object within the bounds whose message says what was written, and
//! everything else gets a sentence.

use serde_json::Value;
use wsmaster_protocol::{
    api::{Broadcast, CHANNEL_BYTES_MAX, CallError, Disconnect, Payload, Publish, Published, Push},
    close,
    frame::CLOSE_REASON_BYTES_MAX,
};

/// See the module.
pub fn run(data: &[u8]) {
    if let Some(push) = accepted(data, Push::read(data)) {
        check_payload(data, &push.payload);
    }
    if let Some(broadcast) = accepted(data, Broadcast::read(data)) {
        check_payload(data, &broadcast.payload);
    }
    if let Some(publish) = accepted(data, Publish::read(data)) {
        assert!(!publish.channel.is_empty() && publish.channel.len() <= CHANNEL_BYTES_MAX);
        match &publish.what {
            Published::Message(message) => {
                let text = str::from_utf8(data).expect("accepted, so text");
                assert!(text.contains(message.get()), "another message");
            }
            Published::Payload(payload) => check_payload(data, payload),
        }
    }
    if let Some(disconnect) = accepted(data, Disconnect::read(data)) {
        assert!(close::is_sendable(disconnect.code.into()));
        assert!(disconnect.reason.len() <= CLOSE_REASON_BYTES_MAX);
    }
}

fn accepted<T>(data: &[u8], call: Result<T, CallError>) -> Option<T> {
    match call {
        Ok(call) => {
            assert_eq!(data.trim_ascii().first(), Some(&b'{'));
            assert_eq!(data.trim_ascii().last(), Some(&b'}'));
            Some(call)
        }
        Err(error) => {
            assert!(!error.sentence.is_empty());
            None
        }
    }
}

/// Looks for the message in the body in another way: as a tree of JSON. Numbers that no double holds are in no tree.
fn check_payload(data: &[u8], payload: &Payload) {
    let Ok(tree) = serde_json::from_slice::<Value>(data) else { return };
    match (&tree["text"], tree.get("json"), &tree["binary_base64"], payload) {
        (Value::String(text), None, Value::Null, Payload::Text(found)) => assert_eq!(found, text),
        (Value::Null, Some(_), Value::Null, Payload::Text(found)) => {
            let text = str::from_utf8(data).expect("accepted, so text");
            assert!(text.contains(found.as_str()), "JSON is passed on as it was written");
        }
        (Value::Null, None, Value::String(encoded), Payload::Binary(found)) => {
            assert_eq!(found.len(), encoded.trim_end_matches('=').len() * 3 / 4);
        }
        (text, json, binary, payload) => {
            panic!("{payload:?} of {text}, {json:?}, {binary}");
        }
    }
}
