//! How programs end: by themselves, because the server stops, because it is killed. Nothing is ever left of them; that
//! the harness looks for, by the working directory, when a test is over.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    puppet::{Puppet, shell, table, wait_process},
    support::{
        Client, Deadline, PATIENCE, Server, Setup, Signal, eventually, is_alive, signal,
        working_below,
    },
};

/// Says that it is ready.
const READY: &str = r#"read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4;"#;

/// What a program may start and leave: a child in its group, one in a session of its own, and one in a session of its own
/// whose parent is in another and dies with it.
const BROOD: [&str; 3] = [
    "#start exec sleep 1001",
    "#start exec setsid sleep 1002",
    "#start exec setsid bash -c 'setsid sleep 1003 & exec sleep 1004'",
];

/// The pids of the sleeps of [`BROOD`].
fn brood(server: &Server) -> Vec<u32> {
    let mut pids = working_below(server.directory());
    pids.retain(|pid| crate::support::cmdline(*pid).starts_with("sleep 100"));
    pids
}

#[track_caller]
fn start_brood(server: &Server, puppet: &Puppet<'_>) -> Vec<u32> {
    for order in BROOD {
        puppet.order(order);
    }
    eventually("four sleeps", PATIENCE, || Some(brood(server)).filter(|pids| pids.len() == 4))
}

