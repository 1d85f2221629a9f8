//! Connections that the application does not want to hear of for a while.

use std::time::Duration;

use wsmaster_workers::{Limits, ipc::shared_state::Counter};

use crate::support::{Frame, Server, client, frame, limits};

#[test]
fn a_paused_client_is_not_read_and_goes_on_where_it_was() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let mut other = server.open(0);
    client.send_text("!id");
    let Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
    // In one segment: what stands behind the order is not handed out.
    let mut all = frame(client::TEXT, b"before");
    all.extend(frame(client::TEXT, b"!pause"));
    all.extend(frame(client::TEXT, b"behind"));
    client.send(all);
    client.expect_text("before");
    server.eventually_counts(Counter::Held, 1);
    // The kernel holds what it sends, and then it waits.
    let (whole, _) = client.send_until_full(&frame(client::TEXT, &[b'x'; 1000]));
    assert!(whole > 10, "{whole}");
    assert_eq!(other.ask("lively"), "lively");
    // What others send reaches it.
    assert_eq!(other.ask(&format!("!push-ack {id} hello")), "Delivered");
    client.expect_text("hello");
    other.send_text(&format!("!resume {id}"));
    client.expect_text("behind");
    server.eventually_counts(Counter::Held, 0);
    for _ in 0..whole {
        client.expect_text(&"x".repeat(1000));
    }
}

#[test]
fn the_silence_of_a_paused_client_is_not_held_against_it() {
    let limits = Limits {
        ping_interval: Some(Duration::from_millis(100)),
        pong_timeout: Duration::from_millis(100),
        idle_timeout: Some(Duration::from_millis(400)),
        ..limits()
    };
    let server = Server::start(1, limits);
    let mut client = server.connect(0).upgrade();
    let mut other = server.open(0);
    client.send_text("!id");
    let Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
    client.send_text("!pause");
    server.eventually_counts(Counter::Held, 1);
    assert_eq!(other.ask("!after 1000"), "time, 0 left");
    client.send_text("still here");
    other.send_text(&format!("!resume {id}"));
    client.expect_text("still here");
    assert_eq!(server.count(Counter::PingTimeouts) + server.count(Counter::IdleTimeouts), 0);
}

#[test]
fn a_paused_client_can_be_closed_and_counts_as_paused_no_more() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let mut other = server.open(0);
    client.send_text("!id");
    let Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
    client.send_text("!pause");
    client.send_text("never handed out");
    server.eventually_counts(Counter::Held, 1);
    assert_eq!(other.ask(&format!("!disconnect {id} 4000 enough")), "Delivered");
    client.expect_close(4000);
    client.send(client::close_frame(4000));
    client.expect_eof();
    server.eventually_counts(Counter::Held, 0);
}
