//! Clients behind proxies: what a trusted proxy says of them is what the server knows of them, and nobody else is believed.

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Api, Client, PATIENCE, Server, Setup, Welcome, eventually, request};
use tungstenite::client;

const UPGRADE: &str = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A server that trusts `trusted`, with a further listener that wants PROXY headers.
fn server(trusted: &str) -> (Server, SocketAddr) {
    let config = format!(
        "[server]\ntrusted_proxies = \"{trusted}\"\n[limits]\nhandshake_timeout = \"1s\"\n\
         [[listener]]\nname = \"proxied\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n"
    );
    let server = Server::start(Setup::default().workers(1).config_toml(&config));
    let status = server.status();
    let address = status["listeners"][1]["address"].as_str().and_then(|text| text.parse().ok());
    (server, address.expect("an address"))
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the kernel accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

/// What the server knows of a WebSocket that began with these bytes.
#[track_caller]
fn known_after(server: &Server, addr: SocketAddr, preface: &[u8]) -> Value {
    let mut stream = connect(addr);
    stream.write_all(preface).expect("it is taken");
    let (mut socket, _) = client("ws://localhost/", stream).expect("a WebSocket");
    let welcome = socket.read().expect("the welcome");
    let welcome = serde_json::from_str(welcome.to_text().expect("text")).expect("JSON");
    let id = Welcome::of(&welcome).expect("a welcome").id;
    Api::of(server).connection(id).json()
}

/// All that comes until the end, however that looks.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    bytes
}

fn bad_headers(server: &Server) -> u64 {
    server.status()["totals"]["bad_proxy_headers"].as_u64().expect("a counter")
}

