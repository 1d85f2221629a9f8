//! Every signal that an operator, a terminal, a service manager or a mistake may send, to the master and to a worker, alone
//! and while another one is being obeyed.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "signals/pairs.rs"]
mod pairs;
#[path = "signals/starting.rs"]
mod starting;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use kernel::send;
use serde_json::json;
use support::{Client, PATIENCE, Server, Setup, Signal, is_alive, signal};

/// What a signal to the master brings about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    Stop,
    Reload,
    /// Nothing but this line in the log.
    Word(&'static str),
    Nothing,
}

#[test]
fn what_the_master_does() {
    for (name, effect) in [
        ("TERM", Effect::Stop),
        ("INT", Effect::Stop),
        ("QUIT", Effect::Stop),
        ("HUP", Effect::Reload),
        ("USR1", Effect::Reload),
        ("USR2", Effect::Word("there are no side processes to reload")),
        ("RTMIN", Effect::Word("server.log_file is not set")),
        ("CHLD", Effect::Nothing),
        ("PIPE", Effect::Nothing),
        ("WINCH", Effect::Nothing),
        ("URG", Effect::Nothing),
        ("CONT", Effect::Nothing),
    ] {
        let server = Server::start(Setup::default());
        let mut client = Client::connect(&server);
        let pid = server.worker_pid(0);
        assert!(send(server.pid(), name), "{name}");
        match effect {
            Effect::Stop => {
                client.expect_close(1001);
                assert_eq!(server.wait_exit(), 0, "{name}");
                assert!(!server.pid_file().exists(), "{name}");
                continue;
            }
            Effect::Reload => {
                let reason = client.expect_close(1001);
                assert!(reason.starts_with("restarting; retry_after_ms="), "{name}: {reason}");
                server.wait_replaced(0, pid);
                assert_eq!(server.wait_ready()["reloads"], 1, "{name}");
                Client::connect(&server).expect_alive();
                continue;
            }
            Effect::Word(line) => server.wait_log(line),
            Effect::Nothing => {}
        }
        client.expect_alive();
        client.expect_silence(Duration::from_millis(50));
        let status = server.status();
        assert_eq!((&status["reloads"], &status["activity"]), (&json!(0), &json!("supervising")));
        assert_eq!(server.worker_pids(), [pid], "{name}");
    }
}

