//! Messages: whole, in order, in pieces, and no larger than allowed; and a client that only talks is held back.

use wsmaster_workers::{Limits, ipc::shared_state::Counter};

use crate::support::{
    Frame, Server,
    client::{BINARY, CONTINUES, TEXT, TEXT_BEGINS},
    eventually, frame, limits,
};

#[test]
fn text_and_binary_come_back_as_they_were() {
    let server = Server::start(1, limits());
    let mut client = server.open(0);
    for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        client.send_text(&"ü".repeat(length / 2));
        client.expect_text(&"ü".repeat(length / 2));
        let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        client.send_binary(&bytes);
        client.expect_binary(&bytes);
    }
    client.close();
    server.eventually_counts(Counter::MessagesIn, 14);
    server.eventually_counts(Counter::MessagesOut, 14);
}

#[test]
fn a_message_may_come_byte_by_byte_and_in_fragments() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let text = "é".repeat(200);
    for byte in frame(TEXT, text.as_bytes()) {
        client.send([byte]);
    }
    client.expect_text(&text);
    client.send(frame(TEXT_BEGINS, b"one "));
    client.send(frame(0x89, b"ping between"));
    assert_eq!(client.expect_frame(), Frame::Pong(b"ping between".to_vec()));
    client.send(frame(CONTINUES, b"two "));
    client.send(frame(CONTINUES | 0x80, b"three"));
    client.expect_text("one two three");
}

/// More than the budget of one turn, in one write.
#[test]
fn a_thousand_messages_at_once_are_answered_in_order() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let all: Vec<u8> =
        (0..1000).flat_map(|number| frame(TEXT, format!("{number}").as_bytes())).collect();
    client.send(all);
    for number in 0..1000 {
        client.expect_text(&format!("{number}"));
    }
    server.eventually_counts(Counter::OutboxBytes, 0);
}

/// Its reading is paused, memory is bounded, others are served; and it goes on when it reads, with nothing lost.
#[test]
fn a_client_that_writes_and_never_reads_is_held_back() {
    for bytes in [50, 10_000] {
        let limits = Limits { outbox_bytes_max: 256 * 1024, ..limits() };
        let server = Server::start(1, limits);
        let mut client = server.connect(0).upgrade();
        let unit = frame(BINARY, &vec![7; bytes]);
        let (units, part) = client.send_until_full(&unit);
        let held = server.count(Counter::OutboxBytes);
        assert!(held > 128 * 1024, "it was held back too early, at {held} bytes");
        assert!(held <= 256 * 1024, "{held} bytes wait");
        let mut other = server.open(0);
        other.send_text("still there?");
        other.expect_text("still there?");
        let mut writer = client.stream.try_clone().unwrap();
        let rest = unit[part..].to_vec();
        let finish = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &rest));
        for _ in 0..=units {
            assert_eq!(client.expect_frame(), Frame::Binary(vec![7; bytes]));
        }
        finish.join().unwrap().unwrap();
        client.send_text("and on it goes");
        client.expect_text("and on it goes");
        assert_eq!(server.count(Counter::SlowClosed), 0);
        assert_eq!(server.count(Counter::DroppedOutboxFull), 0);
    }
}

/// However its bytes come: while it is held back, a new one does not make the server take up an old one.
#[test]
fn a_client_that_is_held_back_stays_so_when_it_sends_more() {
    let server = Server::start(1, Limits { outbox_bytes_max: 64 * 1024, ..limits() });
    let mut client = server.connect(0).upgrade();
    let mut other = server.open(0);
    let unit = frame(TEXT, &[b'x'; 1000]);
    let mut sent = 0;
    while server.count(Counter::OutboxBytes) <= 32 * 1024 {
        let read = server.count(Counter::BytesIn);
        client.send(unit.repeat(240));
        sent += 240;
        eventually("it is read", || {
            server.count(Counter::BytesIn) > read || server.count(Counter::OutboxBytes) > 32 * 1024
        });
    }
    for _ in 0..200 {
        client.send(&unit);
        sent += 1;
        other.send_text("a turn has passed");
        other.expect_text("a turn has passed");
    }
    assert_eq!(server.count(Counter::SlowClosed), 0);
    for _ in 0..sent {
        client.expect_text(&"x".repeat(1000));
    }
}

#[test]
fn what_is_too_large_is_refused_with_its_code() {
    let limits =
        Limits { frame_bytes_max: 1000, message_bytes_max: 1500, fragments_max: 3, ..limits() };
    let server = Server::start(1, limits);
    let piece = |first, bytes| frame(first, &vec![b'x'; bytes]);
    let table = [
        (piece(TEXT, 1001), 1009),
        ([piece(TEXT_BEGINS, 1000), piece(CONTINUES, 501)].concat(), 1009),
        ([piece(TEXT_BEGINS, 1), piece(0, 1), piece(0, 1), piece(0, 1)].concat(), 1008),
    ];
    for (bytes, code) in &table {
        let mut client = server.connect(0).upgrade();
        client.send(bytes);
        client.expect_close(*code);
        client.end_writing();
        client.expect_eof();
    }
    let mut client = server.connect(0).upgrade();
    client.send(piece(TEXT, 1000));
    client.expect_text(&"x".repeat(1000));
    server.eventually_counts(Counter::ProtocolErrors, 3);
}

/// It is refused by the header, before the bytes are there.
#[test]
fn a_declared_length_alone_is_enough_to_refuse() {
    let server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let declared = [vec![BINARY, 0x80 | 127], (1_u64 << 40).to_be_bytes().to_vec(), vec![0; 4]];
    client.send(declared.concat());
    client.expect_close(1009);
}

#[test]
fn a_thread_of_the_application_reaches_a_client_while_the_loop_sleeps() {
    let server = Server::start(2, limits());
    let (mut one, mut other) = (server.open(0), server.open(1));
    let (id, far) = (one.id(), other.id());
    one.send_text(&format!("!push-from-a-thread {id} near"));
    one.expect_text("near");
    one.send_text(&format!("!push-from-a-thread {far} far"));
    other.expect_text("far");
}

/// Wherever in a turn the end of one client is noticed: what the application sends to others because of it leaves.
#[test]
fn what_is_sent_because_somebody_is_gone_leaves_at_once() {
    let server = Server::start(1, limits());
    let mut listener = server.open(0);
    assert_eq!(listener.ask("!subscribe leavers"), "Ok(true)");
    let mut id = 0;
    for _ in 0..20 {
        let mut gone = server.connect(0).upgrade();
        gone.send_text("!id");
        let Frame::Text(text) = gone.expect_frame() else { panic!("not its id") };
        id = text.parse::<u64>().unwrap();
        // A reset: unread bytes at the close.
        gone.send_text("unread");
        eventually("it is read", || server.count(Counter::MessagesIn) > 0);
        drop(gone);
        listener.expect_text(&format!("left {id}"));
    }
    assert_ne!(id, 0);
}
