//! Becoming a WebSocket, or not.

use std::io::Write;

use wsmaster_workers::{Limits, ipc::shared_state::Counter};

use crate::support::{Client, Server, client, frame, limits};

#[test]
fn a_frame_may_follow_the_handshake_in_the_same_segment() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    let mut all = client::handshake("/open-greet").into_bytes();
    all.extend(frame(client::TEXT, b"first"));
    all.extend(frame(client::TEXT, b"second"));
    client.send(all);
    client.expect_upgraded();
    client.expect_text("welcome");
    client.expect_text("first");
    client.expect_text("second");
}

/// Requests before it are answered in order.
#[test]
fn an_upgrade_may_follow_other_requests_on_its_connection() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.get("/hello");
    client.send(client::handshake("/"));
    client.send_text("now");
    assert_eq!(client.expect_answer().body, "hello");
    client.expect_upgraded();
    client.expect_text("now");
}

#[test]
fn the_application_may_choose_a_subprotocol_of_those_offered_and_add_headers() {
    let server = Server::start(1, limits());
    let request = |offered: &str| {
        let head = client::handshake("/chat");
        let head = head.trim_end();
        format!("{head}\r\nSec-WebSocket-Protocol: {offered}\r\n\r\n")
    };
    for (offered, chosen) in [("soap, chat", Some("chat")), ("soap", None)] {
        let mut client = server.connect(0);
        client.send(request(offered));
        let answer = client.expect_answer();
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-protocol"), chosen);
        assert_eq!(answer.header("x-extra"), Some("yes"));
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}

#[test]
fn the_application_may_reject() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send(client::handshake("/reject"));
    client.send_text("a frame that nobody wants");
    let answer = client.expect_answer();
    assert_eq!((answer.status, answer.header("x-why")), (403, Some("because")));
    client.end_writing();
    client.expect_eof();
    server.eventually_counts(Counter::RefusedRequests, 1);
    assert_eq!(server.journal.read(), []);
}

#[test]
fn what_is_no_handshake_is_refused_with_what_is_wrong() {
    let server = Server::start(1, limits());
    let good = client::handshake("/");
    let table = [
        (good.replace("GET", "POST"), 405, Some(("allow", "GET"))),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400, None),
        (good.replace("Connection: Upgrade", "Connection: keep-alive"), 400, None),
        (good.replace("Version: 13", "Version: 8"), 426, Some(("sec-websocket-version", "13"))),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, None),
        (good.replace("Host: test\r\n", ""), 400, None),
        ("\x16\x03\x01 a TLS hello\r\n\r\n".to_owned(), 400, None),
    ];
    for (request, status, header) in &table {
        let mut client = server.connect(0);
        client.send(request);
        let answer = client.expect_answer();
        assert_eq!(answer.status, *status, "{request}");
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(*value), "{request}");
        }
        client.end_writing();
        client.expect_eof();
    }
    server.eventually_counts(Counter::RefusedRequests, table.len() as u64);
}

#[test]
fn an_application_may_close_before_the_first_message() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send(client::handshake("/open-close"));
    client.send_text("nobody hears this");
    client.expect_upgraded();
    assert_eq!(client.expect_close(1001), "not now");
    client.send(client::close_frame(1001));
    client.expect_eof();
    server.journal.expect_ends(1);
    assert_eq!(server.count(Counter::MessagesIn), 0);
}

/// They are told so, even when their request comes after the answer; and there is room again when somebody leaves.
#[test]
fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = Server::start(2, Limits { connections_max: 3, ..limits() });
    let (first, _second, _third) = (server.open(0), server.open(0), server.open(1));
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let mut refused = server.connect(0);
        let answer = refused.expect_answer();
        assert_eq!(answer.status, 503);
        let seconds = answer.header("retry-after").expect("when to come back").to_owned();
        waits.insert(seconds.parse::<u64>().expect("a number of seconds"));
        refused.send(client::handshake("/"));
        refused.end_writing();
        refused.expect_eof();
    }
    assert!(waits.len() > 1, "they are all told to come back together: {waits:?}");
    server.eventually_counts(Counter::RefusedFull, 10);
    server.eventually_counts(Counter::Connections, 2);
    first.close();
    server.eventually_counts(Counter::Connections, 1);
    server.open(0).close();
}

/// So many that they are not even answered; those who are inside are served on.
#[test]
fn a_crowd_beyond_the_limit_costs_nothing() {
    let server = Server::start(1, Limits { connections_max: 1, ..limits() });
    let mut inside = server.open(0);
    let crowd: Vec<Client> = (0..200).map(|_| server.connect(0)).collect();
    server.eventually_counts(Counter::Accepted, 201);
    assert!(server.count(Counter::Connections) <= 1 + 64);
    inside.send_text("hello");
    inside.expect_text("hello");
    drop(crowd);
    server.eventually_counts(Counter::Connections, 1);
}

/// A client that disappears in the middle of its handshake leaves nothing behind.
#[test]
fn half_a_handshake_leaves_nothing() {
    let server = Server::start(1, limits());
    let all = client::handshake("/");
    for cut in [0, 1, 20, all.len() - 1] {
        let mut client = server.connect(0);
        client.stream.write_all(&all.as_bytes()[..cut]).unwrap();
    }
    server.eventually_counts(Counter::Accepted, 4);
    server.eventually_counts(Counter::Connections, 0);
    assert_eq!(server.journal.read(), []);
}