#[test]
fn what_a_worker_does() {
    let server = Server::start(Setup::default().workers(2));
    let mut client = Client::connect_to_worker(&server, 1);
    let pid = server.worker_pid(1);
    // A terminal sends INT and QUIT to all processes of the foreground, `killall` sends whatever it is told to: these are
    // for the master.
    for name in
        ["INT", "QUIT", "HUP", "USR1", "USR2", "RTMIN", "PIPE", "CHLD", "WINCH", "ALRM", "TSTP"]
    {
        assert!(send(pid, name), "{name}");
        client.expect_alive();
    }
    client.expect_silence(Duration::from_millis(100));
    assert_eq!(server.worker_pid(1), pid);

    // TERM is a wish to be replaced, which is granted once however often it is said.
    for _ in 0..5 {
        assert!(send(pid, "TERM"));
    }
    let reason = client.expect_close(1001);
    assert!(reason.starts_with("restarting; retry_after_ms="), "{reason}");
    server.wait_replaced(1, pid);
    let status = server.wait_ready();
    let worker = &status["workers"][1];
    assert_eq!((&worker["restarts"], &worker["replacements"]), (&json!(0), &json!(1)));
    assert_eq!(status["workers"][0]["replacements"], 0);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[test]
fn a_ctrl_c_in_the_terminal_is_one_graceful_stop() {
    let server = Server::start(Setup::default().workers(3));
    let mut clients: Vec<_> = (0..3).map(|slot| Client::connect_to_worker(&server, slot)).collect();
    for pid in server.living() {
        assert!(send(pid, "INT"));
    }
    for client in &mut clients {
        client.expect_close(1001);
    }
    assert_eq!(server.wait_exit(), 0);
    let log = server.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

/// Clients that do not answer the close keep a stop going for longer than any test waits.
fn slow_to_stop() -> Setup {
    let config = "[server]\nstop_timeout = \"60s\"\n[limits]\nclose_timeout = \"40s\"\n";
    Setup::default().workers(2).config_toml(config)
}

#[test]
fn a_second_stop_hastens_the_first() {
    for second in ["TERM", "INT", "QUIT"] {
        let server = Server::start(slow_to_stop());
        let mut deaf = Client::connect(&server);
        server.signal(Signal::Term);
        server.wait_until("the stop", PATIENCE, |status| status["activity"] == "stopping");
        assert!(is_alive(server.pid()), "it waits for the client");
        let begun = Instant::now();
        assert!(send(server.pid(), second));
        assert_eq!(server.wait_exit(), 0);
        assert!(begun.elapsed() < PATIENCE, "{second}: {:?}", begun.elapsed());
        // It was told at the first.
        deaf.expect_close(1001);
        assert!(!server.pid_file().exists());
    }
}

#[test]
fn a_stop_wins_over_everything_that_is_asked_for_later() {
    let server = Server::start(slow_to_stop());
    let deaf = Client::connect(&server);
    server.signal(Signal::Term);
    server.wait_until("the stop", PATIENCE, |status| status["activity"] == "stopping");
    let before = server.living();
    for name in ["HUP", "USR1", "USR2", "RTMIN", "CHLD", "WINCH"] {
        assert!(send(server.pid(), name));
    }
    let output = server.reload().expect_code(1);
    assert!(output.stderr.contains("the server is stopping"), "{output}");
    let status = server.status();
    assert_eq!((&status["activity"], &status["reloads"]), (&json!("stopping"), &json!(0)));
    let new: Vec<u32> = server.living().into_iter().filter(|pid| !before.contains(pid)).collect();
    assert!(new.is_empty(), "nothing is forked any more: {new:?}");
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    drop(deaf);
}

#[test]
fn a_stop_in_the_middle_of_a_reload_ends_both() {
    let server = Server::start(Setup::default().workers(3));
    // The reload waits for the second worker, which does not answer.
    let mut client = Client::connect_to_worker(&server, 2);
    let pid = server.worker_pid(1);
    assert!(signal(pid, Signal::Stop));
    let reload = server.cli_begin(&["reload"]);
    server.wait_until("the reload", PATIENCE, |status| status["activity"] == "reloading");
    server.signal(Signal::Term);
    let output = reload.wait().expect_code(1);
    assert!(output.stderr.contains("the reload has failed: the server stops"), "{output}");
    assert!(signal(pid, Signal::Cont));
    client.expect_close(1001);
    assert_eq!(server.wait_exit(), 0);
    assert!(!server.pid_file().exists());
}

#[test]
fn two_hundred_signals_and_then_a_stop() {
    let server = Server::start(Setup::default().workers(2));
    // One shell for all of them, so that they come as fast as they can.
    let names = ["HUP", "USR2", "RTMIN", "USR1", "CHLD", "PIPE", "WINCH", "URG"];
    let mut script = String::new();
    for number in 0..200 {
        let name = names[number * 7 % names.len()];
        script.push_str(&format!("kill -s {name} {} || exit 1\n", server.pid()));
    }
    let sent = Command::new("bash").args(["-c", &script]).status().expect("bash(1)");
    assert!(sent.success(), "the master is gone");
    let status = server.wait_ready();
    // However many were sent while one was under way, they are one more.
    let reloads = status["reloads"].as_u64().expect("a number");
    assert!((1..=200).contains(&reloads), "{reloads}");
    for worker in status["workers"].as_array().expect("workers") {
        assert_eq!(worker["restarts"], 0, "nobody died of it");
    }
    let mut client = Client::connect(&server);
    client.expect_alive();

    // And once more with the stop among them, in whatever turn of the master it comes.
    script.push_str(&format!("kill -s TERM {}\n", server.pid()));
    let sent = Command::new("bash").args(["-c", &script]).status().expect("bash(1)");
    assert!(sent.success(), "the master is gone");
    let end = client.expect_end(PATIENCE);
    let is_told = matches!(end, support::Closing::Frame(1001, _));
    assert!(is_told, "{end:?}");
    assert_eq!(server.wait_exit(), 0);
    assert!(!server.pid_file().exists());
}
