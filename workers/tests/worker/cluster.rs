//! Several workers as one server: any connection can be reached from any worker, and what cannot be done is said.

use std::time::Duration;

use wsmaster_workers::{Limits, ipc::PayloadKind, ipc::shared_state::Counter};

use crate::support::{Server, Told, WebSocket, eventually, limits, server::slot};

fn three() -> (Server, [WebSocket; 3], [u64; 3]) {
    let server = Server::start(3, limits());
    let mut clients = [0, 1, 2].map(|number| server.open(number));
    let ids = clients.each_mut().map(WebSocket::id);
    (server, clients, ids)
}

#[test]
fn a_push_reaches_its_connection_wherever_it_is() {
    let (_server, [mut a, mut b, mut c], ids) = three();
    a.send_text(&format!("!push {} to-b", ids[1]));
    b.expect_text("to-b");
    a.send_text(&format!("!push {} to-c", ids[2]));
    c.expect_text("to-c");
    a.send_text(&format!("!push {} to-me", ids[0]));
    a.expect_text("to-me");
}

#[test]
fn what_became_of_a_push_is_told() {
    let (server, [mut a, mut b, c], ids) = three();
    assert_eq!(a.ask(&format!("!push-ack {} hello", ids[1])), "Delivered");
    b.expect_text("hello");
    c.close();
    eventually("it is gone", || server.cell(2).read(Counter::WebSockets) == 0);
    assert_eq!(a.ask(&format!("!push-ack {} hello", ids[2])), "NoSuchConnection");
    let nowhere = ids[1] | 1023;
    assert_eq!(a.ask(&format!("!push-ack {nowhere} hello")), "NoSuchConnection");
    // One that is in its close handshake.
    let mut closing = server.connect(1).upgrade();
    closing.send_text("!id");
    let crate::support::Frame::Text(id) = closing.expect_frame() else { panic!("not its id") };
    closing.send_text("!close 4000");
    closing.expect_close(4000);
    assert_eq!(a.ask(&format!("!push-ack {id} hello")), "Closing");
    assert_eq!(server.cell(2).read(Counter::StaleCommands), 1);
}

#[test]
fn a_connection_is_closed_and_described_from_another_worker() {
    let (_server, [mut a, mut b, c], ids) = three();
    assert_eq!(b.ask("!subscribe news"), "Ok(true)");
    for requester in [&mut a, &mut b] {
        let info = requester.ask(&format!("!info {}", ids[1]));
        let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
        assert_eq!(info["connection"], ids[1]);
        assert_eq!(info["worker"], 1);
        assert_eq!(info["state"], "open");
        assert_eq!(info["channels"], serde_json::json!(["news"]));
        assert_eq!(info["address"], "127.0.0.1");
    }
    assert_eq!(a.ask(&format!("!disconnect {} 4100 goodbye", ids[2])), "Delivered");
    assert_eq!(c.expect_close(4100), "goodbye");
    eventually("it is unknown", || a.ask(&format!("!info {}", ids[2])) == "nobody");
    assert_eq!(a.ask(&format!("!disconnect {} 4100 again", ids[2])), "NoSuchConnection");
}

#[test]
fn a_broadcast_reaches_everybody_else() {
    let (server, [mut a, mut b, mut c], _) = three();
    let mut neighbour = server.open(0);
    a.send_text("!broadcast one");
    assert_eq!(a.ask("!broadcast-ack two"), "3 0 []");
    for client in [&mut b, &mut c, &mut neighbour] {
        client.expect_text("one");
        client.expect_text("two");
    }
    assert_eq!(a.ask("nothing came back"), "nothing came back");
}

#[test]
fn a_channel_reaches_its_subscribers_and_nobody_else() {
    let (server, [mut a, mut b, mut c], ids) = three();
    let mut neighbour = server.open(1);
    for client in [&mut a, &mut b, &mut neighbour] {
        assert_eq!(client.ask("!subscribe news"), "Ok(true)");
        assert_eq!(client.ask("!subscribe news"), "Ok(false)");
    }
    assert_eq!(a.ask("!publish-ack news one"), "2 0 []");
    assert_eq!(c.ask("!publish-ack news two"), "3 0 []");
    assert_eq!(c.ask(&format!("!publish-ack news three {} {}", ids[1], ids[2])), "1 0 []");
    a.send_text("!publish news four");
    for client in [&mut b, &mut neighbour] {
        client.expect_text("one");
        client.expect_text("two");
    }
    b.expect_text("three");
    b.expect_text("four");
    neighbour.expect_text("four");
    a.expect_text("two");
    assert_eq!(a.ask("nothing else"), "nothing else");
    assert_eq!(c.ask("nothing at all"), "nothing at all");
    assert_eq!(a.ask("!publish-ack elsewhere text"), "0 0 []");
}