#[test]
fn a_proxy_header_says_who_the_client_is() {
    let (server, addr) = server("127.0.0.0/8");
    let v1 = known_after(&server, addr, b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n");
    let expected = (json!("192.0.2.1"), json!(4711), json!(false));
    assert_eq!(
        (&v1["address"], &v1["port"], &v1["secure"]),
        (&expected.0, &expected.1, &expected.2),
        "{v1}"
    );

    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x2c".to_vec();
    v2.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    v2.extend([0; 16]);
    v2.extend([0x12, 0x67, 0, 80]);
    v2.extend([0x20, 0, 5, 1, 0, 0, 0, 0]);
    let v2 = known_after(&server, addr, &v2);
    assert_eq!(
        (&v2["address"], &v2["port"], &v2["secure"]),
        (&json!("2001:db8::7"), &json!(4711), &json!(true)),
        "{v2}"
    );

    // A proxy that does not know the port sends 0.
    for header in [
        &b"PROXY TCP4 192.0.2.1 127.0.0.1 0 80\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x00\x00\x00\x50",
    ] {
        let known = known_after(&server, addr, header);
        assert_eq!(
            (&known["address"], &known["port"]),
            (&json!("192.0.2.1"), &json!(null)),
            "{known}"
        );
    }
    // A proxy's own check keeps the proxy's address.
    let local = known_after(&server, addr, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    assert_eq!(local["address"], "127.0.0.1", "{local}");
    // The other listener wants none.
    let mut plain = Client::open(server.addr(), "/");
    let id = Welcome::of(&plain.expect_json(PATIENCE)).expect("a welcome").id;
    assert_eq!(Api::of(&server).connection(id).json()["listener"], "main");
    assert_eq!(bad_headers(&server), 0);
}

#[test]
fn a_header_may_come_byte_by_byte_and_with_the_request_behind_it() {
    let (_server, addr) = server("127.0.0.1");
    let whole = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n\
                  GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = connect(addr);
    for byte in whole {
        stream.write_all(&[*byte]).expect("it is taken");
    }
    assert!(rest(stream).starts_with(b"HTTP/1.1 200"));
    let mut stream = connect(addr);
    stream.write_all(whole).expect("it is taken");
    assert!(rest(stream).starts_with(b"HTTP/1.1 200"));
}

#[test]
fn without_a_valid_header_the_connection_ends_without_a_word() {
    let (server, addr) = server("127.0.0.1");
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    for (number, bytes) in [
        &b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"PROXY TCP4 nobody 127.0.0.1 1 1\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x00",
        long.as_bytes(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = connect(addr);
        stream.write_all(bytes).expect("it is taken");
        assert_eq!(rest(stream), b"", "case {number}");
        assert_eq!(bad_headers(&server), number as u64 + 1, "case {number}");
    }
    // One that never ends has the time of a handshake.
    let begun = Instant::now();
    let mut stream = connect(addr);
    stream.write_all(b"PROXY TCP4 ").expect("it is taken");
    rest(stream);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < PATIENCE, "{took:?}");
    // And one that ends in the middle is no request.
    let mut stream = connect(addr);
    stream.write_all(b"PROXY TCP4 ").expect("it is taken");
    stream.shutdown(Shutdown::Write).expect("connected");
    assert_eq!(rest(stream), b"");
}

#[test]
fn who_is_not_trusted_is_hung_up_on_where_a_header_is_wanted() {
    let (server, addr) = server("10.0.0.0/8, unix");
    let mut stream = connect(addr);
    let _ = stream.write_all(
        b"PROXY TCP4 10.0.0.1 127.0.0.1 4711 80\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(rest(stream), b"");
    eventually("it is counted", PATIENCE, || (bad_headers(&server) == 1).then_some(()));
    assert_eq!(request(server.addr(), "GET", "/health", &[], b"").status, 200);
}

#[test]
fn headers_of_a_trusted_proxy_say_who_the_client_is_and_others_are_ignored() {
    let ask = |server: &Server, headers: &[(&str, &str)]| {
        let mut client = Client::open_with(server.addr(), "/", headers);
        let id = Welcome::of(&client.expect_json(PATIENCE)).expect("a welcome").id;
        Api::of(server).connection(id).json()
    };
    let spoofed = [
        ("X-Forwarded-For", "192.0.2.66, 192.0.2.1, 127.0.0.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "192.0.2.67"),
        ("Forwarded", "for=192.0.2.68"),
    ];
    let (trusting, proxied) = server("127.0.0.0/8");
    let known = ask(&trusting, &spoofed);
    assert_eq!(
        (&known["address"], &known["port"], &known["secure"]),
        (&json!("192.0.2.1"), &Value::Null, &json!(true)),
        "{known}"
    );
    // One that a PROXY header tells of is no proxy, whatever it sends.
    let mut stream = connect(proxied);
    let head = format!(
        "PROXY TCP4 192.0.2.5 127.0.0.1 1 1\r\nGET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.66\r\n{UPGRADE}\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it is taken");
    let mut answer = vec![0; 4096];
    assert!(
        stream.read(&mut answer).expect("an answer") > 12 && answer.starts_with(b"HTTP/1.1 101")
    );
    let all = |server: &Server| server.status()["workers"][0]["websockets"].clone();
    eventually("the WebSocket", PATIENCE, || (all(&trusting) == 1).then_some(()));

    for trusted in ["", "10.0.0.0/8, unix"] {
        let (wary, _) = server(trusted);
        let known = ask(&wary, &spoofed);
        assert_eq!(
            (&known["address"], &known["secure"]),
            (&json!("127.0.0.1"), &json!(false)),
            "{known}"
        );
        assert!(known["port"].as_u64().is_some(), "{known}");
    }
}

#[test]
fn a_reload_changes_who_is_trusted() {
    let (server, _) = server("");
    let ask = || {
        let mut client = Client::open_with(server.addr(), "/", &[("Forwarded", "for=192.0.2.1")]);
        let id = Welcome::of(&client.expect_json(PATIENCE)).expect("a welcome").id;
        Api::of(&server).connection(id).json()["address"].clone()
    };
    assert_eq!(ask(), "127.0.0.1");
    server.rewrite_config(
        "[server]\ntrusted_proxies = \"127.0.0.1\"\nforwarded_header = \"forwarded\"\n",
    );
    server.reload().expect_code(0);
    assert_eq!(ask(), "192.0.2.1");
}

#[test]
fn a_thousand_hops_do_no_harm() {
    let (server, _) = server("127.0.0.1");
    let chain = vec!["127.0.0.1"; 1000].join(",");
    let known = {
        let mut client = Client::open_with(server.addr(), "/", &[("X-Forwarded-For", &chain)]);
        let id = Welcome::of(&client.expect_json(PATIENCE)).expect("a welcome").id;
        Api::of(&server).connection(id).json()
    };
    assert_eq!(known["address"], "127.0.0.1");
}
