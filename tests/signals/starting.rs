//! Signals and commands that come in the moment of the start.

use std::process::Command;

use super::{
    kernel::{Errand, send},
    support::{PATIENCE, eventually, working_below},
};

/// So many that the start takes longer than a signal.
const WORKERS: &str = "32";

struct Start(Errand);

impl Start {
    fn new() -> Self {
        Self(Errand::start(|_| {
            let mut command = program();
            command.args([
                "start",
                "-w",
                WORKERS,
                "--listen",
                "127.0.0.1:0",
                "--pid-file",
                "w.pid",
            ]);
            command
        }))
    }

    /// Waits for its PID file, which is there before any worker, and tells its number.
    #[track_caller]
    fn master(&self) -> u32 {
        let file = self.0.directory().join("w.pid");
        eventually("the PID file", PATIENCE, || {
            std::fs::read_to_string(&file).ok()?.trim().parse().ok()
        })
    }

    fn command(&self, words: &[&str]) -> std::process::Output {
        let mut command = program();
        command.args(words).args(["--pid-file", "w.pid"]).current_dir(self.0.directory());
        command.output().expect("it is there")
    }

    /// Waits until all workers have been replaced, once, and nothing else goes on.
    #[track_caller]
    fn expect_one_reload(&self) {
        let reloads = eventually("the reload, and all workers", 3 * PATIENCE, || {
            let output = self.command(&["status", "--json"]);
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            let workers = status["workers"].as_array()?;
            let is_ready = status["activity"] == "supervising"
                && workers.iter().all(|worker| worker["state"] == "ready");
            status["reloads"].as_u64().filter(|reloads| is_ready && *reloads > 0)
        });
        assert_eq!(reloads, 1, "{}", self.0.stderr());
    }

    #[track_caller]
    fn expect_end(&mut self, code: i32) {
        let ended = eventually("the end", 2 * PATIENCE, || self.0.ended());
        let log = self.0.stderr();
        assert_eq!(ended, code, "{log}");
        assert!(!log.contains("do not come up") && !log.contains("ERROR"), "{log}");
        assert!(!self.0.directory().join("w.pid").exists(), "{log}");
        assert!(working_below(self.0.directory()).is_empty());
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wsmaster"))
}

#[test]
fn a_reload_in_the_moment_of_the_start_waits_until_it_is_over() {
    for name in ["HUP", "USR1"] {
        for _ in 0..4 {
            let mut start = Start::new();
            assert!(send(start.master(), name));
            start.expect_one_reload();
            let lines = start.0.stderr();
            let all_serve = lines.find("all workers serve");
            assert!(all_serve < lines.find("reload: workers to replace"), "{lines}");
            assert!(send(start.master(), "TERM"));
            start.expect_end(0);
        }
    }
}

#[test]
fn a_stop_in_the_moment_of_the_start_is_a_stop() {
    for name in ["TERM", "INT", "QUIT"] {
        for _ in 0..4 {
            let mut start = Start::new();
            assert!(send(start.master(), name));
            start.expect_end(0);
        }
    }
}

/// As `systemctl kill` and a terminal do it: all processes hear it.
#[test]
fn signals_to_the_whole_group_in_the_moment_of_the_start() {
    for (name, stops) in [("TERM", true), ("INT", true), ("HUP", false)] {
        let mut start = Start::new();
        let master = start.master();
        for pid in working_below(start.0.directory()) {
            send(pid, name);
        }
        if !stops {
            start.expect_one_reload();
            assert!(send(master, "TERM"));
        }
        start.expect_end(0);
    }
}

#[test]
fn a_reload_command_in_the_moment_of_the_start_is_answered() {
    let mut start = Start::new();
    start.master();
    let reload = eventually("an answer", PATIENCE, || {
        let output = start.command(&["reload"]);
        // The control socket comes a little behind the PID file.
        (output.status.code() == Some(0)).then_some(output)
    });
    assert!(String::from_utf8_lossy(&reload.stdout).contains("workers replaced: 32"), "{reload:?}");
    start.expect_one_reload();
    assert!(send(start.master(), "TERM"));
    start.expect_end(0);
}

#[test]
fn a_start_in_the_background_that_is_stopped_is_told_to_the_shell() {
    let mut start = Start(Errand::start(|_| {
        let mut command = program();
        command.args(["start", "-d", "-w", WORKERS, "--listen", "127.0.0.1:0"]);
        command.args(["--pid-file", "w.pid", "--log-file", "w.log"]);
        command
    }));
    assert!(send(start.master(), "TERM"));
    start.expect_end(1);
    assert!(start.0.stderr().contains("told to stop before it served"), "{}", start.0.stderr());
}
