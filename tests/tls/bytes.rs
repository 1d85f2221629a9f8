//! What arrives in every unkind way: records and frames that are cut anywhere, large messages, ends of all kinds, and
//! readers that do not read.

use std::io::{Read, Write};

use tungstenite::Message;

use crate::{
    client::{Secure, Tls, echo, request, rest},
    place::Place,
    support::{PATIENCE, Server, rss_bytes},
};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A frame of a client, with a mask of zeroes.
fn frame(payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut frame = vec![0x82, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// All records of these bytes, each with `length` bytes of them.
fn records(tls: &mut Tls, bytes: &[u8], length: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for part in bytes.chunks(length) {
        tls.conn.writer().write_all(part).expect("memory");
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut records).expect("memory");
        }
    }
    records
}

#[track_caller]
fn expect_bytes(tls: &mut Tls, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    tls.read_exact(&mut bytes).expect("an answer");
    assert!(bytes == expected, "another answer");
}

/// A WebSocket whose bytes are the test's.
fn raw(place: &Place, server: &Server) -> Tls {
    let mut tls = place.way().connect(server.addr()).expect("it serves");
    request(&mut tls, UPGRADE);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    tls
}

#[test]
fn frames_in_records_of_every_length() {
    let place = Place::new();
    let server = place.serve();
    let mut tls = raw(&place, &server);
    let (sent, expected): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (0..20_u8)
        .map(|number| {
            let payload = vec![number; usize::from(number) * 6];
            let mut echoed = vec![0x82, payload.len() as u8];
            echoed.extend_from_slice(&payload);
            (frame(&payload), echoed)
        })
        .unzip();
    let (sent, expected) = (sent.concat(), expected.concat());
    for length in 1..=130 {
        let records = records(&mut tls, &sent, length);
        tls.sock.write_all(&records).expect("it is open");
        expect_bytes(&mut tls, &expected);
    }
}

#[test]
fn records_that_arrive_in_pieces_of_every_length() {
    let place = Place::new();
    let server = place.serve();
    let mut tls = raw(&place, &server);
    let payload = b"cut anywhere";
    for piece in 1..60 {
        let records = records(&mut tls, &frame(payload), 5);
        for part in records.chunks(piece) {
            tls.sock.write_all(part).expect("it is open");
        }
        let mut expected = vec![0x82, payload.len() as u8];
        expected.extend_from_slice(payload);
        expect_bytes(&mut tls, &expected);
    }
}

#[test]
fn a_message_of_16_mib_comes_back() {
    let place = Place::new();
    let limits = "[limits]\nmessage_bytes_max = \"16MiB\"\noutbox_bytes_max = \"40MiB\"\n";
    let server = Server::start(place.setup(limits));
    let mut socket = place.way().open(server.addr());
    let bytes: Vec<u8> = (0..16 << 20).map(|at: u32| (at / 251) as u8).collect();
    for _ in 0..2 {
        echo(&mut socket, Message::Binary(bytes.clone().into()));
    }
    echo(&mut socket, "and a small one");
}

#[test]
fn a_new_key_in_the_middle_changes_nothing() {
    let place = Place::new();
    let server = place.serve();
    let mut socket = place.way().open(server.addr());
    for number in 0..10 {
        echo(&mut socket, format!("before {number}"));
        // The server has to answer with a key update of its own (RFC 8446, 4.6.3).
        socket.get_mut().conn.refresh_traffic_keys().expect("TLS 1.3");
        echo(&mut socket, format!("after {number}"));
    }
}

