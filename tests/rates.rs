//! Clients that send or leave waiting more than they may, against the real program: what is allowed is done, what is more
//! waits or ends with its code, everything is counted, and others notice nothing.
#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

mod support;
#[path = "bad_input/unharmed.rs"]
mod unharmed;
#[path = "bad_frames/wire.rs"]
mod wire;

use std::time::Duration;

use support::{App, Client, PATIENCE, Server, Setup, Swarm};
use tungstenite::Message;
use unharmed::assert_unharmed;
use wire::{CLOSE, End, FIN, PING, PONG, TEXT, Wire, close, frame};

/// Echo with these limits, by one worker.
fn echo(limits: &str) -> Server {
    Server::start(Setup::default().app(App::Echo).config_toml(&format!("[limits]\n{limits}")))
}

fn total(server: &Server, counter: &str) -> u64 {
    server.status()["totals"][counter].as_u64().expect("a count")
}

#[test]
fn who_sends_too_many_messages_is_left_unread_and_loses_none() {
    const MESSAGES: usize = 300;
    let server = echo("messages_per_second_max = 100\n");
    let worker = server.worker_pid(0);
    let mut witness = Client::open(server.addr(), "/");
    let mut wire = Wire::open(server.addr());
    let burst: Vec<u8> =
        (0..MESSAGES).flat_map(|number| frame(FIN | TEXT, number.to_string().as_bytes())).collect();
    wire.send(&burst);
    witness.send(Message::text("meanwhile"));
    witness.expect_text("meanwhile");
    assert!(wire.read_until(3 * PATIENCE, |frames| frames.len() == MESSAGES), "{wire:?}");
    for (number, frame) in wire.frames.iter().enumerate() {
        assert_eq!(frame.payload, number.to_string().as_bytes(), "in order, each once");
    }
    assert!(total(&server, "rate_limited") >= 1, "nobody held it back");
    assert_eq!(total(&server, "protocol_errors"), 0);
    witness.close();
    wire.send(&close(1000, b""));
    assert_eq!(wire.read_to_end(PATIENCE), Some(End::Orderly));
    assert_unharmed(&server, worker);
}

#[test]
fn who_sends_too_many_bytes_is_left_unread_and_loses_none() {
    let server = echo("bytes_per_second_max = \"64KiB\"\n");
    let mut wire = Wire::open(server.addr());
    let message = frame(FIN | TEXT, &[b'x'; 32 * 1024]);
    wire.send(&message.repeat(4));
    assert!(wire.read_until(3 * PATIENCE, |frames| frames.len() == 4), "four come back");
    assert!(total(&server, "rate_limited") >= 1, "nobody held it back");
}

#[test]
fn where_it_is_so_configured_who_sends_too_much_is_closed() {
    let server = echo("messages_per_second_max = 10\nrate_policy = \"close\"\n");
    let worker = server.worker_pid(0);
    let mut wire = Wire::open(server.addr());
    wire.send(&frame(FIN | TEXT, b"m").repeat(11));
    assert_eq!(wire.read_to_end(PATIENCE), Some(End::Orderly));
    let (last, echoes) = wire.frames.split_last().expect("frames");
    assert_eq!(last.close_code(), Some(1008));
    assert_eq!(echoes.len(), 10, "what is allowed is answered, and the message too many is not");
    assert_eq!(total(&server, "rate_limited"), 1);
    assert_unharmed(&server, worker);
}

#[test]
fn pings_have_a_rate_of_their_own() {
    let server = echo("control_frames_per_second_max = 50\nrate_policy = \"close\"\n");
    let mut wire = Wire::open(server.addr());
    for _ in 0..5 {
        // Messages are none of them.
        wire.send(&frame(FIN | TEXT, b"m").repeat(100));
        wire.send(&frame(FIN | PING, b"p").repeat(5));
    }
    let answers = |frames: &[wire::Frame], first: u8| {
        frames.iter().filter(|frame| frame.first == first).count()
    };
    assert!(wire.read_until(PATIENCE, |frames| frames.len() == 525));
    assert_eq!(answers(&wire.frames, FIN | PONG), 25);
    wire.send(&frame(FIN | PING, b"p").repeat(60));
    assert_eq!(wire.read_to_end(PATIENCE), Some(End::Orderly));
    assert_eq!(wire.frames.last().and_then(wire::Frame::close_code), Some(1008));
    assert_eq!(answers(&wire.frames, FIN | CLOSE), 1);
}

