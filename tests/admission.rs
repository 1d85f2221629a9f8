//! Who may come in, asked of the real program: which web pages, with which subprotocol, how many of one address, how many
//! that have not said what they want, and how many in a second.
//!
//! What servers were attacked with: pages of others that use a visitor's cookies (cross-site WebSocket hijacking), clients
//! that begin and never go on (slow handshakes), and crowds of one address.

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use support::{Client, KeepAlive, PATIENCE, Reply, Server, Setup, eventually, request};

/// The headers of a handshake but `Host` and what a test adds.
const UPGRADE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn server(config: &str) -> Server {
    Server::start(Setup::default().workers(1).config_toml(config))
}

/// The answer to a handshake with these headers, and the connection that it came on.
#[track_caller]
fn handshake(addr: SocketAddr, headers: &[(&str, &str)]) -> (Reply, KeepAlive) {
    let mut connection = KeepAlive::open(addr);
    let reply = connection.request("GET", "/", &[&UPGRADE, headers].concat(), b"");
    (reply, connection)
}

#[track_caller]
fn status_of(addr: SocketAddr, headers: &[(&str, &str)]) -> u16 {
    handshake(addr, headers).0.status
}

#[track_caller]
fn count(server: &Server, counter: &str) -> u64 {
    let status = server.status();
    let count = status["totals"][counter].as_u64();
    count.unwrap_or_else(|| panic!("no {counter} in {status}"))
}

/// What a client hears that comes and says nothing.
#[track_caller]
fn greeting(addr: SocketAddr) -> Reply {
    KeepAlive::open(addr).receive("GET")
}

#[track_caller]
fn assert_told_to_come_back(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 503, "{reply:?}");
    let seconds = reply.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (2..=8).contains(&seconds)), "{reply:?}");
    assert!(reply.text().contains(why), "{reply:?}");
}

