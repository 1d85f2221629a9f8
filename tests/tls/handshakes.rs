//! Who is let in, who is not, and what that costs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};

use crate::{
    client::{Secure, Way, echo},
    place::Place,
    support::{Api, App, Client, PATIENCE, Server, Welcome, eventually},
};

#[track_caller]
fn total(server: &Server, counter: &str) -> u64 {
    server.status()["totals"][counter].as_u64().expect("a counter")
}

/// Everything that the server says in the clear until it ends the connection.
fn answer(mut socket: TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

#[test]
fn both_versions_are_spoken_and_the_lower_one_can_be_ruled_out() {
    let place = Place::new();
    let server = place.serve();
    for (version, negotiated) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let way = Way::with(&place.authority, &[version], None);
        let mut socket = way.open(server.addr());
        assert_eq!(socket.get_ref().conn.protocol_version(), Some(negotiated));
        echo(&mut socket, "both");
    }
    let strict = Server::start(place.setup("version_min = \"1.3\""));
    let refused = Way::with(&place.authority, &[&TLS12], None).connect(strict.addr());
    let error = refused.expect_err("1.2 is ruled out").to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    echo(&mut place.way().open(strict.addr()), "new");
}

#[test]
fn each_name_is_shown_its_certificate() {
    let place = Place::new();
    place.authority.server(&["other.example", "*.other.example"]).write(place.path(), "other");
    let more = format!(
        "[[tls.certificate]]\ncert_file = \"{0}/other.pem\"\nkey_file = \"{0}/other.key\"",
        place.path().display()
    );
    let server = Server::start(place.setup(&more));
    for name in ["localhost", "other.example", "any.other.example"] {
        let way = place.way().asking_for(name);
        way.connect(server.addr()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // The first certificate, which is not for this name: the client sees that, and not the server.
    let way = place.way().asking_for("elsewhere.example");
    let error = way.connect(server.addr()).expect_err("it is for another name").to_string();
    assert!(error.contains("not valid for name"), "{error}");
    let status = server.status();
    let names: Vec<_> = status["tls"]["certificates"].as_array().expect("two").iter().collect();
    assert_eq!(names[0]["names"], serde_json::json!(["localhost"]));
    assert_eq!(names[1]["names"], serde_json::json!(["other.example", "*.other.example"]));
}

#[test]
fn each_listener_says_whether_it_is_encrypted() {
    let place = Place::new();
    let more = "[[listener]]\nname = \"inside\"\naddress = \"127.0.0.1:0\"\n\
                [[listener]]\nname = \"outside\"\naddress = \"127.0.0.1:0\"\ntls = true\n";
    let server = Server::start(place.setup(more));
    let status = server.status();
    let listeners = status["listeners"].as_array().expect("listeners");
    let told: Vec<_> = listeners.iter().map(|one| one["tls"].as_bool()).collect();
    assert_eq!(told, [Some(true), Some(false), Some(true)]);
    let addr = |number: usize| -> std::net::SocketAddr {
        listeners[number]["address"].as_str().expect("an address").parse().expect("one of TCP")
    };
    echo(&mut place.way().open(server.addr()), "main");
    echo(&mut place.way().open(addr(2)), "outside");
    let mut inside = Client::open(addr(1), "/");
    inside.send_text("in the clear");
    inside.expect_text("in the clear");
}

#[test]
fn a_proxys_header_stands_before_tls() {
    let place = Place::new();
    let more = "[server]\ntrusted_proxies = \"127.0.0.1\"\n\
                [[listener]]\nname = \"proxied\"\naddress = \"127.0.0.1:0\"\ntls = true\n\
                proxy_protocol = true\n\
                [[listener]]\nname = \"inside\"\naddress = \"127.0.0.1:0\"\n";
    let server = Server::start(place.setup(more).app(App::Channels).workers(1));
    let status = server.status();
    let addr = |number: usize| -> std::net::SocketAddr {
        let address = status["listeners"][number]["address"].as_str().expect("an address");
        address.parse().expect("one of TCP")
    };
    let proxied = addr(1);
    let api = Api::of(&server).at(addr(2));
    let known = |socket: &mut Secure| {
        let welcome = socket.read().expect("the welcome");
        let welcome = serde_json::from_str(welcome.to_text().expect("text")).expect("JSON");
        api.connection(Welcome::of(&welcome).expect("a welcome").id).json()
    };
    let header = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n";
    // At once with the first words of TLS, and byte by byte.
    for piece_bytes in [header.len(), 1] {
        let mut tls = place.way().begin(proxied);
        for piece in header.chunks(piece_bytes) {
            tls.sock.write_all(piece).expect("it is open");
        }
        let (mut socket, _) = tungstenite::client("wss://localhost/", tls).expect("a WebSocket");
        let known = known(&mut socket);
        assert_eq!(
            (&known["address"], &known["port"]),
            (&"192.0.2.1".into(), &4711.into()),
            "{known}"
        );
        assert_eq!(known["secure"], true, "{known}");
    }
    // TLS without the header is hung up on before it has begun.
    assert!(place.way().connect(proxied).is_err());
    assert_eq!((total(&server, "bad_proxy_headers"), total(&server, "tls_failures")), (1, 0));
    // Who comes directly is secure as well.
    let direct = known(&mut place.way().open(server.addr()));
    assert_eq!(direct["secure"], true, "{direct}");
}

#[test]
fn only_http_1_is_spoken_inside() {
    let place = Place::new();
    let server = place.serve();
    let both = place.way().offering(&["h2", "http/1.1"]).connect(server.addr()).expect("one fits");
    assert_eq!(both.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = place.way().offering(&["h2"]).connect(server.addr()).expect_err("none fits");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn http_in_the_clear_is_told_what_is_wrong() {
    let place = Place::new();
    let server = place.serve();
    let mut socket = TcpStream::connect(server.addr()).expect("it listens");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is open");
    let answer = String::from_utf8(answer(socket)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("use https:// or wss://"), "{answer}");
    assert_eq!(total(&server, "tls_failures"), 1);
}

#[test]
fn what_is_no_tls_is_ended_with_an_alert_and_nothing_is_kept() {
    let place = Place::new();
    let server = place.serve();
    let mut long = vec![22, 3, 1, 0xff, 0xff];
    long.resize(70_000, 1);
    // A ClientHello that says to be 65,535 bytes long, in records of 16 KiB.
    let mut huge = Vec::new();
    for number in 0..4_u8 {
        huge.extend([22, 3, 1, 0x40, 0]);
        let head: &[u8] = if number == 0 { &[1, 0, 0xff, 0xff] } else { &[] };
        huge.extend(head);
        huge.resize(huge.len() + 0x4000 - head.len(), 0);
    }
    let cases: [(&str, &[u8]); 6] = [
        ("zeroes", &[0; 100]),
        ("noise", b"\x80\x90\xa0\xff\xfe\x00\x01\x02\x03\x04\x05\x06"),
        ("another version", &[22, 9, 9, 0, 5, 1, 0, 0, 1, 0]),
        ("an alert", &[21, 3, 3, 0, 2, 2, 40]),
        ("a record that is too long", &long),
        ("a hello that is too long", &huge),
    ];
    for (number, (what, bytes)) in cases.iter().enumerate() {
        let mut socket = TcpStream::connect(server.addr()).expect("it listens");
        // The server may have seen enough before all of it is there.
        let _ = socket.write_all(bytes);
        let said = answer(socket);
        assert!(said.is_empty() || said[0] == 21, "{what}: {said:?}");
        eventually(what, PATIENCE, || {
            (total(&server, "tls_failures") == number as u64 + 1).then_some(())
        });
    }
    server.wait_until("all of them to be gone", PATIENCE, |status| {
        status["totals"]["connections"] == 0
    });
    echo(&mut place.way().open(server.addr()), "alive");
}

#[test]
fn a_handshake_byte_by_byte_is_one_and_has_its_deadline() {
    let place = Place::new();
    let server = Server::start(place.setup("[limits]\nhandshake_timeout = \"2s\""));
    let mut tls = place.way().begin(server.addr());
    while tls.conn.is_handshaking() {
        let mut flight = Vec::new();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut flight).expect("memory");
        }
        for byte in flight {
            tls.sock.write_all(&[byte]).expect("it is open");
        }
        if tls.conn.is_handshaking() {
            tls.conn.read_tls(&mut tls.sock).expect("an answer");
            tls.conn.process_new_packets().expect("a good one");
        }
    }
    drop(tls);
    // The same again, and one byte is never sent.
    let begun = Instant::now();
    let mut silent = place.way().begin(server.addr());
    let mut flight = Vec::new();
    silent.conn.write_tls(&mut flight).expect("memory");
    silent.sock.write_all(&flight[..flight.len() - 1]).expect("it is open");
    let mut end = [0; 100];
    assert_eq!(silent.sock.read(&mut end).expect("an end"), 0, "nothing can be said to it");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1500) && took < PATIENCE, "{took:?}");
    assert_eq!(total(&server, "handshake_timeouts"), 1);
}

