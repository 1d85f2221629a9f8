//! Workers that leave: what is still under way there is answered truly, whoever reads the slot's mailbox by then.

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Api, App, Client, KeepAlive, PATIENCE, Reply, Server, Setup, Signal, Swarm};

/// Longer than an answer takes, shorter than the time after which a worker that does not answer is given up.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A call over a connection that was made earlier, with its answer.
#[track_caller]
fn call(early: &mut KeepAlive, server: &Server, path: &str, body: &Value) -> Reply {
    let key = format!("Bearer {}", server.api_key());
    let begun = Instant::now();
    let (method, body) = match body {
        Value::Null => ("GET", Vec::new()),
        body => ("POST", body.to_string().into_bytes()),
    };
    let reply = early.request(method, &format!("/api/{path}"), &[("Authorization", &key)], &body);
    assert!(begun.elapsed() < AT_ONCE, "{path} took {:?}: {reply:?}", begun.elapsed());
    reply
}

/// Connections made before a reload, that many, spread over the workers by the kernel.
#[track_caller]
fn early(server: &Server, count: usize) -> Vec<KeepAlive> {
    let connections = (0..count).map(|_| KeepAlive::open(server.addr())).collect();
    server.wait_until("all to be accepted", PATIENCE, |status| {
        status["totals"]["connections"].as_u64() >= Some(count as u64)
    });
    connections
}

/// Whoever calls over a connection that a leaving worker has reaches all that live by now, and is told what is so.
#[test]
fn calls_over_connections_made_before_reloads_are_answered_truly() {
    let server = Server::start(Setup::default().workers(2));
    let mut callers = early(&server, 10);
    server.reload().expect_code(0);
    // Some call from workers two lives back.
    callers.extend(early(&server, 10));
    server.reload().expect_code(0);
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    for client in &mut clients {
        client.subscribe("chat.room.1");
    }
    for (number, caller) in callers.iter_mut().enumerate() {
        let client = &mut clients[number % 2];
        let text = format!("push {number}");
        let id = client.id();
        let (path, body) = match number / 2 % 3 {
            0 => ("push", json!({ "connection": id, "text": text })),
            1 => ("publish", json!({ "channel": "chat.room.1", "message": text })),
            _ => ("broadcast", json!({ "text": text })),
        };
        let answer = call(caller, &server, path, &body).expect_status(200).json();
        match path {
            "push" => {
                client.expect_text(&text);
            }
            "publish" => {
                assert_eq!(answer["delivered"], 2, "{answer}");
                for client in &mut clients {
                    let message = client.expect_json(PATIENCE);
                    assert_eq!(message["message"], text, "{message}");
                }
            }
            _ => {
                assert_eq!(answer["delivered"], 2, "{answer}");
                for client in &mut clients {
                    client.expect_text(&text);
                }
            }
        }
    }
}

/// What is known of a connection, and its end, from a worker that leaves.
#[test]
fn a_leaving_worker_tells_of_its_successors_connections_and_closes_them() {
    let server = Server::start(Setup::default().workers(1));
    let mut callers = early(&server, 3);
    server.reload().expect_code(0);
    let mut client = Client::connect(&server);
    let id = client.id();
    let path = format!("connections/{id}");
    let told = call(&mut callers[0], &server, &path, &Value::Null).expect_status(200).json();
    assert_eq!(told["connection"], id, "{told}");
    let body = json!({ "connection": id, "code": 4001, "reason": "enough" });
    call(&mut callers[1], &server, "disconnect", &body).expect_status(200);
    assert_eq!(client.expect_close(4001), "enough");
    drop(client);
    server.wait_until("the connection to be gone", PATIENCE, |status| {
        status["totals"]["websockets"] == 0
    });
    call(&mut callers[2], &server, "push", &json!({ "connection": id, "text": "too late" }))
        .expect_status(404);
}