#[test]
fn pages_of_other_hosts_may_not_open_a_websocket() {
    let server = server("");
    let addr = server.addr();
    let own = format!("http://{addr}");
    for (origins, expected) in [
        (&[][..], 101),
        (&[own.as_str()], 101),
        (&["http://localhost:5173"], 101),
        (&["http://[::1]:3000"], 101),
        (&["https://evil.example"], 403),
        // Clients that are no browsers.
        (&["http://localhost/"], 101),
        (&[format!("ws://{addr}").as_str()], 101),
        (&["ws://evil.example"], 403),
        (&["capacitor://localhost"], 403),
        (&["file://"], 403),
        (&["http://127.0.0.1.evil.example"], 403),
        (&["https://localhost.evil.example"], 403),
        (&["null"], 403),
        (&[""], 403),
        (&[own.as_str(), own.as_str()], 403),
        (&[own.as_str(), "https://evil.example"], 403),
    ] {
        let headers: Vec<_> = origins.iter().map(|origin| ("Origin", *origin)).collect();
        assert_eq!(status_of(addr, &headers), expected, "{origins:?}");
    }
    // The page is held against the host that was asked for, not against the address.
    let mut stream = TcpStream::connect(addr).expect("the kernel accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut head =
        "GET / HTTP/1.1\r\nHost: chat.example\r\nOrigin: https://chat.example\r\n".to_owned();
    for (name, value) in UPGRADE {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("it is taken");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");
    // Either of them may tell the port that the scheme has anyway.
    for (origin, host, expected) in [
        ("https://chat.example", "chat.example:443", 101),
        ("https://chat.example:443", "chat.example", 101),
        ("http://chat.example", "chat.example:80", 101),
        ("https://chat.example", "chat.example:80", 403),
        ("http://chat.example", "chat.example:443", 403),
    ] {
        let mut head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n");
        for (name, value) in UPGRADE {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut connection = KeepAlive::open(addr);
        connection.send_raw(format!("{head}\r\n").as_bytes());
        assert_eq!(connection.receive("GET").status, expected, "{origin} for {host}");
    }

    let (reply, mut connection) = handshake(addr, &[("Origin", "https://evil.example")]);
    assert!(reply.text().contains("server.allowed_origins"), "{reply:?}");
    assert!(connection.receive_until_closed(PATIENCE), "what follows is no frame and no request");
    assert_eq!(count(&server, "refused_origins"), 13);
    let host = addr.to_string();
    server.wait_log(&format!("its Origin \"https://evil.example\" is not of its Host \"{host}\""));
    // Only handshakes are judged so: a page can send simple requests anyway, and reads no answers.
    let reply = request(addr, "GET", "/health", &[("Origin", "https://evil.example")], b"");
    assert_eq!(reply.status, 200);
}

#[test]
fn listed_origins_are_allowed_and_no_others_until_a_reload() {
    let listed = "https://app.example, http://other.example:8080, capacitor://localhost, \
        chrome-extension://abc, file://";
    let server = server(&format!("[server]\nallowed_origins = \"{listed}\"\n"));
    let addr = server.addr();
    let own = format!("http://{addr}");
    for (origin, expected) in [
        ("https://app.example", 101),
        ("https://APP.example:443", 101),
        ("http://other.example:8080", 101),
        ("capacitor://localhost", 101),
        ("chrome-extension://abc", 101),
        ("file://", 101),
        ("tauri://localhost", 403),
        ("chrome-extension://abd", 403),
        ("http://app.example", 403),
        ("https://app.example:8443", 403),
        ("https://app.example.evil", 403),
        ("https://evil-app.example", 403),
        ("http://localhost", 403),
        (own.as_str(), 403),
        ("null", 403),
    ] {
        assert_eq!(status_of(addr, &[("Origin", origin)]), expected, "{origin}");
    }
    assert_eq!(status_of(addr, &[]), 101, "a client that is no browser");
    server.rewrite_config("[server]\nallowed_origins = \"*\"\n");
    server.reload().expect_code(0);
    assert_eq!(status_of(addr, &[("Origin", "null")]), 101);
}

#[test]
fn the_first_of_our_subprotocols_that_is_offered_is_spoken() {
    let server = server("[server]\nsubprotocols = \"chat.v2, chat.v1\"\n");
    let agreed = |offered: &[&str]| {
        let headers: Vec<_> =
            offered.iter().map(|offer| ("Sec-WebSocket-Protocol", *offer)).collect();
        let (reply, _) = handshake(server.addr(), &headers);
        assert_eq!(reply.status, 101, "{reply:?}");
        reply.header("sec-websocket-protocol").map(str::to_owned)
    };
    for (offered, expected) in [
        (&["chat.v1, chat.v2"][..], Some("chat.v2")),
        (&["other", "chat.v1"], Some("chat.v1")),
        (&["CHAT.V2"], None),
        (&["other"], None),
        (&[], None),
    ] {
        assert_eq!(agreed(offered).as_deref(), expected, "{offered:?}");
    }
    // Without a setting of ours nothing is agreed on.
    let silent = self::server("");
    let (reply, _) = handshake(silent.addr(), &[("Sec-WebSocket-Protocol", "chat.v2")]);
    assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, None));
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let server = server("[limits]\nconnections_per_address_max = 2\n");
    let addr = server.addr();
    let first = Client::connect(&server);
    let mut second = KeepAlive::open(addr);
    second.request("GET", "/health", &[], b"").expect_status(200);
    assert_told_to_come_back(&greeting(addr), "your address has too many connections");
    server.wait_log("(limits.connections_per_address_max)");
    // A crowd is reset, and those inside are served on.
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(addr).expect("accepted")).collect();
    eventually("all to be refused", PATIENCE, || {
        (count(&server, "refused_per_address") == 201).then_some(())
    });
    assert!(server.status()["workers"][0]["connections"].as_u64() <= Some(2 + 64));
    second.request("GET", "/health", &[], b"").expect_status(200);
    drop(crowd);
    first.close();
    eventually("room", PATIENCE, || {
        let mut connection = KeepAlive::open(addr);
        connection.send("GET", "/health", &[], b"");
        (connection.receive("GET").status == 200).then_some(())
    });
}

