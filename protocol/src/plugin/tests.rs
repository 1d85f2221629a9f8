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

#[test]
fn commands_are_understood() {
    for (line, expected) in [
        (r#"{"do":"ready","protocol":1,"events":["open"]}"#, "Ready { events: Some([Open]) }"),
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
            "Broadcast { payload: Text(\"ü\"), exclude: Some(5) }",
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
        (r#"{"do":"push","connection":-5,"text":"x"}"#, "invalid value", None),
        (r#"{"do":"push","connection":5,"binary":"***"}"#, "not base64", None),
        (r#"{"do":"publish","text":"x"}"#, "\"channel\" is missing", None),
        (r#"{"do":"disconnect","connection":5,"code":1005}"#, "\"code\"", None),
        (r#"{"do":"send","text":"x"}"#, "\"process\" and \"worker\"", None),
        (r#"{"do":"ready","protocol":2}"#, "protocol 1", None),
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

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(line in ".{0,200}") {
        let _ = parse(&line);
    }
}
