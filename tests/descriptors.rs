//! Processes that are out of descriptors: they serve on, whatever is passed to them. A few are in reserve for what others pass
//! to them; where not even these are left, it is said what was not done, and tried again.

mod support;

#[path = "support/authority.rs"]
mod authority;
#[path = "support/fragile.rs"]
mod fragile;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;

use std::{collections::BTreeSet, fs, net::TcpStream, os::unix::fs::MetadataExt, path::Path};

use kernel::{limit_descriptors, links};
use serde_json::{Value, json};
use support::{
    App, Client, KeepAlive, PATIENCE, Server, Setup, descendants_of, descriptors, eventually,
};

/// More than travels inside a packet between processes.
const LARGE_BYTES: usize = 100 * 1024;
/// Still more, and so few that all of a test have room in one outbox.
const LARGE_ENOUGH_BYTES: usize = 33 * 1024;
/// So few that none is left in reserve.
const NOTHING_LEFT: &str = "3";
const CHANNEL: &str = "full";

/// Leaves a process no more descriptors than it has.
#[track_caller]
fn fill(pid: u32) {
    limit_descriptors(pid, &descriptors(pid).to_string());
}

/// Clients who wait at the listeners, so that every descriptor that becomes free is asked for.
fn crowd(server: &Server) -> Vec<TcpStream> {
    (0..64).map(|_| TcpStream::connect(server.addr()).expect("the kernel accepts")).collect()
}

fn total(server: &Server, counter: &str) -> u64 {
    server.status()["totals"][counter].as_u64().expect("a number")
}

#[test]
fn a_full_worker_gets_the_large_messages_of_clients_of_others() {
    let server = Server::start(Setup::default().workers(2));
    let pids = server.worker_pids();
    let mut inside = Client::connect_to_worker(&server, 0);
    let mut outside = Client::connect_to_worker(&server, 1);
    inside.subscribe(CHANNEL);
    outside.subscribe(CHANNEL);
    fill(pids[0]);
    let crowd = crowd(&server);
    for round in 0..20 {
        let text = format!("{round}{}", "x".repeat(LARGE_BYTES));
        outside.publish(CHANNEL, &json!(text));
        inside.expect_matching("the large message", PATIENCE, |message| {
            message.to_string().contains(&text)
        });
        // And the other way round: it also makes the file for a message of its own.
        inside.publish(CHANNEL, &json!(text));
    }
    inside.expect_alive();
    assert_eq!(server.worker_pids(), pids);
    assert_eq!(total(&server, "dropped_no_descriptors"), 0);
    drop(crowd);
}

#[test]
fn a_large_message_that_does_not_fit_is_counted_and_told_to_who_asked() {
    let server = Server::start(Setup::default().workers(2));
    let pids = server.worker_pids();
    let mut inside = Client::connect_to_worker(&server, 0);
    let mut outside = Client::connect_to_worker(&server, 1);
    inside.subscribe(CHANNEL);
    outside.subscribe(CHANNEL);
    let key = format!("Bearer {}", server.api_key());
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    let mut ways: Vec<KeepAlive> = (0..12).map(|_| KeepAlive::open(server.addr())).collect();
    for way in &mut ways {
        way.request("GET", "/health/live", &[], b"").expect_status(200);
    }
    limit_descriptors(pids[0], NOTHING_LEFT);
    outside.publish(CHANNEL, &json!("x".repeat(LARGE_ENOUGH_BYTES)));
    server.wait_until("the loss to be counted", PATIENCE, |status| {
        status["totals"]["dropped_no_descriptors"] == 1
    });
    server.wait_log("no descriptor was left");
    let push =
        json!({"connection": inside.id(), "text": "x".repeat(LARGE_ENOUGH_BYTES)}).to_string();
    let broadcast = json!({"text": "x".repeat(LARGE_ENOUGH_BYTES)}).to_string();
    let (mut refused, mut missed) = (0, 0);
    for way in &mut ways {
        let reply = way.request("POST", "/api/push", &headers, push.as_bytes());
        if reply.status == 503 {
            assert_eq!(reply.json()["result"], "no_room", "{}", reply.text());
            refused += 1;
        } else {
            reply.expect_status(200);
        }
        let reply = way.request("POST", "/api/broadcast", &headers, broadcast.as_bytes());
        missed += u64::from(reply.status == 200 && reply.json()["dropped"] == 1);
    }
    assert!(refused > 0 && missed > 0, "some of the requests were to the other worker");
    // Small ones need no descriptor.
    outside.publish(CHANNEL, &json!("small"));
    inside.expect_matching("the small message", PATIENCE, |message| {
        message.to_string().contains("\"small\"")
    });
    assert_eq!(server.worker_pids(), pids);
}

