//! Looking into a running server from the command line: `status`, again and again too, and `connections`.

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use support::{
    App, Client, PATIENCE, Server, Setup, Signal, children_of, eventually, is_alive, run, signal,
};

/// The lines that are JSON.
fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn ids(rows: &[Value]) -> Vec<u64> {
    let mut ids: Vec<u64> =
        rows.iter().map(|row| row["connection"].as_u64().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn the_table_has_a_line_for_each_process_and_one_for_all() {
    let server = Server::start(Setup::default().workers(2).app(App::Echo));
    let mut client = Client::open(server.addr(), "/");
    client.send_text("hello");
    client.expect_text("hello");
    let text = server.cli(&["status"]).expect_code(0).stdout;
    let header: Vec<&str> = text.lines().nth(2).expect("a header").split("  ").collect();
    let header: Vec<&str> =
        header.into_iter().map(str::trim).filter(|name| !name.is_empty()).collect();
    assert_eq!(
        header,
        [
            "PROCESS", "PID", "STATE", "UP", "RESTARTS", "CLIENTS", "MSG IN", "MSG OUT", "IN",
            "OUT", "QUEUED", "DROPPED", "CPU", "MEMORY"
        ]
    );
    for name in ["master", "worker 0", "worker 1"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
    let all = text.lines().find(|line| line.starts_with("all, so far")).expect("a last line");
    let cells: Vec<&str> = all.split_whitespace().collect();
    assert_eq!(cells[6..9], ["1", "1", "1"], "clients, messages in and out: {all}");
}

#[test]
fn a_watch_goes_on_until_the_server_has_stopped() {
    let server = Server::start(Setup::default());
    let mut table = server.cli_begin(&["status", "--watch=0.1"]);
    let mut objects = server.cli_begin(&["status", "--watch=0.1", "--json"]);
    // It has answered this one after several of theirs.
    eventually("both to have looked", PATIENCE, || {
        let status = server.status();
        (status["master"]["uptime_ms"].as_u64() > Some(1500)).then_some(())
    });
    assert!(!table.has_ended() && !objects.has_ended());
    server.cli(&["stop"]).expect_code(0);
    let table = table.wait().expect_code(3);
    let told = format!("wsmaster (pid {}) has stopped\n", server.pid());
    assert_eq!(table.stderr, told);
    assert!(table.stdout.matches("PROCESS").count() >= 3, "{table}");
    assert!(!table.stdout.contains('\u{1b}'), "paper is no terminal: {table}");
    let objects = objects.wait().expect_code(3);
    assert_eq!(objects.stderr, told);
    let looks = rows(&objects.stdout);
    assert!(looks.len() >= 3 && looks.iter().all(|look| look["master"]["pid"] == server.pid()));
}

#[test]
fn every_connection_is_listed_once_with_what_is_known_of_it() {
    let server = Server::start(Setup::default().workers(2));
    let mut clients: Vec<Client> = (0..150)
        .map(|number| Client::open(server.addr(), &format!("/room/{number}?token=secret&a=b")))
        .collect();
    let mut expected = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let welcome = client.expect_json(PATIENCE);
        expected.push(welcome["connection_id"].as_u64().expect("an id"));
        client.subscribe(if number % 3 == 0 { "chat.three" } else { "chat.others" });
    }
    expected.sort_unstable();
    let all = server.cli(&["connections", "--json", "--limit", "0"]).expect_code(0);
    let all = rows(&all.stdout);
    assert_eq!(ids(&all), expected);
    let room =
        all.iter().find(|row| row["path"].as_str().is_some_and(|path| path.contains("/room/7?")));
    let room = room.expect("one of them");
    assert_eq!(
        (&room["channels"], &room["user"], &room["open"]),
        (&json!(1), &json!(null), &json!(true))
    );
    assert_eq!((&room["messages_in"], &room["messages_out"]), (&json!(1), &json!(2)));
    assert!(!room.to_string().contains("secret"), "{room}");

    let chosen = server.cli(&["connections", "--channel", "chat.three", "--json"]).expect_code(0);
    assert_eq!(rows(&chosen.stdout).len(), 50);
    let of_worker = |slot: &str| {
        let listed = server.cli(&["connections", "--worker", slot, "--limit", "0", "--json"]);
        rows(&listed.expect_code(0).stdout)
    };
    assert!(of_worker("0").iter().all(|row| row["worker"] == 0));
    assert_eq!(of_worker("0").len() + of_worker("1").len(), 150);
    let nobody = server.cli(&["connections", "--user", "nobody"]).expect_code(0);
    assert_eq!(nobody.stdout.lines().count(), 1, "the header: {nobody}");

    let first = server.cli(&["connections"]).expect_code(0);
    assert_eq!(first.stdout.lines().count(), 101, "the header and 100 lines: {first}");
    assert_eq!(first.stderr, "the first 100 are listed; --limit 0 lists all\n");
    let whole = server.cli(&["connections", "--limit", "150"]).expect_code(0);
    assert_eq!((whole.stdout.lines().count(), whole.stderr.as_str()), (151, ""));
}

#[test]
fn the_largest_come_first_from_whichever_worker() {
    let server = Server::start(Setup::default().workers(2).app(App::Echo));
    let mut clients: Vec<Client> = (0..20).map(|_| Client::open(server.addr(), "/")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        for _ in 0..number {
            client.send_text("x");
            client.expect_text("x");
        }
    }
    let sorted = server.cli(&["connections", "--sort", "in", "--limit", "3", "--json"]);
    let sorted = sorted.expect_code(0);
    let counts: Vec<Value> =
        rows(&sorted.stdout).iter().map(|row| row["messages_in"].clone()).collect();
    assert_eq!(counts, [json!(19), json!(18), json!(17)]);
    assert_eq!(sorted.stderr, "the first 3 of 20 are listed; --limit 0 lists all\n");
}

#[test]
fn a_worker_that_does_not_answer_is_named_and_holds_up_nobody() {
    let server = Server::start(Setup::default().workers(2));
    let held = Client::connect_to_worker(&server, 0);
    let stopped = Client::connect_to_worker(&server, 1);
    let pid = server.kill_worker(1, Signal::Stop);
    let mut listing = server.cli_begin(&["connections", "--limit", "0", "--json"]);
    // The master answers others meanwhile.
    server.status();
    assert!(!listing.has_ended());
    let listing = listing.wait().expect_code(1);
    assert_eq!(ids(&rows(&listing.stdout)), [held.id()]);
    assert_eq!(
        listing.stderr,
        "the connections of worker 1 are not listed: it did not answer in time\n"
    );
    // One who asks and does not wait is forgotten, and his answer with him.
    let question = json!({"do": "survey", "slot": 1, "question":
        {"what": {"connections": {"channel": null, "user": null}}, "from": 0, "rows_max": 9}});
    for _ in 0..50 {
        let mut stream = UnixStream::connect(server.directory().join("wsmaster.pid.control"))
            .expect("it listens");
        stream.write_all(format!("{question}\n").as_bytes()).expect("connected");
    }
    assert!(signal(pid, Signal::Cont));
    let listed = server.wait_for_listing(&[held.id(), stopped.id()]);
    assert_eq!(listed, 2);
}

impl Server {
    /// Waits until exactly these connections are listed.
    #[track_caller]
    fn wait_for_listing(&self, expected: &[u64]) -> usize {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        eventually("both connections to be listed", PATIENCE, || {
            let listed = self.cli(&["connections", "--limit", "0", "--json"]);
            (listed.code == 0 && ids(&rows(&listed.stdout)) == expected).then_some(expected.len())
        })
    }
}

#[test]
fn what_cannot_be_looked_at_is_told_in_a_line() {
    let server = Server::start(Setup::default().workers(2));
    let output = server.cli(&["connections", "--worker", "2"]).expect_code(2);
    assert_eq!(output.stderr, "there is no worker 2; there are 2, counted from 0\n");
    let output = server.cli(&["top"]).expect_code(1);
    let pid_file = server.pid_file();
    assert_eq!(
        output.stderr,
        format!(
            "top needs a terminal; wsmaster status --watch --pid-file {} writes to files and pipes\n",
            pid_file.display()
        )
    );
    for command in [&["status", "--watch"][..], &["connections"]] {
        let missing = [command, &["--pid-file", "/nonexistent/w.pid"]].concat();
        let output = run(&missing).expect_code(3);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    }
    // Nothing of this has hurt anybody.
    Client::connect(&server).expect_silence(Duration::from_millis(10));
}

#[test]
fn what_looks_ends_with_its_terminal() {
    let server = Server::start(Setup::default());
    // Also where the hang-up is ignored, as below nohup(1).
    for before in ["trap - HUP", "trap '' HUP"] {
        for words in ["top", "status --watch=0.1", "status --json --watch=0.1"] {
            ends_with_its_terminal(&server, before, words);
        }
    }
}

#[track_caller]
fn ends_with_its_terminal(server: &Server, before: &str, words: &str) {
    let top = format!(
        "{before}; exec {} {words} --pid-file {}",
        env!("CARGO_BIN_EXE_wsmaster"),
        server.pid_file().display()
    );
    // script(1) makes a terminal, and is the one who holds its other end.
    let mut terminal = Command::new("script")
        .args(["-qfec", &top, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1)");
    let mut shown = terminal.stdout.take().expect("a pipe");
    let mut first = [0; 1];
    shown.read_exact(&mut first).expect("top draws its page");
    let top = children_of(terminal.id());
    assert_eq!(top.len(), 1, "{top:?}");
    terminal.kill().expect("it is our child");
    terminal.wait().expect("it is our child");
    eventually(format!("the end of {words} with {before}"), PATIENCE, || {
        (!is_alive(top[0])).then_some(())
    });
}
