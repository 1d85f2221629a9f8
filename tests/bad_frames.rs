//! Frames that break RFC 6455 or a limit, sent to the real program as raw bytes.
//!
//! For each the exact close code arrives, also at a client that goes on sending; nothing is answered after it; the same
//! worker serves on, and holds no more memory than before. The cases stand in `bad_frames/cases.rs`.

#[path = "bad_frames/cases.rs"]
mod cases;
#[path = "bad_input/random.rs"]
mod random;
mod support;
#[path = "bad_input/unharmed.rs"]
mod unharmed;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use cases::{Case, Then};
use random::Random;
use support::{App, Client, PATIENCE, Server, Setup, is_alive, rss_bytes};
use tungstenite::Message;
use unharmed::assert_unharmed;
use wire::{CLOSE, End, FIN, Frame, PING, PONG, TEXT, Wire, close, frame};

/// What a worker may grow by when thousands of clients come, do something and go: the noise of an allocator.
const GROWTH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Any number of pings may come.
const ANY_RATE: &str = "[limits]\ncontrol_frames_per_second_max = 0\n";

#[test]
fn every_fault_is_answered_with_its_code() {
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let mut witness = Client::open(server.addr(), "/");
    let cases = cases::all();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let title = format!("case {number}, {}", case.rule);
        let mut wire = Wire::open(server.addr());
        send(&mut wire, &case.pieces);
        let mut expected = case.answers.clone();
        let code = match case.then {
            Then::Open => {
                wire.send(&[frame(FIN | TEXT, b"probe"), close(1000, b"")].concat());
                expected.push(Frame::new(FIN | TEXT, b"probe"));
                1000
            }
            // With nothing sent behind it: the fault is seen in these bytes alone.
            Then::Failed(code) | Then::Answered(code) => code,
        };
        check(&title, &mut wire, &expected, code);

        // The same in single bytes.
        let whole = case.pieces.concat();
        if whole.len() < 400 {
            let mut wire = Wire::open(server.addr());
            for byte in whole.chunks(1) {
                wire.send(byte);
            }
            match case.then {
                Then::Open => {
                    let behind = [frame(FIN | TEXT, b"probe"), close(1000, b"")].concat();
                    for byte in behind.chunks(1) {
                        wire.send(byte);
                    }
                }
                Then::Failed(_) | Then::Answered(_) => {}
            }
            check(&format!("{title}, byte by byte"), &mut wire, &expected, code);
        }
        assert!(is_alive(worker), "{title}: the worker is dead");
    }
    assert_serves(&mut witness);
    witness.close();
    assert_unharmed(&server, worker);
}

/// If the server closed a socket with input unread, or before the client has ended its side, the kernel would send a reset,
/// which takes the close frame away from a client that has not read it yet (RFC 6455, 7.1.1).
#[test]
fn a_client_that_goes_on_sending_still_reads_why_it_is_closed() {
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let more = frame(FIN | TEXT, &[b'm'; 1000]).repeat(16);
    for (number, case) in cases::all().iter().enumerate() {
        let code = match case.then {
            Then::Open => continue,
            Then::Failed(code) | Then::Answered(code) => code,
        };
        let title = format!("case {number}, {}", case.rule);
        let mut wire = Wire::open(server.addr());
        wire.send(&[&case.pieces.concat(), &more[..]].concat());
        for _ in 0..8 {
            assert!(wire.send(&more), "{title}: reset before its end was read");
        }
        check(&title, &mut wire, &case.answers, code);
        // What is sent now goes nowhere. A reset would be the answer to the first of these, and fail one of the others.
        for _ in 0..8 {
            assert!(wire.send(&more), "{title}: reset while our side was open");
        }
    }
    assert_unharmed(&server, worker);
}

#[test]
fn frames_right_behind_the_request_are_read() {
    let server = Server::start(Setup::default().app(App::Echo));
    for case in cases::all().iter().filter(|case| case.pieces.concat().len() < 10_000) {
        let code = match case.then {
            Then::Open => continue,
            Then::Failed(code) | Then::Answered(code) => code,
        };
        let mut wire = Wire::open_with(server.addr(), &case.pieces.concat());
        check(&case.rule, &mut wire, &case.answers, code);
    }
}

