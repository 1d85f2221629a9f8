//! Everything that waits has an end: handshakes, pings, silence, close handshakes, answers.

use std::time::{Duration, Instant};

use wsmaster_workers::{ClosedBy, Limits, ipc::shared_state::Counter};

use crate::support::{Frame, Server, client::PONG, frame, limits};

const SOON: Duration = Duration::from_millis(150);

#[test]
fn a_silent_client_is_pinged_and_a_pong_keeps_it() {
    let limits = Limits { ping_interval: Some(SOON), pong_timeout: SOON, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0).upgrade();
    for _ in 0..4 {
        assert_eq!(client.expect_frame(), Frame::Ping(Vec::new()));
        client.send(frame(PONG, b""));
    }
    assert_eq!(client.expect_frame(), Frame::Ping(Vec::new()));
    client.expect_close(1008);
    client.send(crate::support::client::close_frame(1008));
    client.expect_eof();
    server.eventually_counts(Counter::PingTimeouts, 1);
    assert_eq!(server.journal.expect_ends(1), [(ClosedBy::Server, Some(1008))]);
}

#[test]
fn a_client_that_says_nothing_at_all_is_closed_when_it_was_idle_for_too_long() {
    for ping_interval in [None, Some(SOON / 2)] {
        let limits = Limits {
            ping_interval,
            pong_timeout: Duration::from_secs(3600),
            idle_timeout: Some(SOON),
            ..limits()
        };
        let server = Server::start(1, limits);
        let mut client = server.connect(0).upgrade();
        if ping_interval.is_some() {
            assert_eq!(client.expect_frame(), Frame::Ping(Vec::new()));
        }
        client.expect_close(1008);
        server.eventually_counts(Counter::IdleTimeouts, 1);
    }
}

#[test]
fn a_client_that_does_not_answer_a_close_frame_is_cut_off() {
    let limits = Limits { close_timeout: SOON, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0).upgrade();
    client.send_text("!close 4000");
    assert_eq!(client.expect_close(4000), "as told");
    // Whatever it sends instead changes nothing.
    client.send_text("what?");
    client.expect_cut();
    server.eventually_counts(Counter::Connections, 0);
    assert_eq!(server.journal.expect_ends(1), [(ClosedBy::Server, Some(4000))]);
}

/// The server ends its side; a client that never ends its own is not waited for.
#[test]
fn a_client_that_never_ends_its_connection_does_not_stay() {
    let limits = Limits { close_timeout: SOON, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0).upgrade();
    client.send(crate::support::client::close_frame(1000));
    client.expect_close(1000);
    client.expect_eof();
    server.eventually_counts(Counter::Connections, 0);
}

#[test]
fn a_handshake_has_a_deadline_however_busy_the_client_looks() {
    let limits = Limits { handshake_timeout: Duration::from_millis(400), ..limits() };
    let server = Server::start(1, limits);
    let began = Instant::now();
    let mut silent = server.connect(0);
    let mut trickling = server.connect(0);
    let mut bytes = crate::support::client::handshake("/").into_bytes().into_iter();
    let mut reader = trickling.stream.try_clone().unwrap();
    reader.set_nonblocking(true).unwrap();
    let mut byte = [0];
    while std::io::Read::read(&mut reader, &mut byte).is_err() {
        assert!(began.elapsed() < Duration::from_secs(5), "it may trickle for ever");
        trickling.send([bytes.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() >= Duration::from_millis(390), "too early");
    assert_eq!(byte, *b"H");
    reader.set_nonblocking(false).unwrap();
    let rest = trickling.read_to_end();
    assert!(rest.starts_with(b"TTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(silent.expect_answer().status, 408);
    silent.expect_eof();
    server.eventually_counts(Counter::HandshakeTimeouts, 2);
}

#[test]
fn an_application_that_does_not_answer_is_answered_for() {
    let limits = Limits { request_timeout: SOON, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.get("/never");
    let answer = client.expect_answer();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    client.expect_eof();
    let mut client = server.connect(0);
    client.send("HEAD /never HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.expect_answer_to("HEAD").status, 503);
    client.expect_eof();
    // The application's own answer, too late, is passed over.
    let mut client = server.connect(0);
    client.get("/later");
    assert_eq!(client.expect_answer().status, 503);
    assert_eq!(server.open(0).ask("!answer"), "answered");
    client.expect_eof();
}

/// A kept connection between two requests just ends.
#[test]
fn an_idle_kept_connection_ends_without_a_word() {
    let limits = Limits { keep_alive_timeout: SOON, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.get("/hello");
    assert_eq!(client.expect_answer().body, "hello");
    client.expect_eof();
    assert_eq!(server.count(Counter::HandshakeTimeouts), 0);
}

/// The time to end is counted from the last byte that left, so a large last answer reaches a slow client whole.
#[test]
fn a_large_last_answer_reaches_a_slow_client_whole() {
    let limits = Limits { close_timeout: Duration::from_secs(2), ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.read_slowly();
    client.send("GET /bytes/24000000 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.expect_answer().body.len(), 24_000_000);
    client.expect_eof();
}
