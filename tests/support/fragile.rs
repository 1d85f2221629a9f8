//! A server one of whose workers can be made to die as soon as it starts.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::kernel::Errand;
use super::support::{self, Client, PATIENCE, Signal, eventually, is_alive, signal};

/// The server of examples/crash_loop.rs: an echo whose worker N aborts at its start while the file N is in the
/// directory.
#[derive(Debug)]
pub(crate) struct Fragile {
    pub(crate) errand: Errand,
}

impl Fragile {
    #[track_caller]
    pub(crate) fn start(workers: usize) -> Self {
        let errand = Errand::start(|directory| {
            let mut command = Command::new(example("crash_loop"));
            command.args(["127.0.0.1:0", "fragile.pid", &workers.to_string()]).arg(directory);
            command
        });
        let server = Self { errand };
        eventually("the workers to be ready", PATIENCE, || {
            let status = server.try_status()?;
            let workers = status["workers"].as_array()?;
            workers.iter().all(|worker| worker["state"] == "ready").then_some(())
        });
        server
    }

    pub(crate) fn try_status(&self) -> Option<Value> {
        let file = self.errand.directory().join("fragile.pid");
        let output = support::run(&["status", "--json", "--pid-file", &file.to_string_lossy()]);
        serde_json::from_str(&output.stdout).ok()
    }

    /// Has worker `slot` die as soon as it starts, from now on, and the one that lives as well.
    #[track_caller]
    pub(crate) fn break_worker(&self, slot: usize) {
        fs::write(self.trap(slot), "").expect("the directory is ours");
        let pid = self.worker(&self.status(), slot)["pid"].as_u64().expect("ready");
        assert!(signal(pid as u32, Signal::Kill));
    }

    /// Lets worker `slot` live when it is started next.
    #[track_caller]
    pub(crate) fn mend_worker(&self, slot: usize) {
        fs::remove_file(self.trap(slot)).expect("it was broken");
    }

    fn trap(&self, slot: usize) -> PathBuf {
        self.errand.directory().join(slot.to_string())
    }

    #[track_caller]
    pub(crate) fn addr(&self) -> SocketAddr {
        let addr = self.status()["listen"].as_str().and_then(|addr| addr.parse().ok());
        addr.expect("an address")
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.try_status().expect("it runs")
    }

    #[track_caller]
    pub(crate) fn worker<'a>(&self, status: &'a Value, slot: usize) -> &'a Value {
        assert!(is_alive(self.errand.pid()));
        &status["workers"][slot]
    }

    /// A client of the worker in a slot: the one whose count of clients has grown.
    #[track_caller]
    pub(crate) fn connect_to_worker(&self, slot: usize) -> Client {
        let addr = self.addr();
        let clients = || self.worker(&self.status(), slot)["websockets"].as_u64();
        eventually("a connection to the worker", PATIENCE, || {
            let before = clients();
            let mut client = Client::open(addr, "/");
            client.send_text("hello");
            client.expect_text("hello");
            (clients() > before).then_some(client)
        })
    }
}

/// An example program, which is built with the tests.
fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_wsmaster"));
    let example = program.parent().expect("a directory").join("examples").join(name);
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    example
}