#[test]
fn who_never_ends_the_connection_is_cut_off() {
    let config = "[limits]\nclose_timeout = \"500ms\"\n";
    let server = Server::start(Setup::default().app(App::Echo).config_toml(config));
    let worker = server.worker_pid(0);
    let mut silent = Wire::open(server.addr());
    silent.send(b"\x81\x00");
    let mut talkative = Wire::open(server.addr());
    talkative.send(b"\x81\x00");
    let begun = Instant::now();
    let more = frame(FIN | TEXT, &[b'm'; 1000]);
    loop {
        talkative.send(&more);
        let status = server.status();
        if status["totals"]["connections"] == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still there: {status}");
    }
    for wire in [&mut silent, &mut talkative] {
        wire.read_to_end(PATIENCE);
        assert_eq!(wire.frames.first().and_then(Frame::close_code), Some(1002));
    }
    assert_unharmed(&server, worker);
}

#[test]
fn a_flood_of_pings_is_answered_in_order_and_by_its_last() {
    const PINGS: u32 = 20_000;
    let server = Server::start(Setup::default().app(App::Echo).config_toml(ANY_RATE));
    let mut wire = Wire::open(server.addr());
    let flood: Vec<u8> =
        (0..PINGS).flat_map(|number| frame(FIN | PING, &number.to_be_bytes())).collect();
    for part in flood.chunks(10_000) {
        wire.send(part);
        wire.read_for(Duration::from_millis(1));
    }
    wire.send(&close(1000, b""));
    assert_eq!(wire.read_to_end(PATIENCE), Some(End::Orderly));
    let (end, pongs) = wire.frames.split_last().expect("frames");
    assert_eq!(end.close_code(), Some(1000));
    let numbers: Vec<u32> = pongs
        .iter()
        .inspect(|pong| assert_eq!(pong.first, FIN | PONG))
        .map(|pong| u32::from_be_bytes(pong.payload.as_slice().try_into().expect("as sent")))
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "in the order of the pings");
    assert_eq!(numbers.last(), Some(&(PINGS - 1)), "the last one is always answered");
    // Those without a pong of their own were answered with a later one: in a flood most of them, never the first few.
    let coalesced = server.status()["totals"]["pongs_coalesced"].as_u64().expect("a count");
    assert_eq!(numbers.len() as u64 + coalesced, u64::from(PINGS));
    assert!(numbers[..16].iter().copied().eq(0..16) && numbers.len() < PINGS as usize / 2);
}

#[test]
fn who_asks_and_does_not_read_is_left_to_wait() {
    // More than the kernel's buffers of both ends hold together.
    const FLOOD_BYTES_MAX: usize = 256 * 1024 * 1024;
    let server = Server::start(Setup::default().app(App::Echo).config_toml(ANY_RATE));
    let worker = server.worker_pid(0);
    let mut witness = Client::open(server.addr(), "/");
    for (name, part) in [
        ("pings", frame(FIN | PING, &[b'p'; 125]).repeat(500)),
        ("messages", frame(FIN | TEXT, &[b'm'; 60_000])),
    ] {
        let rss_before = rss_bytes(worker);
        let mut wire = Wire::open(server.addr());
        let mut sent = 0;
        let mut rest: &[u8] = &[];
        // A second without any progress is a stop.
        loop {
            rest = if rest.is_empty() { &part } else { rest };
            let count = wire.send_some(rest, Duration::from_secs(1));
            rest = &rest[count..];
            sent += count;
            assert!(sent < FLOOD_BYTES_MAX, "{name}: the server reads on and on");
            if count == 0 {
                break;
            }
        }
        let grown = rss_bytes(worker).saturating_sub(rss_before);
        assert!(grown < 2 * GROWTH_BYTES_MAX, "{name}: the worker has grown by {grown} bytes");
        assert_serves(&mut witness);
        // When it reads at last, nothing is lost of what it has asked for.
        let whole = sent / part.len();
        let per_part = if name == "pings" { 500 } else { 1 };
        let deadline = Instant::now() + 3 * PATIENCE;
        let answered = |wire: &Wire| {
            let coalesced = &server.status()["totals"]["pongs_coalesced"];
            wire.frames.len() + coalesced.as_u64().expect("a count") as usize
        };
        while answered(&wire) < whole * per_part {
            assert!(Instant::now() < deadline, "{name}: {} for {sent} bytes", answered(&wire));
            wire.read_for(Duration::from_millis(50));
        }
        let first = if name == "pings" { FIN | PONG } else { FIN | TEXT };
        assert!(wire.frames.iter().all(|frame| frame.first == first), "{name}: something else");
    }
    assert_serves(&mut witness);
    witness.close();
    assert_unharmed(&server, worker);
}

