//! One event is one line, whatever a client sends: nobody but the server says `stop` to a program, or tells of an end.

use serde_json::{Value, json};
use tungstenite::Message;

use crate::{
    puppet::{Puppet, application, shell, table, wait_process},
    support::{Api, App, Client, Server, Setup, request, run_with_input},
};

/// What some reader takes for the end of a line, as it may stand in a text of JSON.
const ENDS: &str = "a\u{85}b\u{2028}c\u{2029}d";

/// Events that only the server may write, each on a line of its own.
fn forged(connection: u64) -> String {
    let events = [
        json!({"event": "stop", "timeout_ms": 0}),
        json!({"event": "close", "connection": connection, "code": 1000, "reason": "", "by": "peer"}),
        json!({"event": "introduced", "worker": 0}),
        json!({"event": "reply", "id": 1, "success": true}),
    ];
    events.map(|event| event.to_string()).join("\n")
}

#[test]
fn a_message_to_a_channel_is_one_event_however_it_is_written() {
    let config = table("p", "events = [\"publish\", \"message\", \"close\"]");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::connect(&server);
    client.subscribe("c");
    let forged = forged(client.id());
    let messages = [
        "{\n  \"a\" : [ 1.0,\r\n\t2 ],\n  \"a\": \"x y\"\n}".to_owned(),
        format!("[\n{}\n]", forged.replace('\n', "\n,\n")),
        format!("\"{ENDS}\""),
    ];
    for message in &messages {
        // Not by a library, which would take the ends of lines away.
        client.send_text(&format!(
            "{{\"action\":\"message\",\n\"data\":{{\"channel\":\"c\",\n\"message\":{message}\n}}}}"
        ));
    }
    // The last word of all, after which nothing is on its way.
    client.publish("c", &json!("last"));
    puppet.expect("the last", |event| event["message"] == "last");
    let id = client.id();
    let told = |json: &str| {
        format!(r#"{{"event":"publish","connection":{id},"channel":"c","message":{json}}}"#)
    };
    let lines: Vec<String> =
        puppet.lines().into_iter().filter(|line| line.contains("\"publish\"")).collect();
    let first = told(r#"{"a":[1.0,2],"a":"x y"}"#);
    let second = told(&format!("[{}]", forged.replace('\n', ",")));
    let third = told(r#""a\u0085b\u2028c\u2029d""#);
    assert_eq!(
        lines[1..],
        [first, second, third, told("\"last\"")],
        "hello comes first: {lines:?}"
    );
    let kinds: Vec<Value> = puppet.events().iter().map(|event| event["event"].clone()).collect();
    for kind in ["stop", "close", "introduced", "reply"] {
        assert!(!kinds.contains(&json!(kind)), "{kind} was forged: {kinds:?}");
    }
    assert_eq!(server.status()["processes"][0]["restarts"], 0, "it was told to stop");
}

#[test]
fn an_application_hears_one_event_for_each_message_and_request() {
    let server = Server::start(
        Setup::default().workers(2).app(App::Echo).config_toml(&application("p", "")),
    );
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::open_with(server.addr(), "/p/x", &[("X-Ends", ENDS)]);
    let id = || puppet.expect_event("open")["connection"].as_u64().expect("an id");
    let text = format!("{{\n{}\n}}\r{ENDS}", forged(id()));
    client.send_text(&text);
    client.expect_text(&format!("0 {text}"));
    let body = request(server.addr(), "POST", "/p/echo", &[], text.as_bytes());
    assert_eq!(body.expect_status(200).text(), format!("0 POST /p/echo {text}"));
    client.send(Message::Close(Some(tungstenite::protocol::CloseFrame {
        code: 4000.into(),
        reason: format!("{ENDS}\n").into(),
    })));
    let close = puppet.expect_event("close");
    assert_eq!(close["reason"], format!("{ENDS}\n"));
    let open = puppet.expect_event("open");
    assert_eq!(open["headers"]["x-ends"], ENDS);
    for line in puppet.lines() {
        assert!(!line.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}']), "{line:?}");
    }
    let kinds: Vec<Value> = puppet.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(kinds, ["hello", "open", "message", "request", "close"]);
}

#[test]
fn what_programs_say_to_one_another_stays_one_line() {
    let server = Server::start(Setup::default().config_toml(&(table("a", "") + &table("b", ""))));
    let (a, b) = (Puppet::of(&server, "a"), Puppet::of(&server, "b"));
    let text = format!("{}{ENDS}", forged(1));
    a.ask(json!({"do": "send", "process": "b", "text": text}));
    assert_eq!(b.expect_event("process")["text"], text);
    // The mark of a command comes back as it was, but for how it is written.
    a.order(&format!(r#"{{"do":"exists","connection":1,"id":"{ENDS}"}}"#));
    a.expect("the reply", |event| event["id"] == ENDS);
    for line in a.lines().iter().chain(&b.lines()) {
        assert!(!line.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{line:?}");
    }
}

#[test]
fn the_client_writes_one_event_for_each_message_too() {
    let server = Server::start(Setup::default().app(App::Echo));
    let url = format!("ws://{}/", server.addr());
    let input = format!("{ENDS}\n");
    let output = run_with_input(&["client", &url, "--json"], input.as_bytes());
    assert!(!output.stdout.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{output}");
    let heard: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert!(heard.iter().any(|event| event["text"] == ENDS), "{output}");
}

/// Says that it is ready, and waits for a connection, which is then in `$id`.
const OPENED: &str = r#"read -r _ <&3; echo '{"do":"ready"}' >&4; read -r open <&3
    id=${open#*'"connection":'}; id=${id%%[!0-9]*};"#;

#[test]
fn a_last_command_without_an_end_of_line_is_executed_or_refused_aloud() {
    for (then, name) in [("exit 0", "ends"), ("exec 4>&-; exec cat <&3 >/dev/null", "closes")] {
        let said = "printf '{\"do\":\"push\",\"connection\":%s,\"text\":\"the last\"}' \"$id\" >&4";
        let config = "[[route]]\npath = \"/p/*\"\napp = \"plugin:p\"\n\n".to_owned()
            + &shell("p", &format!("{OPENED} {said}; {then}"), "restart = \"never\"");
        let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
        let mut client = Client::open(server.addr(), "/p/");
        client.expect_text("the last");
        assert!(!server.log().contains("has no end"), "{name}");

        let said = "printf '{\"do\":\"push\",\"connection\":' >&4";
        let config = shell(
            "p",
            &format!("{OPENED} {said}; {then}"),
            "restart = \"never\"\nevents = [\"open\"]",
        );
        let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
        let _client = Client::open(server.addr(), "/");
        server.wait_log(
            "WARN  p: invalid command ignored, the last line has no end: {\"do\":\"push\",\"connection\":",
        );
        let process = wait_process(&server, "p", |process| process["invalid_commands"] == 1);
        assert_eq!(process["commands"], 1, "{name}: ready alone");
    }
}

#[test]
fn an_id_is_taken_as_its_digits_wherever_it_is_given() {
    let setup = Setup::default().workers(2).config_toml(&table("p", ""));
    let server = Server::start(setup);
    let puppet = Puppet::of(&server, "p");
    let (mut one, mut other) = (Client::connect(&server), Client::connect(&server));
    let (id, other_id) = (one.id().to_string(), other.id().to_string());
    let delivered = json!({"success": true, "result": "delivered"});
    assert_eq!(
        puppet.ask(json!({"do": "push", "connection": id, "text": "by its digits"})),
        delivered
    );
    one.expect_text("by its digits");
    let said = puppet.ask(json!({"do": "broadcast", "text": "to one", "exclude": other_id}));
    assert_eq!(said["delivered"], 1);
    one.expect_text("to one");
    assert_eq!(puppet.ask(json!({"do": "exists", "connection": id}))["exists"], true);
    let wrong = puppet.ask(json!({"do": "push", "connection": "seven", "text": "x"}));
    assert_eq!(wrong["result"], "invalid");
    let error = wrong["error"].as_str().expect("a sentence");
    assert!(error.starts_with("the field \"connection\" is no whole number"), "{error}");

    let api = Api::of(&server);
    let pushed = api.post("push", &json!({"connection": id, "text": "over HTTP"}));
    assert_eq!(pushed.expect_status(200).json()["result"], "delivered");
    one.expect_text("over HTTP");
    let refused = api.post("push", &json!({"connection": "seven", "text": "x"}));
    assert!(refused.expect_status(400).text().contains("\\\"connection\\\" is no whole number"));

    for client in [&mut one, &mut other] {
        client.subscribe("c");
    }
    one.send_json(&json!({"action": "message", "data": {"channel": "c", "message": 1, "recipients": [other_id]}}));
    assert_eq!(other.expect_message("c")["message"], 1);

    assert_eq!(
        puppet.ask(json!({"do": "disconnect", "connection": id, "code": "4000"})),
        delivered
    );
    one.expect_close(4000);
}
