//! `wsmaster client` against the real server, and against servers that are none.

#[path = "support/authority.rs"]
mod authority;
mod support;
#[path = "client/tls.rs"]
mod tls;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};
use support::{
    Api, App, Output, PATIENCE, Server, Setup, Signal, begin, eventually, run, run_with_input,
    signal,
};

#[track_caller]
fn talk(server: &Server, args: &[&str], input: &[u8]) -> Output {
    let url = format!("ws://{}/", server.addr());
    run_with_input(&[&["client", url.as_str()], args].concat(), input)
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

#[test]
fn lines_go_out_and_messages_come_in() {
    let server = Server::start(Setup::default().app(App::Echo));
    let output = talk(&server, &[], "one\ntwo \u{e9}\r\n\nlast".as_bytes()).expect_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo \u{e9}\n\nlast\n", ""));
}

#[test]
fn binary_lines_and_messages_stay_as_they_are() {
    let server = Server::start(Setup::default().app(App::Echo));
    let output = talk(&server, &["--binary", "--json"], b"\xff\x00\n\x01").expect_code(0);
    let events = events(&output.stdout);
    assert_eq!(events[1], json!({"event": "message", "base64": "/wA="}));
    assert_eq!(events[2], json!({"event": "message", "base64": "AQ=="}));
    let output = talk(&server, &["--binary"], b"abc\ndef\n").expect_code(0);
    assert_eq!(output.stdout, "abcdef");
    let output = talk(&server, &[], b"\xff\n").expect_code(1);
    assert_eq!(output.stderr, "a line of the input is not UTF-8; --binary sends it as it is\n");
}

#[test]
fn much_input_arrives_in_order_whatever_the_sockets_hold() {
    let server = Server::start(Setup::default().app(App::Echo));
    let input: String =
        (0..20_000).map(|number| format!("{number} {}\n", "x".repeat(200))).collect();
    let output = talk(&server, &[], input.as_bytes()).expect_code(0);
    assert!(output.stdout == input, "{} of {} bytes", output.stdout.len(), input.len());
}

#[test]
fn every_thing_that_happens_is_a_json_object() {
    let server = Server::start(Setup::default());
    let output = talk(&server, &["--json", "--timing"], b"{\"action\":\"ping\"}\n").expect_code(0);
    assert_eq!(output.stderr, "");
    let events = events(&output.stdout);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"open"), Some(&"close")), "{kinds:?}");
    assert!(events[0]["handshake_ms"].as_f64() > Some(0.0), "{}", events[0]);
    let close = json!({"event": "close", "by": "client", "code": 1000, "reason": ""});
    assert_eq!(events.last(), Some(&close));
    assert!(kinds.contains(&"pong"), "{kinds:?}");
    let pong = json!({"event": "message", "text": "{\"action\":\"pong\"}"});
    assert!(events.contains(&pong), "{events:?}");
}

#[test]
fn it_closes_after_so_many_messages() {
    let server = Server::start(Setup::default().app(App::Echo));
    let output = talk(&server, &["--exit-after", "2"], b"a\nb\nc\n").expect_code(0);
    assert_eq!(output.stdout, "a\nb\n");
    let welcome = talk(&Server::start(Setup::default()), &["--once"], b"").expect_code(0);
    assert!(welcome.stdout.contains("welcome") && welcome.stdout.lines().count() == 1);
}

#[test]
fn the_server_ends_it_and_the_exit_code_says_how() {
    let server = Server::start(Setup::default().api_key("0123456789abcdef0123456789abcdef"));
    let url = format!("ws://{}/", server.addr());
    for (code, exit, told) in [(1000, 0, ""), (4100, 1, "closed by the server: 4100, enough\n")] {
        let client = begin(&["client", &url, "--no-close-on-eof", "--json"]);
        let text = begin(&["client", &url, "--no-close-on-eof"]);
        let ids = eventually("both to be connected", PATIENCE, || {
            let listed = server.cli(&["connections", "--json"]);
            let ids: Vec<u64> = events(&listed.stdout)
                .iter()
                .filter_map(|row| row["connection"].as_u64())
                .collect();
            (ids.len() == 2).then_some(ids)
        });
        for id in ids {
            Api::of(&server).disconnect(id, code, "enough");
        }
        let output = client.wait().expect_code(exit);
        let last = events(&output.stdout).pop();
        let close = json!({"event": "close", "by": "server", "code": code, "reason": "enough"});
        assert_eq!(last, Some(close));
        let output = text.wait().expect_code(exit);
        assert_eq!(output.stderr, told);
    }
}

#[test]
fn a_server_that_stops_or_dies_is_told_apart() {
    let server = Server::start(Setup::default());
    let url = format!("ws://{}/", server.addr());
    let connected = |count: u64| {
        server.wait_until("the client", PATIENCE, |status| status["totals"]["websockets"] == count);
    };
    let client = begin(&["client", &url, "--no-close-on-eof"]);
    connected(1);
    server.kill_worker(0, Signal::Kill);
    let output = client.wait().expect_code(1);
    assert!(
        output.stderr == "the server ended the connection without a close frame\n"
            || output.stderr == "the server broke the connection off\n",
        "{output}"
    );
    server.wait_ready();
    let client = begin(&["client", &url, "--no-close-on-eof"]);
    connected(1);
    server.cli(&["stop"]).expect_code(0);
    let output = client.wait().expect_code(1);
    assert!(output.stderr.starts_with("closed by the server: 1001, "), "{output}");
}

