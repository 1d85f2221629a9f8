//! The whole program once through: started, used, asked, reloaded, stopped. And a look at the instruments themselves.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Api, App, Client, KeepAlive, Mark, Order, PATIENCE, Server, Setup, Signal, Swarm, cmdline,
    eventually, raw, request, run,
};

const ROOM: &str = "chat.room.1";

#[test]
fn from_the_start_to_the_stop() {
    let server = Server::start(Setup::default().workers(2));
    let pids = server.worker_pids();
    assert_eq!(pids.len(), 2);

    // Two clients, each on a worker of its own, hear each other.
    let mut alice = Client::connect_to_worker(&server, 0);
    let mut bob = Client::connect_to_worker(&server, 1);
    assert_ne!(alice.id(), bob.id());
    alice.subscribe(ROOM);
    bob.subscribe(ROOM);
    alice.publish(ROOM, &json!("hello"));
    for client in [&mut alice, &mut bob] {
        let heard = client.expect_message(ROOM);
        assert_eq!(heard["message"], "hello");
        assert_ne!(heard["sender"], Value::Null);
    }
    bob.publish(ROOM, &json!({"any": ["JSON", 1, null]}));
    assert_eq!(alice.expect_message(ROOM)["message"], json!({"any": ["JSON", 1, null]}));
    assert_eq!(bob.expect_message(ROOM)["sender"], bob.id());

    // Any program reaches any of them by HTTP.
    let api = Api::of(&server);
    for client in [&mut alice, &mut bob] {
        let reply = api.push(client.id(), &json!({"for": client.id()})).expect_status(200);
        assert_eq!(reply.json()["result"], "delivered");
        assert_eq!(client.expect_json(PATIENCE), json!({"for": client.id()}));
    }
    let reply = api.publish(ROOM, &json!("to all")).expect_status(200);
    assert_eq!(reply.json()["delivered"], 2);
    for client in [&mut alice, &mut bob] {
        let heard = client.expect_message(ROOM);
        assert_eq!((&heard["message"], &heard["sender"]), (&json!("to all"), &Value::Null));
    }
    api.with_key("not-the-key-of-this-server").push(alice.id(), &json!(1)).expect_status(401);
    api.push(1 << 50, &json!("nobody")).expect_status(404);

    let status = server.status();
    assert_eq!(status["listen"], server.addr().to_string());
    assert_eq!(status["master"]["pid"], server.pid());
    assert_eq!(status["activity"], "supervising");
    assert_eq!(status["totals"]["websockets"], 2);

    // A reload replaces every process and tells the clients to come back.
    let reload = server.cli_begin(&["reload"]);
    for client in [&mut alice, &mut bob] {
        let reason = client.expect_close(1001);
        assert!(reason.starts_with("restarting; retry_after_ms="), "{reason}");
    }
    let output = reload.wait().expect_code(0);
    assert_ne!(output.stdout, "", "a reload says how it went");
    let successors = server.worker_pids();
    assert!(pids.iter().all(|pid| !successors.contains(pid)), "{pids:?} and {successors:?}");
    let mut carol = Client::connect(&server);
    carol.subscribe(ROOM);

    // The end.
    let stop = server.cli_begin(&["stop"]);
    carol.expect_close(1001);
    stop.wait().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    server.cli(&["status"]).expect_code(3);
    server.cli(&["stop"]).expect_code(3);
    assert!(!server.pid_file().exists(), "the PID file is left");
}

#[test]
fn a_killed_worker_is_replaced() {
    let server = Server::start(Setup::default().workers(2));
    let mut witness = Client::connect_to_worker(&server, 1);
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    witness.expect_alive();
    Client::connect_to_worker(&server, 0).close();
    witness.close();
}

#[test]
fn what_cannot_start_says_why() {
    let output = Setup::default().config_toml("[server]\nworksrs = 2\n").start_refused();
    assert!(output.stderr.contains("worksrs"), "{output}");
    output.expect_code(2);

    let server = Server::start(Setup::default());
    let output = Setup::default().listen(&server.addr().to_string()).start_refused();
    assert!(output.stderr.contains(&server.addr().to_string()), "{output}");
    output.expect_code(1);

    run(&["stop", "--pid-file", "nowhere.pid"]).expect_code(3);
    run(&["strat"]).expect_code(2);
}

#[test]
fn in_the_background() {
    let server = Server::start(Setup::default().workers(2).arg("-d").arg("--log-file").arg("log"));
    assert_eq!(server.wait_exit(), 0, "the command itself ends once the server is ready");
    Client::connect(&server).close();
    server.stop().expect_code(0);
    assert!(server.living().is_empty(), "stop returned before all was gone");
}