#[test]
fn thousands_of_bad_connections_leave_nothing_behind() {
    const CONNECTIONS: usize = 2000;
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let faults: Vec<Case> =
        cases::all().into_iter().filter(|case| matches!(case.then, Then::Failed(_))).collect();
    let mut witness = Client::open(server.addr(), "/");
    let mut rss_before = 0;
    for (number, case) in faults.iter().cycle().take(CONNECTIONS).enumerate() {
        // The allocator's own stores fill with the first ones.
        if number == CONNECTIONS / 5 {
            rss_before = rss_bytes(worker);
        }
        let mut wire = Wire::open(server.addr());
        wire.send(&case.pieces.concat());
        match number % 3 {
            // Goes without a word.
            0 => {}
            // Reads its code and goes.
            1 => assert!(wire.read_until(PATIENCE, has_close), "{}", case.rule),
            // Ends its side, and reads to the end.
            _ => {
                wire.finish_sending();
                assert!(wire.read_to_end(PATIENCE).is_some(), "{}", case.rule);
            }
        }
    }
    assert_serves(&mut witness);
    let grown = rss_bytes(worker).saturating_sub(rss_before);
    assert!(grown < GROWTH_BYTES_MAX, "the worker has grown by {grown} bytes");
    witness.close();
    assert_unharmed(&server, worker);
}

#[test]
fn a_promise_of_much_costs_nothing() {
    const CONNECTIONS: usize = 300;
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let mut witness = Client::open(server.addr(), "/");
    let rss_before = rss_bytes(worker);
    // Together they promise 75 MiB, and send a byte each.
    let promise = [wire::header(FIN | TEXT, wire::Length::Long(256 * 1024)), vec![0]].concat();
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| Wire::open(server.addr())).collect();
    for wire in &mut wires {
        wire.send(&promise);
    }
    assert_serves(&mut witness);
    let grown = rss_bytes(worker).saturating_sub(rss_before);
    assert!(grown < GROWTH_BYTES_MAX, "the worker has grown by {grown} bytes");
}

#[test]
fn random_and_damaged_frames_harm_nobody() {
    const CASES: u64 = 1500;
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let samples: Vec<Vec<u8>> = cases::all()
        .into_iter()
        .map(|case| case.pieces.concat())
        .filter(|bytes| bytes.len() < 4096)
        .collect();
    let mut witness = Client::open(server.addr(), "/");
    for seed in 0..CASES {
        let mut random = Random::seeded(seed);
        let mut bytes = Vec::new();
        for _ in 0..=random.below(3) {
            match random.below(4) {
                0 => {
                    let length = random.below(200);
                    bytes.extend(random.bytes(length));
                }
                _ => bytes.extend_from_slice(random.one_of::<Vec<u8>>(&samples)),
            }
        }
        for _ in 0..random.below(4) {
            random.damage(&mut bytes);
        }
        let mut wire = Wire::open(server.addr());
        wire.send(&bytes);
        wire.finish_sending();
        let end = wire.read_to_end(PATIENCE);
        let title = || format!("seed {seed}: {}", bytes.escape_ascii());
        assert_eq!(end, Some(End::Orderly), "{}", title());
        assert_eq!(wire.unread(), b"", "half a frame; {}", title());
        let before_close = wire.frames.split_last().map_or(&[][..], |(_, before)| before);
        assert!(!has_close(before_close), "words after the last one; {}", title());
        assert!(is_alive(worker), "the worker died of {}", title());
    }
    assert_serves(&mut witness);
    witness.close();
    assert_unharmed(&server, worker);
}

/// Sends pieces with a pause between them, so that the server reads each alone.
fn send(wire: &mut Wire, pieces: &[Vec<u8>]) {
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            wire.read_for(Duration::from_millis(20));
        }
        wire.send(piece);
    }
}

/// Reads to the end: these frames, the close frame with the code, nothing more, and no reset.
#[track_caller]
fn check(title: &str, wire: &mut Wire, expected: &[Frame], code: u16) {
    let end = wire.read_to_end(PATIENCE);
    let found = wire.frames.split_last();
    let Some((last, before)) = found else { panic!("{title}: nothing came, then {end:?}") };
    assert_eq!(last.close_code(), Some(code), "{title}: the last is {last:?}, then {end:?}");
    assert!(before == expected, "{title}: {} frames before it: {}", before.len(), shown(before));
    assert_eq!((end, wire.unread()), (Some(End::Orderly), &b""[..]), "{title}: the end");
    // Without a code there is no reason; with one, a fault is explained in text.
    let reason = last.payload.get(2..).unwrap_or_default();
    assert!(str::from_utf8(reason).is_ok(), "{title}: the reason {reason:?}");
}

fn shown(frames: &[Frame]) -> String {
    format!("{frames:?}").chars().take(500).collect()
}

fn has_close(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| frame.first == FIN | CLOSE)
}

#[track_caller]
fn assert_serves(witness: &mut Client) {
    witness.send(Message::text("still there?"));
    witness.expect_text("still there?");
}
