//! HTTP that is wrong, hostile, huge or slow, sent to the real program as raw bytes.
//!
//! What is tried and what must come of it stands in the tables below `bad_http/`. Whatever comes in, the same worker
//! serves on, and bytes behind a refused request are never taken for another one (RFC 9112, 11.2).

#[path = "bad_http/cases.rs"]
mod cases;
#[path = "bad_input/random.rs"]
mod random;
mod support;
#[path = "bad_input/unharmed.rs"]
mod unharmed;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use cases::{After, Case};
use random::Random;
use support::{
    App, Client, KeepAlive, PATIENCE, RawAnswer, Reply, Server, Setup, cpu_ms, is_alive, raw,
    request, rss_bytes,
};
use unharmed::assert_unharmed;

/// Asked for behind every request: who answers this has read the request before it as the test means it.
const PROBE: &str = "GET /health?probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// A client's close frame with code 1000, masked with zeros, and the answer.
const GOODBYE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
const GOODBYE_ANSWER: &[u8] = b"\x88\x02\x03\xe8";

/// A handshake without its end, to which headers can be added.
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn every_request_is_answered_as_the_table_says() {
    let server = Server::start(Setup::default());
    let worker = server.worker_pid(0);
    let cases = cases::all();
    assert!(cases.len() >= 250, "only {} cases", cases.len());
    for (number, case) in cases.iter().enumerate() {
        let title = format!("case {number}, {}", case.rule);
        match case.after {
            After::Upgraded => {
                let answer = exchange(&server, &[&case.bytes, GOODBYE]);
                assert!(answer.bytes.starts_with(b"HTTP/1.1 101 "), "{title}: {}", shown(&answer));
                assert!(answer.bytes.ends_with(GOODBYE_ANSWER), "{title}: {}", shown(&answer));
                assert!(answer.closed, "{title}: not closed");
            }
            After::Kept => {
                let answers = [&case.answers[..], &[200]].concat();
                check(&title, &exchange(&server, &[&case.bytes, PROBE.as_bytes()]), &answers);
            }
            After::Closed => {
                // Once with nothing behind it: the refusal waits for nothing.
                check(&title, &exchange(&server, &[&case.bytes]), &case.answers);
                check(&title, &exchange(&server, &[&case.bytes, PROBE.as_bytes()]), &case.answers);
            }
        }
        if let Case { bytes, after: After::Kept | After::Closed, .. } = case
            && bytes.len() < 600
        {
            let all = [bytes, PROBE.as_bytes()].concat();
            let single: Vec<&[u8]> = all.chunks(1).collect();
            let kept: &[u16] = if case.after == After::Kept { &[200] } else { &[] };
            let answers = [&case.answers[..], kept].concat();
            check(&format!("{title}, byte by byte"), &exchange(&server, &single), &answers);
        }
        assert!(is_alive(worker), "{title}: the worker is dead");
    }
    assert_unharmed(&server, worker);
}

