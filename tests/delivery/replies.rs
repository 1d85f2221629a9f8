//! What a client is answered, word for word. Whatever it sends as a message, its connection goes on.

use std::{io::Write, time::Duration};

use serde_json::json;
use tungstenite::Message;

use crate::{
    ROOM, message, request, success,
    support::{Client, PATIENCE, Server, Setup, raw},
};

/// (what is sent, what is answered). The client is subscribed to `mine` and to nothing else.
const TABLE: &[(&str, &str)] = &[
    // No JSON.
    (
        "",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON: it ends too early."}"#,
    ),
    (
        "   ",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON: it ends too early."}"#,
    ),
    (
        "{",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON: it ends too early."}"#,
    ),
    (
        "hello",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 1."}"#,
    ),
    (
        "{'action':'ping'}",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 2."}"#,
    ),
    (
        r#"{"action":"ping"} x"#,
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 19."}"#,
    ),
    (
        r#"{"action":"ping"}{"action":"ping"}"#,
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 18."}"#,
    ),
    (
        r#"{"action":"ping",}"#,
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 1, column 18."}"#,
    ),
    (
        "{\"action\":\n\"ping\",\n\"a\":01}",
        r#"{"success":false,"action":"error","code":"invalid_json","error":"Not valid JSON at line 3, column 6."}"#,
    ),
    // JSON, and no request.
    (
        "null",
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The message must be a JSON object."}"#,
    ),
    (
        "42",
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The message must be a JSON object."}"#,
    ),
    (
        r#""ping""#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The message must be a JSON object."}"#,
    ),
    (
        r#"[{"action":"ping"}]"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The message must be a JSON object."}"#,
    ),
    (
        "{}",
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is missing."}"#,
    ),
    (
        r#"{"Action":"ping","id":7}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is missing.","id":7}"#,
    ),
    (
        r#"{"action":null}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is missing."}"#,
    ),
    (
        r#"{"action":5,"id":"a"}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" must be a string.","id":"a"}"#,
    ),
    (
        r#"{"action":"ping","action":"ping"}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"action\" is given twice.","request_action":"ping"}"#,
    ),
    // Actions.
    (
        r#"{"action":"fly"}"#,
        r#"{"success":false,"action":"error","code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.","request_action":"fly"}"#,
    ),
    (
        r#"{"action":"PING"}"#,
        r#"{"success":false,"action":"error","code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.","request_action":"PING"}"#,
    ),
    (
        r#"{"action":"","id":1}"#,
        r#"{"success":false,"action":"error","code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.","request_action":"","id":1}"#,
    ),
    (
        r#"{"action":"a\"b\\c\u0000"}"#,
        r#"{"success":false,"action":"error","code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.","request_action":"a\"b\\c\u0000"}"#,
    ),
    (
        r#"{"action":"welcome"}"#,
        r#"{"success":false,"action":"error","code":"unknown_action","error":"Unknown action. Known are subscribe, unsubscribe, message, ping and pong.","request_action":"welcome"}"#,
    ),
    // Data and channels.
    (
        r#"{"action":"subscribe"}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","data":"mine"}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data\" must be an object.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","data":[]}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data\" must be an object.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","channel":"mine"}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" is missing.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":1}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.channel\" must be a string.","request_action":"subscribe"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":""}}"#,
        r#"{"success":false,"action":"error","code":"invalid_channel","error":"Invalid channel name. Use 1 to 128 letters, digits, '_' and '-', in parts separated by single dots.","request_action":"subscribe","channel":""}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"a b"}}"#,
        r#"{"success":false,"action":"error","code":"invalid_channel","error":"Invalid channel name. Use 1 to 128 letters, digits, '_' and '-', in parts separated by single dots.","request_action":"subscribe","channel":"a b"}"#,
    ),
    (
        r#"{"action":"unsubscribe","data":{"channel":"a..b"}}"#,
        r#"{"success":false,"action":"error","code":"invalid_channel","error":"Invalid channel name. Use 1 to 128 letters, digits, '_' and '-', in parts separated by single dots.","request_action":"unsubscribe","channel":"a..b"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"*","message":1}}"#,
        r#"{"success":false,"action":"error","code":"invalid_channel","error":"Invalid channel name. Use 1 to 128 letters, digits, '_' and '-', in parts separated by single dots.","request_action":"message","channel":"*"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"\u00e4\"<"},"id":"q"}"#,
        r#"{"success":false,"action":"error","code":"invalid_channel","error":"Invalid channel name. Use 1 to 128 letters, digits, '_' and '-', in parts separated by single dots.","request_action":"subscribe","channel":"ä\"<","id":"q"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"private.user.1"}}"#,
        r#"{"success":false,"action":"error","code":"channel_needs_permission","error":"This channel needs a permission that the connection does not have.","request_action":"subscribe","channel":"private.user.1"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"presence.chat","message":1}}"#,
        r#"{"success":false,"action":"error","code":"channel_needs_permission","error":"This channel needs a permission that the connection does not have.","request_action":"message","channel":"presence.chat"}"#,
    ),
    // Subscriptions.
    (
        r#"{"action":"unsubscribe","data":{"channel":"yours"}}"#,
        r#"{"success":false,"action":"error","code":"not_subscribed","error":"Not subscribed to this channel.","request_action":"unsubscribe","channel":"yours"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"yours","message":1},"id":3}"#,
        r#"{"success":false,"action":"error","code":"not_subscribed","error":"Not subscribed to this channel.","request_action":"message","channel":"yours","id":3}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"mine.too","message":1}}"#,
        r#"{"success":false,"action":"error","code":"not_subscribed","error":"Not subscribed to this channel.","request_action":"message","channel":"mine.too"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"mine"}}"#,
        r#"{"success":true,"action":"subscribe","channel":"mine"}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"m\u0069ne"},"more":{"x":[]}}"#,
        r#"{"success":true,"action":"subscribe","channel":"mine"}"#,
    ),
    // Messages. `recipients` of nobody keep the deliveries out of the way.
    (
        r#"{"action":"message","data":{"channel":"mine"}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.message\" is missing.","request_action":"message","channel":"mine"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"mine","message":1,"recipients":[]}}"#,
        r#"{"success":true,"action":"message_sent","channel":"mine"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"mine","message":1,"recipients":5}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.recipients\" must be an array of connection ids.","request_action":"message","channel":"mine"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"mine","message":1,"recipients":["5a"]}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.recipients\" must be an array of connection ids.","request_action":"message","channel":"mine"}"#,
    ),
    (
        r#"{"action":"message","data":{"channel":"mine","message":1,"recipients":[-1]}}"#,
        r#"{"success":false,"action":"error","code":"invalid_request","error":"The field \"data.recipients\" must be an array of connection ids.","request_action":"message","channel":"mine"}"#,
    ),
    // The client's own mark comes back as it was written.
    (r#"{"action":"ping"}"#, r#"{"action":"pong"}"#),
    (r#"{"action":"ping","id":"a-1"}"#, r#"{"action":"pong","id":"a-1"}"#),
    (r#"{"action":"ping","id":17}"#, r#"{"action":"pong","id":17}"#),
    (r#"{"action":"ping","id":-1.50e+3}"#, r#"{"action":"pong","id":-1.50e+3}"#),
    (r#"{"id":"\u00e4","action":"ping"}"#, r#"{"action":"pong","id":"\u00e4"}"#),
    (r#"{"action":"ping","id":null}"#, r#"{"action":"pong"}"#),
    (
        r#"{"action":"message","data":{"channel":"mine","message":1,"recipients":[]},"id":"m"}"#,
        r#"{"success":true,"action":"message_sent","channel":"mine","id":"m"}"#,
    ),
    (
        r#"{"action":"unsubscribe","data":{"channel":"mine"},"id":9}"#,
        r#"{"success":true,"action":"unsubscribe","channel":"mine","id":9}"#,
    ),
    (
        r#"{"action":"subscribe","data":{"channel":"mine"},"id":""}"#,
        r#"{"success":true,"action":"subscribe","channel":"mine","id":""}"#,
    ),
];

/// (what is sent, the code of the answer): those whose sentences repeat a bound.
fn over_a_bound() -> Vec<(String, &'static str)> {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let message =
        |rest: &str| format!(r#"{{"action":"message","data":{{"channel":"mine",{rest}}}}}"#);
    let recipients = |count: usize| vec!["1"; count].join(",");
    vec![
        (request("subscribe", &"a".repeat(129)), "invalid_channel"),
        (request("subscribe", &"a.".repeat(64)), "invalid_channel"),
        (message(&format!(r#""message":{}"#, nested(65))), "message_too_deep"),
        (message(&format!(r#""message":{}"#, nested(100_000))), "message_too_deep"),
        (
            message(&format!(r#""message":1,"recipients":[{}]"#, recipients(101))),
            "too_many_recipients",
        ),
        (format!(r#"{{"action":"{}"}}"#, "x".repeat(200_000)), "unknown_action"),
        (format!(r#"{{"action":"ping","id":"{}"}}"#, "x".repeat(63)), "invalid_request"),
        (r#"{"action":"ping","id":{}}"#.to_owned(), "invalid_request"),
        (r#"{"action":"ping","id":[1]}"#.to_owned(), "invalid_request"),
        (r#"{"action":"ping","id":true}"#.to_owned(), "invalid_request"),
        (r#"{"action":"\ud800"}"#.to_owned(), "invalid_request"),
    ]
}

#[test]
fn every_input_has_its_answer_and_the_connection_goes_on() {
    let server = Server::start(Setup::default());
    let mut client = Client::connect(&server);
    client.subscribe("mine");
    for (input, answer) in TABLE {
        client.send_text(input);
        let found = client.expect_any(PATIENCE).to_string();
        assert_eq!(found, *answer, "the answer to {input}");
    }
    for (input, code) in over_a_bound() {
        client.send_text(&input);
        let answer = client.expect_any(PATIENCE).to_string();
        assert!(answer.len() < 500, "an answer is no echo: {answer:.600}");
        let expected = format!(r#"{{"success":false,"action":"error","code":"{code}","#);
        assert!(answer.starts_with(&expected), "the answer to {input:.100} is {answer}");
    }
    // The answer to an answer is silence, and a frame of no text is no request.
    client.send_text(r#"{"action":"pong","id":1}"#);
    client.send(Message::binary(&br#"{"action":"ping"}"#[..]));
    client.expect_text(
        r#"{"success":false,"action":"error","code":"invalid_request","error":"messages are JSON in text frames, and this one was binary"}"#,
    );
    client.expect_alive();
    let totals = &server.status()["totals"];
    assert_eq!((&totals["handler_panics"], &totals["protocol_errors"]), (&json!(0), &json!(0)));
    client.close();
}

#[test]
fn the_welcome_says_who_and_where() {
    for (config, interval_s) in [("", 30), ("[channels]\nheartbeat_interval = \"7s\"\n", 7)] {
        let server = Server::start(Setup::default().workers(2).config_toml(config));
        let mut client = Client::open(server.addr(), "/");
        let welcome = client.expect_any(PATIENCE).to_string();
        let found: serde_json::Value = serde_json::from_str(&welcome).expect("JSON");
        let (id, worker) = (&found["connection_id"], &found["worker"]);
        assert_eq!(
            welcome,
            format!(
                r#"{{"action":"welcome","heartbeat_interval":{interval_s},"connection_id":{id},"authenticated":false,"worker":{worker}}}"#
            )
        );
        assert!(id.is_u64() && worker.as_u64().is_some_and(|worker| worker < 2), "{welcome}");
        client.expect_silence(Duration::from_millis(50));
    }
}

#[test]
fn subscriptions_have_a_bound() {
    for (config, subscriptions_max) in [("", 128), ("[limits]\nsubscriptions_max = 2\n", 2)] {
        let server = Server::start(Setup::default().config_toml(config));
        let mut client = Client::connect(&server);
        for number in 0..subscriptions_max {
            client.subscribe(&format!("room.{number}"));
        }
        client.send_text(&request("subscribe", "one.more"));
        client.expect_text(
            r#"{"success":false,"action":"error","code":"too_many_subscriptions","error":"Too many subscriptions on this connection.","request_action":"subscribe","channel":"one.more"}"#,
        );
        // One that is there already is no more than there are.
        client.subscribe("room.0");
        client.unsubscribe("room.1");
        client.subscribe("one.more");
        client.send_text(&message("room.1", &json!(1)));
        client.expect_error("not_subscribed");
    }
}

#[test]
fn requests_that_come_in_one_segment_are_answered_in_their_order() {
    let server = Server::start(Setup::default());
    let mut client = Client::connect(&server);
    let texts = [
        request("subscribe", ROOM),
        message(ROOM, &json!("first")),
        message(ROOM, &json!("second")),
        request("unsubscribe", ROOM),
        message(ROOM, &json!("third")),
        r#"{"action":"ping","id":6}"#.to_owned(),
    ];
    let segment: Vec<u8> = texts.iter().flat_map(|text| frame(text)).collect();
    client.stream().write_all(&segment).expect("the connection is open");
    client.expect_text(&success("subscribe", ROOM));
    for message in ["first", "second"] {
        // A delivery to the sender and the reply to it: both are there before the next request is looked at.
        let both = [client.expect_json(PATIENCE), client.expect_json(PATIENCE)];
        let delivered = both.iter().filter(|value| value["message"] == message).count();
        let replied = both.iter().filter(|value| value["success"] == true).count();
        assert_eq!((delivered, replied), (1, 1), "{both:?}");
    }
    client.expect_text(&success("unsubscribe", ROOM));
    client.expect_error("not_subscribed");
    client.expect_text(r#"{"action":"pong","id":6}"#);
}

/// A client that decides on `action` alone, with one `switch`, as clients of this protocol are written.
#[test]
fn a_delivery_is_told_from_every_other_answer_by_its_action() {
    let server = Server::start(Setup::default());
    let mut client = Client::connect(&server);
    client.send_text(&request("subscribe", ROOM));
    client.send_text(&message(ROOM, &json!("hello")));
    client.send_text(&request("unsubscribe", ROOM));
    client.send_text(&message(ROOM, &json!("unheard")));
    client.send_text(r#"{"action":"ping"}"#);
    let mut shown = Vec::new();
    let mut others = Vec::new();
    while others.last().is_none_or(|action| action != "pong") {
        let frame = client.expect_json(PATIENCE);
        match frame["action"].as_str().expect("each has one") {
            "message" => shown.push((frame["message"].clone(), frame["sender"].clone())),
            other => others.push(other.to_owned()),
        }
    }
    assert_eq!(shown, [(json!("hello"), json!(client.id()))]);
    others.sort_unstable();
    assert_eq!(others, ["error", "message_sent", "pong", "subscribe", "unsubscribe"]);
}

#[test]
fn requests_may_come_with_the_handshake() {
    let server = Server::start(Setup::default());
    let mut bytes =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    for text in [request("subscribe", ROOM), message(ROOM, &json!("early"))] {
        bytes.extend(frame(&text));
    }
    // A close frame with code 1000, so that the server ends the connection when all is said.
    bytes.extend([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    let answer = raw(server.addr(), &bytes, PATIENCE);
    assert!(answer.closed, "{answer:?}");
    let text = String::from_utf8_lossy(&answer.bytes);
    let mut rest = text.as_ref();
    for part in [
        "HTTP/1.1 101 ",
        r#"{"action":"welcome","#,
        &success("subscribe", ROOM),
        r#""message":"early","#,
        &success("message_sent", ROOM),
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part} in its place in {text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(answer.bytes.ends_with(&[0x88, 0x02, 0x03, 0xe8]), "the answer to the close frame");
}

/// A masked text frame (RFC 6455 section 5.2). A mask of zeros is one like any other.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        Ok(_) | Err(_) => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len()).expect("a short text").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
