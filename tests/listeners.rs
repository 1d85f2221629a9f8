//! Several listeners: each with its own address and rules, on TCP and on unix sockets, added and removed by a reload.

mod support;

#[path = "support/kernel.rs"]
mod kernel;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use kernel::{links, listening_sockets, socket_number, sockets_at};
use serde_json::{Value, json};
use support::{Client, PATIENCE, Server, Setup, Signal, Welcome, eventually, request};
use tungstenite::{Message, WebSocket, client};

/// A directory for sockets, beside that of the server.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// One answer over a unix socket, whole.
#[track_caller]
fn ask_unix(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and its end");
    answer
}

/// A client, and the id that it was welcomed with.
#[track_caller]
fn welcomed_unix(path: &Path) -> (WebSocket<UnixStream>, u64) {
    let stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let (mut socket, _) = client("ws://localhost/", stream).expect("a WebSocket");
    let welcome = socket.read().expect("the welcome");
    let welcome: Value = serde_json::from_str(welcome.to_text().expect("text")).expect("JSON");
    let id = Welcome::of(&welcome).expect("a welcome").id;
    (socket, id)
}

#[track_caller]
fn websocket_unix(path: &Path) -> WebSocket<UnixStream> {
    welcomed_unix(path).0
}

#[track_caller]
fn address_of(server: &Server, name: &str) -> SocketAddr {
    listener(server, name)["address"].as_str().and_then(|text| text.parse().ok()).expect("of TCP")
}

#[track_caller]
fn listener(server: &Server, name: &str) -> Value {
    let status = server.status();
    let listeners = status["listeners"].as_array().expect("a list").clone();
    let found = listeners.into_iter().find(|listener| listener["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {status}"))
}

#[test]
fn each_listener_serves_what_it_is_to_serve() {
    let config = "\
[[listener]]\nname = \"pages\"\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\nserves = [\"playground\", \"health\"]\n\
[[listener]]\nname = \"small\"\naddress = \"[::1]:0\"\nserves = [\"api\"]\nmessage_bytes_max = 200\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let (pages, small) = (address_of(&server, "pages"), address_of(&server, "small"));
    let status = |addr, path: &str| request(addr, "GET", path, &[], b"").status;
    assert_eq!(
        [status(server.addr(), "/"), status(pages, "/"), status(small, "/")],
        [200, 200, 404]
    );
    assert_eq!(status(pages, "/health"), 200);
    assert_eq!(status(small, "/health"), 404);
    assert_eq!(status(pages, "/api/push"), 404);
    assert_eq!(status(small, "/api/push"), 401, "without the key");

    let upgrade = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let refused = request(pages, "GET", "/", &upgrade, b"");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("does not speak WebSocket"), "{}", refused.text());

    // A message goes from a client of one listener to one of another.
    let mut one = Client::open(server.addr(), "/");
    let mut other = Client::open(small, "/");
    let id = Welcome::of(&other.expect_json(PATIENCE)).expect("a welcome").id;
    for client in [&mut one, &mut other] {
        client.subscribe("room");
    }
    one.publish("room", &json!("x".repeat(500)));
    other.expect_message("room");
    let info = support::Api::of(&server).connection(id).json();
    assert_eq!((&info["listener"], &info["address"]), (&json!("small"), &json!("::1")), "{info}");
    other.send_text(&"y".repeat(201));
    other.expect_close(1009);
    one.expect_alive();
}