#[test]
fn clients_cannot_take_what_is_in_reserve() {
    let config = "[server]\nrlimit_nofile = 128\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let pids = server.worker_pids();
    let mut inside = Client::connect_to_worker(&server, 0);
    let mut outside = Client::connect_to_worker(&server, 1);
    inside.subscribe(CHANNEL);
    outside.subscribe(CHANNEL);
    let crowd: Vec<TcpStream> = (0..4).flat_map(|_| crowd(&server)).collect();
    server.wait_until("both workers to be full", PATIENCE, |status| {
        let is_full = |worker: &Value| worker["accept_pauses"].as_u64() > Some(0);
        status["workers"].as_array().is_some_and(|workers| workers.iter().all(is_full))
    });
    for round in 0..20 {
        let text = format!("{round}{}", "x".repeat(LARGE_BYTES));
        outside.publish(CHANNEL, &json!(text));
        inside.expect_matching("the large message", PATIENCE, |message| {
            message.to_string().contains(&text)
        });
        inside.publish(CHANNEL, &json!(text));
    }
    assert_eq!(server.worker_pids(), pids);
    assert_eq!(total(&server, "dropped_no_descriptors"), 0);
    drop(crowd);
    // Whoever comes next is served.
    Client::connect(&server).expect_alive();
}

#[test]
fn a_full_host_passes_large_messages_on_and_counts_those_that_it_cannot_take() {
    let server = Server::start(
        Setup::default().workers(2).app(App::Plugin("idle")).config_toml(&program("> heard")),
    );
    let is_ready = |status: &Value| status["processes"][0]["state"] == "ready";
    server.wait_until("the program to be ready", PATIENCE, is_ready);
    let workers = server.worker_pids();
    let host = server_processes(&server).into_iter().find(|pid| !workers.contains(pid));
    let host = host.expect("a host");
    let heard = || fs::read_to_string(server.directory().join("heard")).unwrap_or_default();
    let mut client = Client::open(server.addr(), "/");
    fill(host);
    client.send_text(&format!("first {}", "x".repeat(LARGE_BYTES)));
    eventually("the large message", PATIENCE, || heard().contains("first xxx").then_some(()));
    limit_descriptors(host, NOTHING_LEFT);
    client.send_text(&format!("second {}", "x".repeat(LARGE_BYTES)));
    client.send_text("third");
    eventually("the small message", PATIENCE, || heard().contains("third").then_some(()));
    assert!(!heard().contains("second"));
    server.wait_until("the loss to be counted", PATIENCE, |status| {
        status["processes"][0]["dropped_events"] == 1
    });
    server.wait_log("a large message was lost: no descriptor was left");
    assert!(server_processes(&server).contains(&host));
}

#[test]
fn full_processes_take_the_log_that_was_opened_again() {
    let server = with_side_process();
    let processes = server_processes(&server);
    assert!(processes.len() >= 3, "two workers and a host: {processes:?}");
    let crowd = crowd(&server);
    for pid in &processes {
        fill(*pid);
    }
    let (file, moved) = (server.directory().join("w.log"), server.directory().join("w.log.1"));
    for _ in 0..3 {
        fs::rename(&file, &moved).expect("ours");
        let output = server.cli(&["logs", "reopen"]).expect_code(0);
        assert!(output.stdout.contains("all processes write to"), "{output}");
        for pid in &processes {
            assert!(holds(*pid, &file) && !holds(*pid, &moved), "process {pid}");
        }
    }
    assert_eq!(server_processes(&server), processes);
    drop(crowd);
}

#[test]
fn who_cannot_take_the_log_is_named_and_given_it_again() {
    let server = with_side_process();
    let processes = server_processes(&server);
    for pid in &processes {
        limit_descriptors(*pid, NOTHING_LEFT);
    }
    let (file, moved) = (server.directory().join("w.log"), server.directory().join("w.log.1"));
    fs::rename(&file, &moved).expect("ours");
    let output = server.cli(&["logs", "reopen"]).expect_code(1);
    assert!(output.stderr.contains("3 processes have no descriptor left"), "{output}");
    assert!(output.stderr.contains("worker 0 (pid") && output.stderr.contains("idle"), "{output}");
    assert_eq!(server_processes(&server), processes);
    for pid in &processes {
        assert!(holds(*pid, &moved), "process {pid} keeps what it has");
        limit_descriptors(*pid, "1024");
    }
    eventually("all to have the new file", PATIENCE, || {
        processes.iter().all(|pid| holds(*pid, &file) && !holds(*pid, &moved)).then_some(())
    });
    server.cli(&["logs", "reopen"]).expect_code(0);
}