#[test]
fn clients_without_a_certificate_that_is_signed_stay_outside() {
    let place = Place::new();
    let stranger = Place::new();
    let own = place.authority.client("sensor 7");
    let foreign = stranger.authority.client("sensor 7");
    let server = Server::start(place.setup(&place.client_ca()));
    let with = |own| Way::with(&place.authority, &[&TLS13, &TLS12], own);
    let mut known = with(Some(&own)).open(server.addr());
    echo(&mut known, "it is me");
    for (what, own) in [("nothing", None), ("another authority's", Some(&foreign))] {
        // With TLS 1.3 the client learns of it with its first answer.
        assert!(with(own).try_open(server.addr()).is_err(), "{what}");
        let old = Way::with(&place.authority, &[&TLS12], own);
        assert!(old.connect(server.addr()).is_err(), "{what}");
    }
    eventually("the refused to be counted", PATIENCE, || {
        (total(&server, "tls_failures") == 4).then_some(())
    });

    let more = format!("{}\nclient_auth = \"optional\"", place.client_ca());
    let polite = Server::start(place.setup(&more));
    echo(&mut with(None).open(polite.addr()), "nobody");
    echo(&mut with(Some(&own)).open(polite.addr()), "it is me");
    assert!(with(Some(&foreign)).try_open(polite.addr()).is_err());
}