#[test]
fn who_is_left_unread_is_not_pinged_to_death_and_can_be_closed() {
    // A pause of many times the patience with a silent client.
    let limits = "bytes_per_second_max = \"1KiB\"\nping_interval = \"1s\"\npong_timeout = \"1s\"\n";
    let server = echo(limits);
    let mut wire = Wire::open(server.addr());
    wire.send(&frame(FIN | TEXT, &[b'x'; 7 * 1024]));
    wire.send(&frame(FIN | TEXT, b"behind it"));
    let both =
        |frames: &[wire::Frame]| frames.iter().filter(|it| it.first == FIN | TEXT).count() == 2;
    assert!(wire.read_until(3 * PATIENCE, both), "{:?}", wire.frames.last());
    assert_eq!(total(&server, "ping_timeouts"), 0);
    wire.send(&frame(FIN | TEXT, &[b'x'; 30 * 1024]));
    server.wait_until("it is left unread", PATIENCE, |status| {
        status["totals"]["rate_limited"].as_u64() >= Some(2)
    });
    let stopped = server.stop();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(wire.read_to_end(PATIENCE).is_some());
    assert_eq!(wire.frames.last().and_then(wire::Frame::close_code), Some(1001));
}

#[test]
fn when_all_outboxes_hold_too_much_the_fullest_are_closed_and_the_others_stay() {
    let limits = "message_bytes_max = \"64KiB\"\noutbox_bytes_max = \"8MiB\"\n\
                  outboxes_bytes_max = \"8MiB\"\n";
    let server = Server::start(
        Setup::default().app(App::Broadcast).config_toml(&format!("[limits]\n{limits}")),
    );
    let worker = server.worker_pid(0);
    let frozen = Swarm::open(server.addr(), 6);
    let mut readers = Swarm::open(server.addr(), 4);
    // Small enough to be copied to each: what is shared is held once and would never be too much.
    let text = "x".repeat(2000);
    let mut sent = 0;
    while total(&server, "evicted") < 6 {
        for _ in 0..500 {
            readers.send(0, text.clone());
        }
        sent += 500;
        let all = sent * readers.len();
        readers.until("a batch", 3 * PATIENCE, |readers| readers.received() >= all);
        assert!(total(&server, "outbox_held_bytes") <= 8 << 20, "more than may be held");
        assert!(sent < 100_000, "nobody is closed");
    }
    assert_eq!(total(&server, "slow_closed"), 0, "none had filled its own outbox");
    assert_eq!(readers.open_count(), 4);
    let mut frozen = frozen;
    frozen.until("the ends", PATIENCE, |swarm| swarm.ends().count() == 6);
    for (_, end) in frozen.ends() {
        let closed = support::End::Closed(1013, "too much waits for this client".to_owned());
        assert_eq!(*end, closed);
    }
    readers.close();
    server.wait_until("nothing is held", PATIENCE, |status| {
        status["totals"]["outbox_held_bytes"] == 0
    });
    assert_unharmed(&server, worker);
}

#[test]
fn a_message_that_waits_for_many_is_held_once() {
    let limits = "message_bytes_max = \"1MiB\"\nframe_bytes_max = \"1MiB\"\n\
                  outbox_bytes_max = \"64MiB\"\noutboxes_bytes_max = \"64MiB\"\n";
    let server = Server::start(
        Setup::default().app(App::Broadcast).config_toml(&format!("[limits]\n{limits}")),
    );
    let _frozen = Swarm::open(server.addr(), 20);
    let mut readers = Swarm::open(server.addr(), 1);
    // 600 MiB wait for the frozen ones, and 32 MiB are held.
    for sent in 1..=32 {
        readers.send(0, "x".repeat(1 << 20));
        readers.until("its own", PATIENCE, |readers| readers.received() >= sent);
    }
    let held = total(&server, "outbox_held_bytes");
    let waiting = total(&server, "outbox_bytes");
    assert!(waiting > 300 << 20 && held < 40 << 20, "{waiting} wait, {held} are held");
    assert_eq!(total(&server, "evicted"), 0);
    readers.expect_silence(Duration::from_millis(10));
}

#[test]
fn what_is_unsent_waits_in_the_outbox_and_not_in_the_kernel() {
    const MESSAGE_BYTES: usize = 256 * 1024;
    const SENT: usize = 16;
    let waiting = |unsent_bytes_max: &str| {
        let limits =
            format!("outbox_bytes_max = \"64MiB\"\nunsent_bytes_max = {unsent_bytes_max}\n");
        let config = format!("[limits]\n{limits}");
        let server = Server::start(Setup::default().app(App::Broadcast).config_toml(&config));
        let mut frozen = Swarm::open(server.addr(), 1);
        let mut readers = Swarm::open(server.addr(), 1);
        for sent in 1..=SENT {
            readers.send(0, "x".repeat(MESSAGE_BYTES - 1));
            readers.until("its own", PATIENCE, |readers| readers.received() >= sent);
        }
        let waiting = total(&server, "outbox_bytes") as usize;
        // Whoever reads late loses nothing by where it waited.
        frozen.until("all that waited", PATIENCE, |frozen| frozen.received() == SENT);
        waiting
    };
    // What is on its way to a client that does not read is what its own kernel takes, at first 64 KiB.
    let in_the_kernel = SENT * MESSAGE_BYTES - waiting("\"64KiB\"");
    assert!(in_the_kernel < 1 << 20, "{in_the_kernel} bytes are in the kernel");
    let in_the_kernel = SENT * MESSAGE_BYTES - waiting("0");
    assert!(in_the_kernel > 2 << 20, "without a bound only {in_the_kernel} bytes are");
}
