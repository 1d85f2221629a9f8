//! What is begun and not finished, by very many clients at once: it has a bound for the whole worker.

mod support;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use support::{App, Client, KeepAlive, PATIENCE, Server, Setup, request, rss_bytes};
use wire::{BINARY, FIN, Frame, Wire, frame};

const MIB: u64 = 1 << 20;

fn total(server: &Server, counter: &str) -> u64 {
    let status = server.status();
    status["totals"][counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {status}"))
}

/// Bodies of requests: whoever may send one, and does not end it, makes room for others when too much is held.
#[test]
fn what_is_unfinished_has_a_bound_for_the_whole_worker() {
    const CLIENTS: usize = 100;
    let config = "[limits]\nunfinished_bytes_max = \"8MiB\"\nhalf_open_max = 1000\n";
    let server = Server::start(Setup::default().workers(1).config_toml(config));
    let worker = server.worker_pid(0);
    let mut witness = Client::connect(&server);
    let before = rss_bytes(worker);
    let head = "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    let body = vec![b'a'; 900_000];
    let mut crowd: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = TcpStream::connect(server.addr()).expect("the kernel accepts");
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            stream.write_all(head.as_bytes()).expect("it is taken");
            // An answer may come before the end of it.
            let _ = stream.write_all(&body);
            stream
        })
        .collect();
    server.wait_until("the others to be given up", PATIENCE, |status| {
        status["totals"]["unfinished_closed"].as_u64() >= Some((CLIENTS - 9) as u64)
    });
    assert!(total(&server, "unfinished_bytes") <= 8 * MIB);
    let grown = rss_bytes(worker).saturating_sub(before);
    assert!(grown < 32 * MIB, "the worker has grown by {grown} bytes");
    server.wait_log("(limits.unfinished_bytes_max)");
    // The first ones held the most for the longest, and hear that they may come back.
    let mut answer = [0; 12];
    crowd[0].read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 503");
    // Who sends and is done is served all the while, and so are those who are here.
    request(server.addr(), "OPTIONS", "*", &[], &body).expect_status(204);
    witness.expect_alive();
    drop(crowd);
    server.wait_until("all of it to be given back", PATIENCE, |status| {
        status["totals"]["unfinished_bytes"] == 0
    });
}

#[test]
fn unfinished_messages_have_the_same_bound() {
    const CLIENTS: usize = 60;
    let config = "[limits]\nunfinished_bytes_max = \"4MiB\"\n";
    let server = Server::start(Setup::default().app(App::Echo).workers(1).config_toml(config));
    let message = frame(FIN | BINARY, &vec![b'a'; 200_000]);
    let mut crowd: Vec<Wire> = (0..CLIENTS)
        .map(|_| {
            let mut wire = Wire::open(server.addr());
            wire.send(&message[..150_000]);
            wire
        })
        .collect();
    server.wait_until("some to be given up", PATIENCE, |status| {
        status["totals"]["unfinished_closed"].as_u64() >= Some(CLIENTS as u64 / 2)
    });
    assert!(total(&server, "unfinished_bytes") <= 4 * MIB);
    let closed = crowd.iter_mut().filter_map(|wire| {
        wire.read_for(std::time::Duration::from_millis(10));
        wire.frames.last().and_then(Frame::close_code)
    });
    let codes: Vec<u16> = closed.collect();
    assert!(codes.len() >= CLIENTS / 2 && codes.iter().all(|code| *code == 1013), "{codes:?}");
    // The others may finish, and a message that comes at once is echoed.
    let last = crowd.last_mut().expect("one of them");
    last.send(&message[150_000..]);
    assert!(last.read_until(PATIENCE, |frames| !frames.is_empty()));
    assert_eq!(last.frames[0].payload.len(), 200_000);
    // A connection that has finished what it sent holds nothing.
    let mut kept = KeepAlive::open(server.addr());
    kept.request("GET", "/health", &[], b"").expect_status(200);
    drop(crowd);
    server.wait_until("all of it to be given back", PATIENCE, |status| {
        status["totals"]["unfinished_bytes"] == 0
    });
}
