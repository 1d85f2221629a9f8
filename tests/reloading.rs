//! Reload: every worker is replaced, every client is told, nobody is refused, and the new settings hold; or nothing
//! changes, and the reason is said.

mod support;

#[path = "reloading/hanging.rs"]
mod hanging;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/storm.rs"]
mod storm;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use kernel::send;
use serde_json::{Value, json};
use storm::{Landing, Storm};
use support::{
    Client, End, PATIENCE, Server, Setup, Signal, Swarm, descriptors, eventually, signal,
};

#[test]
fn every_client_is_told_to_come_back_within_the_spread() {
    const SPREAD_MS: u64 = 500;
    let config = "[server]\nreconnect_spread = \"500ms\"\n";
    let server = Server::start(Setup::default().workers(4).config_toml(config));
    let pids = server.worker_pids();
    let mut swarm = Swarm::connect(&server, 200);
    let reload = server.cli_begin(&["reload"]);
    swarm.until("all closes", PATIENCE, |swarm| swarm.ends().count() == swarm.len());
    reload.wait().expect_code(0);

    let mut waits_ms = BTreeSet::new();
    for (member, end) in swarm.ends() {
        let End::Closed(1001, reason) = end else { panic!("member {member}: {end:?}") };
        let wait_ms = reason.strip_prefix("restarting; retry_after_ms=");
        let wait_ms = wait_ms.and_then(|ms| ms.parse::<u64>().ok());
        let wait_ms = wait_ms.unwrap_or_else(|| panic!("member {member}: {reason}"));
        assert!(wait_ms <= SPREAD_MS, "{reason}");
        waits_ms.insert(wait_ms);
    }
    assert!(waits_ms.len() > 50, "200 clients are told to come back at only {waits_ms:?}");

    let status = server.wait_ready();
    let successors = server.worker_pids();
    assert!(successors.iter().all(|pid| !pids.contains(pid)), "{pids:?} {successors:?}");
    for worker in status["workers"].as_array().expect("workers") {
        assert_eq!((&worker["restarts"], &worker["replacements"]), (&json!(0), &json!(1)));
    }
    assert_eq!(status["reloads"], 1);
}

#[test]
fn one_worker_after_the_other_is_replaced() {
    let server = Server::start(Setup::default().workers(3));
    let pids = server.worker_pids();
    let mut third = Client::connect_to_worker(&server, 2);
    // While the second does not answer, the first has been replaced and the third serves on.
    assert!(signal(pids[1], Signal::Stop));
    let reload = server.cli_begin(&["reload"]);
    server.wait_replaced(0, pids[0]);
    let status = server.status();
    assert_eq!(
        (&status["activity"], &status["workers"][2]["pid"]),
        (&json!("reloading"), &json!(pids[2]))
    );
    third.expect_alive();
    assert!(signal(pids[1], Signal::Cont));
    reload.wait().expect_code(0);
    assert!(server.worker_pids().iter().all(|pid| !pids.contains(pid)));
}

#[test]
fn nobody_is_refused_in_twenty_reloads() {
    let server = Server::start(Setup::default().workers(3).arg("--log-level").arg("warn"));
    let storm = Storm::begin(server.addr(), 4);
    for _ in 0..20 {
        let before = storm.attempts();
        server.reload().expect_code(0);
        eventually("a visit after the reload", PATIENCE, || {
            (storm.attempts() > before).then_some(())
        });
    }
    let landings = storm.end();
    // A handshake is completed, or the client is told in so many words to come back: by a close frame. Nobody is refused.
    let is_answered =
        |landing: &Landing| matches!(landing, Landing::Served | Landing::ToldToComeBack(1001));
    assert_eq!(landings.count(|landing| !is_answered(landing)), 0, "{landings:?}");
    let served = landings.count(|landing| *landing == Landing::Served);
    assert!(served * 10 > landings.count(|_| true) * 9, "most are served: {landings:?}");
    assert_eq!(server.status()["reloads"], 20);
}

#[test]
fn new_limits_hold_and_what_a_start_must_change_is_said() {
    let config = |bytes: &str, backlog: u32| {
        format!(
            "[server]\nbacklog = {backlog}\nlog_level = \"info\"\n[limits]\nmessage_bytes_max = \"{bytes}\"\n"
        )
    };
    let server = Server::start(Setup::default().config_toml(&config("64KiB", 512)));
    let message = "x".repeat(4096);
    let mut client = Client::connect(&server);
    client.send_text(&message);
    client.expect_error("invalid_json");

    server.rewrite_config(&config("1KiB", 512));
    let output = server.reload().expect_code(0);
    assert!(!output.stdout.contains("has changed"), "{output}");
    client.expect_close(1001);
    let mut client = Client::connect(&server);
    client.send_text(&message);
    client.expect_close(1009);

    server.rewrite_config(&config("64KiB", 1024));
    let output = server.reload().expect_code(0);
    let warning = "server.backlog has changed, which takes effect at the next start";
    assert!(output.stdout.contains(warning), "{output}");
    server.wait_log(warning);
    let mut client = Client::connect(&server);
    client.send_text(&message);
    client.expect_error("invalid_json");
}

