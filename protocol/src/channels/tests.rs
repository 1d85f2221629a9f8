//! The protocol as a client sees it: what goes in, and the exact text that comes out.

use serde_json::value::RawValue;

use super::*;

pub(super) fn limits() -> ChannelLimits {
    ChannelLimits {
        channel_bytes_max: 70,
        recipients_max: 3,
        id_bytes_max: 8,
        message_depth_max: 2,
    }
}

/// The answer of an application that allows everything.
pub(super) fn answer(text: &str) -> String {
    let mut out = Vec::new();
    match parse(text, &limits()) {
        Ok(request) => match &request.action {
            Action::Subscribe { channel }
            | Action::Unsubscribe { channel }
            | Action::Message { channel, .. } => {
                reply::success(&mut out, request.action.name(), channel, request.id);
            }
            Action::Ping => reply::pong(&mut out, request.id),
            Action::Pong => {}
        },
        Err(error) => reply::error(&mut out, &error),
    }
    String::from_utf8(out).expect("a reply is UTF-8")
}

/// What an `Action::Message` holds, or the code of the refusal.
fn message_of(text: &str) -> Result<(String, Option<Vec<u64>>), &'static str> {
    match parse(text, &limits()) {
        Ok(Request { action: Action::Message { message, recipients, .. }, .. }) => {
            Ok((message.get().to_owned(), recipients))
        }
        Ok(request) => panic!("not a message: {request:?}"),
        Err(error) => Err(error.code.as_str()),
    }
}

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).expect("valid JSON")
}

pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("a reply is UTF-8")
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(answer(text), *expected, "for {text}");
    }
}