#[test]
fn full_workers_take_new_certificates_and_who_cannot_is_named() {
    let directory = tempfile::tempdir().expect("a directory for certificates");
    let authority = authority::Authority::new();
    let renew = || authority.server(&["localhost"]).write(directory.path(), "own");
    renew();
    let at = directory.path().display();
    let config = format!("[tls]\ncert_file = \"{at}/own.pem\"\nkey_file = \"{at}/own.key\"\n");
    let server = Server::start(Setup::default().app(App::Echo).workers(2).config_toml(&config));
    let pids = server.worker_pids();
    let crowd = crowd(&server);
    pids.iter().for_each(|pid| fill(*pid));
    renew();
    let output = server.cli(&["reload", "--certificates"]).expect_code(0);
    assert!(output.stdout.contains("the certificate was exchanged"), "{output}");

    limit_descriptors(pids[1], NOTHING_LEFT);
    renew();
    let output = server.cli(&["reload", "--certificates"]).expect_code(1);
    let named = format!("worker 1 (pid {})", pids[1]);
    assert!(output.stderr.contains("1 process has no descriptor left"), "{output}");
    assert!(output.stderr.contains(&named) && !output.stderr.contains("worker 0"), "{output}");
    limit_descriptors(pids[1], "1024");
    eventually("the worker to have taken them", PATIENCE, || {
        (server.cli(&["reload", "--certificates"]).code == 0).then_some(())
    });
    assert_eq!(server.worker_pids(), pids);
    drop(crowd);
}

#[test]
fn a_full_worker_covers_for_one_that_is_down_or_is_asked_again() {
    let server = fragile::fragile(2, "");
    let mut witness = server.echoed_by_worker(0);
    let full = server.worker_pid(0);
    limit_descriptors(full, NOTHING_LEFT);
    fragile::break_worker(&server, 1);
    eventually("the worker to have been asked", PATIENCE, || {
        server.log().contains("out of descriptors").then_some(())
    });
    witness.send_text("still there?");
    witness.expect_text("still there?");
    // With no more than its reserve it can.
    limit_descriptors(full, &(descriptors(full)).to_string());
    eventually("the worker to cover", PATIENCE, || {
        (server.status()["workers"][1]["covered_by"] == 0
            && server.log().matches("serves its new clients").count() > 0
            && listening(full) == 2)
            .then_some(())
    });
    witness.send_text("and now?");
    witness.expect_text("and now?");
    assert_eq!(server.worker_pid(0), full);
    limit_descriptors(full, "1024");
}

/// A program that reads what it is told, and puts it there.
fn program(put: &str) -> String {
    format!(
        "[[process]]\nname = \"idle\"\ncommand = \"sh\"\n\
         args = [\"-c\", \"echo '{{\\\"do\\\":\\\"ready\\\"}}' >&4; exec cat <&3 {put}\"]\n"
    )
}

/// Two workers and a program that does nothing, with a log file.
fn with_side_process() -> Server {
    let program = program("> /dev/null");
    let server = Server::start(
        Setup::default().workers(2).arg("--log-file").arg("w.log").config_toml(&program),
    );
    let is_ready = |status: &Value| status["processes"][0]["state"] == "ready";
    server.wait_until("the program to be ready", PATIENCE, is_ready);
    server
}

/// The processes that the master has forked: not what these have started.
fn server_processes(server: &Server) -> BTreeSet<u32> {
    let own = fs::metadata(format!("/proc/{}/exe", server.pid())).expect("it lives").ino();
    let is_own = |pid: &u32| {
        fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|program| program.ino() == own)
    };
    descendants_of(server.pid()).into_iter().filter(is_own).collect()
}

fn holds(pid: u32, file: &Path) -> bool {
    let name = file.to_string_lossy();
    links(pid).iter().any(|(_, link)| *link == name)
}

fn listening(pid: u32) -> usize {
    let sockets = kernel::listening_sockets();
    let numbers = links(pid).into_iter().filter_map(|(_, link)| kernel::socket_number(&link));
    numbers.filter(|number| sockets.contains(number)).count()
}