/// A program that was asked before the reload, and answers after it.
#[test]
fn what_a_program_was_asked_before_a_reload_is_answered_by_it() {
    let script = "printf '{\"do\":\"ready\",\"protocol\":1}\\n' >&4; \
                  while read -r e <&3; do case $e in \
                  *'\"event\":\"handshake\"'*) r=${e#*\\\"request\\\":}; \
                  (sleep 1.5; printf '{\"do\":\"accept\",\"request\":%s}\\n' \"${r%%[!0-9]*}\" >&4) & ;; \
                  *'\"event\":\"request\"'*) r=${e#*\\\"request\\\":}; r=${r#*\\\"request\\\":}; \
                  (sleep 1.5; printf '{\"do\":\"respond\",\"request\":%s,\"text\":\"at last\"}\\n' \"${r%%[!0-9]*}\" >&4) & ;; \
                  *'\"event\":\"stop\"'*) exit 0;; esac; done";
    let args = json!(["-c", script]);
    let config = format!(
        "[[process]]\nname = \"p\"\ncommand = \"bash\"\nargs = {args}\nevents = [\"open\", \
         \"handshake\", \"request\"]\n"
    );
    let server =
        Server::start(Setup::default().workers(2).app(App::Plugin("p")).config_toml(&config));
    let mut caller = KeepAlive::open(server.addr());
    caller.send("GET", "/slow", &[], b"");
    let addr = server.addr();
    let opening = thread::spawn(move || Client::open(addr, "/"));
    server.wait_until("both to be asked for", PATIENCE, |status| {
        status["totals"]["connections"].as_u64() >= Some(2)
    });
    server.reload().expect_code(0);
    let answer = caller.receive("GET").expect_status(200);
    assert_eq!((answer.text(), answer.header("connection")), ("at last", Some("close")));
    let mut client = opening.join().expect("the handshake is accepted");
    client.expect_close(1001);
}

/// A worker that nobody needs any more is not waited for.
#[test]
fn a_leaving_worker_ends_with_its_last_connection() {
    let server = Server::start(Setup::default().workers(1));
    let held = TcpStream::connect(server.addr()).expect("a connection");
    server.wait_until("it to be accepted", PATIENCE, |status| status["totals"]["connections"] == 1);
    let pid = server.worker_pid(0);
    server.reload().expect_code(0);
    assert!(support::is_alive(pid), "a request may be on its way");
    drop(held);
    support::eventually("the worker to end", AT_ONCE, || (!support::is_alive(pid)).then_some(()));
}

/// Nobody is cut off from its channels before it is told, and what is said to have been delivered was.
#[test]
fn clients_are_told_one_by_one_and_hear_their_channels_until_then() {
    const CLIENTS: usize = 200;
    let config = "[server]\nreconnect_spread = \"2s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let mut swarm = Swarm::connect(&server, CLIENTS);
    swarm.subscribe("chat.room.1");
    swarm.clear_texts();
    let api = Api::of(&server);
    let reload = server.cli_begin(&["reload"]);
    let (mut delivered, mut rounds_between, mut first) = (0, 0, None);
    swarm.until("the first close", PATIENCE, |swarm| swarm.ends().next().is_some());
    while swarm.open_count() > 0 {
        first.get_or_insert_with(Instant::now);
        rounds_between += 1;
        // Each round over a connection of its own, which a successor accepts.
        let answer = api.publish("chat.room.1", &json!("hello")).expect_status(200).json();
        assert_eq!(answer["dropped"], 0, "{answer}");
        delivered += answer["delivered"].as_u64().expect("a number");
        swarm.run_for(Duration::from_millis(5));
    }
    reload.wait().expect_code(0);
    let took = first.expect("a moment").elapsed();
    assert!(took > Duration::from_millis(300), "all were told within {took:?}");
    assert!(rounds_between > 5 && delivered > 0, "{rounds_between} rounds, {delivered} delivered");
    assert_eq!(swarm.received() as u64, delivered);
    assert!(swarm.ends().all(|(_, end)| matches!(end, support::End::Closed(1001, _))));
}

