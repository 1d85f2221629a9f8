//! The examples that are applications, on the real server. What each does in detail is tested in `clients/plugins/test`.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    puppet::Puppet,
    support::{
        App, Client, PATIENCE, Server, Setup, Signal, eventually, in_time, is_alive, request,
        signal,
    },
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/plugins");

/// A `[[process]]` that runs an example.
fn process(name: &str, command: &str, file: &str, more: &str) -> String {
    let file = format!("{EXAMPLES}/{file}");
    format!(
        "[[process]]\nname = \"{name}\"\ncommand = \"{command}\"\nargs = [\"{file}\"]\n{more}\n"
    )
}

/// Waits for a JSON text that is as wanted, past others.
#[track_caller]
fn expect(client: &mut Client, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    in_time(PATIENCE, || Some(client.expect_json(PATIENCE)).filter(|value| wanted(value)))
        .unwrap_or_else(|| panic!("no {what}"))
}

#[test]
fn a_queue_for_users_is_an_application_as_it_is_a_listener() {
    let more = "events = [\"message\", \"close\"]\ntick = \"50ms\"\n\
                env = { PYTHONDONTWRITEBYTECODE = \"1\" }";
    let config = process("queue", "python3", "python/user_queue.py", more);
    for app in [App::Plugin("queue"), App::Channels] {
        let setup = Setup::default().workers(2).app(app).config_toml(&config);
        let server = Server::start(setup);
        let queue = Puppet::of(&server, "queue");
        let spool = server.directory().join("spool");
        let mut clients: Vec<Client> = (0..8).map(|_| Client::open(server.addr(), "/")).collect();
        for client in &mut clients {
            client.send_json(&json!({"event": "CONNECT", "data": {"user_id": 500}}));
        }
        for client in &mut clients {
            // Where the channels are, it is welcomed first; nobody says that this is no request of theirs.
            let answer = expect(client, "answer", |value| value["action"] != "welcome");
            assert_eq!(answer, json!({"event": "CONNECTED", "data": {"user_id": 500}}));
        }
        let put = |name: &str, message: &Value| {
            let directory = spool.join("500");
            fs::create_dir_all(&directory).expect("the spool is there");
            let unfinished = directory.join(format!("{name}.tmp"));
            fs::write(&unfinished, message.to_string()).expect("the directory is ours");
            fs::rename(&unfinished, directory.join(format!("{name}.json"))).expect("just written");
        };
        put("1", &json!({"event": "MAIL", "data": {"number": 1}}));
        for client in &mut clients {
            assert_eq!(client.expect_json(PATIENCE)["data"]["number"], 1);
        }
        // What is queued while it is away waits, and it knows its users again.
        assert!(signal(queue.pid(), Signal::Kill));
        put("2", &json!({"event": "MAIL", "data": {"number": 2}}));
        for client in &mut clients {
            assert_eq!(client.expect_json(PATIENCE)["data"]["number"], 2);
        }
        eventually("the files to be gone", PATIENCE, || {
            let left = fs::read_dir(spool.join("500")).ok()?.count();
            (left == 0).then_some(())
        });
        server.stop().expect_code(0);
    }
}

#[test]
fn a_poll_in_python() {
    let more =
        "tick = \"50ms\"\nenv = { POLL_OPTIONS = \"tea,coffee\", PYTHONDONTWRITEBYTECODE = \"1\" }";
    let config = "[[route]]\npath = \"/poll\"\napp = \"plugin:poll\"\n".to_owned()
        + &process("poll", "python3", "python/poll.py", more);
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    Puppet::of(&server, "poll");
    let mut clients = [(); 3].map(|()| Client::open(server.addr(), "/poll"));
    clients[0].send_text("tea");
    clients[1].send_text("tea");
    clients[2].send_text("coffee");
    request(server.addr(), "POST", "/poll", &[], b"coffee").expect_status(201);
    let standing = json!({"voters": 3, "votes": {"tea": 2, "coffee": 2}});
    for client in &mut clients {
        expect(client, "standing", |value| *value == standing);
    }
    assert_eq!(request(server.addr(), "GET", "/poll", &[], b"").json(), standing);
    // The playground and the channels are where they were.
    assert_eq!(request(server.addr(), "GET", "/", &[], b"").status, 200);
    Client::connect(&server).expect_alive();
}