#[track_caller]
fn expect_gone(what: &str, pids: &[u32]) {
    eventually(format!("the end of {what}"), PATIENCE, || {
        pids.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
}

#[test]
fn a_stop_tells_the_program_and_waits_for_it() {
    let config = table("p", "stop_timeout = \"7s\"");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let begun = Instant::now();
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let lines = puppet.lines();
    assert_eq!(lines.last().map(String::as_str), Some(r#"{"event":"stop","timeout_ms":7000}"#));
}

#[test]
fn a_program_that_ignores_everything_is_killed_at_its_stop_timeout_with_all_it_has_started() {
    let config = table("p", "stop_timeout = \"1s\"");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    puppet.order("#stubborn");
    let mut pids = start_brood(&server, &puppet);
    pids.extend([puppet.pid(), puppet.host()]);
    let begun = Instant::now();
    server.stop().expect_code(0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900), "it has its time: {took:?}");
    assert!(took < Duration::from_secs(5), "and not more: {took:?}");
    assert_eq!(server.wait_exit(), 0);
    // Not a moment later: whoever waits for the end of the server may start the next one.
    let left: Vec<&u32> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "{left:?} of {pids:?} are left\n{server}");
}

#[test]
fn a_program_that_never_reads_is_ended_by_sigterm_after_half_of_the_time() {
    let config = table("p", "stop_timeout = \"2s\"");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    puppet.order("#deaf");
    let begun = Instant::now();
    server.stop().expect_code(0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(5), "{took:?}");
    assert!(!server.log().contains("is killed"), "{server}");
}

#[test]
fn what_a_program_has_started_is_killed_when_it_ends_and_that_of_others_is_not() {
    let config = table("p", "") + &table("other", "");
    let server = Server::start(Setup::default().config_toml(&config));
    let other = Puppet::of(&server, "other");
    // A daemon of another process: its parent is gone, and it is well all the same.
    other.order("#start setsid sleep 2001 & exit 0");
    let daemon = eventually("the daemon", PATIENCE, || {
        working_below(server.directory())
            .into_iter()
            .find(|pid| crate::support::cmdline(*pid) == "sleep 2001")
    });
    let puppet = Puppet::of(&server, "p");
    let first = puppet.pid();
    let pids = start_brood(&server, &puppet);
    puppet.order("#exit 0");
    expect_gone("what the program has started", &pids);
    eventually("its successor", PATIENCE, || (puppet.pid() != first).then_some(()));

    // The same when the host is killed: it cannot clean up.
    let (host, program) = (puppet.host(), puppet.pid());
    let mut pids = start_brood(&server, &puppet);
    pids.push(program);
    assert!(signal(host, Signal::Kill));
    expect_gone("what the killed host's program has started", &pids);
    assert!(is_alive(daemon), "the other's daemon was killed with them\n{server}");

    server.stop().expect_code(0);
    assert!(!is_alive(daemon), "and ends with its own process");
}

#[test]
fn a_killed_master_leaves_nothing() {
    let config = table("p", "") + &table("deaf", "") + &table("stubborn", "");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    Puppet::of(&server, "deaf").order("#deaf");
    Puppet::of(&server, "stubborn").order("#stubborn");
    start_brood(&server, &puppet);
    server.signal(Signal::Kill);
    eventually("the end of everything", PATIENCE, || {
        let left = working_below(server.directory());
        left.is_empty().then_some(())
    });
}

#[test]
fn a_program_that_ends_is_started_again_and_clients_notice_nothing() {
    let config = table("p", "events = [\"message\"]");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let mut client = Client::connect(&server);
    let puppet = Puppet::of(&server, "p");
    let workers = server.worker_pids();
    let mut slowest = Duration::ZERO;
    for life in 1..=3 {
        let pid = puppet.pid();
        assert!(signal(pid, Signal::Kill));
        // Its workers go on at their pace while it is away.
        let deadline = Deadline::after(PATIENCE);
        loop {
            let begun = Instant::now();
            client.expect_alive();
            slowest = slowest.max(begun.elapsed());
            let status = server.status();
            let process = &status["processes"][0];
            if process["restarts"] == life && process["state"] == "ready" {
                assert_eq!(process["last_exit"], "exit code 137", "{process}");
                break;
            }
            assert!(!deadline.has_passed(), "no life {life}: {status}");
        }
    }
    assert!(slowest < Duration::from_secs(1), "an answer took {slowest:?}");
    assert_eq!(server.worker_pids(), workers);
    // What was sent while it was away has waited for it.
    client.send_text("still here?");
    puppet.expect("the message", |event| event["text"] == "still here?");
}

#[test]
fn restart_says_whether_a_program_that_ended_is_started_again() {
    let config = shell("never", &format!("{READY} exit 3"), "restart = \"never\"")
        + &table("well", "restart = \"on-failure\"")
        + &table("ill", "restart = \"on-failure\"")
        + &table("always", "restart = \"always\"");
    let server = Server::start(Setup::default().config_toml(&config));
    for (name, order) in [("well", "#exit 0"), ("ill", "#exit 4"), ("always", "#exit 0")] {
        Puppet::of(&server, name).order(order);
    }
    let given_up = |process: &Value| process["state"] == "given_up";
    let again = |process: &Value| process["state"] == "ready" && process["restarts"] == 1;
    assert_eq!(wait_process(&server, "never", given_up)["last_exit"], "exit code 3");
    assert_eq!(wait_process(&server, "well", given_up)["last_exit"], "exit code 0");
    wait_process(&server, "ill", again);
    wait_process(&server, "always", again);
    assert_eq!(wait_process(&server, "never", given_up)["restarts"], 0);
    // Also for people.
    let text = server.cli(&["status"]).expect_code(0).stdout;
    for (name, state) in [("never", "given_up"), ("ill", "ready")] {
        let shown = |line: &str| line.starts_with(name) && line.replace(' ', "_").contains(state);
        assert!(text.lines().any(shown), "{name} {state}: {text}");
    }
    Client::connect(&server).expect_alive();
}

#[test]
fn programs_that_can_no_longer_live_do_not_keep_the_server_from_serving() {
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("program");
    fs::write(&program, format!("#!/bin/bash\n{READY} read -r _ <&3\n")).expect("it is ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let config = format!("[[process]]\nname = \"absent\"\ncommand = \"{}\"\n\n", program.display())
        + &shell("brief", &format!("[ -e brief ] && exit 1; {READY} read -r _ <&3"), "");
    let server = Server::start(Setup::default().config_toml(&config));
    fs::remove_file(&program).expect("it is ours");
    fs::write(server.directory().join("brief"), "").expect("it is ours");
    server.signal(Signal::Usr2);
    server.wait_log("program cannot be started");
    for (name, how) in [("absent", "exit code 127"), ("brief", "exit code 1")] {
        let process = wait_process(&server, name, |process| process["state"] == "backing_off");
        assert_eq!(process["last_exit"], how, "{process}");
    }
    Client::connect(&server).expect_alive();
    let restarts = |name| wait_process(&server, name, |_| true)["restarts"].as_u64();
    let restarts = [restarts("absent"), restarts("brief")];
    assert!(
        restarts.into_iter().all(|count| count < Some(20)),
        "its delays do not grow: {restarts:?}"
    );
    server.stop().expect_code(0);
}

#[test]
fn usr2_starts_it_again_and_a_reload_does_not() {
    let config = table("p", "events = [\"worker_start\", \"reload_start\", \"reload_end\"]");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let mut client = Client::connect(&server);
    let puppet = Puppet::of(&server, "p");
    let first = puppet.pid();
    server.signal(Signal::Usr2);
    let second = eventually("its successor", PATIENCE, || {
        let pid = puppet.pid();
        (pid != first && !is_alive(first)).then_some(pid)
    });
    assert_eq!(puppet.expect_event("stop")["timeout_ms"], 5000);
    client.expect_alive();
    client.close();

    server.reload().expect_code(0);
    puppet.expect_event("reload_start");
    puppet.expect_event("reload_end");
    assert_eq!(puppet.pid(), second, "a reload is about workers");
}
