//! Readers that do not keep up with what others send them: a bound, a choice, and a number for every message that was
//! dropped.

use std::time::Duration;

use wsmaster_workers::{Limits, SlowClient, ipc::shared_state::Counter};

use crate::support::{Client, Frame, Server, eventually, limits};

const FRAME_BYTES: usize = 20_000;

fn slow_limits(slow_client: SlowClient) -> Limits {
    Limits { outbox_bytes_max: 300_000, slow_client, ..limits() }
}

fn id_of(client: &mut Client) -> String {
    client.send_text("!id");
    let Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
    id
}

/// Pushes to a client that does not read until its outbox refuses one. How many were pushed.
fn push_until(server: &Server, to: &str, counter: Counter) -> usize {
    let mut pusher = server.open(0);
    let mut pushed = 0;
    while server.count(counter) == 0 {
        assert!(pushed < 5000, "the outbox has no bound");
        assert_eq!(pusher.ask(&format!("!push-bytes {to} {FRAME_BYTES}")), "Ok(())");
        pushed += 1;
        let waiting = server.count(Counter::OutboxBytes);
        assert!(waiting <= 300_200, "{waiting} bytes wait");
    }
    pusher.close();
    pushed
}

/// The frames that had left, and the one that had begun to, are whole; then comes 1013.
#[test]
fn a_slow_reader_is_closed_where_a_frame_ends() {
    let server = Server::start(1, slow_limits(SlowClient::Close));
    let mut slow = server.connect(0).upgrade();
    let id = id_of(&mut slow);
    let pushed = push_until(&server, &id, Counter::SlowClosed);
    let mut received = 0;
    loop {
        match slow.expect_frame() {
            Frame::Binary(bytes) => {
                assert_eq!(bytes.len(), FRAME_BYTES);
                received += 1;
            }
            Frame::Close(Some(1013), _) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(received < pushed, "nothing was dropped");
    slow.send(crate::support::client::close_frame(1013));
    slow.expect_eof();
    server.journal.expect_ends(2);
    server.eventually_counts(Counter::OutboxBytes, 0);
}

/// The rest of a write that the socket took only in part, too, is finished where a frame ends: replies that were made in
/// one go and pushes behind them.
#[test]
fn a_write_cut_short_by_the_socket_is_still_finished_where_a_frame_ends() {
    for _ in 0..3 {
        let server = Server::start(1, slow_limits(SlowClient::Close));
        let mut slow = server.connect(0).upgrade();
        slow.send_text("!flood 20000 999");
        loop {
            match slow.expect_frame() {
                Frame::Binary(bytes) => assert_eq!(bytes.len(), 999),
                Frame::Close(Some(1013), _) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(server.count(Counter::SlowClosed), 1);
    }
}

/// HTTP answers that it had not read when it became a WebSocket, and the answer that made it one, are no frames: they
/// leave whole.
#[test]
fn what_came_before_the_frames_is_never_cut() {
    let server = Server::start(1, slow_limits(SlowClient::Close));
    let mut slow = server.connect(0);
    let mut answers = 0;
    while server.count(Counter::OutboxBytes) == 0 {
        slow.get("/bytes/50000");
        answers += 1;
        eventually("it is answered", || server.count(Counter::Requests) == answers);
    }
    slow.send(crate::support::client::handshake("/"));
    slow.send_text("!flood 20000 999");
    server.eventually_counts(Counter::SlowClosed, 1);
    for _ in 0..answers {
        assert_eq!(slow.expect_answer().body.len(), 50_000);
    }
    slow.expect_upgraded();
    slow.expect_close(1013);
}

#[test]
fn a_slow_reader_may_stay_and_its_losses_are_counted() {
    let server = Server::start(1, slow_limits(SlowClient::DropNewest));
    let mut slow = server.connect(0).upgrade();
    let id = id_of(&mut slow);
    let pushed = push_until(&server, &id, Counter::DroppedOutboxFull);
    let dropped = server.count(Counter::DroppedOutboxFull) as usize;
    for _ in 0..pushed - dropped {
        assert!(matches!(slow.expect_frame(), Frame::Binary(bytes) if bytes.len() == FRAME_BYTES));
    }
    slow.send_text("here I am");
    slow.expect_text("here I am");
    assert_eq!(server.count(Counter::SlowClosed), 0);
}

/// It says nothing about the reader.
#[test]
fn a_message_larger_than_an_outbox_closes_nobody() {
    let server = Server::start(1, slow_limits(SlowClient::Close));
    let mut reader = server.open(0);
    let id = reader.id();
    let mut pusher = server.open(0);
    pusher.ask(&format!("!push-bytes {id} 300001"));
    assert_eq!(server.count(Counter::DroppedTooLarge), 1);
    assert_eq!(server.count(Counter::DroppedOutboxFull), 0);
    assert_eq!(reader.ask("still here"), "still here");
}

#[test]
fn a_frozen_reader_is_closed_when_no_pong_comes() {
    let limits = Limits {
        ping_interval: Some(Duration::from_millis(100)),
        pong_timeout: Duration::from_millis(200),
        close_timeout: Duration::from_millis(200),
        ..slow_limits(SlowClient::DropNewest)
    };
    let server = Server::start(1, limits);
    let mut frozen = server.connect(0).upgrade();
    frozen.send_text("!flood 20000 1000");
    eventually("it is full", || server.count(Counter::DroppedOutboxFull) > 0);
    server.eventually_counts(Counter::PingTimeouts, 1);
    server.eventually_counts(Counter::Connections, 0);
    server.journal.expect_ends(1);
    server.eventually_counts(Counter::OutboxBytes, 0);
}

/// Its pong waits behind what it has not read yet, and what it says may be left unread: taking what is sent is a sign of
/// life.
#[test]
fn a_reader_that_is_slow_but_reads_is_not_taken_for_dead() {
    let limits = Limits {
        ping_interval: Some(Duration::from_millis(100)),
        pong_timeout: Duration::from_secs(2),
        outbox_bytes_max: 64 << 20,
        ..limits()
    };
    let server = Server::start(1, limits);
    let mut slow = server.connect(0).upgrade();
    slow.read_slowly();
    slow.send_text("!flood 240 100000");
    let mut frames = 0;
    while frames < 240 {
        match slow.expect_frame() {
            Frame::Binary(_) => frames += 1,
            Frame::Ping(_) => {}
            other => panic!("{other:?} after {frames} frames"),
        }
    }
    assert_eq!(server.count(Counter::PingTimeouts), 0);
}
