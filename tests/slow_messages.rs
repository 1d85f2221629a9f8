//! Who begins a message has a time to finish it (`limits.message_timeout`), however it trickles; who finishes each has as
//! long as it likes.

mod support;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use support::{App, PATIENCE, Server, Setup};
use wire::{BINARY, CONTINUATION, FIN, Frame, PING, TEXT, Wire, frame};

const TIMEOUT: Duration = Duration::from_millis(600);
const CONFIG: &str = "[limits]\nmessage_timeout = \"600ms\"\n";

fn echo(config: &str) -> Server {
    Server::start(Setup::default().app(App::Echo).config_toml(config))
}

/// Sends these pieces one after the other, with a pause after each, until a close frame comes or they are all sent.
fn trickle(wire: &mut Wire, pieces: &[Vec<u8>], pause: Duration) -> bool {
    pieces.iter().any(|piece| {
        wire.send(piece);
        wire.read_until(pause, |frames| frames.iter().any(|frame| frame.close_code().is_some()))
    })
}

#[test]
fn who_does_not_finish_is_closed() {
    let server = echo(CONFIG);
    let message = frame(FIN | TEXT, &[b'x'; 500]);
    let fragments = [vec![frame(TEXT, b"a")], vec![frame(CONTINUATION, b"b"); 200]].concat();
    let with_pings: Vec<Vec<u8>> =
        [vec![frame(BINARY, b"a")], vec![frame(FIN | PING, b""); 200]].concat();
    let cases: [(&str, Vec<Vec<u8>>); 6] = [
        ("silent in a payload", vec![message[..100].to_vec()]),
        ("silent in a header", vec![message[..3].to_vec()]),
        ("a byte now and then", message.chunks(1).map(<[u8]>::to_vec).collect()),
        ("a fragment now and then", fragments),
        ("pings in the middle", with_pings),
        ("half a ping", vec![frame(FIN | PING, b"ping")[..8].to_vec()]),
    ];
    let count = cases.len() as u64;
    for (name, pieces) in cases {
        let mut wire = Wire::open(server.addr());
        let begun = Instant::now();
        let closed = trickle(&mut wire, &pieces, Duration::from_millis(20))
            || wire.read_until(PATIENCE, |frames| frames.iter().any(|f| f.close_code().is_some()));
        assert!(closed, "{name}: it may go on");
        assert!(begun.elapsed() >= TIMEOUT, "{name}: after {:?}", begun.elapsed());
        assert_eq!(wire.frames.last().and_then(Frame::close_code), Some(1008), "{name}");
    }
    server.wait_until("all of them to be counted", PATIENCE, |status| {
        status["totals"]["message_timeouts"] == count
    });
}

#[test]
fn who_finishes_each_message_has_time() {
    let server = echo(CONFIG);
    let mut wire = Wire::open(server.addr());
    let begun = Instant::now();
    let mut messages = 0;
    // Each is begun in the same write that ends the one before, so that at no moment nothing is half done.
    let message = frame(FIN | TEXT, b"in two halves");
    let (start, end) = message.split_at(9);
    let between = [end, start].concat();
    wire.send(start);
    while begun.elapsed() < 3 * TIMEOUT {
        messages += 1;
        wire.send(&between);
        assert!(wire.read_until(PATIENCE, |frames| frames.len() == messages));
        wire.read_for(TIMEOUT / 6);
    }
    wire.send(end);
    assert!(wire.read_until(PATIENCE, |frames| frames.len() == messages + 1));
    assert!(wire.frames.iter().all(|frame| frame.first == FIN | TEXT), "{:?}", wire.frames.last());

    // The same with pings, and with nothing at all.
    let ping = frame(FIN | PING, b"in two halves");
    let (start, rest) = ping.split_at(9);
    let mut wire = Wire::open(server.addr());
    wire.send(start);
    let begun = Instant::now();
    while begun.elapsed() < 2 * TIMEOUT {
        wire.send(&[rest, start].concat());
        wire.read_for(TIMEOUT / 6);
    }
    wire.send(rest);
    wire.read_for(2 * TIMEOUT);
    assert!(wire.frames.iter().all(|frame| frame.close_code().is_none()));
    assert_eq!(server.status()["totals"]["message_timeouts"], 0);
}

#[test]
fn zero_is_for_ever() {
    let server = echo("[limits]\nmessage_timeout = 0\nping_interval = \"1s\"\n");
    let mut wire = Wire::open(server.addr());
    wire.send(&frame(TEXT, b"begun"));
    // The server's own clock goes on: it asks whether we live.
    assert!(wire.read_until(PATIENCE, |frames| frames.len() == 1), "{:?}", wire.frames);
    wire.send(&frame(FIN | CONTINUATION, b" and finished"));
    let is_echo = |frame: &Frame| frame.payload == b"begun and finished";
    assert!(wire.read_until(PATIENCE, |frames| frames.iter().any(is_echo)));
}