#[test]
fn a_unix_socket_has_its_owners_permissions_and_is_shared_by_all_workers() {
    let place = Place::new();
    let path = place.at("ws.sock");
    let config = format!(
        "[[listener]]\nname = \"local\"\naddress = \"unix:{}\"\nmode = \"0640\"\n",
        path.display()
    );
    let server = Server::start(Setup::default().workers(3).config_toml(&config));
    let facts = fs::symlink_metadata(&path).expect("it is there");
    assert!(facts.file_type().is_socket());
    assert_eq!(facts.permissions().mode() & 0o777, 0o640);
    assert_eq!(listener(&server, "local")["address"], format!("unix:{}", path.display()));

    let mut sockets: Vec<_> = (0..60).map(|_| websocket_unix(&path)).collect();
    for socket in &mut sockets {
        socket.send(Message::text(r#"{"action":"ping"}"#)).expect("it lives");
        assert!(socket.read().expect("a pong").to_text().expect("text").contains("pong"));
    }
    let status = server.status();
    let accepted = |slot: usize| status["workers"][slot]["accepted"].as_u64().expect("a number");
    assert!((0..3).map(accepted).sum::<u64>() >= 60, "{status}");
    // There is no address to tell of.
    let (_socket, id) = welcomed_unix(&path);
    let info = support::Api::of(&server).connection(id).json();
    assert_eq!((&info["address"], &info["port"]), (&Value::Null, &Value::Null), "{info}");
    assert_eq!(info["listener"], "local");

    // One socket, whoever has it; and of TCP each worker has its own.
    let here = sockets_at(&path);
    for pid in server.worker_pids() {
        let numbers: Vec<u64> =
            links(pid).iter().filter_map(|(_, link)| socket_number(link)).collect();
        assert!(numbers.iter().any(|number| here.contains(number)), "{numbers:?}");
        let tcp = listening_sockets();
        assert_eq!(numbers.iter().filter(|number| tcp.contains(number)).count(), 1);
    }
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    websocket_unix(&path);
    server.stop().expect_code(0);
    assert!(!path.exists(), "the file goes with the server");
}

#[test]
fn listen_can_be_given_again_and_a_socket_that_is_in_use_is_not_taken() {
    let place = Place::new();
    let path = place.at("main.sock");
    let listen = format!("unix:{}", path.display());
    let server = Server::start(Setup::default().workers(1).arg("--listen").arg(&listen));
    let answer = ask_unix(&path, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(listener(&server, "listen-2")["address"], listen);
    let other = place.at("other.pid").display().to_string();
    let again = support::run(&["start", "--listen", &listen, "--pid-file", &other]);
    assert_eq!(again.code, 1, "{again}");
    assert!(again.stderr.contains("another program uses the address"), "{again}");
    assert!(path.exists(), "and it is still the first one's");
    websocket_unix(&path);

    // The only one, too.
    let path = place.at("only.sock").display().to_string();
    let listen = format!("unix:{path}");
    let alone = ["start", "-d", "-w", "1", "--listen", &listen, "--pid-file", &other];
    let banner = support::run(&alone).expect_code(0).stdout;
    assert!(banner.contains(&format!("listening   {listen}   (HTTP, WebSocket)")), "{banner}");
    assert!(
        banner.contains(&format!("curl --unix-socket {path} http://localhost/api/")),
        "{banner}"
    );
    websocket_unix(Path::new(&path));
    support::run(&["stop", "--pid-file", &other]).expect_code(0);
}

#[test]
fn what_a_killed_server_leaves_behind_is_replaced_and_nothing_else_is() {
    let place = Place::new();
    let path = place.at("ws.sock");
    drop(UnixListener::bind(&path).expect("a socket"));
    let listen = format!("unix:{}", path.display());
    let server = Server::start(Setup::default().workers(2).arg("--listen").arg(&listen));
    websocket_unix(&path);
    server.signal(Signal::Kill);
    eventually("its end", PATIENCE, || server.living().is_empty().then_some(()));
    assert!(path.exists());
    let start = ["start", "-d", "-w", "1", "--listen", "127.0.0.1:0", "--listen", &listen];
    server.cli(&start).expect_code(0);
    websocket_unix(&path);
    server.stop().expect_code(0);

    fs::write(&path, "precious").expect("a file");
    let refused = server.cli(&start);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("something that is no socket"), "{refused}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
}

#[test]
fn a_reload_adds_and_removes_listeners_and_loses_no_client() {
    let place = Place::new();
    let (path, next_path) = (place.at("old.sock"), place.at("new.sock"));
    let table = |name: &str, address: &str| {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    };
    let unix = |path: &Path| format!("unix:{}", path.display());
    let first = table("old", "127.0.0.1:0")
        + &table("socket", &unix(&path))
        + &table("stays", "127.0.0.2:0");
    let server = Server::start(Setup::default().workers(2).config_toml(&first));
    let (old, stays) = (address_of(&server, "old"), address_of(&server, "stays"));

    // Clients that come and go at what stays, all the while.
    let stop = Arc::new(AtomicBool::new(false));
    let visitor = {
        let stop = stop.clone();
        thread::spawn(move || {
            let mut visits = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(request(stays, "GET", "/health/live", &[], b"").status, 200);
                visits += 1;
            }
            visits
        })
    };
    let second = table("stays", "127.0.0.2:0")
        + &table("new", "[::1]:0")
        + &table("socket", &unix(&next_path));
    server.rewrite_config(&second);
    server.reload().expect_code(0);
    let new = address_of(&server, "new");
    assert_eq!(address_of(&server, "stays"), stays);
    assert_eq!(request(new, "GET", "/health", &[], b"").status, 200);
    websocket_unix(&next_path);
    eventually("the old listener to be closed", PATIENCE, || {
        TcpStream::connect(old).is_err().then_some(())
    });
    assert!(!path.exists());
    let status = server.status();
    assert_eq!(status["listeners"].as_array().map(Vec::len), Some(4), "{status}");
    for pid in server.worker_pids() {
        let tcp = listening_sockets();
        let links = links(pid);
        let own = links.iter().filter_map(|(_, link)| socket_number(link));
        assert_eq!(own.filter(|number| tcp.contains(number)).count(), 3, "{links:?}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(visitor.join().expect("every visit was answered") > 0);

    // One that cannot be had: nothing changes.
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address").to_string();
    let pids = server.worker_pids();
    server.rewrite_config(&table("taken", &taken));
    let refused = server.reload();
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains("the listener \"taken\""), "{refused}");
    assert_eq!(server.worker_pids(), pids);
    assert_eq!(request(new, "GET", "/health", &[], b"").status, 200);
    websocket_unix(&next_path);
    drop(holder);
}

#[test]
fn clients_of_a_removed_listener_are_asked_to_come_back() {
    let place = Place::new();
    let path = place.at("ws.sock");
    let table = format!("[[listener]]\nname = \"socket\"\naddress = \"unix:{}\"\n", path.display());
    let server = Server::start(Setup::default().workers(1).config_toml(&table));
    let mut kept = websocket_unix(&path);
    server.rewrite_config("");
    server.reload().expect_code(0);
    // A client of the removed listener is asked to come back, like all others.
    let close = loop {
        if let Message::Close(frame) = kept.read().expect("a close frame") {
            break frame.expect("with a reason");
        }
    };
    assert_eq!(u16::from(close.code), 1001);
    eventually("the file to be removed", Duration::from_secs(5), || (!path.exists()).then_some(()));
}
