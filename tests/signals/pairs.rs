//! Signals to the master while it is busy with an earlier one. Every pair of them, on a server with clients on each worker and a
//! side process: what comes of it in the end, in bounded time, and that clients see documented close codes only.

use std::fs;

use serde_json::{Value, json};

use crate::{
    kernel::send,
    support::{Client, Closing, PATIENCE, Server, Setup, Signal, signal},
};

/// What is under way when the second signal comes, and stays so until the test lets it go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum First {
    /// Nothing.
    Idle,
    /// A reload (HUP) that waits for a worker which does not hear.
    Reload,
    /// Side processes are started again (USR2), and one is still busy.
    SideRestart,
    /// A worker was sent TERM, and a client of it does not answer the close.
    WorkerLeaves,
    /// A worker was killed, and its successor was as well: the slot waits before its next start.
    WorkerBacksOff,
}

/// What becomes of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// It ends: exit code 0, no PID file, no process left.
    Ends,
    /// It serves on.
    Serves {
        /// Reloads since its start.
        reloads: u64,
        /// How often the side process was replaced.
        sides: u64,
        /// How often each worker was replaced on purpose.
        replacements: [u64; 2],
    },
}

const STOPS: [&str; 3] = ["TERM", "INT", "QUIT"];
const RELOADS: [&str; 2] = ["HUP", "USR1"];
const SIDES: [&str; 1] = ["USR2"];
const LOGS: [&str; 1] = ["RTMIN"];
const NOTHINGS: [&str; 4] = ["CHLD", "PIPE", "WINCH", "CONT"];

const fn serves(reloads: u64, sides: u64, replacements: [u64; 2]) -> Then {
    Then::Serves { reloads, sides, replacements }
}

/// The matrix: what is under way, the signals that come then, and what becomes of it all.
const MATRIX: [(First, &[&str], Then); 25] = [
    (First::Idle, &STOPS, Then::Ends),
    (First::Idle, &RELOADS, serves(1, 0, [1, 1])),
    (First::Idle, &SIDES, serves(0, 1, [0, 0])),
    (First::Idle, &LOGS, serves(0, 0, [0, 0])),
    (First::Idle, &NOTHINGS, serves(0, 0, [0, 0])),
    (First::Reload, &STOPS, Then::Ends),
    // It is one more, when the first is over.
    (First::Reload, &RELOADS, serves(2, 0, [2, 2])),
    (First::Reload, &SIDES, serves(1, 1, [1, 1])),
    (First::Reload, &LOGS, serves(1, 0, [1, 1])),
    (First::Reload, &NOTHINGS, serves(1, 0, [1, 1])),
    (First::SideRestart, &STOPS, Then::Ends),
    (First::SideRestart, &RELOADS, serves(1, 1, [1, 1])),
    // It is being done.
    (First::SideRestart, &SIDES, serves(0, 1, [0, 0])),
    (First::SideRestart, &LOGS, serves(0, 1, [0, 0])),
    (First::SideRestart, &NOTHINGS, serves(0, 1, [0, 0])),
    (First::WorkerLeaves, &STOPS, Then::Ends),
    // Its successor is of before the reload.
    (First::WorkerLeaves, &RELOADS, serves(1, 0, [1, 2])),
    (First::WorkerLeaves, &SIDES, serves(0, 1, [0, 1])),
    (First::WorkerLeaves, &LOGS, serves(0, 0, [0, 1])),
    (First::WorkerLeaves, &NOTHINGS, serves(0, 0, [0, 1])),
    (First::WorkerBacksOff, &STOPS, Then::Ends),
    // The slot that waits is tried at once; that is no replacement of anybody.
    (First::WorkerBacksOff, &RELOADS, serves(1, 0, [1, 0])),
    (First::WorkerBacksOff, &SIDES, serves(0, 1, [0, 0])),
    (First::WorkerBacksOff, &LOGS, serves(0, 0, [0, 0])),
    (First::WorkerBacksOff, &NOTHINGS, serves(0, 0, [0, 0])),
];

#[test]
fn a_signal_to_an_idle_master() {
    expect_rows_of(First::Idle);
}

#[test]
fn a_signal_in_the_middle_of_a_reload() {
    expect_rows_of(First::Reload);
}

#[test]
fn a_signal_while_side_processes_are_started_again() {
    expect_rows_of(First::SideRestart);
}

#[test]
fn a_signal_while_a_worker_leaves() {
    expect_rows_of(First::WorkerLeaves);
}

#[test]
fn a_signal_while_a_slot_waits_for_its_next_start() {
    expect_rows_of(First::WorkerBacksOff);
}

/// Orphans of a program are the master's to reap: three hundred ends at once, in the middle of a reload.
#[test]
fn a_storm_of_ended_children_in_a_reload_disturbs_nobody() {
    let program = r#"read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4
while read -r line <&3; do case $line in
    *'"reload_start"'*) n=0; while [ $n -lt 300 ]; do (sleep 0 &); n=$((n + 1)); done; : > stormed ;;
    *'"stop"'*) exit 0 ;;
esac; done"#;
    let setup = Setup::default().workers(2).config_toml(&process(program, "[\"reload_start\"]"));
    let server = Server::start(setup);
    wait_side(&server, "ready");
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    server.signal(Signal::Hup);
    for client in &mut clients {
        client.expect_close(1001);
    }
    server.wait_until("the reload and the storm", PATIENCE, |status| {
        status["reloads"] == 1
            && status["activity"] == "supervising"
            && server.directory().join("stormed").exists()
    });
    let status = server.wait_ready();
    assert_eq!(status["processes"][0]["restarts"], 0);
    for worker in status["workers"].as_array().expect("two") {
        assert_eq!((&worker["restarts"], &worker["replacements"]), (&json!(0), &json!(1)));
    }
    Client::connect(&server).expect_alive();
}

