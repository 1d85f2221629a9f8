//! Who may not call, what is no call, and how many calls one connection may make. A refusal has no effect.

use std::time::Duration;

use serde_json::json;

use crate::{
    ROOM,
    doors::Doors,
    support::{Api, Client, KeepAlive, PATIENCE, Reply, Server, Setup, raw, request},
};

const KEY: &str = "The-Key.of_these~tests+1/2==";

#[test]
fn only_the_key_opens() {
    let server = Server::start(Setup::default().workers(2).api_key(KEY));
    let mut client = Client::connect(&server);
    let body = json!({"connection": client.id(), "text": "in"}).to_string();
    let call = |path: &str, authorization: Option<&str>| {
        let headers = authorization.map(|value| ("Authorization", value));
        request(server.addr(), "POST", path, headers.as_slice(), body.as_bytes())
    };
    let good = ["Bearer", "bearer", "BEARER", "bEaReR"].map(|scheme| format!("{scheme} {KEY}"));
    for authorization in &good {
        call("/api/push", Some(authorization)).expect_status(200);
        client.expect_text("in");
    }
    let (shorter, longer) = (&KEY[..KEY.len() - 1], format!("{KEY}="));
    let bad = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        KEY.to_owned(),
        format!("Basic {KEY}"),
        format!("Token {KEY}"),
        format!("Bearer{KEY}"),
        format!("Bearer {shorter}"),
        format!("Bearer {longer}"),
        format!("Bearer {}", KEY.to_lowercase()),
        format!("Bearer {KEY} {KEY}"),
        format!("Bearer \"{KEY}\""),
        "Bearer wrong-wrong-wrong-wrong-wrong".to_owned(),
    ];
    for authorization in bad.iter().map(|value| Some(value.as_str())).chain([None]) {
        // What is behind the key is not told to those without.
        for path in ["/api/push", "/api/nowhere", &format!("/api/push?key={KEY}")] {
            let refused = call(path, authorization);
            assert_eq!(refused.status, 401, "{authorization:?} at {path}: {}", refused.text());
            let challenge = refused.header("www-authenticate").expect("RFC 9110 section 15.5.2");
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            assert_eq!(refused.json()["success"], false);
            assert!(!refused.text().contains(KEY), "the key is told");
        }
    }
    client.expect_silence(Duration::from_millis(50));
    assert!(!server.log().contains(KEY) && !server.stdout().contains(KEY), "the key is shown");
    request(server.addr(), "GET", "/health", &[], b"").expect_status(200);
}

#[test]
fn health_is_told_to_everybody_and_is_nothing_but_health() {
    let server = Server::start(Setup::default().workers(1).api_key(KEY));
    let whole = json!({"live": true, "ready": true, "worker": 0});
    for (path, expected) in [
        ("/health", &whole),
        ("/health/ready", &whole),
        ("/health/live", &json!({"live": true})),
        ("/health?verbose=1&workers=0", &whole),
    ] {
        let reply = request(server.addr(), "GET", path, &[], b"").expect_status(200);
        assert_eq!(reply.json(), *expected, "{path}");
        assert_eq!(reply.header("server"), None, "{path}");
        // Nothing can be changed by it.
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            request(server.addr(), method, path, &[], b"{\"ready\":false}").expect_status(405);
        }
    }
}

#[test]
fn the_interface_can_be_off() {
    let off = [
        Setup::default().config_toml("[api]\nenabled = false\n"),
        Setup::default().config_toml("[api]\nenabled = false\n").api_key(KEY),
        // Nobody made up a key for the whole network.
        Setup::default().listen("0.0.0.0:0"),
    ];
    for setup in off {
        let server = Server::start(setup);
        let authorization = format!("Bearer {KEY}");
        for headers in [&[][..], &[("Authorization", authorization.as_str())]] {
            let reply =
                request(server.addr(), "POST", "/api/broadcast", headers, b"{\"text\":\"\"}");
            assert_eq!(reply.expect_status(403).json()["success"], false);
        }
        assert!(!server.stdout().contains("Bearer"), "a key is on the banner: {}", server.stdout());
        request(server.addr(), "GET", "/health", &[], b"").expect_status(200);
    }
}

#[test]
fn the_call_on_the_banner_works() {
    let server = Server::start(Setup::default().workers(2));
    let banner = server.stdout();
    let between = |start: &str, end: &str| {
        let found = banner.split_once(start).and_then(|(_, rest)| rest.split_once(end));
        found.unwrap_or_else(|| panic!("no {start}...{end} in {banner}")).0.trim().to_owned()
    };
    let url = between("curl http://", "\\");
    let (addr, path) = url.split_once('/').expect("a path");
    assert_eq!(addr, server.addr().to_string());
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    for client in &mut clients {
        client.subscribe(ROOM);
    }
    let authorization = between("-H 'Authorization: ", "'");
    // What curl sends of its own accord with -d.
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = between("-d '", "'");
    let reply = request(server.addr(), "POST", &format!("/{path}"), &headers, body.as_bytes());
    assert_eq!(reply.expect_status(200).json()["delivered"], 2);
    for client in &mut clients {
        assert_eq!(client.expect_message(ROOM)["message"], "hello from the terminal");
    }
    let other = Server::start(Setup::default());
    assert_ne!(other.api_key(), server.api_key(), "a key for each start");
}