#[test]
fn clients_behind_a_proxy_are_counted_by_their_own_address() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("ws.sock");
    let server = server(&format!(
        "[server]\ntrusted_proxies = \"127.0.0.1\"\n[limits]\nconnections_per_address_max = 2\n\
         [[listener]]\nname = \"proxied\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n\
         [[listener]]\nname = \"local\"\naddress = \"unix:{}\"\n",
        path.display()
    ));
    let by_header = |client: &str| handshake(server.addr(), &[("X-Forwarded-For", client)]);
    let proxied = server.status()["listeners"][1]["address"].as_str().and_then(|a| a.parse().ok());
    let proxied: SocketAddr = proxied.expect("an address");
    let by_preface = |client: &str| {
        let mut connection = KeepAlive::open(proxied);
        connection.send_raw(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n").as_bytes());
        let reply = connection.request("GET", "/", &UPGRADE, b"");
        (reply, connection)
    };
    // However they come, they are the same client.
    let mut inside = vec![by_header("192.0.2.1"), by_preface("192.0.2.1")];
    for (reply, _) in [by_header("192.0.2.1"), by_preface("192.0.2.1")] {
        assert_told_to_come_back(&reply, "your address has too many connections");
    }
    // An IPv6 client has its whole network of 64 bits.
    inside.push(by_header("2001:db8:0:1::1"));
    inside.push(by_header("2001:db8:0:1:ffff::2"));
    assert_told_to_come_back(&by_header("2001:db8:0:1::3").0, "your address");
    inside.push(by_header("2001:db8:0:2::1"));
    inside.push(by_preface("192.0.2.2"));
    inside.push(by_header("192.0.2.2"));
    for (reply, _) in &inside {
        assert_eq!(reply.status, 101, "{reply:?}");
    }
    assert_eq!(count(&server, "refused_per_address"), 3);
    // The proxy itself is not counted: it may keep any number of connections for requests.
    let mut pool: Vec<_> = (0..5).map(|_| KeepAlive::open(server.addr())).collect();
    for connection in &mut pool {
        connection.request("GET", "/health", &[], b"").expect_status(200);
    }
    // Nor is who comes by a unix socket.
    let health = [&b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..]; 4];
    let mut kept = Vec::new();
    for bytes in health {
        let mut stream = UnixStream::connect(&path).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.write_all(bytes).expect("it is taken");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
        kept.push(stream);
    }
    // Who leaves makes room.
    inside.remove(0);
    eventually("room", PATIENCE, || {
        let (reply, connection) = by_header("192.0.2.1");
        (reply.status == 101).then_some(connection)
    });
}

#[test]
fn who_has_not_asked_yet_takes_a_place_that_is_given_back() {
    let server = server("[limits]\nhalf_open_max = 3\nhandshake_timeout = \"2s\"\n");
    let addr = server.addr();
    let mut idle = KeepAlive::open(addr);
    let mut slow = KeepAlive::open(addr);
    slow.send_raw(b"GET /health HTTP/1.1\r\nHo");
    let mut body = KeepAlive::open(addr);
    body.send_raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    eventually("three", PATIENCE, || {
        (server.status()["workers"][0]["connections"] == 3).then_some(())
    });
    let begun = Instant::now();
    assert_told_to_come_back(&greeting(addr), "have not sent their request");
    assert_eq!(count(&server, "refused_half_open"), 1);
    server.wait_log("(limits.half_open_max)");
    // The one that asks makes room, and is not counted when it waits for its next request.
    slow.send_raw(b"st: a\r\n\r\n");
    assert_eq!(slow.receive("GET").status, 200);
    let mut client = Client::connect(&server);
    // The others are cut off in their time, however much they send, and make room as well.
    for late in [&mut idle, &mut body] {
        assert_eq!(late.receive("GET").status, 408);
    }
    assert!(begun.elapsed() < PATIENCE);
    let places: Vec<_> = (0..3).map(|_| KeepAlive::open(addr)).collect();
    assert_told_to_come_back(&greeting(addr), "have not sent their request");
    assert_eq!(count(&server, "refused_half_open"), 2, "the three were let in");
    client.expect_alive();
    drop(places);
    eventually("room", PATIENCE, || {
        let mut connection = KeepAlive::open(addr);
        connection.send("GET", "/health", &[], b"");
        (connection.receive("GET").status == 200).then_some(())
    });
}

