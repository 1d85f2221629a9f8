//! HTTP on the same port: one request after the other, answered at once or later.

use wsmaster_workers::{Limits, ipc::shared_state::Counter};

use crate::support::{Server, eventually, limits};

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    for _ in 0..3 {
        client.get("/hello");
        let answer = client.expect_answer();
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert!(answer.header("date").is_some());
    }
    client.send("GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.expect_answer().header("connection"), Some("close"));
    client.expect_eof();
    let mut client = server.connect(0);
    client.send("GET /nowhere HTTP/1.0\r\n\r\n");
    assert_eq!(client.expect_answer().status, 404);
    client.expect_eof();
    server.eventually_counts(Counter::Requests, 5);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    let request = |path: String| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send((0..20).map(|number| request(format!("/number/{number}"))).collect::<String>());
    for number in 0..20 {
        assert_eq!(client.expect_answer().body, number.to_string());
    }
    // More than one turn's budget, the last one cut in two.
    let all: String = (0..1000).map(|number| request(format!("/number/{number}"))).collect();
    let (now, later) = all.split_at(all.len() - 10);
    client.send(now);
    for number in 0..999 {
        assert_eq!(client.expect_answer().body, number.to_string());
    }
    client.send(later);
    assert_eq!(client.expect_answer().body, "999");
}

/// As for messages: its requests stay unread, memory is bounded, and it goes on when it reads.
#[test]
fn a_client_that_asks_and_never_reads_is_held_back() {
    let server = Server::start(1, Limits { outbox_bytes_max: 512 * 1024, ..limits() });
    let mut client = server.connect(0);
    let requests = 3000;
    let all = "GET /bytes/20000 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(requests);
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, all.as_bytes()));
    eventually("it is held back", || server.count(Counter::OutboxBytes) > 256 * 1024);
    let mut served = 0;
    for _ in 0..100 {
        served = server.count(Counter::Requests);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let held = server.count(Counter::OutboxBytes);
        assert!(held < 512 * 1024, "{held} bytes wait for it");
    }
    assert!((served as usize) < requests, "nothing held it back");
    for _ in 0..requests {
        assert_eq!(client.expect_answer().body.len(), 20_000);
    }
    sender.join().unwrap().unwrap();
}

#[test]
fn bodies_come_whole_whatever_their_form() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nplain");
    assert_eq!(client.expect_answer().body, "plain");
    let chunked = "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
         4\r\nin p\r\n5;x=y\r\niece \r\n1\r\ns\r\n0\r\nTrailer: yes\r\n\r\n";
    for byte in chunked.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.expect_answer().body, "in piece s");
    client.send(
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    let invited = client.expect_answer_to("HEAD");
    assert_eq!(invited.status, 100);
    client.send("wait");
    assert_eq!(client.expect_answer().body, "wait");
    let large = "l".repeat(900_000);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 900000\r\n\r\n{large}"));
    assert_eq!(client.expect_answer().body, large);
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 90000000\r\n\r\n");
    assert_eq!(client.expect_answer().status, 413);
    client.end_writing();
    client.expect_eof();
}

#[test]
fn head_is_answered_without_a_body() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.send("HEAD /hello HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.expect_answer_to("HEAD").header("content-length"), Some("5"));
    client.get("/hello");
    assert_eq!(client.expect_answer().body, "hello");
}

#[test]
fn a_client_that_has_ended_its_side_gets_its_answers() {
    // Nobody is held back: the end is read while the answers still wait.
    let server = Server::start(1, Limits { outbox_bytes_max: 64 << 20, ..limits() });
    let mut at_once = server.connect(0);
    at_once.get("/hello");
    at_once.end_writing();
    assert_eq!(at_once.expect_answer().body, "hello");
    at_once.expect_eof();

    let mut later = server.connect(0);
    later.get("/later");
    later.get("/bytes/20000000");
    later.end_writing();
    eventually("it is asked", || server.journal.requests() == 2);
    assert_eq!(server.open(0).ask("!answer"), "answered");
    assert_eq!(later.expect_answer().body, "at last");
    // Far more than the socket takes at once.
    assert_eq!(later.expect_answer().body.len(), 20_000_000);
    later.expect_eof();
    server.eventually_counts(Counter::Connections, 0);
}

/// The requests behind one that waits are taken up when it is answered, though nothing new comes from the client.
#[test]
fn what_stands_behind_a_late_answer_is_not_forgotten() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0);
    client.get("/later");
    eventually("it is asked", || server.journal.requests() == 1);
    client.get("/number/1");
    client.get("/number/2");
    assert_eq!(server.open(0).ask("!answer"), "answered");
    assert_eq!(client.expect_answer().body, "at last");
    assert_eq!(client.expect_answer().body, "1");
    assert_eq!(client.expect_answer().body, "2");
}

#[test]
fn an_answer_may_depend_on_another_worker() {
    let server = Server::start(2, limits());
    let (mut near, mut far) = (server.open(0), server.open(1));
    let (near_id, far_id) = (near.id(), far.id());
    let mut client = server.connect(0);
    for (id, socket) in [(near_id, &mut near), (far_id, &mut far)] {
        client.get(&format!("/push/{id}/hello"));
        assert_eq!(client.expect_answer().body, "Delivered");
        socket.expect_text("hello");
    }
    far.close();
    eventually("it is gone", || server.cell(1).read(Counter::WebSockets) == 0);
    client.get(&format!("/push/{far_id}/hello"));
    assert_eq!(client.expect_answer().body, "NoSuchConnection");
}

/// A client that is gone when its answer is ready does no harm, nor does the next one in its place.
#[test]
fn a_late_answer_never_reaches_somebody_else() {
    let server = Server::start(1, limits());
    for round in 1..=20 {
        let mut client = server.connect(0);
        client.get("/later");
        eventually("it is asked", || server.journal.requests() == round);
    }
    let mut other = server.connect(0);
    other.get("/never");
    eventually("it is asked", || server.journal.requests() == 21);
    assert_eq!(server.open(0).ask("!answer"), "answered");
    other.stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut other.stream, &mut byte).is_err(), "somebody else's answer");
}
