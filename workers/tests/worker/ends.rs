//! The end of a connection: our last words are readable whatever the client does, and the application is told exactly once.

use std::time::Duration;

use wsmaster_workers::{
    ClosedBy, Limits,
    ipc::{LeaveReason, link::ToChild, shared_state::Counter},
};

use crate::support::{
    Server,
    client::{TEXT, close_frame},
    eventually, frame, limits,
};

/// An unmasked frame (RFC 6455, 5.1), and the client has much more to say behind it.
#[test]
fn the_reason_of_a_close_reaches_a_client_that_goes_on_sending() {
    let server = Server::start(1, limits());
    for ends_writing in [false, true] {
        let mut client = server.connect(0).upgrade();
        let mut all = vec![TEXT, 3, b'b', b'a', b'd'];
        all.extend(frame(TEXT, &[b'x'; 3000]).repeat(1000));
        client.send(all);
        if ends_writing {
            client.end_writing();
        }
        client.expect_close(1002);
        if !ends_writing {
            client.end_writing();
        }
        client.expect_eof();
    }
    server.eventually_counts(Counter::ProtocolErrors, 2);
    server.eventually_counts(Counter::Connections, 0);
}

#[test]
fn faults_have_their_codes() {
    let server = Server::start(1, limits());
    let table: [(Vec<u8>, u16); 6] = [
        (frame(0xc1, b"reserved bit"), 1002),
        (frame(0x83, b"reserved opcode"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(0x88, &[3]), 1002),
        (close_frame(1005), 1002),
    ];
    for (bytes, code) in &table {
        let mut client = server.connect(0).upgrade();
        client.send(bytes);
        client.expect_close(*code);
        client.end_writing();
        client.expect_eof();
    }
    server.eventually_counts(Counter::ProtocolErrors, table.len() as u64);
}

#[test]
fn a_close_frame_is_answered_and_nothing_behind_it_is_heard() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    client.send([close_frame(4321), frame(TEXT, b"too late")].concat());
    client.expect_close(4321);
    client.expect_eof();
    drop(client);
    assert_eq!(server.journal.expect_ends(1), [(ClosedBy::Peer, Some(4321))]);
    assert_eq!(server.count(Counter::MessagesIn), 0);
}

/// What was sent before the end is still answered as far as it can be.
#[test]
fn a_client_that_ends_its_side_gets_the_answers_to_what_it_sent() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    client.send(frame(TEXT, b"last words").repeat(1000));
    client.end_writing();
    for _ in 0..1000 {
        client.expect_text("last words");
    }
    client.expect_eof();
    assert_eq!(server.journal.expect_ends(1), [(ClosedBy::Lost, None)]);
}

/// A client that writes all it has before it reads its answer, which is too large for the socket: each would wait for the
/// other.
#[test]
fn what_was_left_unread_does_not_block_a_client_after_the_last_answer() {
    let limits = Limits { close_timeout: Duration::from_secs(3600), ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.send("GET /later HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    eventually("it is asked", || server.journal.requests() == 1);
    client.send_until_full(&[b'x'; 10_000]);
    assert_eq!(server.open(0).ask("!answer 20000000"), "answered");
    client.send(vec![b'x'; 10_000_000]);
    client.end_writing();
    assert_eq!(client.expect_answer().body.len(), 20_000_000);
    client.expect_eof();
}

/// The write of the replies fails, before the read that would have told of the reset.
#[test]
fn an_end_that_is_noticed_by_a_write_is_told_with_the_facts() {
    let server = Server::start(1, limits());
    let mut blocker = server.open(0);
    let mut client = server.connect(0).upgrade();
    client.send_text("never read");
    server.eventually_counts(Counter::MessagesOut, 1);
    blocker.send_text("!sleep 200");
    server.eventually_counts(Counter::MessagesIn, 2);
    // More than one turn's budget.
    client.send(frame(TEXT, b"x").repeat(1000));
    drop(client);
    assert_eq!(server.journal.expect_ends(1), [(ClosedBy::Lost, None)]);
}

/// It sends on while its last request is being answered, and ends its side; closing with that unread would be a reset.
#[test]
fn the_last_answer_reaches_a_client_that_has_sent_more() {
    let limits = Limits { close_timeout: Duration::from_secs(3600), ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.connect(0);
    client.send("GET /later HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    eventually("it is asked", || server.journal.requests() == 1);
    client.send([b'x'; 30_000]);
    client.end_writing();
    assert_eq!(server.open(0).ask("!answer"), "answered");
    assert_eq!(client.expect_answer().body, "at last");
    client.expect_eof();
    server.eventually_counts(Counter::Connections, 0);
}

#[test]
fn each_way_of_ending_is_told_once() {
    let limits = Limits { close_timeout: Duration::from_millis(100), ..limits() };
    let mut server = Server::start(1, limits);
    server.open(0).close();
    server.journal.expect_ends(1);

    let mut client = server.open(0);
    client.send_text("!close 4000");
    client.expect_close(4000);
    server.journal.expect_ends(2);

    drop(server.open(0));
    server.journal.expect_ends(3);

    let mut reset = server.open(0);
    reset.send_text("unread");
    server.eventually_counts(Counter::MessagesOut, 1);
    drop(reset);
    server.journal.expect_ends(4);

    let mut wrong = server.connect(0).upgrade();
    wrong.send(frame(0x83, b""));
    wrong.expect_close(1002);
    server.journal.expect_ends(5);

    let mut silent = server.connect(0).upgrade();
    silent.send_text("!close 4001");
    silent.expect_close(4001);
    silent.expect_cut();
    server.journal.expect_ends(6);

    // Both sides begin to close at the same moment.
    let mut both = server.connect(0).upgrade();
    both.send([frame(TEXT, b"!close 4002"), close_frame(4003)].concat());
    both.expect_close(4002);
    both.expect_eof();
    server.journal.expect_ends(7);

    let drained = server.connect(0).upgrade();
    server.eventually_counts(Counter::WebSockets, 1);
    server.say(
        0,
        &ToChild::Drain {
            reason: LeaveReason::Reload,
            reconnect_spread_ms: 10,
            close_code: 1012,
            deadline_ms: 10_000,
        },
    );
    server.expect_end(0);
    drop(drained);
    let ends = server.journal.expect_ends(8);
    use ClosedBy::{Lost, Peer, Server as Us};
    let expected = [
        (Peer, None),
        (Us, Some(4000)),
        (Lost, None),
        (Lost, None),
        (Us, Some(1002)),
        (Us, Some(4001)),
        (Us, Some(4002)),
        (Us, Some(1012)),
    ];
    assert_eq!(ends, expected);
}
