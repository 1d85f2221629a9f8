//! A running example program with side processes, and what a test wants of it.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::{
    kernel::Errand,
    support::{self, Client, Output, PATIENCE, eventually, is_alive, working_below},
};

/// The server of an example program. It ends with the test.
pub(crate) struct Place {
    errand: Errand,
    addr: SocketAddr,
}

impl Place {
    /// examples/side_harness.rs with these side processes.
    #[track_caller]
    pub(crate) fn harness(workers: usize, processes: &[&str]) -> Self {
        Self::start("side_harness", workers, |command, _| {
            command.env("SIDE_PROCESSES", processes.join(","));
        })
    }

    /// An example program that takes LISTEN PID_FILE WORKERS and what `more` adds to it in the test's directory.
    #[track_caller]
    pub(crate) fn start(
        name: &str,
        workers: usize,
        more: impl FnOnce(&mut Command, &Path),
    ) -> Self {
        let errand = Errand::start(|directory| {
            let mut command = Command::new(example(name));
            command.args(["127.0.0.1:0", "w.pid", &workers.to_string()]);
            more(&mut command, directory);
            command
        });
        let addr = eventually("the workers to be ready", PATIENCE, || {
            let status = try_status(&errand)?;
            let ready = |worker: &Value| worker["state"] == "ready";
            if !status["workers"].as_array()?.iter().all(ready) {
                return None;
            }
            status["listen"].as_str()?.parse().ok()
        });
        Self { errand, addr }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn directory(&self) -> &Path {
        self.errand.directory()
    }

    /// What the server has said on the standard error so far.
    pub(crate) fn log(&self) -> String {
        self.errand.stderr()
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        try_status(&self.errand).expect("it runs")
    }

    /// What the status says of a side process.
    #[track_caller]
    pub(crate) fn process(&self, name: &str) -> Value {
        let status = self.status();
        let processes = status["processes"].as_array().expect("a list");
        processes.iter().find(|process| process["name"] == name).expect("its name").clone()
    }

    /// The pid of a side process, once it is ready.
    #[track_caller]
    pub(crate) fn pid(&self, name: &str) -> u32 {
        eventually(format!("{name} to be ready"), PATIENCE, || {
            let process = self.process(name);
            let pid = process["pid"].as_u64().filter(|_| process["state"] == "ready")?;
            u32::try_from(pid).ok()
        })
    }

    /// The pid of a worker, once it is ready.
    #[track_caller]
    pub(crate) fn worker_pid(&self, slot: usize) -> u32 {
        eventually(format!("worker {slot} to be ready"), PATIENCE, || {
            let status = self.status();
            let worker = &status["workers"][slot];
            let pid = worker["pid"].as_u64().filter(|_| worker["state"] == "ready")?;
            u32::try_from(pid).ok()
        })
    }

    /// The pid of the master.
    #[track_caller]
    pub(crate) fn master(&self) -> u32 {
        let pid = self.status()["master"]["pid"].as_u64();
        pid.and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
    }

    /// Reloads the workers, as the server's user does, while the test goes on.
    #[track_caller]
    pub(crate) fn reload(&self) {
        assert!(support::signal(self.master(), support::Signal::Usr1));
    }

    /// The lines that a process of the harness has left.
    pub(crate) fn lines(&self, process: &str) -> Vec<String> {
        let file = self.directory().join(format!("{process}.lines"));
        fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// A client, and its connection's id.
    #[track_caller]
    pub(crate) fn client(&self) -> (Client, u64) {
        let mut client = Client::open(self.addr, "/");
        let id = ask(&mut client, "id", PATIENCE).parse().expect("an id");
        (client, id)
    }

    /// A client whose connection a given worker has.
    #[track_caller]
    pub(crate) fn client_of_worker(&self, slot: u16) -> (Client, u64) {
        eventually(format!("a connection to worker {slot}"), PATIENCE, || {
            let (client, id) = self.client();
            (worker_of(id) == slot).then_some((client, id))
        })
    }

    /// A client of the worker in a slot, of an application that sends back what it is sent: the one whose count of clients
    /// has grown.
    #[track_caller]
    pub(crate) fn echoed_by_worker(&self, slot: usize) -> Client {
        let clients = || self.status()["workers"][slot]["websockets"].as_u64();
        eventually(format!("a connection to worker {slot}"), PATIENCE, || {
            let before = clients();
            let mut client = Client::open(self.addr, "/");
            assert_eq!(ask(&mut client, "hello", PATIENCE), "hello");
            (clients() > before).then_some(client)
        })
    }

    /// Stops the server from outside, as its user does.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> Output {
        let pid_file = self.directory().join("w.pid");
        let output = support::run(&["stop", "--pid-file", &pid_file.to_string_lossy()]);
        let code = eventually("the master to end", PATIENCE, || self.errand.ended());
        assert_eq!(code, 0, "{}", self.log());
        output
    }

    /// Fails when a process of the server is left.
    #[track_caller]
    pub(crate) fn expect_nothing_left(&self) {
        let left: Vec<u32> =
            working_below(self.directory()).into_iter().filter(|pid| is_alive(*pid)).collect();
        assert_eq!(left, [0; 0], "left in {}", self.directory().display());
    }
}

/// Says something and waits for the next text.
#[track_caller]
pub(crate) fn ask(client: &mut Client, words: &str, within: Duration) -> String {
    client.send_text(words);
    text(client, within)
}

/// The next message, which must be a text.
#[track_caller]
pub(crate) fn text(client: &mut Client, within: Duration) -> String {
    client.expect_any(within).into_text().expect("a text").to_string()
}

/// The slot in an id.
pub(crate) fn worker_of(id: u64) -> u16 {
    (id % 1024) as u16
}

fn try_status(errand: &Errand) -> Option<Value> {
    let file = errand.directory().join("w.pid");
    let output = support::run(&["status", "--json", "--pid-file", &file.to_string_lossy()]);
    serde_json::from_str(&output.stdout).ok()
}

/// An example program, which is built with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_wsmaster"));
    let example = program.parent().expect("a directory").join("examples").join(name);
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    example
}
