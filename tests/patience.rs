//! How long the server waits for whom: pings of those who answer, connections between two requests, readers that are slow
//! and steady.

mod support;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use support::{App, PATIENCE, Server, Setup};
use wire::{FIN, PING, PONG, Wire, frame};

fn echo(config: &str) -> Server {
    Server::start(Setup::default().app(App::Echo).config_toml(config))
}

/// The time for a pong may be longer than the time between two pings: who answers at once is pinged again in time.
#[test]
fn who_answers_at_once_is_pinged_again_after_the_interval() {
    const PINGS: usize = 4;
    let server = echo("[limits]\nping_interval = \"1s\"\npong_timeout = \"20s\"\n");
    let mut wire = Wire::open(server.addr());
    let begun = Instant::now();
    for count in 1..=PINGS {
        assert!(wire.read_until(PATIENCE, |frames| frames.len() == count), "ping {count}");
        assert_eq!(wire.frames[count - 1].first, FIN | PING);
        wire.send(&frame(FIN | PONG, b""));
    }
    // At 1, 21, 41 and 61 s, were the next one planned for the end of the time for the pong.
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_secs(PINGS as u64), "after {taken:?}");
    assert!(taken < Duration::from_secs(20), "after {taken:?}");
    assert_eq!(server.status()["totals"]["ping_timeouts"], 0);
}