#[test]
fn a_reload_changes_the_patience_of_the_master() {
    let config = |timeout: &str| format!("[server]\nstop_timeout = \"{timeout}\"\n");
    let server = Server::start(Setup::default().config_toml(&config("50s")));
    server.rewrite_config(&config("1s"));
    server.reload().expect_code(0);
    server.kill_worker(0, Signal::Stop);
    let begun = Instant::now();
    server.stop().expect_code(0);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let good = "[limits]\nmessage_bytes_max = \"64KiB\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(good));
    let mut client = Client::connect(&server);
    let pids = server.worker_pids();
    for (text, parts) in [
        ("[server]\n\nworkrs = 2\n", ["wsmaster.toml:3", "workrs", "workers"]),
        (
            "[limits]\nmessage_bytes_max = \"many\"\n",
            ["wsmaster.toml:2", "message_bytes_max", "many"],
        ),
        ("[limits\n", ["wsmaster.toml:1", "", ""]),
    ] {
        server.rewrite_config(text);
        let output = server.reload().expect_code(2);
        for part in parts {
            assert!(output.stderr.contains(part), "no {part:?} for {text:?}: {output}");
        }
        server.signal(Signal::Hup);
        server.wait_log("nothing was reloaded: the configuration is wrong");
        client.expect_alive();
        assert_eq!(server.worker_pids(), pids);
        assert_eq!(server.status()["reloads"], 0);
    }
    server.rewrite_config(good);
    server.reload().expect_code(0);
    client.expect_close(1001);
}

#[test]
fn a_reload_raises_and_lowers_the_level_of_the_log() {
    let config = |level: &str| format!("[server]\nlog_level = \"{level}\"\n");
    let server = Server::start(Setup::default().config_toml(&config("warn")));
    server.reload().expect_code(0);
    assert_eq!(server.log(), "");
    server.rewrite_config(&config("debug"));
    server.reload().expect_code(0);
    server.wait_log("DEBUG");
    server.wait_log("INFO");
    server.rewrite_config(&config("error"));
    server.reload().expect_code(0);
    let quiet = server.log().len();
    server.reload().expect_code(0);
    assert_eq!(server.log().len(), quiet, "{}", server.log());
}

#[test]
fn five_reloads_at_once_are_two() {
    let server = Server::start(Setup::default().workers(2));
    let pid = server.worker_pid(0);
    // The first reload waits for a worker that does not answer, until all five have been asked for.
    assert!(signal(pid, Signal::Stop));
    let before = descriptors(server.pid());
    let reloads: Vec<_> = (0..5).map(|_| server.cli_begin(&["reload"])).collect();
    eventually("five callers at the control socket", PATIENCE, || {
        (descriptors(server.pid()) == before + 5).then_some(())
    });
    // A further caller is answered after those before it.
    server.status();
    assert!(signal(pid, Signal::Cont));
    for reload in reloads {
        reload.wait().expect_code(0);
    }
    assert_eq!(server.wait_ready()["reloads"], 2);
}

#[test]
fn reloads_while_workers_are_killed_end_with_a_server_that_serves() {
    let server = Server::start(Setup::default().workers(3));
    for round in 0..5_u16 {
        let reload = server.cli_begin(&["reload"]);
        let status = server.status();
        // Whoever is in the slot now: the worker to be replaced, the successor, or nobody.
        if let Some(pid) = status["workers"][usize::from(round % 3)]["pid"].as_u64() {
            send(pid as u32, "KILL");
        }
        // A successor that is killed before it serves makes the reload a failure; the next one is asked for all the same.
        let code = reload.wait().code;
        assert!(matches!(code, 0 | 1), "{code}");
    }
    server.wait_until("all workers to be ready", 3 * PATIENCE, is_whole);
    let pids = server.worker_pids();
    server.reload().expect_code(0);
    assert!(server.worker_pids().iter().all(|pid| !pids.contains(pid)));
    for slot in 0..3 {
        Client::connect_to_worker(&server, slot).expect_alive();
    }
}

fn is_whole(status: &Value) -> bool {
    let workers = status["workers"].as_array().expect("workers");
    status["activity"] == "supervising" && workers.iter().all(|worker| worker["state"] == "ready")
}

#[test]
fn a_second_start_says_what_is_in_its_way() {
    let server = Server::start(Setup::default());
    // The same PID file: whatever the address.
    let output = server.cli(&["start", "--listen", "127.0.0.1:0"]).expect_code(1);
    let running = format!("is running already (pid {})", server.pid());
    assert!(output.stderr.contains(&running), "{output}");
    // Another PID file, the same address.
    let output = Setup::default().listen(&server.addr().to_string()).start_refused();
    assert!(output.stderr.contains("in use"), "{output}");
    assert!(output.stderr.contains(&server.addr().to_string()), "{output}");
    output.expect_code(1);
    // Neither has harmed the one that runs.
    Client::connect(&server).expect_alive();
    assert_eq!(server.status()["master"]["pid"], server.pid());
    server.stop().expect_code(0);
    assert!(!server.pid_file().exists());
}

#[test]
fn a_worker_that_does_not_leave_is_killed_and_replaced() {
    let server = Server::start(Setup::default().workers(2));
    let pid = server.worker_pid(1);
    assert!(signal(pid, Signal::Stop));
    // Five seconds for an answer, two more after SIGTERM, which a stopped process does not see either.
    let reload = server.cli_begin(&["reload"]);
    reload.wait().expect_code(0);
    server.wait_log(&format!("worker 1 (pid {pid}) does not begin to leave in time"));
    assert_ne!(server.worker_pid(1), pid);
    server.wait_until("the end of the old process", Duration::from_secs(20), |status| {
        status["leaving"].as_array().is_some_and(Vec::is_empty)
    });
}
