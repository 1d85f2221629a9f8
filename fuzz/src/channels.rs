//! Requests of channel clients: what is accepted is JSON within the limits, and every answer is JSON on one line.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use wsmaster_protocol::channels::{ChannelLimits, ErrorCode, parse, reply};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = ChannelLimits::default();
    let mut answer = Vec::new();
    match parse(text, &limits) {
        Ok(request) => {
            let value: &RawValue = serde_json::from_str(text).expect("accepted, so JSON");
            assert!(value.get().starts_with('{'));
            let channel = request.action.channel();
            assert!(channel.is_none_or(|name| name.len() <= limits.channel_bytes_max));
            reply::error(&mut answer, &request.error(ErrorCode::RateLimited));
        }
        Err(error) => reply::error(&mut answer, &error),
    }
    // A mark is repeated as it was written, and JSON has numbers that no double holds: so its fields are not read.
    let told: BTreeMap<&str, &RawValue> = serde_json::from_slice(&answer).expect("it is JSON");
    assert_eq!(told["success"].get(), "false");
    assert!(!answer.contains(&b'\n') && answer.len() < 4_096);
}