#[test]
fn requests_that_are_carried_out() {
    check(&[
        (
            r#"{"action":"subscribe","data":{"channel":"chat.room.1"}}"#,
            r#"{"success":true,"action":"subscribe","channel":"chat.room.1"}"#,
        ),
        (
            r#"{"action":"unsubscribe","data":{"channel":"chat.room.1"}}"#,
            r#"{"success":true,"action":"unsubscribe","channel":"chat.room.1"}"#,
        ),
        (
            r#"{"action":"message","data":{"channel":"chat.room.1","message":"Hello everyone!","recipients":[1,2,3]}}"#,
            r#"{"success":true,"action":"message_sent","channel":"chat.room.1"}"#,
        ),
        (r#"{"action":"ping"}"#, r#"{"action":"pong"}"#),
        (r#"{"action":"pong"}"#, ""),
        // The order of the fields, white space and unknown fields mean nothing.
        (
            " {\n\"data\" :\t{ \"channel\" : \"a\" } ,\r\n \"action\" : \"subscribe\" } ",
            r#"{"success":true,"action":"subscribe","channel":"a"}"#,
        ),
        (
            r#"{"x":[{}],"action":"subscribe","channel":5,"data":{"id":[],"options":[1],"channel":"a"}}"#,
            r#"{"success":true,"action":"subscribe","channel":"a"}"#,
        ),
        // Escapes are read before a name is judged.
        (
            r#"{"\u0061ction":"sub\u0073cribe","data":{"channel":"\u0061.b"}}"#,
            r#"{"success":true,"action":"subscribe","channel":"a.b"}"#,
        ),
        // What an action does not need is not looked at.
        (r#"{"action":"ping","data":{"channel":"?"}}"#, r#"{"action":"pong"}"#),
        (
            r#"{"action":"subscribe","data":{"channel":"a","recipients":"all"}}"#,
            r#"{"success":true,"action":"subscribe","channel":"a"}"#,
        ),
        (r#"{"action":"ping","data":null,"id":null}"#, r#"{"action":"pong"}"#),
    ]);
}

#[test]
fn an_id_comes_back_as_it_was_written() {
    check(&[
        (r#"{"action":"ping","id":7}"#, r#"{"action":"pong","id":7}"#),
        (r#"{"id":-1.50e+2,"action":"ping"}"#, r#"{"action":"pong","id":-1.50e+2}"#),
        (r#"{"action":"ping","id": "a\"\n" }"#, r#"{"action":"pong","id":"a\"\n"}"#),
        (r#"{"action":"ping","id":""}"#, r#"{"action":"pong","id":""}"#),
        (r#"{"action":"ping","id":12345678}"#, r#"{"action":"pong","id":12345678}"#),
        (
            r#"{"action":"subscribe","data":{"channel":"a"},"id":"x"}"#,
            r#"{"success":true,"action":"subscribe","channel":"a","id":"x"}"#,
        ),
        (
            r#"{"action":"ping","id":123456789}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"id\" is longer than 8 bytes.","request_action":"ping"}"#,
        ),
        (
            r#"{"action":"ping","id":true}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"id\" must be a string or a number.","request_action":"ping"}"#,
        ),
        (
            r#"{"action":"ping","id":[1]}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"id\" must be a string or a number.","request_action":"ping"}"#,
        ),
    ]);
}

#[test]
fn what_is_not_json() {
    let ends = r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON: it ends too early."}"#;
    check(&[
        ("", ends),
        (" ", ends),
        ("{", ends),
        (r#"{"action""#, ends),
        (r#"{"action":"ping""#, ends),
        (r#"{"action":"ping","data":{"message":[[["#, ends),
        (
            "hello",
            r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 1."}"#,
        ),
        (
            "{\"action\":\n\"ping\",}",
            r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 2, column 8."}"#,
        ),
        (
            r#"{"action":"ping"}{"#,
            r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 18."}"#,
        ),
        (
            "{\"action\":\"pi\u{1}ng\"}",
            r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 13."}"#,
        ),
        (
            r#"{"action":"ping","data":{"message":01}}"#,
            r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 37."}"#,
        ),
    ]);
}

#[test]
fn what_is_not_a_request() {
    let no_object = r#"{"success":false,"action":"error","code":"invalid_request","error":"The message must be a JSON object."}"#;
    check(&[
        ("null", no_object),
        ("true", no_object),
        ("1", no_object),
        ("-1.5", no_object),
        (r#""ping""#, no_object),
        (r#"[{"action":"ping"}]"#, no_object),
        (
            "{}",
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is missing."}"#,
        ),
        (
            r#"{"action":null,"id":1}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is missing.","id":1}"#,
        ),
        (
            r#"{"action":5,"id":1}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" must be a string.","id":1}"#,
        ),
        (
            r#"{"action":"\ud800"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" must be a string."}"#,
        ),
        (
            r#"{"action":"subscribe","data":[],"id":1}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data\" must be an object.","request_action":"subscribe","id":1}"#,
        ),
        (
            r#"{"action":"subscribe","data":"chat","id":1}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data\" must be an object.","request_action":"subscribe","id":1}"#,
        ),
        (
            r#"{"action":"subscribe"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"subscribe"}"#,
        ),
        (
            r#"{"action":"unsubscribe","data":{"channel":null}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"unsubscribe"}"#,
        ),
        // The channel stands in `data`, nowhere else.
        (
            r#"{"action":"subscribe","channel":"chat.room.1"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"subscribe"}"#,
        ),
        (
            r#"{"action":"subscribe","data":{"channel":["a"]},"id":"q"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" must be a string.","request_action":"subscribe","id":"q"}"#,
        ),
        (
            r#"{"action":"message","data":{"channel":"a"}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.message\" is missing.","request_action":"message","channel":"a"}"#,
        ),
        (
            r#"{"action":"message","data":{"channel":"a","message":1,"recipients":"all"}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.recipients\" must be an array of connection ids.","request_action":"message","channel":"a"}"#,
        ),
    ]);
}

#[test]
fn a_field_given_twice_is_refused() {
    check(&[
        (
            r#"{"action":"ping","action":"ping"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is given twice.","request_action":"ping"}"#,
        ),
        (
            r#"{"action":null,"\u0061ction":"ping"}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is given twice.","request_action":"ping"}"#,
        ),
        (
            r#"{"action":"subscribe","data":{"channel":"a","channel":"b"},"id":1}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is given twice.","request_action":"subscribe","channel":"b","id":1}"#,
        ),
        (
            r#"{"action":"subscribe","data":{},"data":{"channel":"b"}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data\" is given twice.","request_action":"subscribe","channel":"b"}"#,
        ),
        (
            r#"{"action":"message","data":{"channel":"a","message":1,"message":1}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.message\" is given twice.","request_action":"message","channel":"a"}"#,
        ),
        (
            r#"{"action":"message","data":{"channel":"a","message":1,"recipients":[],"recipients":[]}}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.recipients\" is given twice.","request_action":"message","channel":"a"}"#,
        ),
        (
            r#"{"action":"ping","id":1,"id":2}"#,
            r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"id\" is given twice.","request_action":"ping","id":2}"#,
        ),
        // Fields that are not known are not remembered either.
        (r#"{"action":"ping","x":1,"x":2}"#, r#"{"action":"pong"}"#),
    ]);
}

#[test]
fn requests_that_are_refused() {
    let unknown = r#""code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.""#;
    let bad_name = r#""code":"invalid_channel","error":"Invalid channel name. Use 1 to 70 letters, digits, '_' and '-', in parts separated by single dots.""#;
    let permission = r#""code":"channel_needs_permission","error":"This channel needs a permission that the connection does not have.""#;
    let refusal =
        |code: &str, rest: &str| format!(r#"{{"success":false,"action":"error",{code},{rest}}}"#);
    let sixty_four = "x".repeat(64);
    let umlauts = "\u{fc}".repeat(64);
    let table = [
        (r#"{"action":"join"}"#.to_owned(), refusal(unknown, r#""request_action":"join""#)),
        (r#"{"action":""}"#.to_owned(), refusal(unknown, r#""request_action":"""#)),
        (r#"{"action":"Ping"}"#.to_owned(), refusal(unknown, r#""request_action":"Ping""#)),
        (
            r#"{"action":"authenticate","data":{"token":"t"},"id":3}"#.to_owned(),
            refusal(unknown, r#""request_action":"authenticate","id":3"#),
        ),
        // What is repeated is cut to 64 characters, between characters, and escaped.
        (
            format!(r#"{{"action":"{sixty_four}{sixty_four}"}}"#),
            refusal(unknown, &format!(r#""request_action":"{sixty_four}""#)),
        ),
        (
            format!(r#"{{"action":"subscribe","data":{{"channel":"{umlauts}{umlauts}"}}}}"#),
            refusal(bad_name, &format!(r#""request_action":"subscribe","channel":"{umlauts}""#)),
        ),
        (
            r#"{"action":"a\"\\\u0000\n\u001f\/b"}"#.to_owned(),
            refusal(unknown, r#""request_action":"a\"\\\u0000\u000a\u001f/b""#),
        ),
        (
            r#"{"action":"subscribe","data":{"channel":""}}"#.to_owned(),
            refusal(bad_name, r#""request_action":"subscribe","channel":"""#),
        ),
        (
            r#"{"action":"message","data":{"channel":"a b","message":1},"id":9}"#.to_owned(),
            refusal(bad_name, r#""request_action":"message","channel":"a b","id":9"#),
        ),
        (
            r#"{"action":"unsubscribe","data":{"channel":"a..b"}}"#.to_owned(),
            refusal(bad_name, r#""request_action":"unsubscribe","channel":"a..b""#),
        ),
        (
            format!(r#"{{"action":"subscribe","data":{{"channel":"{sixty_four}xxxxxxx"}}}}"#),
            refusal(bad_name, &format!(r#""request_action":"subscribe","channel":"{sixty_four}""#)),
        ),
        (
            r#"{"action":"subscribe","data":{"channel":"private.user.1"}}"#.to_owned(),
            refusal(permission, r#""request_action":"subscribe","channel":"private.user.1""#),
        ),
        (
            r#"{"action":"message","data":{"channel":"presence.x","message":1}}"#.to_owned(),
            refusal(permission, r#""request_action":"message","channel":"presence.x""#),
        ),
        (
            r#"{"action":"message","data":{"channel":"a","message":1,"recipients":[1,1,1,1]}}"#
                .to_owned(),
            refusal(
                r#""code":"too_many_recipients","error":"Too many recipients; at most 3.""#,
                r#""request_action":"message","channel":"a""#,
            ),
        ),
        (
            r#"{"action":"message","data":{"channel":"a","message":[[[]]]}}"#.to_owned(),
            refusal(
                r#""code":"message_too_deep","error":"The field \"data.message\" is nested too deep; at most 2 levels.""#,
                r#""request_action":"message","channel":"a""#,
            ),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(answer(&text), expected, "for {text}");
    }
}

#[test]
fn a_message_is_passed_on_byte_for_byte() {
    let messages = [
        "null",
        "true",
        "0",
        "-1.50E+007",
        "1e999",
        r#""""#,
        r#""\u0041\/""#,
        r#""\ud800""#,
        "\"\u{2028}\"",
        r#"{"b":1,"a": [2,  3],"b":null}"#,
        "[ ]",
    ];
    for json in messages {
        let text = format!(r#"{{"action":"message","data":{{"channel":"a","message": {json} }}}}"#);
        assert_eq!(message_of(&text), Ok((json.to_owned(), None)), "for {text}");
    }
}

#[test]
fn recipients() {
    type Outcome = Result<Option<Vec<u64>>, &'static str>;
    let cases: [(&str, Outcome); 15] = [
        ("null", Ok(None)),
        ("[]", Ok(Some(vec![]))),
        ("[7]", Ok(Some(vec![7]))),
        ("[3, 1 ,3]", Ok(Some(vec![1, 3]))),
        ("[18446744073709551615]", Ok(Some(vec![u64::MAX]))),
        ("[1,2,3,4]", Err("too_many_recipients")),
        ("[1,2,3,\"x\"]", Err("invalid_request")),
        ("[18446744073709551616]", Err("invalid_request")),
        ("[-1]", Err("invalid_request")),
        ("[1.0]", Err("invalid_request")),
        ("[\"1\",\"18446744073709551615\"]", Ok(Some(vec![1, u64::MAX]))),
        ("[\"\"]", Err("invalid_request")),
        ("[null]", Err("invalid_request")),
        ("7", Err("invalid_request")),
        ("{}", Err("invalid_request")),
    ];
    for (json, expected) in cases {
        let text = format!(
            r#"{{"action":"message","data":{{"recipients":{json},"channel":"a","message":1}}}}"#
        );
        assert_eq!(message_of(&text).map(|(_, recipients)| recipients), expected, "for {json}");
    }
}

#[test]
fn what_the_server_says() {
    assert_eq!(
        written(|out| reply::welcome(out, 1, 30, false, 2)),
        r#"{"action":"welcome","heartbeat_interval":30,"connection_id":1,"authenticated":false,"worker":2}"#
    );
    assert_eq!(
        written(|out| reply::welcome(out, (1 << 53) - 1, 0, true, 1023)),
        r#"{"action":"welcome","heartbeat_interval":0,"connection_id":9007199254740991,"authenticated":true,"worker":1023}"#
    );
    assert_eq!(
        written(|out| reply::delivery(out, "a.b", Some(5), raw("{\"x\": 1}"), 1_760_000_000_007)),
        r#"{"action":"message","channel":"a.b","sender":5,"message":{"x": 1},"time":1760000000.007}"#
    );
    assert_eq!(
        written(|out| reply::delivery(out, "a", None, raw("\"\""), 999)),
        r#"{"action":"message","channel":"a","sender":null,"message":"","time":0.999}"#
    );
    assert_eq!(written(reply::ping), r#"{"action":"ping"}"#);
}

#[test]
fn an_application_refuses_in_the_words_of_the_request() {
    let text = r#"{"action":"message","data":{"channel":"a","message":1},"id":4}"#;
    let request = parse(text, &limits()).expect("valid");
    assert_eq!(
        written(|out| reply::error(out, &request.error(ErrorCode::NotSubscribed))),
        r#"{"success":false,"action":"error","code":"not_subscribed","error":"Not subscribed to this channel.","request_action":"message","channel":"a","id":4}"#
    );
    let slow_down =
        ProtocolError { retry_after_s: Some(60), ..ProtocolError::new(ErrorCode::RateLimited) };
    assert_eq!(
        written(|out| reply::error(out, &slow_down)),
        r#"{"success":false,"action":"error","code":"rate_limited","error":"Rate limit exceeded. Please slow down.","retry_after":60}"#
    );
}

#[test]
fn replies_are_appended() {
    let mut out = b"before ".to_vec();
    reply::ping(&mut out);
    reply::pong(&mut out, None);
    assert_eq!(out, br#"before {"action":"ping"}{"action":"pong"}"#);
}

#[test]
fn names_without_escapes_are_borrowed() {
    let text = r#"{"action":"subscribe","data":{"channel":"chat.room.1"}}"#;
    let Ok(Request { action: Action::Subscribe { channel }, .. }) = parse(text, &limits()) else {
        panic!("not a subscription");
    };
    assert!(matches!(channel, std::borrow::Cow::Borrowed("chat.room.1")));
}

#[test]
fn depth_of_what_is_ignored_is_no_danger() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(answer(&format!(r#"{{"x":{deep},"action":"ping"}}"#)), r#"{"action":"pong"}"#);
    assert!(answer(&format!(r#"{{"data":{deep},"action":"ping"}}"#)).contains("invalid_request"));
    assert!(answer(&format!(r#"{{"action":"ping","id":{deep}}}"#)).contains("invalid_request"));
    assert!(answer(&deep).contains("must be a JSON object"));
}
