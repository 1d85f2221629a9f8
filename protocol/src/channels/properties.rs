//! What holds for every text: no panic, a JSON reply, nothing lost or changed on the way through.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::tests::{answer, limits, written};
use super::*;

/// Texts that are nearly requests: real fields with values of every kind, whole or cut.
fn nearly_request() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("action"),
        Just("data"),
        Just("id"),
        Just("channel"),
        Just("message"),
        Just("recipients"),
        Just("x")
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        prop_oneof![
            Just("\"subscribe\""),
            Just("\"message\""),
            Just("\"ping\""),
            Just("\"a.b\""),
            Just("\"private.x\"")
        ]
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| Value::from(s).to_string()),
        Just(r#""\udc00\ud800""#.to_owned()),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(|ids| format!("{ids:?}")),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        proptest::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| {
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
            format!("{{{}}}", fields.join(","))
        })
    });
    (value, any::<Option<u16>>()).prop_map(|(text, cut)| match cut {
        None => text,
        Some(cut) => text.chars().take(usize::from(cut) % (text.len() + 1)).collect(),
    })
}

fn check_any(text: &str) -> Result<(), TestCaseError> {
    let reply = answer(text);
    if reply.is_empty() {
        prop_assert!(text.contains("pong"));
        return Ok(());
    }
    // An id may hold what serde_json's own strings and numbers refuse, so the grammar is checked first.
    prop_assert!(serde_json::from_str::<&RawValue>(&reply).is_ok(), "{reply}");
    if let Ok(reply) = serde_json::from_str::<Value>(&reply) {
        let code = reply.get("code").and_then(Value::as_str);
        prop_assert_eq!(reply["action"] == "error", code.is_some());
        if serde_json::from_str::<&RawValue>(text).is_err() {
            prop_assert_eq!(code, Some("invalid_json"));
        }
        if code == Some("invalid_json") {
            prop_assert!(serde_json::from_str::<Value>(text).is_err());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics_and_every_reply_is_json(text in any::<String>()) {
        check_any(&text)?;
    }

    #[test]
    fn no_near_request_panics_and_every_reply_is_json(text in nearly_request()) {
        check_any(&text)?;
    }

    #[test]
    fn a_valid_request_comes_through(
        channel in "[A-Za-z0-9_-]{1,8}(\\.[A-Za-z0-9_-]{1,8}){0,3}",
        text in any::<String>(),
        recipients in proptest::option::of(proptest::collection::vec(any::<u64>(), 0..4)),
    ) {
        prop_assume!(!needs_permission(&channel));
        let request = serde_json::json!({
            "action": "message", "id": 1,
            "data": {"channel": channel, "message": text, "recipients": recipients},
        });
        let request = request.to_string();
        let Request { action, .. } = parse(&request, &limits())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let Action::Message { channel: read_channel, message, recipients: read } = action else {
            return Err(TestCaseError::fail("not a message"));
        };
        prop_assert_eq!(read_channel, channel.as_str());
        let expected = recipients.map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        prop_assert_eq!(read, expected);
        let delivery = written(|out| reply::delivery(out, &channel, None, message, 1));
        let delivery: Value = serde_json::from_str(&delivery).expect("a delivery is JSON");
        prop_assert_eq!(&delivery["message"], &Value::from(text));
    }

    #[test]
    fn any_text_can_be_repeated(action in any::<String>(), channel in any::<String>()) {
        let error = ProtocolError {
            request_action: Some(action.as_str().into()),
            channel: Some(channel.as_str().into()),
            ..ProtocolError::new(ErrorCode::InternalError)
        };
        let reply: Value = serde_json::from_str(&written(|out| reply::error(out, &error)))
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&reply["request_action"], &action.chars().take(64).collect::<String>());
        prop_assert_eq!(&reply["channel"], &channel.chars().take(64).collect::<String>());
    }
}
