//! Handshakes that the application decides after a while.

use std::time::Duration;

use wsmaster_workers::{
    Limits,
    ipc::{
        Address, Answer, Command, LeaveReason, Request, link::ToChild, mailbox::Mail,
        shared_state::Counter, wire,
    },
};

use crate::support::{Server, client, eventually, limits};

fn ask_to_decide(server: &Server, word: &str) {
    let mut judge = server.open(0);
    assert_eq!(judge.ask(&format!("!decide {word}")), "decided");
    judge.close();
}

#[test]
fn a_client_may_be_accepted_after_a_while_with_all_it_has_sent_meanwhile() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    let head = client::handshake("/undecided");
    client.send(format!("{}\r\nSec-WebSocket-Protocol: chat\r\n\r\n", head.trim_end()));
    client.send_text("first");
    client.send_text("!id");
    // Another one is decided at once, and does not wait for the first.
    server.open(0).close();
    ask_to_decide(&server, "accept");
    let answer = client.expect_answer();
    assert_eq!((answer.status, answer.header("x-extra")), (101, Some("yes")));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
    client.expect_text("first");
    client.expect_frame();
    client.send_text("second");
    client.expect_text("second");
}

#[test]
fn a_decision_may_come_before_the_application_has_said_that_it_comes_later() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.get("/hello");
    client.send(client::handshake("/decided-at-once"));
    client.send_text("now");
    assert_eq!(client.expect_answer().body, "hello");
    client.expect_upgraded();
    client.expect_text("now");
}

#[test]
fn a_client_may_be_rejected_after_a_while() {
    let server = Server::start(1, limits());
    for (word, status) in [("reject", 403), ("again", 500)] {
        let mut client = server.connect(0);
        client.send(client::handshake("/undecided"));
        client.send_text("a frame that nobody wants");
        // The request has been read when a later one is answered.
        server.open(0).close();
        ask_to_decide(&server, word);
        assert_eq!(client.expect_answer().status, status);
        client.end_writing();
        client.expect_eof();
    }
    server.eventually_counts(Counter::RefusedRequests, 2);
}

#[test]
fn nobody_waits_for_a_decision_for_ever() {
    let limits = Limits { request_timeout: Duration::from_millis(300), ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.send(client::handshake("/undecided"));
    assert_eq!(client.expect_answer().status, 503);
    client.end_writing();
    client.expect_eof();
    // Too late: it finds nobody.
    ask_to_decide(&server, "accept");
    server.eventually_counts(Counter::Connections, 0);
}

#[test]
fn a_client_that_is_gone_is_not_waited_for() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send(client::handshake("/undecided"));
    server.open(0).close();
    drop(client);
    ask_to_decide(&server, "accept");
    server.eventually_counts(Counter::Connections, 0);
}

/// Some libraries never come back after an answer 503, and all after a close frame.
#[test]
fn who_is_accepted_by_a_worker_that_leaves_is_let_in_and_told_to_come_back() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send(client::handshake("/accepted-in-800-ms"));
    // The request has been read when a later one is answered.
    server.open(0).close();
    server.say(
        0,
        &ToChild::Drain {
            reason: LeaveReason::Reload,
            reconnect_spread_ms: 0,
            close_code: 1012,
            deadline_ms: 5000,
        },
    );
    client.expect_upgraded();
    client.expect_close(1012);
    client.send(client::close_frame(1012));
    client.expect_eof();
    server.expect_end(0);
}

#[test]
fn a_process_is_asked_and_its_answer_comes_back_or_its_silence() {
    let mut server = Server::empty(2, limits());
    server.start_worker(0);
    let mut judge = server.open(0);
    // Nobody reads the second mailbox yet.
    assert_eq!(judge.ask("!ask 1 100"), "Unanswered");
    let mut mailbox = server.mailbox(1);
    judge.send_text("!ask 1 5000");
    let mut tickets = Vec::new();
    eventually("the question", || {
        if let Mail::Packet(packet) = mailbox.receive(false) {
            for command in wire::decode(packet.bytes, None) {
                let Ok(Command::Request { request: Request::Event { payload, .. }, ticket }) =
                    command
                else {
                    panic!("{command:?}")
                };
                assert_eq!(payload, b"a question");
                tickets.extend(ticket);
            }
        }
        tickets.len() == 2
    });
    let answer = |from: u16, text: &'static str| Command::Answer {
        from: Address(from),
        request: tickets[1].request,
        answer: Answer::Info(text.as_bytes()),
        ticket: None,
    };
    let handle = server.handle(1);
    handle.send(Address(0), &answer(0, "from somebody else")).expect("room");
    handle.send(Address(0), &answer(1, "forty-two")).expect("room");
    judge.expect_text("forty-two");
}