#[test]
fn what_is_no_call_is_refused_and_has_no_effect() {
    let server = Server::start(Setup::default().workers(2));
    let mut doors = Doors::open(&server, 2);
    let mut client = Client::connect(&server);
    client.subscribe(ROOM);
    let id = client.id();
    let long = format!(r#"{{"connection":{id},"code":4000,"reason":"{}"}}"#, "x".repeat(124));
    let with_id = |rest: &str| format!(r#"{{"connection":{id}{rest}}}"#);
    let table = [
        // (method, path, body, status, what the answer says)
        ("POST", "push", String::new(), 400, "empty"),
        ("POST", "push", "no json".into(), 400, "a JSON object"),
        ("POST", "push", r#"{"connection":1,}"#.into(), 400, "line 1"),
        ("POST", "push", with_id(r#","text":"a""#) + "}", 400, "trailing"),
        ("POST", "push", "null".into(), 400, "a JSON object"),
        ("POST", "push", "[]".into(), 400, "a JSON object"),
        ("POST", "push", format!(r#"[{id},"text",null,null]"#), 400, "a JSON object"),
        ("POST", "push", r#"{"text":"a"}"#.into(), 400, "connection"),
        ("POST", "push", r#"{"connection":"1","text":"a"}"#.into(), 404, "no connection"),
        ("POST", "push", r#"{"connection":"1x","text":"a"}"#.into(), 400, "connection"),
        ("POST", "push", r#"{"connection":-1,"text":"a"}"#.into(), 400, "whole number"),
        ("POST", "push", r#"{"connection":1.5,"text":"a"}"#.into(), 400, "whole number"),
        (
            "POST",
            "push",
            r#"{"connection":18446744073709551616,"text":"a"}"#.into(),
            400,
            "whole number",
        ),
        ("POST", "push", r#"{"connection":null,"text":"a"}"#.into(), 400, "whole number"),
        ("POST", "push", with_id(""), 400, "exactly one"),
        ("POST", "push", with_id(r#","text":null"#), 400, "exactly one"),
        ("POST", "push", with_id(r#","text":"a","json":1"#), 400, "exactly one"),
        ("POST", "push", with_id(r#","text":"a","json":null"#), 400, "exactly one"),
        ("POST", "push", with_id(r#","text":"a","binary_base64":"""#), 400, "exactly one"),
        ("POST", "push", with_id(r#","text":5"#), 400, "string"),
        ("POST", "push", with_id(r#","text":"\ud800""#), 400, ""),
        ("POST", "push", with_id(r#","binary_base64":"?!""#), 400, "binary_base64"),
        ("POST", "push", with_id(r#","binary_base64":"AP8""#), 400, "binary_base64"),
        ("POST", "push", with_id(r#","binary_base64":[1]"#), 400, "string"),
        ("POST", "push", with_id(r#","text":"a","texts":"b""#), 400, "texts"),
        ("POST", "push", with_id(r#","text":"a","connection":1"#), 400, "duplicate"),
        ("POST", "push", with_id(r#","text":"a","exclude":1"#), 400, "exclude"),
        ("POST", "broadcast", "{}".into(), 400, "exactly one"),
        ("POST", "broadcast", r#"{"text":"a","message":1}"#.into(), 400, "message"),
        ("POST", "broadcast", r#"{"text":"a","exclude":"me"}"#.into(), 400, "whole number"),
        ("POST", "broadcast", with_id(r#","text":"a""#), 400, "connection"),
        ("POST", "publish", r#"{"message":1}"#.into(), 400, "channel"),
        ("POST", "publish", r#"{"channel":"chat.room.1"}"#.into(), 400, "message, text"),
        (
            "POST",
            "publish",
            r#"{"channel":"chat.room.1","message":1,"text":"a"}"#.into(),
            400,
            "one",
        ),
        ("POST", "publish", r#"{"channel":"","message":1}"#.into(), 400, "channel"),
        ("POST", "publish", r#"{"channel":"chat..room","message":1}"#.into(), 400, "channel"),
        ("POST", "publish", r#"{"channel":"chat room","message":1}"#.into(), 400, "channel"),
        ("POST", "publish", r#"{"channel":5,"message":1}"#.into(), 400, "string"),
        ("POST", "disconnect", "{}".into(), 400, "connection"),
        ("POST", "disconnect", with_id(r#","code":0"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":999"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":1004"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":1005"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":1006"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":1015"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":5000"#), 400, "code"),
        ("POST", "disconnect", with_id(r#","code":70000"#), 400, "whole number"),
        ("POST", "disconnect", with_id(r#","code":"1000x""#), 400, "whole number"),
        ("POST", "disconnect", long, 400, "123 bytes"),
        ("GET", "connections/", String::new(), 400, "whole number"),
        ("GET", "connections/me", String::new(), 400, "whole number"),
        ("GET", "connections/-1", String::new(), 400, "whole number"),
        ("GET", "connections/1/channels", String::new(), 400, "whole number"),
        ("POST", "", with_id(r#","text":"a""#), 404, "no such call"),
        ("POST", "pushes", with_id(r#","text":"a""#), 404, "no such call"),
        ("POST", "push/", with_id(r#","text":"a""#), 404, "no such call"),
        ("POST", "Push", with_id(r#","text":"a""#), 404, "no such call"),
        ("GET", "connections", String::new(), 404, "no such call"),
    ];
    for (method, path, body, status, says) in &table {
        for door in doors.slots() {
            let reply = doors.call(door, method, &format!("/api/{path}"), body.as_bytes());
            let case = format!("{method} {path} {body}: {}", reply.text());
            assert_eq!(reply.status, *status, "{case}");
            let answer = reply.json();
            assert_eq!((&answer["success"], &answer["status"]), (&json!(false), &json!(status)));
            assert!(answer["error"].as_str().is_some_and(|error| error.contains(says)), "{case}");
        }
    }
    let connection = format!("connections/{id}");
    let calls = [
        ("push", "POST"),
        ("broadcast", "POST"),
        ("publish", "POST"),
        ("disconnect", "POST"),
        (connection.as_str(), "GET, HEAD"),
    ];
    for (path, allowed) in calls {
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"];
        for method in
            methods.into_iter().filter(|method| !allowed.split(", ").any(|m| m == *method))
        {
            let reply = doors.call(0, method, &format!("/api/{path}"), b"").expect_status(405);
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    client.expect_silence(Duration::from_millis(50));
    client.expect_alive();
}

#[test]
fn a_body_beyond_the_bound_is_refused_before_it_is_read() {
    let config = "[limits]\nbody_bytes_max = \"64KiB\"\n";
    let server = Server::start(Setup::default().config_toml(config));
    let mut client = Client::connect(&server);
    let api = Api::of(&server);
    let text = "x".repeat(65_000);
    api.push_text(client.id(), &text).expect_status(200);
    client.expect_text(&text);
    let head = format!(
        "POST /api/push HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: 65537\r\n\r\n",
        server.api_key()
    );
    let answer = raw(server.addr(), head.as_bytes(), PATIENCE);
    assert!(answer.closed && answer.bytes.starts_with(b"HTTP/1.1 413 "), "{answer:?}");
    api.push_text(client.id(), &"x".repeat(65_536)).expect_status(413);
    client.expect_silence(Duration::from_millis(50));
}

#[test]
fn many_calls_on_one_connection() {
    const CALLS: usize = 60;
    let server = Server::start(Setup::default().workers(2));
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    let mut connection = KeepAlive::open(server.addr());
    let authorization = format!("Bearer {}", server.api_key());
    let headers = [("Authorization", authorization.as_str())];
    let ids = clients.each_ref().map(Client::id);
    let body = |number: usize| {
        // Every third call is for nobody, so that an answer out of its place shows.
        let id = if number % 3 == 2 { number as u64 } else { ids[number % 2] };
        (id, json!({"connection": id, "json": number}).to_string())
    };
    let check = |reply: Reply, number: usize| {
        let reply = reply.expect_status(if number % 3 == 2 { 404 } else { 200 });
        assert_eq!(reply.json()["connection"], body(number).0, "the answer to call {number}");
        assert_eq!(reply.header("connection"), Some("keep-alive"));
    };
    // One after the other, then all at once: answers come in the order of the calls.
    for number in 0..CALLS {
        let body = body(number).1;
        check(connection.request("POST", "/api/push", &headers, body.as_bytes()), number);
    }
    let mut pipeline = String::new();
    for number in 0..CALLS {
        let (body, host) = (body(number).1, server.addr());
        pipeline.push_str(&format!(
            "POST /api/push HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
    connection.send_raw(pipeline.as_bytes());
    for number in 0..CALLS {
        check(connection.receive("POST"), number);
    }
    assert_eq!(connection.unread(), b"");
    for (place, client) in clients.iter_mut().enumerate() {
        for _ in 0..2 {
            for number in (0..CALLS).filter(|number| number % 3 != 2 && number % 2 == place) {
                client.expect_text(&number.to_string());
            }
        }
        client.expect_silence(Duration::from_millis(20));
    }
    let last = [("Authorization", authorization.as_str()), ("Connection", "close")];
    let reply = connection.request("GET", &format!("/api/connections/{}", ids[0]), &last, b"");
    assert_eq!(reply.expect_status(200).header("connection"), Some("close"));
    assert!(connection.receive_until_closed(PATIENCE), "a last answer is the last");
}