#[test]
fn chat_rooms_in_node() {
    let config = "[[route]]\npath = \"/rooms/*\"\napp = \"plugin:rooms\"\n".to_owned()
        + &process("rooms", "node", "node/rooms.mjs", "events = [\"handshake\"]");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let rooms = Puppet::of(&server, "rooms");
    let mut ann = Client::open(server.addr(), "/rooms/kitchen?name=ann");
    assert_eq!(ann.expect_json(PATIENCE)["people"], json!(["ann"]));
    assert!(Client::try_open(server.addr(), "/rooms/kitchen?name=ann", &[]).is_err());
    assert!(Client::try_open(server.addr(), "/rooms/kitchen", &[]).is_err());
    let mut bea = Client::open(server.addr(), "/rooms/kitchen?name=bea");
    assert_eq!(ann.expect_json(PATIENCE), json!({"entered": "bea"}));
    assert_eq!(bea.expect_json(PATIENCE)["people"], json!(["ann", "bea"]));
    let (host, pid) = (rooms.host(), rooms.pid());
    assert!(signal(host, Signal::Kill));
    eventually("its end", PATIENCE, || (!is_alive(host) && !is_alive(pid)).then_some(()));
    // Whoever speaks waits for its successor, and everybody is still in the room.
    bea.send_text("hello");
    for client in [&mut ann, &mut bea] {
        assert_eq!(client.expect_json(PATIENCE), json!({"from": "bea", "text": "hello"}));
    }
    bea.close();
    assert_eq!(ann.expect_json(PATIENCE), json!({"left": "bea"}));
    let counts = request(server.addr(), "GET", "/rooms/", &[], b"").json();
    assert_eq!(counts, json!({"rooms": {"kitchen": 1}}));
    // Workers that are killed leave nobody behind whose name is taken for ever.
    for worker in 0..2 {
        assert!(signal(server.worker_pid(worker), Signal::Kill));
    }
    let mut ann = eventually("her name to be free", PATIENCE, || {
        Client::try_open(server.addr(), "/rooms/kitchen?name=ann", &[]).ok()
    });
    assert_eq!(ann.expect_json(PATIENCE)["people"], json!(["ann"]));
}

#[test]
fn an_inbox_in_php() {
    let more = "events = [\"handshake\"]\n\
                env = { INBOX_SECRET = \"a secret of the site\", INBOX_KEY = \"a key of the programs\" }";
    let config = "[[route]]\npath = \"/inbox/*\"\napp = \"plugin:inbox\"\n".to_owned()
        + &process("inbox", "php", "php/inbox.php", more);
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    Puppet::of(&server, "inbox");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    // As a site in PHP does it.
    let sign = format!("echo hash_hmac('sha256', '500.{}', 'a secret of the site');", now + 60);
    let output = std::process::Command::new("php").args(["-r", &sign]).output().expect("php");
    let signature = String::from_utf8(output.stdout).expect("text");
    let path = format!("/inbox?token=500.{}.{signature}", now + 60);
    let mut clients: Vec<Client> = (0..4).map(|_| Client::open(server.addr(), &path)).collect();
    assert!(Client::try_open(server.addr(), "/inbox?token=500.1.0", &[]).is_err());
    let key = [("Authorization", "Bearer a key of the programs")];
    let post =
        |user: &str| request(server.addr(), "POST", &format!("/inbox/{user}"), &key, b"mail");
    assert_eq!(post("500").expect_status(200).json(), json!({"delivered": 4}));
    for client in &mut clients {
        client.expect_text("mail");
    }
    assert_eq!(post("501").expect_status(404).json(), json!({"delivered": 0}));
    assert_eq!(request(server.addr(), "POST", "/inbox/500", &[], b"mail").status, 401);
}