#[test]
fn we_end_with_close_notify_and_who_ends_without_is_lost() {
    let place = Place::new();
    let server = place.serve();
    // HTTP: the answer, then our close_notify.
    let mut tls = place.way().connect(server.addr()).expect("it serves");
    request(&mut tls, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (answer, end) = rest(&mut tls);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    end.expect("a close_notify behind the answer");

    // WebSocket: a close handshake, then our close_notify.
    let mut socket = place.way().open(server.addr());
    socket.close(None).expect("it is open");
    while socket.read().is_ok() {}
    let (_, end) = rest(socket.get_mut());
    end.expect("a close_notify behind the close frame");

    // Cut without a word: noticed at once.
    let cut = place.way().open(server.addr());
    server.wait_until("it to be there", PATIENCE, |status| status["totals"]["websockets"] == 1);
    drop(cut);
    server.wait_until("it to be gone", PATIENCE, |status| status["totals"]["connections"] == 0);
}

#[test]
fn who_has_nothing_more_to_say_still_gets_the_answer() {
    let place = Place::new();
    let server = place.serve();
    let mut tls = place.way().connect(server.addr()).expect("it serves");
    request(&mut tls, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    tls.conn.send_close_notify();
    tls.flush().expect("it is open");
    let (answer, end) = rest(&mut tls);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    end.expect("a close_notify behind the answer");
}

#[test]
fn who_does_not_read_is_bounded_and_closed() {
    let place = Place::new();
    let setup =
        place.setup("[limits]\nmessage_bytes_max = \"64KiB\"\noutbox_bytes_max = \"256KiB\"\n");
    let server = Server::start(setup.app(crate::support::App::Broadcast));
    let mut frozen: Vec<Secure> = (0..20).map(|_| place.way().open(server.addr())).collect();
    let mut speaker = place.way().open(server.addr());
    let before = rss_bytes(server.worker_pid(0));
    let text = "x".repeat(60_000);
    for _ in 0..400 {
        echo(&mut speaker, text.as_str());
    }
    let status = server.wait_until("the frozen to be closed", PATIENCE, |status| {
        status["totals"]["slow_closed"] == 20
    });
    // 20 outboxes of 256 KiB and what is encrypted of each, at most 64 KiB.
    let grown = rss_bytes(server.worker_pid(0)).saturating_sub(before);
    assert!(grown < 20 << 20, "{grown} bytes more; {status}");
    echo(&mut speaker, "unharmed");
    frozen.clear();
}

#[test]
fn what_is_encrypted_and_has_not_left_is_counted() {
    const MESSAGE_BYTES: u64 = 60_000;
    /// The head of a frame of that length (RFC 6455, 5.2).
    const HEAD_BYTES: u64 = 4;
    let place = Place::new();
    let setup =
        place.setup("[limits]\nmessage_bytes_max = \"64KiB\"\noutbox_bytes_max = \"64MiB\"\n");
    let server = Server::start(setup.app(crate::support::App::Broadcast));
    let frozen = place.way().open(server.addr());
    let mut speaker = place.way().open(server.addr());
    let total = |status: &serde_json::Value, name: &str| {
        status["totals"][name].as_u64().expect("a counter")
    };
    let before = total(&server.status(), "bytes_out");
    let text = "x".repeat(MESSAGE_BYTES as usize);
    let mut sent = 0;
    let waiting = loop {
        echo(&mut speaker, text.as_str());
        sent += 2 * (MESSAGE_BYTES + HEAD_BYTES);
        let status = server.wait_until("it to leave or wait", PATIENCE, |status| {
            total(status, "bytes_out") - before == sent || total(status, "outbox_bytes") > 0
        });
        let waiting = total(&status, "outbox_bytes");
        if waiting > 0 {
            // All of it has left the outboxes: it is what TLS has taken and the socket has not.
            assert_eq!(total(&status, "bytes_out") - before, sent, "{status}");
            break waiting;
        }
        assert!(sent < 1 << 30, "the kernel takes everything");
    };
    let status = server.status();
    assert_eq!(total(&status, "outbox_bytes"), waiting);
    assert!(total(&status, "outbox_held_bytes") >= waiting, "{status}");
    let listed = server.cli(&["connections", "--sort", "queued", "--limit", "1", "--json"]);
    assert_eq!(listed.json()["queued_bytes"], waiting, "{listed}");
    drop(frozen);
    let status =
        server.wait_until("it to be gone", PATIENCE, |status| status["totals"]["websockets"] == 1);
    assert_eq!(total(&status, "outbox_bytes"), 0, "{status}");
    assert_eq!(total(&status, "outbox_held_bytes"), 0, "{status}");
}

#[test]
fn what_is_encrypted_for_all_who_do_not_read_is_bounded_too() {
    const HELD_BYTES_MAX: u64 = 1 << 20;
    const FROZEN: u64 = 30;
    let place = Place::new();
    let setup = place.setup(
        "[limits]\nmessage_bytes_max = \"64KiB\"\noutbox_bytes_max = \"1MiB\"\n\
         outboxes_bytes_max = \"1MiB\"\n",
    );
    let server = Server::start(setup.app(crate::support::App::Broadcast));
    // What is encrypted for all of them, up to 64 KiB each, would be nearly twice the bound.
    let frozen: Vec<Secure> = (0..FROZEN).map(|_| place.way().open(server.addr())).collect();
    let mut speaker = place.way().open(server.addr());
    let text = "x".repeat(60_000);
    let mut sent = 0;
    loop {
        echo(&mut speaker, text.as_str());
        sent += 1;
        let status = server.status();
        let total = |name: &str| status["totals"][name].as_u64().expect("a counter");
        assert!(total("outbox_held_bytes") <= HELD_BYTES_MAX, "{status}");
        if total("evicted") >= FROZEN / 2 {
            break;
        }
        assert!(sent < 2_000, "nobody is closed: {status}");
    }
    drop(frozen);
    echo(&mut speaker, "unharmed");
}
