//! Handshakes that a program decides, and requests that it answers.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tungstenite::Error;

use crate::{
    puppet::{Puppet, application, table, wait_process},
    support::{
        App, Client, KeepAlive, PATIENCE, Server, Setup, Signal, eventually, request, signal,
    },
};

const DOOR: &str = "events = [\"handshake\"]\nanswer_timeout = \"1s\"";

/// A server whose paths below `/p/` are a puppet's, which decides about them.
#[track_caller]
fn with_a_door() -> Server {
    Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&application("p", DOOR)))
}

/// The answer to a client that is refused.
#[track_caller]
fn refusal(server: &Server, path: &str) -> (u16, Option<String>, String) {
    match Client::try_open(server.addr(), path, &[]) {
        Err(Error::Http(answer)) => {
            let header = answer.headers().get("x-why");
            let header = header.map(|value| value.to_str().expect("text").to_owned());
            let body = answer.body().clone().unwrap_or_default();
            (answer.status().as_u16(), header, String::from_utf8(body).expect("text"))
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{path} was accepted"),
    }
}

#[test]
fn a_program_decides_who_may_come_in() {
    let server = with_a_door();
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::open(server.addr(), "/p/x?accept");
    client.send_text("hello");
    client.expect_text("0 hello");
    let asked = puppet.expect_event("handshake");
    let open = puppet.expect_event("open");
    assert_eq!((&asked["path"], &asked["query"]), (&json!("/p/x"), &json!("accept")));
    assert_eq!(asked["connection"], open["connection"], "the id is known before the connection is");
    assert_eq!((&asked["subprotocols"], &asked["timeout_ms"]), (&json!([]), &json!(1000)));
    assert_eq!(asked["port"], client.local_addr().port());

    let (status, why, body) = refusal(&server, "/p/?reject");
    assert_eq!((status, why.as_deref(), body.as_str()), (401, Some("no"), "not you"));
    // Others are not asked about.
    let mut other = Client::open(server.addr(), "/?reject");
    other.send_text("echo");
    other.expect_text("echo");
    let asked = puppet.events().iter().filter(|event| event["event"] == "handshake").count();
    assert_eq!(asked, 2);
}

#[test]
fn a_subprotocol_and_headers_are_chosen_of_what_is_offered() {
    let server = with_a_door();
    Puppet::of(&server, "p");
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "a, b"),
    ];
    for (path, chosen, hall) in [
        ("/p/?choose", Some("b"), Some("7")),
        ("/p/?foreign", None, None),
        ("/p/?accept", None, None),
    ] {
        let answer = KeepAlive::open(server.addr()).request("GET", path, &upgrade, b"");
        assert_eq!(answer.status, 101, "{path}");
        assert_eq!(answer.header("sec-websocket-protocol"), chosen, "{path}");
        assert_eq!(answer.header("x-hall"), hall, "{path}");
    }
}

#[test]
fn nobody_waits_at_the_door_for_ever() {
    let server = with_a_door();
    let puppet = Puppet::of(&server, "p");
    let begun = Instant::now();
    assert_eq!(refusal(&server, "/p/?silent").0, 504);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "{took:?}");
    // An answer that comes too late finds nobody.
    let number = puppet.expect_event("handshake")["request"].clone();
    // Its host has a clock of its own, and takes an answer for a moment longer than the worker waits.
    eventually("the question to be over", PATIENCE, || {
        let late = puppet.ask(json!({"do": "accept", "request": number}));
        (late["success"] == false && late["result"] == "no_such_request").then_some(())
    });
    let never = puppet.ask(json!({"do": "respond", "request": 4711, "text": "x"}));
    assert_eq!(never["result"], "no_such_request");
}