#[test]
fn a_thousand_clients() {
    let server = Server::start(Setup::default().workers(2));
    let mut swarm = Swarm::connect(&server, 1000);
    swarm.subscribe(ROOM);
    let mut speaker = Client::connect(&server);
    speaker.subscribe(ROOM);
    for number in 0..20 {
        speaker.publish(ROOM, &json!({"stream": 1, "number": number}));
    }
    swarm.expect_each(20, PATIENCE);
    swarm.order(delivered_mark).expect_whole(20 * 1000);
    swarm.expect_silence(Duration::from_millis(50));
    assert_eq!(server.status()["totals"]["websockets"], 1001);
    swarm.close();
}

#[test]
fn an_echo() {
    let server = Server::start(Setup::default().app(App::Echo));
    let mut client = Client::open(server.addr(), "/any/path?query=1");
    client.send_text("Grüße");
    client.expect_text("Grüße");
    client.expect_silence(Duration::from_millis(50));

    let mut swarm = Swarm::open(server.addr(), 100);
    swarm.send_all(|member| format!("from {member}"));
    swarm.expect_each(1, PATIENCE);
    assert!((0..100).all(|member| swarm.texts(member) == [format!("from {member}")]));
    swarm.close();
    client.close();

    request(server.addr(), "GET", "/health", &[], b"").expect_status(200);
    let title = cmdline(server.worker_pids()[0]);
    assert!(title.starts_with("wsmaster"), "{title}");
}

#[test]
fn http_on_the_same_port() {
    let server = Server::start(Setup::default().api_key("a-key-of-the-tests"));
    let mut connection = KeepAlive::open(server.addr());
    let page = connection.request("GET", "/", &[], b"").expect_status(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    assert!(page.text().contains("wsmaster"), "the page");
    // A reply to HEAD has the length of the page and no body, so the next reply is where it is looked for.
    let head = connection.request("HEAD", "/", &[], b"").expect_status(200);
    assert_eq!(head.header("content-length"), page.header("content-length"));
    for path in ["/health/live", "/nowhere"] {
        connection.send("GET", path, &[], b"");
    }
    assert_eq!(connection.receive("GET").status, 200);
    assert_eq!(connection.receive("GET").status, 404);
    assert_eq!(connection.unread(), b"");

    let answer = raw(server.addr(), b"NOT HTTP\n\n", PATIENCE);
    assert!(answer.closed, "{answer:?}");
    assert!(answer.bytes.starts_with(b"HTTP/1.1 400 "), "{answer:?}");

    let api = Api::of(&server);
    let mut client = Client::connect(&server);
    let known = api.connection(client.id()).expect_status(200).json();
    assert_eq!(known["port"], client.local_addr().port(), "{known}");
    api.disconnect(client.id(), 4001, "go away").expect_status(200);
    assert_eq!(client.expect_close(4001), "go away");
    let is_forgotten = || (api.connection(client.id()).status == 404).then_some(());
    eventually("the server to forget the connection", PATIENCE, is_forgotten);
}

#[test]
fn the_instruments_see_what_is_lost_doubled_and_reordered() {
    let order =
        |numbers: &[u64]| Order::of(numbers.iter().map(|&number| Mark { stream: 7, number }));
    let good = |in_order| Order { in_order, ..Order::default() };
    assert_eq!(order(&[5, 6, 7]), good(3));
    assert_eq!(order(&[0, 1, 1]), Order { doubled: 1, ..good(2) });
    assert_eq!(order(&[0, 2, 3]), Order { lost: 1, after_a_gap: 1, ..good(2) });
    assert_eq!(order(&[0, 2, 1, 3]), Order { reordered: 1, after_a_gap: 1, ..good(2) });
    assert_eq!(
        order(&[0, 3, 1, 1]),
        Order { lost: 1, after_a_gap: 1, reordered: 1, doubled: 1, ..good(1) }
    );
    let mixed = [(1, 0), (2, 8), (1, 1), (2, 9)];
    let mixed = mixed.map(|(stream, number)| Mark { stream, number });
    assert_eq!(Order::of(mixed), good(4));
}

/// The mark in a delivery of the channel server whose message is `{"stream":..,"number":..}`.
fn delivered_mark(text: &str) -> Option<Mark> {
    let delivery: Value = serde_json::from_str(text).ok()?;
    let message = &delivery["message"];
    Some(Mark { stream: message["stream"].as_u64()?, number: message["number"].as_u64()? })
}