/// What a client of a leaving worker publishes reaches those who are on the successor already, and the other way round.
#[test]
fn clients_of_a_leaving_worker_and_of_its_successor_are_in_the_same_channel() {
    let config = "[server]\nreconnect_spread = \"60s\"\n";
    let server = Server::start(Setup::default().workers(1).config_toml(config));
    // So many that one of them is told late.
    let mut swarm = Swarm::connect(&server, 400);
    swarm.subscribe("chat.room.1");
    swarm.clear_texts();
    server.reload().expect_code(0);
    let mut late = Client::connect(&server);
    late.subscribe("chat.room.1");
    // Some may be told before their message arrives.
    swarm.run_for(Duration::from_millis(1));
    let data = json!({ "channel": "chat.room.1", "message": "from early" });
    let hello = json!({ "action": "message", "data": data });
    let sent = (0..swarm.len()).filter(|member| swarm.try_send(*member, hello.to_string())).count();
    assert!(sent > 1, "nobody is left");
    swarm.run_for(Duration::from_millis(100));
    assert_eq!(late.expect_message("chat.room.1")["message"], "from early");
    late.publish("chat.room.1", &json!("from late"));
    swarm.until("somebody to hear the newcomer", PATIENCE, |swarm| {
        (0..swarm.len())
            .any(|member| swarm.texts(member).iter().any(|text| text.contains("from late")))
    });
}

/// Where one of several leaving workers of a slot dies, those before it are still reached.
#[test]
fn a_leaving_worker_that_dies_cuts_nobody_off_from_those_before_it() {
    let config = "[server]\nreconnect_spread = \"60s\"\n";
    let server = Server::start(Setup::default().workers(1).config_toml(config));
    let mut swarm = Swarm::connect(&server, 600);
    swarm.subscribe("chat.room.1");
    swarm.clear_texts();
    server.reload().expect_code(0);
    let between = server.worker_pid(0);
    server.reload().expect_code(0);
    assert!(support::signal(between, Signal::Kill));
    let api = Api::of(&server);
    let publish = || {
        let answer = api.publish("chat.room.1", &json!("hello")).expect_status(200).json();
        answer["delivered"].as_u64().expect("a number")
    };
    // The master has to hear of the death first.
    let mut delivered = support::eventually("somebody to be reached", AT_ONCE, || {
        Some(publish()).filter(|delivered| *delivered > 0)
    });
    delivered += publish();
    swarm.until("all to be told", PATIENCE, |swarm| swarm.open_count() == 0);
    assert_eq!(swarm.received() as u64, delivered);
}

/// How many requests of a client that keeps its connection and asks all the time are answered, and how many are not.
fn ask_all_the_time(addr: SocketAddr, is_over: &AtomicBool) -> (usize, usize) {
    let (mut answered, mut lost) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(addr).expect("nobody is refused");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        loop {
            let sent = stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
            let mut answer = Vec::new();
            let mut buffer = [0; 4096];
            let is_whole = |answer: &[u8]| answer.ends_with(b"}");
            while sent.is_ok() && !is_whole(&answer) {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => answer.extend_from_slice(&buffer[..count]),
                }
            }
            if !is_whole(&answer) {
                lost += 1;
                break;
            }
            answered += 1;
            let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            if answer.contains("connection: close") || is_over.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    (answered, lost)
}

/// A request that the kernel holds at that moment is answered, as the last one of its connection.
#[test]
fn busy_connections_lose_no_request_at_reloads() {
    let server = Server::start(Setup::default().workers(2));
    let (addr, is_over) = (server.addr(), AtomicBool::new(false));
    let (answered, lost) = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ask_all_the_time(addr, &is_over))).collect();
        for _ in 0..8 {
            server.reload().expect_code(0);
        }
        is_over.store(true, Ordering::Relaxed);
        let counts = clients.into_iter().map(|client| client.join().expect("a client"));
        counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    assert!(lost == 0 && answered > 100, "{lost} lost, {answered} answered");
}