#[test]
fn a_further_request_that_is_not_finished_takes_a_place_too() {
    let server = server("[limits]\nhalf_open_max = 2\n");
    let addr = server.addr();
    let health = || request(addr, "GET", "/health", &[], b"").status;
    let mut kept = KeepAlive::open(addr);
    kept.request("GET", "/health", &[], b"").expect_status(200);
    let mut newcomer = KeepAlive::open(addr);
    assert_eq!(health(), 200, "one has been answered and asks for nothing");
    kept.send_raw(b"GET /health HT");
    // Before anybody else comes, who would take the place.
    assert!(!kept.receive_until_closed(Duration::from_millis(500)), "it was refused");
    assert_eq!(health(), 503);
    kept.send_raw(b"TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.receive("GET").status, 200);
    assert_eq!(health(), 200);
    // The places are taken by newcomers: who begins a further request now is told to come back.
    let _another = KeepAlive::open(addr);
    eventually("both to be counted", PATIENCE, || (health() == 503).then_some(()));
    // A request that comes whole is never kept waiting, and takes no place.
    assert_eq!(kept.request("GET", "/health", &[], b"").status, 200);
    kept.send_raw(b"GET /health HT");
    assert_told_to_come_back(&kept.receive("GET"), "have not sent their request");
    newcomer.send_raw(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(newcomer.receive("GET").status, 200);
}

#[test]
fn one_address_cannot_take_all_places_of_those_who_have_not_asked() {
    let direct = server("[limits]\nhalf_open_per_address_max = 2\n");
    let addr = direct.addr();
    let mut first = KeepAlive::open(addr);
    let second = KeepAlive::open(addr);
    direct.wait_until("two", PATIENCE, |status| status["workers"][0]["connections"] == 2);
    assert_told_to_come_back(&greeting(addr), "clients of your address have not sent");
    direct.wait_log("(limits.half_open_per_address_max)");
    assert_eq!(count(&direct, "refused_half_open"), 1);
    // Who asks makes room, however long it stays.
    first.request("GET", "/health", &[], b"").expect_status(200);
    let third = KeepAlive::open(addr);
    direct.wait_until("three", PATIENCE, |status| status["workers"][0]["connections"] == 3);
    assert_told_to_come_back(&greeting(addr), "clients of your address have not sent");
    drop((second, third));
    eventually("room", PATIENCE, || {
        let mut connection = KeepAlive::open(addr);
        connection.send("GET", "/health", &[], b"");
        (connection.receive("GET").status == 200).then_some(())
    });

    // Behind a proxy each client has places of its own.
    let behind = server(
        "[server]\ntrusted_proxies = \"127.0.0.1\"\n[limits]\nhalf_open_per_address_max = 1\n\
         [[listener]]\nname = \"proxied\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n",
    );
    let proxied = behind.status()["listeners"][1]["address"].as_str().and_then(|a| a.parse().ok());
    let proxied: SocketAddr = proxied.expect("an address");
    let introduced = |client: &str| {
        let mut connection = KeepAlive::open(proxied);
        connection.send_raw(format!("PROXY TCP4 {client} 127.0.0.1 4711 80\r\n").as_bytes());
        connection
    };
    let _silent = introduced("192.0.2.1");
    let reply = eventually("a refusal", PATIENCE, || {
        let mut other = introduced("192.0.2.1");
        other.send("GET", "/health", &[], b"");
        let reply = other.receive("GET");
        (reply.status == 503).then_some(reply)
    });
    assert_told_to_come_back(&reply, "clients of your address have not sent");
    introduced("192.0.2.2").request("GET", "/health", &[], b"").expect_status(200);
}

#[test]
fn who_comes_too_fast_waits_in_the_kernel_and_nobody_is_refused() {
    const RATE: u32 = 10;
    const CLIENTS: u32 = 40;
    let server = server(&format!("[limits]\naccepts_per_second_max = {RATE}\n"));
    let begun = Instant::now();
    let mut crowd: Vec<_> = (0..CLIENTS).map(|_| KeepAlive::open(server.addr())).collect();
    for connection in &mut crowd {
        connection.request("GET", "/health", &[], b"").expect_status(200);
    }
    // A second's worth and one more come at once.
    let least = Duration::from_secs((CLIENTS - RATE - 1).into()) / RATE;
    let took = begun.elapsed();
    assert!(took >= least - Duration::from_millis(100), "{CLIENTS} were accepted in {took:?}");
    assert!(took < least + PATIENCE, "{took:?}");
    assert!(count(&server, "accepts_held_back") > 0);
    assert_eq!(count(&server, "accepted"), u64::from(CLIENTS));
    server.wait_log("limits.accepts_per_second_max");
    // Those who are inside are served meanwhile.
    for connection in &mut crowd {
        connection.request("GET", "/health", &[], b"").expect_status(200);
    }
}