#[test]
fn answers_say_what_else_http_asks_of_them() {
    let server = Server::start(Setup::default());
    let addr = server.addr();
    let header = |reply: &Reply, name: &str| reply.header(name).map(str::to_owned);

    let mut version = KeepAlive::open(addr);
    version.send_raw(format!("{}\r\n", UPGRADE.replace(": 13", ": 12")).as_bytes());
    let reply = version.receive("GET").expect_status(426);
    assert_eq!(header(&reply, "sec-websocket-version").as_deref(), Some("13"));
    assert_eq!(header(&reply, "upgrade").as_deref(), Some("websocket"));
    let connection = header(&reply, "connection").unwrap_or_default();
    assert!(connection.split(',').any(|option| option.trim() == "Upgrade"), "{connection}");

    let reply = request(addr, "DELETE", "/health", &[], b"").expect_status(405);
    assert_eq!(header(&reply, "allow").as_deref(), Some("GET, HEAD"));
    let reply = request(addr, "GET", "/api/push", &[], b"").expect_status(401);
    assert!(header(&reply, "www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    let reply = request(addr, "OPTIONS", "*", &[], b"").expect_status(204);
    assert!(header(&reply, "allow").is_some(), "{reply:?}");

    // A reply to HEAD declares the length that GET would have, and has no body (RFC 9110, 9.3.2).
    let mut kept = KeepAlive::open(addr);
    for path in ["/", "/health", "/nothing", "/%zz"] {
        let whole = kept.request("GET", path, &[], b"");
        let head = kept.request("HEAD", path, &[], b"");
        assert_eq!(head.status, whole.status, "{path}");
        assert_eq!(header(&head, "content-length"), header(&whole, "content-length"), "{path}");
    }
    assert_eq!(kept.unread(), b"");

    // An application that is for WebSocket clients only says so to a browser.
    let echo = Server::start(Setup::default().app(App::Echo));
    let reply = request(echo.addr(), "GET", "/", &[], b"").expect_status(426);
    assert_eq!(header(&reply, "upgrade").as_deref(), Some("websocket"));
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let server = Server::start(Setup::default());
    let bytes = format!("{}\r\n", UPGRADE.replacen("GET", "HEAD", 1));
    let answer = exchange(&server, &[bytes.as_bytes()]);
    assert!(answer.bytes.starts_with(b"HTTP/1.1 405 "), "{}", shown(&answer));
    assert!(answer.bytes.ends_with(b"\r\n\r\n"), "{}", shown(&answer));
}

/// Many clients send the whole body before they read anything. A reset in the middle of it would take the answer away from
/// them (RFC 9112, 9.6).
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start(Setup::default());
    let body = vec![b'a'; 8 * 1024 * 1024];
    for (head, status) in [
        (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()), 413),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffff\r\n".to_owned(),
            413,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n".to_owned(), 400),
        (format!("{}\r\n", UPGRADE.replace("Key: d", "Key: ")), 400),
    ] {
        let mut stream = TcpStream::connect(server.addr()).expect("the server accepts");
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&body).unwrap_or_else(|error| panic!("{status}: {error} in mid-body"));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end without a reset");
        assert_eq!(statuses(&answer), Ok(vec![status]));
        // A reset would be the answer to the first of these, and fail one of the others.
        for _ in 0..8 {
            stream.write_all(&body[..16 * 1024]).expect("no reset while our side is open");
        }
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let server = Server::start(Setup::default());
    let head = "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    let mut connection = KeepAlive::open(server.addr());
    for (framing, body) in
        [("Content-Length: 2\r\n", "{}"), ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")]
    {
        connection.send_raw(format!("{head}{framing}\r\n").as_bytes());
        let waiting = !connection.receive_until_closed(Duration::from_millis(300));
        assert!(waiting, "closed");
        assert_eq!(connection.unread(), b"HTTP/1.1 100 Continue\r\n\r\n");
        connection.send_raw(body.as_bytes());
        connection.receive("OPTIONS").expect_status(204);
        assert_eq!(connection.unread(), b"");
    }
    // Who has sent the body already, or has none, is not told (RFC 9110, 10.1.1).
    let sent = format!("{head}Content-Length: 2\r\n\r\n{{}}");
    let none = format!("{head}\r\n");
    let answer = exchange(&server, &[sent.as_bytes(), none.as_bytes(), PROBE.as_bytes()]);
    check("no need to ask", &answer, &[204, 204, 200]);
}

/// Whoever may not call, and whatever is not there, is refused for the head alone: nobody is asked to send a body, and none is
/// held, that is not looked at.
#[test]
fn what_is_refused_for_its_head_is_refused_before_its_body() {
    const KEY: &str = "The-Key.of_these~tests+1/2==";
    let server = Server::start(Setup::default().api_key(KEY));
    let key = format!("Authorization: Bearer {KEY}\r\n");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (line, headers, status) in [
        ("POST /api/push", "", 401),
        ("POST /api/push", "Authorization: Bearer wrong\r\n", 401),
        ("POST /api/nothing", &key, 404),
        ("PUT /api/push", &key, 405),
        ("POST /health", "", 405),
        ("POST /", "", 405),
        ("POST /nothing", "", 404),
        ("POST /%zz", "", 400),
        ("GET /", upgrade, 400),
    ] {
        for (framing, some) in [
            ("Content-Length: 1000000\r\n", &b"{"[..]),
            ("Transfer-Encoding: chunked\r\n", b"5\r\n{"),
            ("Content-Length: 1000000\r\nExpect: 100-continue\r\n", b""),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}{framing}\r\n");
            let answer = exchange(&server, &[head.as_bytes(), some]);
            check(&format!("{line} {framing}"), &answer, &[status]);
        }
    }
    // With everything right the body is asked for.
    let head = format!("POST /api/push HTTP/1.1\r\nHost: a\r\n{key}Expect: 100-continue\r\n");
    let mut connection = KeepAlive::open(server.addr());
    connection.send_raw(format!("{head}Content-Length: 2\r\n\r\n").as_bytes());
    assert!(!connection.receive_until_closed(Duration::from_millis(300)), "closed");
    assert_eq!(connection.unread(), b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.send_raw(b"{}");
    connection.receive("POST").expect_status(400);
    // A refused request whose body came together with it costs nobody the connection.
    for _ in 0..2 {
        connection.request("POST", "/api/push", &[], b"{}").expect_status(401);
    }
}

#[test]
fn who_is_slow_is_cut_off_at_the_deadline_and_holds_up_nobody() {
    const DEADLINE: Duration = Duration::from_secs(2);
    let server =
        Server::start(Setup::default().config_toml("[limits]\nhandshake_timeout = \"2s\"\n"));
    let worker = server.worker_pid(0);
    let crowd: Vec<KeepAlive> = (0..200)
        .map(|_| {
            let mut connection = KeepAlive::open(server.addr());
            connection.send_raw(b"GET / HTTP/1.1\r\nX: ");
            connection
        })
        .collect();

    let mut slow_head = KeepAlive::open(server.addr());
    let mut slow_body = KeepAlive::open(server.addr());
    let mut second = KeepAlive::open(server.addr());
    let silent = KeepAlive::open(server.addr());
    let begun = Instant::now();
    slow_head.send_raw(b"GET /health HTTP/1.1\r\nHost: a\r\nX: ");
    slow_body.send_raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    second.request("GET", "/health", &[], b"").expect_status(200);
    second.send_raw(b"GET /");
    // One byte each 100 ms does not move the deadline.
    let mut closed = [false; 2];
    while closed != [true; 2] {
        assert!(begun.elapsed() < DEADLINE + PATIENCE, "still open: {closed:?}");
        for (closed, slow) in closed.iter_mut().zip([&mut slow_head, &mut slow_body]) {
            if !*closed {
                slow.send_raw(b"a");
                *closed = slow.receive_until_closed(Duration::from_millis(50));
            }
        }
        // Others are served all the while.
        request(server.addr(), "GET", "/health", &[], b"").expect_status(200);
    }
    assert!(begun.elapsed() >= DEADLINE, "too early: {:?}", begun.elapsed());
    for (name, mut connection) in
        [("head", slow_head), ("body", slow_body), ("second", second), ("silent", silent)]
    {
        assert!(connection.receive_until_closed(PATIENCE), "{name}: not closed");
        assert_eq!(statuses(connection.unread()), Ok(vec![408]), "{name}");
    }
    for mut connection in crowd {
        assert!(connection.receive_until_closed(PATIENCE), "one of the crowd is not closed");
        assert_eq!(statuses(connection.unread()), Ok(vec![408]));
    }
    assert_unharmed(&server, worker);
}

#[test]
fn long_heads_cost_no_more_than_their_length() {
    let config = "[limits]\nhead_bytes_max = \"1MiB\"\nheaders_max = 1000\n";
    let server = Server::start(Setup::default().config_toml(config));
    let worker = server.worker_pid(0);
    // In quadratic time, each of these would take minutes.
    const BYTES: usize = 1_000_000;
    let begun = Instant::now();
    for (rule, header, answer) in [
        ("commas", format!("Sec-WebSocket-Protocol: {}", ",".repeat(BYTES)), b"HTTP/1.1 101 "),
        (
            "elements",
            format!("Sec-WebSocket-Protocol: {}", "a,".repeat(BYTES / 2)),
            b"HTTP/1.1 400 ",
        ),
        (
            "quotes in subprotocols",
            format!("Sec-WebSocket-Protocol: {}", "\"".repeat(BYTES)),
            b"HTTP/1.1 400 ",
        ),
        (
            "blanks and commas",
            format!("Sec-WebSocket-Protocol: {}", " ,\t".repeat(BYTES / 3)),
            b"HTTP/1.1 101 ",
        ),
        (
            "extensions of commas",
            format!("Sec-WebSocket-Extensions: {}", ",".repeat(BYTES)),
            b"HTTP/1.1 101 ",
        ),
        (
            "an extension that quotes without end",
            format!("Sec-WebSocket-Extensions: x; y=\"{}", "\\".repeat(BYTES)),
            b"HTTP/1.1 400 ",
        ),
        ("options", format!("Connection: {}", "a,".repeat(BYTES / 2)), b"HTTP/1.1 101 "),
        ("blanks", format!("X: {}", " ".repeat(BYTES)), b"HTTP/1.1 101 "),
    ] {
        let bytes = format!("{UPGRADE}{header}\r\n\r\n");
        let answer_found = exchange(&server, &[bytes.as_bytes(), GOODBYE]);
        assert!(answer_found.bytes.starts_with(answer), "{rule}: {}", shown(&answer_found));
        // The same in many small pieces: what was looked at is not looked at again.
        let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(997).chain([GOODBYE]).collect();
        let answer_found = exchange(&server, &pieces);
        assert!(answer_found.bytes.starts_with(answer), "{rule}: {}", shown(&answer_found));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "16 heads of {BYTES} bytes took {took:?}");
    assert_unharmed(&server, worker);
}

#[test]
fn a_refused_handshake_costs_less_than_a_millisecond() {
    const ROUNDS: u64 = 100;
    let server = Server::start(Setup::default());
    let worker = server.worker_pid(0);
    let bombs = [
        format!("{UPGRADE}{}\r\n", "X: y\r\n".repeat(2000)),
        format!("{UPGRADE}Sec-WebSocket-Protocol: {}\r\n\r\n", "\"".repeat(15_000)),
        format!("{UPGRADE}Sec-WebSocket-Extensions: a; b=\"{}\r\n\r\n", "\\".repeat(15_000)),
        UPGRADE.replace("Key: d", "Key: ") + "\r\n",
    ];
    let before_ms = cpu_ms(worker);
    for _ in 0..ROUNDS {
        for bomb in &bombs {
            let answer = exchange(&server, &[bomb.as_bytes()]);
            assert!(answer.bytes.starts_with(b"HTTP/1.1 4"), "{}", shown(&answer));
        }
    }
    // With the connection that each of them comes on. A build that is not optimised takes several times as long.
    let each_ms_max = if cfg!(debug_assertions) { 4 } else { 1 };
    let (used_ms, refused) = (cpu_ms(worker) - before_ms, ROUNDS * bombs.len() as u64);
    println!("refused handshakes: {used_ms} ms of CPU for {refused}");
    assert!(used_ms < refused * each_ms_max, "{used_ms} ms of CPU for {refused} of them");
    assert_unharmed(&server, worker);
}

#[test]
fn random_and_damaged_bytes_harm_nobody() {
    const CASES: u64 = 2000;
    let server = Server::start(Setup::default());
    let worker = server.worker_pid(0);
    let samples: Vec<Vec<u8>> = cases::all()
        .into_iter()
        .map(|case| case.bytes)
        .filter(|bytes| bytes.len() < 4096)
        .collect();
    let mut witness = Client::connect(&server);
    let mut rss_before = 0;
    for seed in 0..CASES {
        let mut random = Random::seeded(seed);
        let bytes = match random.below(4) {
            0 => {
                let length = random.below(2048);
                random.bytes(length)
            }
            _ => {
                let mut bytes: Vec<u8> = random.one_of(&samples).clone();
                if random.below(3) == 0 {
                    bytes.extend_from_slice(random.one_of::<Vec<u8>>(&samples));
                }
                for _ in 0..=random.below(4) {
                    random.damage(&mut bytes);
                }
                bytes
            }
        };
        let mut connection = KeepAlive::open(server.addr());
        connection.send_raw(&bytes);
        connection.finish_sending();
        let title = || format!("seed {seed}: {}", bytes.escape_ascii());
        assert!(connection.receive_until_closed(PATIENCE), "{} is not closed", title());
        if let Err(problem) = statuses(connection.unread()) {
            let answer = connection.unread().escape_ascii();
            panic!("{}\n{problem}: {answer}", title());
        }
        assert!(is_alive(worker), "the worker died of {}", title());
        if seed == CASES / 10 {
            rss_before = rss_bytes(worker);
        }
    }
    witness.expect_alive();
    witness.close();
    let grown = rss_bytes(worker).saturating_sub(rss_before);
    assert!(grown < 4 * 1024 * 1024, "the worker has grown by {grown} bytes");
    assert_unharmed(&server, worker);
}

/// Sends the pieces one after the other and collects what comes until the server closes.
#[track_caller]
fn exchange(server: &Server, pieces: &[&[u8]]) -> RawAnswer {
    if let [bytes] = pieces {
        return raw(server.addr(), bytes, PATIENCE);
    }
    let mut connection = KeepAlive::open(server.addr());
    for piece in pieces {
        connection.send_raw(piece);
    }
    let closed = connection.receive_until_closed(PATIENCE);
    RawAnswer { bytes: connection.unread().to_vec(), closed }
}

#[track_caller]
fn check(title: &str, answer: &RawAnswer, expected: &[u16]) {
    let found = statuses(&answer.bytes);
    assert_eq!(found.as_deref(), Ok(expected), "{title}: {}", shown(answer));
    assert!(answer.closed, "{title}: not closed after {}", shown(answer));
}

fn shown(answer: &RawAnswer) -> String {
    String::from_utf8_lossy(&answer.bytes).chars().take(2000).collect()
}

/// The status of each of these answers, which must be nothing but whole answers. Behind a 101 there are frames. The body
/// of a refusal says the same as its status.
fn statuses(mut bytes: &[u8]) -> Result<Vec<u16>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Err(format!("half an answer after {found:?}")),
            Err(error) => return Err(format!("no answer after {found:?}: {error}")),
        };
        let status = head.code.unwrap_or_default();
        found.push(status);
        bytes = &bytes[length..];
        if status == 101 {
            return Ok(found);
        }
        let declared = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
        let declared = declared.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
        let body = declared.unwrap_or(0);
        let Some((body, rest)) = bytes.split_at_checked(body) else {
            // The body of an answer to HEAD is declared and not sent.
            return if bytes.is_empty() { Ok(found) } else { Err("half a body".to_owned()) };
        };
        bytes = rest;
        if status >= 400 {
            let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
            if json["status"] != status || json["success"] != false || !json["error"].is_string() {
                return Err(format!("{status} with the body {json}"));
            }
        }
    }
    Ok(found)
}