/// A worker says that it is interested as long as it has a subscriber, however that one leaves.
#[test]
fn interest_ends_with_the_last_subscriber() {
    let (server, [mut a, mut b, c], _) = three();
    let mut dropped = server.connect(1).upgrade();
    let interested = |channel: &str| -> Vec<u16> {
        let bit = server.shared_state.interest_bit(channel);
        server.shared_state.interested(bit).map(|slot| slot.number()).collect()
    };
    a.ask("!subscribe news");
    b.ask("!subscribe news");
    dropped.send_text("!subscribe news");
    dropped.expect_text("Ok(true)");
    assert_eq!(interested("news"), [0, 1]);
    assert_eq!(a.ask("!unsubscribe news"), "true");
    assert_eq!(a.ask("!unsubscribe news"), "false");
    assert_eq!(interested("news"), [1]);
    b.close();
    server.journal.expect_ends(1);
    assert_eq!(interested("news"), [1]);
    drop(dropped);
    server.journal.expect_ends(2);
    eventually("nobody is left", || interested("news").is_empty());
    eventually("it shows", || server.cell(1).read(Counter::Subscriptions) == 0);
    c.close();
}

#[test]
fn subscriptions_have_a_bound() {
    let server = Server::start(1, Limits { subscriptions_max: 2, ..limits() });
    let mut client = server.open(0);
    assert_eq!(client.ask("!subscribe a"), "Ok(true)");
    assert_eq!(client.ask("!subscribe b"), "Ok(true)");
    assert_eq!(client.ask("!subscribe c"), "Err(TooMany)");
    assert_eq!(client.ask("!subscribe b"), "Ok(false)");
    assert_eq!(client.ask("!unsubscribe a"), "true");
    assert_eq!(client.ask("!subscribe c"), "Ok(true)");
}

#[test]
fn a_large_push_travels_whole() {
    let server = Server::start(2, Limits { outbox_bytes_max: 17 << 20, ..limits() });
    let (mut a, mut b) = (server.open(0), server.open(1));
    let id = b.id();
    let bytes = 16 << 20;
    assert_eq!(a.ask(&format!("!push-bytes {id} {bytes}")), "Ok(())");
    b.expect_binary(&vec![b'p'; bytes]);
}

/// Far more than a mailbox holds: the rest waits in the sender, in order.
#[test]
fn ten_thousand_pushes_arrive_in_order() {
    let server = Server::start(2, Limits { outbox_bytes_max: 16 << 20, ..limits() });
    let (mut a, mut b) = (server.open(0), server.open(1));
    let id = b.id();
    a.send_text(&format!("!push-many {id} 10000"));
    for number in 0..10_000 {
        b.expect_text(&number.to_string());
    }
}

/// Its mailbox takes what there is room for; then the sender is told. Nobody hangs.
#[test]
fn a_worker_that_does_not_read_its_mailbox_harms_nobody() {
    let limits = Limits { ask_timeout: Duration::from_millis(200), ..limits() };
    let mut server = Server::empty(2, limits);
    server.start_worker(0);
    let mut a = server.open(0);
    let silent = a.id() | 1;
    assert_eq!(a.ask(&format!("!push-ack {silent} hello")), "Unanswered");
    assert_eq!(a.ask(&format!("!info {silent}")), "Unanswered");
    assert_eq!(a.ask("!broadcast-ack hello"), "0 0 [1]");
    server.shared_state.set_interest(slot(1), server.shared_state.interest_bit("news"), true);
    assert_eq!(a.ask("!publish-ack news hello"), "0 0 [1]");
    let mut posted = 0;
    while a.ask(&format!("!push-bytes {silent} 30000")) == "Ok(())" {
        posted += 1;
        assert!(posted < 1000, "a mailbox has no bound");
    }
    let text = "x".repeat(30_000);
    assert_eq!(a.ask(&format!("!push-ack {silent} {text}")), "MailboxFull");
    assert_eq!(a.ask(&format!("!broadcast-ack {text}")), "0 0 [1]");
    assert!(server.count(Counter::DroppedMailboxFull) > 0);
    assert_eq!(a.ask("still served"), "still served");
    // What it was sent waits for whoever takes its seat.
    server.start_worker(1);
    eventually("it is read", || server.cell(1).read(Counter::CommandsIn) > posted);
    eventually("there is room again", || {
        a.ask(&format!("!push-ack {silent} hello")) == "NoSuchConnection"
    });
}

#[test]
fn processes_can_talk() {
    let (server, [mut a, ..], _) = three();
    a.send_text("!process 2 hello");
    let told = Told::Process("hello".to_owned());
    eventually("it is heard", || server.journal.read().contains(&told));
    let handle = server.handle(0);
    handle.send_to_process(slot(1).address(), PayloadKind::Text, b"from outside").unwrap();
    let told = Told::Process("from outside".to_owned());
    eventually("it is heard", || server.journal.read().contains(&told));
}