#[test]
fn what_a_program_pushes_right_behind_accept_is_the_first_that_the_client_gets() {
    const CLIENTS: usize = 300;
    const THREADS: usize = 6;
    let server = with_a_door();
    let puppet = Puppet::of(&server, "p");
    let addr = server.addr();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                for _ in 0..CLIENTS / THREADS {
                    let mut client = Client::open(addr, "/p/?greet");
                    client.expect_text("first");
                    // Too large for a packet of its own kind: it overtakes nothing.
                    client.expect_text(&format!("second {}", "x".repeat(40_000)));
                }
            });
        }
    });
    let asked = puppet.events().iter().filter(|event| event["event"] == "handshake").count();
    assert_eq!(asked, CLIENTS);
    // And whatever else it does, each after the other.
    for _ in 0..20 {
        let mut client = Client::open(addr, "/p/?pass");
        client.expect_text("first");
        client.expect_text(&format!("second {}", "x".repeat(40_000)));
        client.expect_text("third");
        client.expect_close(4001);
    }
    let stale = server.status()["totals"]["stale_commands"].clone();
    assert_eq!(stale, 0, "no command came before the connection");
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_no_success() {
    let config = application("p", "events = [\"handshake\"]\nanswer_timeout = \"5m\"");
    let server = Server::start(Setup::default().workers(1).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(server.addr()).expect("it listens");
        stream.write_all(head.as_bytes()).expect("room");
        stream
    };
    let _asking = [
        ask("GET /p/?silent HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        ask("GET /p/silent HTTP/1.1\r\nHost: x\r\n\r\n"),
    ];
    let handshake = puppet.expect_event("handshake")["request"].clone();
    let request = puppet.expect_event("request")["request"].clone();
    // Both clients are gone with their worker, and the host of the program cannot know it.
    let pid = server.worker_pid(0);
    assert!(signal(pid, Signal::Kill));
    server.wait_until("a successor", PATIENCE, |status| {
        let worker = &status["workers"][0];
        worker["state"] == "ready" && worker["pid"] != pid
    });
    for command in [
        json!({"do": "accept", "request": handshake}),
        json!({"do": "respond", "request": request, "text": "hello"}),
    ] {
        let answer = puppet.ask(command);
        assert_eq!(
            (&answer["success"], &answer["result"]),
            (&json!(false), &json!("no_such_request"))
        );
    }
    // Who does wait gets it, and that is told as well.
    let _asking = ask("GET /p/silent HTTP/1.1\r\nHost: x\r\n\r\n");
    let again = puppet
        .expect("the next", |event| event["event"] == "request" && event["request"] != request);
    let command = json!({"do": "respond", "request": again["request"], "text": "hello"});
    assert_eq!(puppet.ask(command), json!({"success": true}));
}

#[test]
fn who_waits_at_the_door_of_a_program_that_dies_hears_so_at_once() {
    let server = with_a_door();
    let puppet = Puppet::of(&server, "p");
    let pid = puppet.pid();
    let addr = server.addr();
    let waiting = thread::spawn(move || {
        let begun = Instant::now();
        match Client::try_open(addr, "/p/?silent", &[]) {
            Err(Error::Http(answer)) => (answer.status().as_u16(), begun.elapsed()),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was accepted"),
        }
    });
    puppet.expect_event("handshake");
    assert!(signal(pid, Signal::Kill));
    let (status, took) = waiting.join().expect("it has an answer");
    assert_eq!(status, 503);
    assert!(took < Duration::from_millis(900), "not at its deadline: {took:?}");
}

#[test]
fn a_program_that_does_not_want_to_decide_lets_everybody_in() {
    let server = with_a_door();
    let puppet = Puppet::of(&server, "p");
    puppet.order(r#"{"do":"ready","protocol":1,"events":["open","message","close"]}"#);
    assert_eq!(puppet.ask(json!({"do": "exists", "connection": 1}))["exists"], false);
    let mut client = Client::open(server.addr(), "/p/?reject");
    client.send_text("hello");
    client.expect_text("0 hello");
    assert_eq!(request(server.addr(), "GET", "/p/echo", &[], b"").status, 404);
    assert!(puppet.events().iter().all(|event| event["event"] != "handshake"));
}

#[test]
fn a_program_answers_requests() {
    let config = application("p", "answer_timeout = \"5s\"") + &table("q", "");
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let ask =
        |method: &str, path: &str, body: &[u8]| request(server.addr(), method, path, &[], body);
    let answer = ask("POST", "/p/echo?a=%20b", "grüß \"dich\"".as_bytes()).expect_status(200);
    assert_eq!(answer.text(), "0 POST /p/echo?a=%20b grüß \"dich\"");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let asked = puppet.expect_event("request");
    assert_eq!((&asked["path"], &asked["query"]), (&json!("/p/echo"), &json!("a=%20b")));
    assert_eq!(ask("PUT", "/p/echo", &[0, 255]).text(), "0 PUT /p/echo AP8=");
    let binary = ask("GET", "/p/binary", b"").expect_status(203);
    assert_eq!(
        (binary.body.as_slice(), binary.header("content-type")),
        (&[0, 255][..], Some("x/y"))
    );
    let many = ask("GET", "/p/many", b"").expect_status(204);
    let cookies: Vec<&str> = many
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(ask("GET", "/p/large", b"").expect_status(200).body.len(), 5_000_000);
    let head = ask("HEAD", "/p/large", b"").expect_status(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("5000000"), 0));
    let long = "x".repeat(900_000);
    assert!(ask("POST", "/p/echo", long.as_bytes()).text().ends_with(&long));
    let begun = Instant::now();
    assert_eq!(ask("GET", "/p/silent", b"").status, 504);
    assert!(begun.elapsed() >= Duration::from_millis(4900), "{:?}", begun.elapsed());

    // One connection, many requests: in their order.
    let mut connection = KeepAlive::open(server.addr());
    for number in 0..10 {
        connection.send("POST", "/p/echo", &[], number.to_string().as_bytes());
    }
    for number in 0..10 {
        assert_eq!(connection.receive("POST").text(), format!("0 POST /p/echo {number}"));
    }
    // What is not below the route is not its.
    assert_eq!(ask("GET", "/pp", b"").status, 404);
    assert_eq!(ask("GET", "/", b"").status, 426);
    let wrong = puppet.ask(json!({"do": "respond", "request": 1, "status": 99}));
    assert_eq!(wrong["result"], "invalid");
    let open = wait_process(&server, "p", |process| process["open_questions"] == 0);
    assert_eq!(open["application"], true);
}

#[test]
fn a_request_is_not_accepted() {
    let server = Server::start(Setup::default().config_toml(&application("p", "")));
    let puppet = Puppet::of(&server, "p");
    let addr = server.addr();
    let waiting = thread::spawn(move || request(addr, "GET", "/p/silent", &[], b"").status);
    let number = puppet.expect_event("request")["request"].clone();
    let accepted = puppet.ask(json!({"do": "accept", "request": number}));
    assert_eq!(accepted["result"], "invalid", "{accepted}");
    let answered = puppet.ask(json!({"do": "respond", "request": number, "status": 418}));
    assert_eq!(answered, json!({"success": true}));
    let again = puppet.ask(json!({"do": "respond", "request": number, "status": 200}));
    assert_eq!(again["result"], "no_such_request");
    assert_eq!(waiting.join().expect("an answer"), 418);
}

#[test]
fn a_program_may_get_the_requests_that_nobody_else_answers() {
    let config = table("p", "env = { PUPPET_APP = \"1\" }\nevents = [\"request\"]\ninstances = 2");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppets = [0, 1].map(|instance| Puppet::instance(&server, "p", instance));
    let status = |path: &str| request(server.addr(), "GET", path, &[], b"").status;
    for _ in 0..4 {
        assert_eq!(status("/other"), 200);
    }
    for puppet in &puppets {
        let asked = puppet.events().iter().filter(|event| event["event"] == "request").count();
        assert_eq!(asked, 2, "in turn, {}", puppet.name);
    }
    // The server's own stay its own, and so do WebSockets.
    assert_eq!((status("/"), status("/health"), status("/api/none")), (200, 200, 401));
    Client::connect(&server).expect_alive();
    let hello: &Value = &puppets[0].events()[0];
    assert_eq!(hello["events"], json!(["request"]));
}

#[test]
fn while_a_program_is_gone_its_paths_say_so_and_the_others_are_served() {
    let config = application("p", "restart = \"never\"\nanswer_timeout = \"1s\"");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let mut silent = Client::open(server.addr(), "/p/silent");
    silent.send_text("there");
    silent.expect_text("0 there");
    let mut client = Client::open(server.addr(), "/p/");
    client.send_text("there");
    client.expect_text("0 there");
    puppet.order("#exit 0");
    wait_process(&server, "p", |process| process["state"] == "given_up");
    assert_eq!(refusal(&server, "/p/").0, 503);
    let answer = request(server.addr(), "GET", "/p/echo", &[], b"").expect_status(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let mut echo = Client::open(server.addr(), "/");
    echo.send_text("hello");
    echo.expect_text("hello");
    // Who has something to say hears that nobody takes it; who has not may wait for a better time.
    client.send_text("anybody?");
    assert_eq!(client.expect_close(1013), "the application does not take messages");
    silent.expect_silence(Duration::from_millis(100));
    server.wait_until("the message to be counted", PATIENCE, |status| {
        status["totals"]["dropped_by_handler"] == 1
    });
}