fn expect_rows_of(first: First) {
    for (_, names, then) in MATRIX.iter().filter(|(row, ..)| *row == first) {
        for name in *names {
            eprintln!("{first:?}, then {name}: {then:?}");
            expect(first, name, *then);
        }
    }
}

fn expect(first: First, second: &str, then: Then) {
    // A side process that is told to stop does so when the test allows it.
    let program = r#"trap '' TERM; read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4
while read -r line <&3; do case $line in
    *'"stop"'*) until [ -e allowed ]; do sleep 0.02; done; exit 0 ;;
esac; done"#;
    let setup = Setup::default().workers(2).config_toml(&process(program, "[]"));
    let server = Server::start(setup);
    wait_side(&server, "ready");
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    let pids = server.worker_pids();
    let cut = begin(&server, first, pids[1]);

    assert!(send(server.pid(), second), "the master is gone");
    if then != Then::Ends {
        // Whatever it does about the signal has begun when it answers.
        server.status();
        if LOGS.contains(&second) {
            server.wait_log("server.log_file is not set");
        }
    }

    fs::write(server.directory().join("allowed"), "").expect("the directory is ours");
    assert!(first != First::Reload || signal(pids[1], Signal::Cont));
    match then {
        Then::Ends => {
            for (slot, client) in clients.iter_mut().enumerate() {
                expect_told(client, cut && slot == 1, &[1001]);
            }
            assert_eq!(server.wait_exit(), 0);
            assert!(!server.pid_file().exists());
        }
        Then::Serves { reloads, sides, replacements } => {
            for (slot, client) in clients.iter_mut().enumerate() {
                if replacements[slot] > 0 || (cut && slot == 1) {
                    expect_told(client, cut && slot == 1, &[1001]);
                } else {
                    client.expect_alive();
                }
            }
            let is_so = |status: &Value| {
                status["activity"] == "supervising"
                    && status["reloads"] == reloads
                    && status["processes"][0]["replacements"] == sides
                    && status["processes"][0]["state"] == "ready"
                    && [0, 1].iter().all(|slot| {
                        let worker = &status["workers"][*slot];
                        worker["replacements"] == replacements[*slot] && worker["state"] == "ready"
                    })
            };
            server.wait_until(&format!("{then:?}"), PATIENCE, is_so);
            for slot in [0, 1] {
                Client::connect_to_worker(&server, slot).expect_alive();
            }
            // And it stays so.
            let status = server.status();
            assert!(is_so(&status), "{first:?}, {second}: {status}");
        }
    }
}

/// Brings the first thing under way, with the worker in slot 1. Whether its clients were cut off.
#[track_caller]
fn begin(server: &Server, first: First, worker: u32) -> bool {
    match first {
        First::Idle => {}
        First::Reload => {
            assert!(signal(worker, Signal::Stop));
            server.signal(Signal::Hup);
            server.wait_until("the reload", PATIENCE, |status| status["activity"] == "reloading");
        }
        First::SideRestart => {
            assert!(send(server.pid(), "USR2"));
            wait_side(server, "draining");
        }
        First::WorkerLeaves => {
            assert!(signal(worker, Signal::Term));
            server.wait_until("the worker to leave", PATIENCE, |status| {
                status["leaving"][0]["pid"] == worker
            });
        }
        First::WorkerBacksOff => {
            let mut pid = worker;
            // Each delay is twice as long as the one before: the last of these is more than a second.
            for _ in 0..6 {
                assert!(signal(pid, Signal::Kill));
                let status = server.wait_until("its end", PATIENCE, |status| {
                    let slot = &status["workers"][1];
                    slot["state"] == "backing_off"
                        || (slot["state"] == "ready" && slot["pid"] != pid)
                });
                let slot = &status["workers"][1];
                if slot["retry_in_ms"].as_u64().is_some_and(|wait_ms| wait_ms > 1000) {
                    return true;
                }
                pid = match slot["pid"].as_u64() {
                    Some(pid) => u32::try_from(pid).expect("a pid"),
                    None => server.wait_replaced(1, pid),
                };
            }
            panic!("the slot does not wait: {}", server.status());
        }
    }
    false
}

/// The client was told of its end with one of these codes, or cut off because its worker was killed.
#[track_caller]
fn expect_told(client: &mut Client, is_cut: bool, codes: &[u16]) {
    match client.expect_end(PATIENCE) {
        Closing::Frame(code, _) if !is_cut => assert!(codes.contains(&code), "{code}"),
        Closing::Cut(_) if is_cut => {}
        other => panic!("expected {codes:?}, found {other:?}"),
    }
}

/// The configuration of a side process that is a shell script.
fn process(script: &str, events: &str) -> String {
    format!(
        "[server]\nreconnect_spread = \"100ms\"\n[[process]]\nname = \"side\"\ncommand = \"sh\"\n\
         args = [\"-c\", '''{script}''']\nevents = {events}\nstop_timeout = \"8s\"\n"
    )
}

#[track_caller]
fn wait_side(server: &Server, state: &str) {
    server.wait_until(&format!("the side process to be {state}"), PATIENCE, |status| {
        status["processes"][0]["state"] == state
    });
}