#[test]
fn an_unanswered_ping_ends_it() {
    let server = Server::start(Setup::default());
    let url = format!("ws://{}/", server.addr());
    let client = begin(&["client", &url, "--no-close-on-eof", "--ping", "0.2"]);
    server.wait_until("the client", PATIENCE, |status| status["totals"]["websockets"] == 1);
    let pid = server.kill_worker(0, Signal::Stop);
    let output = client.wait().expect_code(1);
    assert_eq!(output.stderr, "a ping was not answered within 0.2 s\n");
    assert!(signal(pid, Signal::Cont));
}

#[test]
fn an_interrupt_closes_it_properly() {
    let server = Server::start(Setup::default());
    let url = format!("ws://{}/", server.addr());
    let client = begin(&["client", &url, "--no-close-on-eof", "--json"]);
    server.wait_until("the client", PATIENCE, |status| status["totals"]["websockets"] == 1);
    assert!(signal(client.pid(), Signal::Int));
    let output = client.wait().expect_code(0);
    let last = events(&output.stdout).pop().expect("a last event");
    assert_eq!((&last["event"], &last["by"]), (&json!("close"), &json!("client")));
}

#[test]
fn headers_origin_and_subprotocols_reach_the_server() {
    let (url, server) = one_answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nnot you\n");
    let output = run(&[
        "client",
        &url,
        "-H",
        "X-One: 1",
        "-H",
        "X-Two:two",
        "--origin",
        "https://example.org",
        "--subprotocol",
        "a",
        "--subprotocol",
        "b",
    ])
    .expect_code(1);
    assert_eq!(output.stderr, "the server refuses: HTTP 403 Forbidden: not you\n");
    let request = server.join().expect("a request");
    for line in [
        "GET /path?query HTTP/1.1",
        "X-One: 1",
        "X-Two: two",
        "Origin: https://example.org",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Version: 13",
    ] {
        assert!(request.lines().any(|found| found == line), "no {line:?} in {request}");
    }
}

#[test]
fn what_is_no_websocket_server_is_told_in_a_line() {
    for (answer, told) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], "its answer is no HTTP: \"SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200 OK: an ordinary web page"),
        (b"HTTP/1.1 503 Busy\r\n\r\nlater\x1b[2J", "HTTP 503 Busy: later\\u{1b}[2J"),
        (
            b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            "Sec-WebSocket-Accept",
        ),
        (b"HTTP/1.1 101 Yes\r\n\r\n", "switches to something else"),
        (b"HTTP/1.1 400 ", "closed the connection without an answer"),
        (b"", "closed the connection without an answer"),
    ] {
        let (url, _server) = one_answer(answer);
        let output = run(&["client", &url]).expect_code(1);
        assert!(output.stderr.contains(told), "{output}");
        assert_eq!((output.stderr.lines().count(), output.stdout.as_str()), (1, ""), "{output}");
    }
}

#[test]
fn nobody_there_no_answer_and_no_url() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let refused = run(&["client", &format!("ws://127.0.0.1:{port}/")]).expect_code(1);
    assert_eq!(
        refused.stderr,
        format!("cannot connect to 127.0.0.1:{port}: connection refused; nothing listens there\n")
    );
    let nameless = run(&["client", "ws://no-such-host.invalid/"]).expect_code(1);
    assert!(nameless.stderr.starts_with("the name no-such-host.invalid leads nowhere"));
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/", silent.local_addr().expect("an address"));
    let late = run(&["client", &url, "--connect-timeout", "0.2"]).expect_code(1);
    assert!(late.stderr.ends_with(": no answer in time\n"), "{late}");
    for url in ["localhost:9501", "http://localhost", "ws://", "ws://a:b@h/"] {
        let wrong = run(&["client", url]).expect_code(2);
        assert_eq!(wrong.stderr.lines().count(), 1, "{wrong}");
    }
}

/// A server for one caller, whom it gives this answer. Its URL, and what the caller has said.
fn one_answer(answer: &[u8]) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/path?query", listener.local_addr().expect("an address"));
    let answer = answer.to_vec();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).expect("a request");
        stream.write_all(&answer).expect("connected");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (url, server)
}

/// What is sent may still be on its way when the close comes, and may break the connection off behind it.
#[test]
fn a_close_of_the_server_is_told_whatever_is_still_being_sent() {
    let config = "[limits]\nmessage_bytes_max = 1000\n";
    let server = Server::start(Setup::default().app(App::Echo).config_toml(config));
    for bytes in [1_001, 100_000, 8_000_000] {
        let line = "x".repeat(bytes) + "\n";
        for input in [line.clone(), line.clone() + "behind\n", format!("before\n{line}{line}")] {
            let output = talk(&server, &[], input.as_bytes()).expect_code(1);
            assert!(output.stderr.starts_with("closed by the server: 1009"), "{bytes}: {output}");
            let output = talk(&server, &["--json"], input.as_bytes()).expect_code(1);
            let close = events(&output.stdout).pop().expect("an end");
            assert_eq!(
                (&close["by"], &close["code"]),
                (&json!("server"), &json!(1009)),
                "{output}"
            );
        }
    }
    // Many that are each small enough arrive before a close that ends them, and none is told as if it were well.
    let server = Server::start(Setup::default());
    let long = "{\"action\":\"ping\"}\n".repeat(200_000);
    let url = format!("ws://{}/", server.addr());
    let talking =
        thread::spawn(move || run_with_input(&["client", &url, "--json"], long.as_bytes()));
    server.wait_until("a client", PATIENCE, |status| status["total"]["connections"] != 0);
    server.stop().expect_code(0);
    let output = talking.join().expect("no panic");
    assert_eq!(output.code, 1, "{}", output.stderr);
}
