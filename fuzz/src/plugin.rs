//! Lines of side processes: each is a command or a sentence that says what is wrong, and the reply is one line of JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use wsmaster_protocol::plugin::{self, Reply};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\n') {
        return;
    }
    let mut said = Vec::new();
    match plugin::parse(text) {
        Ok(line) => {
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
    assert!(!line.contains(&b'\n'), "two lines");
    // A mark is repeated as it was written, and JSON has numbers that no double holds: so its fields are not read.
    let told: BTreeMap<&str, &RawValue> = serde_json::from_slice(line).expect("a reply is JSON");
    assert_eq!(told["event"].get(), "\"reply\"");
}
