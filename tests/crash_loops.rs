//! Processes that die again and again: a start that fails, a slot that is tried ever more rarely, and its way back.

mod support;

#[path = "support/fragile.rs"]
mod fragile;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;

use std::{fs, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use fragile::{break_worker, fragile, mend_worker, set_trap};
use kernel::Errand;
use place::{Place, example};
use serde_json::Value;
use support::{Client, Deadline, PATIENCE, Server, Setup, cpu_ms, eventually, working_below};

/// A limit that is passed within a second.
const SOON_TOO_OFTEN: &str = "[server]\nrestarts_max = 3\nrestarts_window = \"60s\"\n";

#[test]
fn a_worker_that_dies_at_once_backs_off_and_disturbs_nobody() {
    const WATCHED: Duration = Duration::from_secs(5);
    let server = fragile(2, "");
    let mut witness = server.echoed_by_worker(0);
    let before = server.status();
    assert_eq!(before["app"], "library", "it is not one of the configuration");
    let cpu_before_ms = cpu_ms(master_of(&before));
    break_worker(&server, 1);
    let deadline = Deadline::after(WATCHED);
    while !deadline.has_passed() {
        witness.send_text("still there?");
        witness.expect_text("still there?");
        witness.expect_silence(Duration::from_millis(50));
    }
    let status = server.status();
    let cpu_used_ms = cpu_ms(master_of(&status)) - cpu_before_ms;
    let crashing = &status["workers"][1];
    let forks = crashing["restarts"].as_u64().expect("a number");
    assert!((3..=10).contains(&forks), "{forks} forks in {WATCHED:?}");
    assert_eq!(crashing["last_exit"], "signal 6 (SIGABRT)");
    assert_eq!(crashing["crash_loop"], false, "{forks} are not too many yet");
    assert!(cpu_used_ms <= 250, "the master used {cpu_used_ms} ms of CPU in {WATCHED:?}");
    for unchanged in ["pid", "restarts", "replacements", "state"] {
        let (now, then) = (&status["workers"][0], &before["workers"][0]);
        assert_eq!(now[unchanged], then[unchanged], "{unchanged}");
    }

    mend_worker(&server, 1);
    eventually("the worker to come back", 2 * PATIENCE, || {
        (server.status()["workers"][1]["state"] == "ready").then_some(())
    });
    server.echoed_by_worker(1);
    witness.send_text("and you?");
    witness.expect_text("and you?");
}

#[test]
fn a_crash_loop_is_seen_and_told_and_a_reload_tries_again_at_once() {
    let server = fragile(2, SOON_TOO_OFTEN);
    let mut witness = server.echoed_by_worker(0);
    break_worker(&server, 1);
    let looping = eventually("the crash loop", PATIENCE, || {
        let worker = server.status()["workers"][1].clone();
        (worker["crash_loop"] == true).then_some(worker)
    });
    assert_eq!(looping["state"], "backing_off");
    assert_eq!(looping["failures"], 4);
    let wait_ms = looping["retry_in_ms"].as_u64().expect("a time");
    assert!((15_000..=36_000).contains(&wait_ms), "{wait_ms}");
    let log = server.log();
    let told = "worker 1 is in a crash loop: more than 3 deaths within 60s (server.restarts_max)";
    assert!(log.contains(told) && log.contains("`wsmaster reload` (workers)"), "{log}");
    let table = cli(&server, "status");
    assert!(table.contains("worker 1 ended with signal 6 (SIGABRT)"), "{table}");
    assert!(table.contains("it is in a crash loop"), "{table}");
    witness.send_text("still there?");
    witness.expect_text("still there?");

    mend_worker(&server, 1);
    assert!(kernel::send(master_of(&server.status()), "HUP"));
    eventually("the worker to come back", PATIENCE, || {
        let worker = &server.status()["workers"][1];
        (worker["state"] == "ready" && worker["crash_loop"] == false).then_some(())
    });
    server.echoed_by_worker(1);
}

#[test]
fn a_program_in_a_crash_loop_is_seen_and_told_too() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let program = directory.path().join("program");
    let write = |text: &str| {
        fs::write(&program, text).expect("it is ours");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    const WELL: &str =
        "#!/bin/sh\necho '{\"do\":\"ready\",\"protocol\":1}' >&4; read -r _ <&3; read -r _ <&3\n";
    write(WELL);
    let config = format!(
        "{SOON_TOO_OFTEN}[[process]]\nname = \"broken\"\ncommand = \"{}\"\n",
        program.display()
    );
    let server = Server::start(Setup::default().config_toml(&config));
    write("#!/bin/sh\nexit 1\n");
    assert!(kernel::send(server.pid(), "USR2"));
    let status = server.wait_until("the crash loop", PATIENCE, |status| {
        status["processes"][0]["crash_loop"] == true
    });
    let process = &status["processes"][0];
    assert_eq!(
        (&process["state"], &process["last_exit"]),
        (&"backing_off".into(), &"exit code 1".into())
    );
    server.wait_log("broken is in a crash loop: more than 3 deaths within 60s");
    assert_eq!(status["workers"][0]["restarts"], 0);
    Client::connect(&server).expect_alive();

    write(WELL);
    assert!(kernel::send(server.pid(), "USR2"));
    server.wait_until("the program to run", PATIENCE, |status| {
        status["processes"][0]["state"] == "ready" && status["processes"][0]["crash_loop"] == false
    });
}

/// With all workers, or with a single one of them, that cannot live.
#[test]
fn an_application_that_cannot_live_is_a_start_that_fails() {
    for trapped in [vec![0, 1, 2], vec![1]] {
        let mut server = Errand::start(|directory| {
            for slot in &trapped {
                set_trap(directory, *slot);
            }
            let mut command = Command::new(example("crash_loop"));
            command.args(["127.0.0.1:0", "w.pid", "3"]).arg(directory);
            command
        });
        let code = eventually("the end of the start", PATIENCE, || server.ended());
        assert_eq!(code, 1);
        let said = server.stderr();
        let why = "the workers do not come up: they exited during startup (signal 6 (SIGABRT))";
        assert!(said.lines().any(|line| line.starts_with(why)), "{said}");
        assert!(!server.directory().join("w.pid").exists());
        assert_eq!(working_below(server.directory()), [0; 0]);
    }
}

fn master_of(status: &Value) -> u32 {
    pid_of(&status["master"])
}

#[track_caller]
fn pid_of(process: &Value) -> u32 {
    process["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid")
}

#[track_caller]
fn cli(server: &Place, word: &str) -> String {
    let pid_file = server.directory().join("w.pid");
    support::run(&[word, "--pid-file", &pid_file.to_string_lossy()]).expect_code(0).stdout
}
