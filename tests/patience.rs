//! How long the server waits for whom: pings of those who answer, connections between two requests, readers that are slow
//! and steady.

mod support;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use support::{App, KeepAlive, PATIENCE, Server, Setup};
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

/// A connection that has been answered may wait longer than a request may take; the time of its next request begins with
/// the first byte of that.
#[test]
fn a_kept_connection_may_be_idle_and_its_next_request_has_all_its_time() {
    const HANDSHAKE: Duration = Duration::from_secs(1);
    const KEPT: Duration = Duration::from_secs(3);
    let limits = "[limits]\nhandshake_timeout = \"1s\"\nkeep_alive_timeout = \"3s\"\n";
    let server = Server::start(Setup::default().config_toml(limits));
    let mut connection = KeepAlive::open(server.addr());
    connection.request("GET", "/health", &[], b"").expect_status(200);
    // Nothing is to be heard in this time, and neither for an empty line behind a body.
    assert!(!connection.receive_until_closed(HANDSHAKE + HANDSHAKE / 2), "408 too early");
    connection.send_raw(b"\r\n");
    assert!(!connection.receive_until_closed(HANDSHAKE + HANDSHAKE / 5), "408 for an empty line");
    let begun = Instant::now();
    connection.send_raw(b"GET /health HTTP/1.1\r\n");
    assert!(!connection.receive_until_closed(HANDSHAKE / 4), "408 too early");
    connection.send_raw(b"Host: a\r\n\r\n");
    connection.receive("GET").expect_status(200);
    assert!(begun.elapsed() < HANDSHAKE, "this machine is too slow for this test");
    // Idle for too long, it is closed without a word.
    let idle = Instant::now();
    assert!(connection.receive_until_closed(KEPT + PATIENCE));
    assert!(idle.elapsed() >= KEPT - Duration::from_millis(100), "after {:?}", idle.elapsed());
    assert_eq!(connection.unread(), b"");
    assert_eq!(server.status()["totals"]["handshake_timeouts"], 0);
    // One that has begun hears why.
    let mut connection = KeepAlive::open(server.addr());
    connection.request("GET", "/health", &[], b"").expect_status(200);
    connection.send_raw(b"GET /health");
    assert_eq!(connection.receive("GET").status, 408);
    assert_eq!(server.status()["totals"]["handshake_timeouts"], 1);
}

/// Has 600 KB echoed and takes 20 KB of it in a second, through a small buffer; after eight seconds it takes nothing more.
const SLOW_READER: &str = r#"
import socket, sys, time
peer = socket.socket()
peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
peer.connect(("127.0.0.1", int(sys.argv[1])))
peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
length = 200000
for _ in range(3):
    peer.sendall(b"\x82\xff" + length.to_bytes(8, "big") + b"\0\0\0\0" + b"a" * length)
end = time.monotonic() + 8
while time.monotonic() < end:
    assert peer.recv(2000), "the server has closed"
    time.sleep(0.1)
print("slow and steady", flush=True)
sys.stdin.read()
"#;

/// What the kernel of a reader takes is a sign of life, also where it is too little for the socket to be writable again before
/// its pong is due.
#[test]
fn a_slow_and_steady_reader_is_not_taken_for_dead_and_one_that_stops_is() {
    let server = echo("[limits]\nping_interval = \"1s\"\npong_timeout = \"1s\"\n");
    let port = server.addr().port().to_string();
    let mut reader = Command::new("python3")
        .args(["-c", SLOW_READER, &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut said = String::new();
    let mut output = std::io::BufReader::new(reader.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut said).expect("a line");
    assert_eq!(said, "slow and steady\n", "{server}");
    let totals = &server.status()["totals"];
    assert_eq!((&totals["ping_timeouts"], &totals["messages_in"]), (&0.into(), &3.into()));
    // From now on it takes nothing.
    server.wait_until("the frozen one to be closed", PATIENCE, |status| {
        status["totals"]["ping_timeouts"] == 1
    });
    drop(reader.stdin.take());
    reader.wait().expect("it ends");
}
