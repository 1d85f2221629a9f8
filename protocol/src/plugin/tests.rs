//! Lines as they stand in the specification, both ways.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?} is not one line");
    text.trim_end().to_owned()
}

/// A question with the number 7.
fn numbered(kind: EventKind, write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut fields = Vec::new();
    write(&mut fields);
    written(|out| question(out, kind, 7, &fields))
}

#[test]
fn events_read_as_specified() {
    let events = [EventKind::Open, EventKind::WorkerError];
    let first = Hello {
        server: "wsmaster 1",
        name: "queue",
        instance: 0,
        instances: 2,
        workers: 4,
        events: &events,
        tick_ms: 1000,
        line_bytes_max: 99,
    };
    let id: Box<RawValue> = serde_json::from_str("\"a\\n7\"").unwrap();
    let info: Box<RawValue> = serde_json::from_str(r#"{"connection":5}"#).unwrap();
    for (line, expected) in [
        (
            written(|out| hello(out, &first)),
            r#"{"event":"hello","protocol":1,"server":"wsmaster 1","name":"queue","instance":0,"instances":2,"workers":4,"events":["open","worker_error"],"tick_ms":1000,"line_bytes_max":99}"#,
        ),
        (
            written(|out| message(out, 5, Ok("line\nbreak"))),
            r#"{"event":"message","connection":5,"text":"line\nbreak"}"#,
        ),
        (
            written(|out| message(out, 5, Err(b"\x00\xff"))),
            r#"{"event":"message","connection":5,"binary":"AP8="}"#,
        ),
        (
            written(|out| closed(out, 5, None, "", ClosedBy::Lost)),
            r#"{"event":"close","connection":5,"code":null,"reason":"","by":"lost"}"#,
        ),
        (
            written(|out| worker(out, 1, 77, Fate::WorkerStart)),
            r#"{"event":"worker_start","worker":1,"pid":77}"#,
        ),
        (
            written(|out| worker(out, 1, 77, Fate::WorkerStop { reason: "reload" })),
            r#"{"event":"worker_stop","worker":1,"pid":77,"reason":"reload"}"#,
        ),
        (
            written(|out| {
                let fate = Fate::WorkerError { how: "signal 9", exit_code: None, signal: Some(9) };
                worker(out, 1, 77, fate);
            }),
            r#"{"event":"worker_error","worker":1,"pid":77,"how":"signal 9","signal":9}"#,
        ),
        (
            written(|out| {
                let fate =
                    Fate::WorkerError { how: "exit code 3", exit_code: Some(3), signal: None };
                worker(out, 1, 77, fate);
            }),
            r#"{"event":"worker_error","worker":1,"pid":77,"how":"exit code 3","exit_code":3}"#,
        ),
        (written(reload_start), r#"{"event":"reload_start"}"#),
        (written(|out| reload_end(out, false)), r#"{"event":"reload_end","complete":false}"#),
        (written(|out| server(out, EventKind::ServerStop)), r#"{"event":"server_stop"}"#),
        (
            written(|out| channel(out, EventKind::Subscribe, 5, "chat.room.1")),
            r#"{"event":"subscribe","connection":5,"channel":"chat.room.1"}"#,
        ),
        (
            written(|out| published(out, 5, "c", &info)),
            r#"{"event":"publish","connection":5,"channel":"c","message":{"connection":5}}"#,
        ),
        (written(|out| tick(out, 3)), r#"{"event":"tick","number":3}"#),
        (
            written(|out| from_process(out, "other", Ok("x"))),
            r#"{"event":"process","from":"other","text":"x"}"#,
        ),
        (written(|out| dropped(out, 12)), r#"{"event":"dropped","count":12}"#),
        (written(|out| stop(out, 5000)), r#"{"event":"stop","timeout_ms":5000}"#),
        (
            written(|out| {
                let done = Reply { success: true, result: Some("delivered"), ..Reply::default() };
                reply(out, Some(&id), &done);
            }),
            r#"{"event":"reply","id":"a\n7","success":true,"result":"delivered"}"#,
        ),
        (
            written(|out| {
                reply(out, None, &Reply { success: true, info: Some(&info), ..Reply::default() });
            }),
            r#"{"event":"reply","id":null,"success":true,"info":{"connection":5}}"#,
        ),
    ] {
        assert_eq!(line, expected);
    }
}

fn head(text: &str) -> crate::http::RequestHead {
    let limits = crate::http::HttpLimits::default();
    match crate::http::parse_head(text.as_bytes(), &limits, &mut 0) {
        crate::http::HeadStep::Complete { head, .. } => head,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_known_of_a_request_reads_as_specified() {
    let head = head("GET /a%20b?x=%31 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: \"2\"\r\n\r\n");
    let peer = crate::peer::Peer::from("[::1]:80".parse::<std::net::SocketAddr>().unwrap());
    let facts = r#""worker":3,"address":"::1","port":80,"target":"/a%20b?x=%31","path":"/a b","query":"x=%31","headers":{"host":"h","x-a":"1, \"2\""}"#;
    let again = Opened {
        connection: 5,
        worker: 3,
        peer,
        head: Some(&head),
        subprotocol: Some("chat"),
        time_ms: 1500,
        again: true,
    };
    let first = Opened { subprotocol: None, again: false, ..again };
    let asked = Asked { worker: 3, peer, head: &head, timeout_ms: 900 };
    for (line, expected) in [
        (
            written(|out| opened(out, &again)),
            format!(
                r#"{{"event":"open","connection":5,{facts},"subprotocol":"chat","time":1.5,"again":true}}"#
            ),
        ),
        (
            written(|out| opened(out, &first)),
            format!(r#"{{"event":"open","connection":5,{facts},"time":1.5}}"#),
        ),
        (
            numbered(EventKind::Handshake, |out| handshake(out, 5, &["a", "b"], &asked)),
            format!(
                r#"{{"event":"handshake","request":7,"connection":5,{facts},"subprotocols":["a","b"],"timeout_ms":900}}"#
            ),
        ),
        (
            numbered(EventKind::Request, |out| request(out, b"hi", &asked)),
            format!(
                r#"{{"event":"request","request":7,"method":"GET",{facts},"text":"hi","timeout_ms":900}}"#
            ),
        ),
        (
            numbered(EventKind::Request, |out| request(out, b"\xff", &asked)),
            format!(
                r#"{{"event":"request","request":7,"method":"GET",{facts},"binary":"/w==","timeout_ms":900}}"#
            ),
        ),
    ] {
        assert_eq!(line, expected);
    }
}

#[test]
fn every_kind_has_its_number_and_its_name() {
    for (number, (name, kind)) in EventKind::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(kind.code()), number, "{name}");
        assert_eq!(EventKind::of_code(kind.code()), Some(kind));
        assert_eq!((EventKind::of_name(name), kind.name()), (Some(kind), name));
    }
    assert_eq!(EventKind::of_code(EventKind::ALL.len() as u8), None);
}

#[test]
fn commands_are_understood() {
    for (line, expected) in [
        (
            r#"{"do":"ready","protocol":1,"events":["open"]}"#,
            "Ready { events: Some([Open]), handles: None }",
        ),
        (
            r#"{"do":"ready","protocol":1,"handles":["handshake","tick","from the future"]}"#,
            "Ready { events: None, handles: Some([Handshake]) }",
        ),
        (
            r#"{"do":"push","connection":5,"text":"hi"}"#,
            "Push { connection: 5, payload: Text(\"hi\") }",
        ),
        (
            r#"{"do":"push","connection":5,"binary":"AP8="}"#,
            "Push { connection: 5, payload: Binary([0, 255]) }",
        ),
        (
            r#"{"do":"broadcast","text":"\u00fc","exclude":5}"#,
            "Broadcast { to: None, payload: Text(\"ü\"), exclude: Some(5) }",
        ),
        (
            r#"{"do":"disconnect","connection":5}"#,
            "Disconnect { connection: 5, code: 1000, reason: \"\" }",
        ),
        (r#"{"do":"info","connection":5,"id":1}"#, "Info { connection: 5 }"),
        (r#"{"do":"exists","connection":5}"#, "Exists { connection: 5 }"),
        (
            r#"{"do":"send","process":"queue","text":"x"}"#,
            "Send { to: Process(\"queue\"), payload: Text(\"x\") }",
        ),
        (r#"{"do":"send","worker":2,"text":"x"}"#, "Send { to: Worker(2), payload: Text(\"x\") }"),
        (
            r#"{"do":"accept","request":7,"subprotocol":"a","headers":{"X-A":"1"}}"#,
            "Answer { request: 7, answer: Accept { subprotocol: Some(\"a\"), headers: [(\"X-A\", \"1\")] } }",
        ),
        (
            r#"{"do":"reject","request":7}"#,
            "Answer { request: 7, answer: Respond { status: 403, headers: [], body: Body { content_type: \"\", bytes: [] } } }",
        ),
        (
            r#"{"do":"respond","request":7,"text":"é","headers":{"Set-Cookie":["a=1","b=2"]}}"#,
            "Answer { request: 7, answer: Respond { status: 200, headers: [(\"Set-Cookie\", \"a=1\"), (\"Set-Cookie\", \"b=2\")], body: Body { content_type: \"text/plain; charset=utf-8\", bytes: [195, 169] } } }",
        ),
        (
            r#"{"do":"respond","request":7,"status":404,"json":{"a": 1}}"#,
            "Answer { request: 7, answer: Respond { status: 404, headers: [], body: Body { content_type: \"application/json\", bytes: [123, 34, 97, 34, 58, 32, 49, 125] } } }",
        ),
        (r#"{"do":"log","text":"x"}"#, "Log { level: Info, text: \"x\" }"),
    ] {
        assert_eq!(format!("{:?}", parse(line).unwrap().command), expected, "{line}");
    }
    let line = parse(r#"{"do":"publish","channel":"c","message":{"a": 1},"id":"x"}"#).unwrap();
    assert_eq!(line.id.unwrap().get(), "\"x\"");
    let Command::Publish { payload: Payload::Message(message), .. } = line.command else {
        panic!("{:?}", line.command)
    };
    assert_eq!(message.get(), r#"{"a": 1}"#, "passed on byte for byte");
}

#[test]
fn a_number_is_understood_as_its_digits_too() {
    for line in [
        r#"{"do":"push","connection":5,"text":"x"}"#,
        r#"{"do":"broadcast","text":"x","exclude":9007199254740991}"#,
        r#"{"do":"publish","channel":"c","text":"x","exclude":5}"#,
        r#"{"do":"disconnect","connection":5,"code":4000}"#,
        r#"{"do":"info","connection":5}"#,
        r#"{"do":"exists","connection":5}"#,
        r#"{"do":"send","worker":2,"text":"x"}"#,
        r#"{"do":"accept","request":7}"#,
        r#"{"do":"reject","request":7,"status":401}"#,
        r#"{"do":"respond","request":7,"status":404}"#,
    ] {
        let mut fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        for value in fields.values_mut().filter(|value| value.is_number()) {
            *value = value.to_string().into();
        }
        let texts = serde_json::to_string(&fields).unwrap();
        let understood = |line| format!("{:?}", parse(line).unwrap().command);
        assert_eq!(understood(line), understood(&texts), "{texts}");
    }
}

#[test]
fn what_is_no_command_is_refused_with_its_mark() {
    for (line, sentence, id) in [
        ("", "a JSON object", None),
        ("[\"log\"]", "a JSON object", None),
        ("{", "EOF while parsing", None),
        ("{}", "missing field `do`", None),
        (r#"{"do":"dance","id":7}"#, "unknown command", Some("7")),
        (r#"{"do":"push","text":"x","id":"a"}"#, "\"connection\" is missing", Some("\"a\"")),
        (r#"{"do":"push","connection":5}"#, "exactly one of", None),
        (r#"{"do":"push","connection":5,"text":"x","json":1}"#, "exactly one of", None),
        (r#"{"do":"push","connection":5,"message":1}"#, "exactly one of", None),
        (
            r#"{"do":"push","connection":-5,"text":"x"}"#,
            "the field \"connection\" is no whole number",
            None,
        ),
        (r#"{"do":"push","connection":"5a","text":"x","id":1}"#, "as a text: \"5a\"", Some("1")),
        (
            r#"{"do":"broadcast","exclude":"","text":"x"}"#,
            "the field \"exclude\" is no whole number",
            None,
        ),
        (r#"{"do":"respond","request":"+7"}"#, "the field \"request\" is no whole number", None),
        (r#"{"do":"respond","request":7,"status":"70000"}"#, "from 0 to 65535", None),
        (r#"{"do":"push","connection":5,"binary":"***"}"#, "not base64", None),
        (r#"{"do":"publish","text":"x"}"#, "\"channel\" is missing", None),
        (r#"{"do":"disconnect","connection":5,"code":1005}"#, "\"code\"", None),
        (r#"{"do":"send","text":"x"}"#, "\"process\" and \"worker\"", None),
        (r#"{"do":"ready","protocol":2}"#, "protocol 1", None),
        (r#"{"do":"accept"}"#, "\"request\" is missing", None),
        (r#"{"do":"respond","text":"x","id":1}"#, "\"request\" is missing", Some("1")),
        (r#"{"do":"respond","request":7,"status":101}"#, "from 200 to 599", None),
        (r#"{"do":"respond","request":7,"status":600}"#, "from 200 to 599", None),
        (r#"{"do":"respond","request":7,"text":"x","json":1}"#, "exactly one of", None),
        (r#"{"do":"respond","request":7,"headers":{"a b":"c"}}"#, "\"headers\" has one", None),
        (
            r#"{"do":"respond","request":7,"headers":{"a":"b\r\nc: d"}}"#,
            "\"headers\" has one",
            None,
        ),
        (
            r#"{"do":"respond","request":7,"headers":{"Content-Length":"1"}}"#,
            "the server writes",
            None,
        ),
        (r#"{"do":"accept","request":7,"headers":{"a":1}}"#, "did not match", None),
        (
            r#"{"do":"push","conection":5,"text":"x","id":3}"#,
            "unknown field `conection`",
            Some("3"),
        ),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.sentence.contains(sentence), "{line}: {}", error.sentence);
        assert_eq!(error.id.as_deref(), id, "{line}");
    }
}

#[test]
fn what_a_program_may_send_has_bounds() {
    let headers = |count: usize, bytes: usize| {
        let header = |number: usize| format!("\"X-{number:03}\":\"{}\"", "v".repeat(bytes - 5));
        let headers: Vec<String> = (0..count).map(header).collect();
        format!(r#"{{"do":"accept","request":1,"headers":{{{}}}}}"#, headers.join(","))
    };
    let many = |count: usize| {
        let values = vec!["\"a=b\""; count].join(",");
        format!(r#"{{"do":"respond","request":1,"headers":{{"Set-Cookie":[{values}]}}}}"#)
    };
    let reason = |bytes: usize| {
        format!(r#"{{"do":"disconnect","connection":1,"reason":"{}"}}"#, "r".repeat(bytes))
    };
    let status = |status: u32| format!(r#"{{"do":"respond","request":1,"status":{status}}}"#);
    for (line, expected) in [
        (headers(HEADERS_MAX, 10), true),
        (headers(HEADERS_MAX + 1, 10), false),
        (many(HEADERS_MAX), true),
        (many(HEADERS_MAX + 1), false),
        (headers(4, HEADERS_BYTES_MAX / 4), true),
        (headers(4, HEADERS_BYTES_MAX / 4 + 1), false),
        (reason(123), true),
        (reason(124), false),
        (status(200), true),
        (status(599), true),
        (status(101), false),
        (status(600), false),
    ] {
        let shown: String = line.chars().take(80).collect();
        assert_eq!(parse(&line).is_ok(), expected, "{shown}");
    }
    let error = parse(r#"{"do":"push","connection":1,"binary":"AP8"}"#).unwrap_err();
    assert_eq!(error.sentence, "the field \"binary\" is not base64");
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(line in ".{0,200}") {
        let _ = parse(&line);
    }
}
