//! Lines of side processes: each is a command or a sentence that says what is wrong, and the reply is one line of JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use wsmaster_protocol::{
    close,
    frame::CLOSE_REASON_BYTES_MAX,
    http::Response,
    plugin::{self, Answer, Command, HEADERS_BYTES_MAX, HEADERS_MAX, Reply},
};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\n') {
        return;
    }
    let mut said = Vec::new();
    match plugin::parse(text) {
        Ok(line) => {
            check_command(&line.command);
            plugin::reply(&mut said, line.id, &Reply { success: true, ..Reply::default() });
        }
        Err(error) => {
            assert!(!error.sentence.is_empty());
            let id = error.id.as_deref().map(serde_json::from_str).transpose();
            let id = id.expect("an id is JSON");
            plugin::reply(
                &mut said,
                id,
                &Reply { error: Some(&error.sentence), ..Reply::default() },
            );
        }
    }
    let (end, line) = said.split_last().expect("a reply is never empty");
    assert_eq!(*end, b'\n');
    assert!(!line.iter().any(|byte| byte.is_ascii_control()), "two lines");
    let told = std::str::from_utf8(line).expect("a reply is UTF-8");
    assert!(!told.contains(['\u{85}', '\u{2028}', '\u{2029}']), "two lines for some readers");
    // A mark is repeated as it was written, and JSON has numbers that no double holds: so its fields are not read.
    let told: BTreeMap<&str, &RawValue> = serde_json::from_slice(line).expect("a reply is JSON");
    assert_eq!(told["event"].get(), "\"reply\"");
}

/// What is understood is within the bounds, and an answer reaches the worker as it was meant.
fn check_command(command: &Command<'_>) {
    match command {
        Command::Answer { answer, .. } => {
            let (Answer::Accept { headers, .. } | Answer::Respond { headers, .. }) = answer else {
                panic!("a program cannot say this: {answer:?}");
            };
            let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(headers.len() <= HEADERS_MAX && bytes <= HEADERS_BYTES_MAX);
            assert!(headers.iter().all(|(name, value)| Response::takes_header(name, value)));
            if let Answer::Respond { status, .. } = answer {
                assert!((200..=599).contains(status));
            }
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            assert_eq!(Answer::decode(&bytes).as_ref(), Some(answer));
        }
        Command::Disconnect { code, reason, .. } => {
            assert!(close::is_sendable((*code).into()) && reason.len() <= CLOSE_REASON_BYTES_MAX);
        }
        Command::Ready { .. }
        | Command::Push { .. }
        | Command::Broadcast { .. }
        | Command::Publish { .. }
        | Command::Info { .. }
        | Command::Exists { .. }
        | Command::Send { .. }
        | Command::Log { .. } => {}
    }
}
