//! Workers that are replaced because they have done their share or hold too much: gracefully, and one after the other.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;
#[path = "support/storm.rs"]
mod storm;

use std::{fs, time::Duration};

use place::{Place, ask};
use serde_json::{Value, json};
use storm::{Landing, Storm};
use support::{Api, Client, PATIENCE, Server, Setup, eventually};

#[test]
fn a_worker_is_replaced_after_its_share_of_messages() {
    let config = "[server]\nmax_request = 50\nmax_request_spread = 0\n";
    let server = Server::start(Setup::default().config_toml(config));
    let pid = server.worker_pid(0);
    let mut client = Client::connect(&server);
    for _ in 0..49 {
        client.expect_alive();
    }
    // It would be replaced one second after its start at the earliest.
    client.expect_silence(Duration::from_millis(1500));
    assert_eq!(server.worker_pid(0), pid);
    client.expect_alive();
    let reason = client.expect_close(1001);
    assert!(reason.starts_with("restarting; retry_after_ms="), "{reason}");
    server.wait_replaced(0, pid);
    let status = server.wait_ready();
    assert_eq!(
        (&status["workers"][0]["restarts"], &status["workers"][0]["replacements"]),
        (&json!(0), &json!(1))
    );
    Client::connect(&server).expect_alive();
}

#[test]
fn workers_that_have_done_their_shares_together_go_one_after_the_other() {
    const WORKERS: u16 = 4;
    let config = "[server]\nmax_request = 20\nmax_request_spread = 0\nreconnect_spread = \"1s\"\n";
    let server = Server::start(Setup::default().workers(WORKERS.into()).config_toml(config));
    let mut clients: Vec<Client> =
        (0..WORKERS).map(|slot| Client::connect_to_worker(&server, slot)).collect();
    let storm = Storm::begin(server.addr(), 2);
    for client in &mut clients {
        for _ in 0..20 {
            client.expect_alive();
        }
    }
    for client in &mut clients {
        let reason = client.expect_close(1001);
        assert!(reason.starts_with("restarting; retry_after_ms="), "{reason}");
    }
    let status = server.wait_until("four successors", PATIENCE, |status| {
        workers(status).all(|worker| worker["replacements"] == 1 && worker["state"] == "ready")
    });
    assert!(workers(&status).all(|worker| worker["restarts"] == 0), "{status}");
    let landings = storm.end();
    // Who came to a worker in its last moment may have been told to come back; nobody was refused or cut off.
    assert_eq!((landings.refused(), landings.broken()), (0, 0), "{landings:?}");
    assert!(landings.count(|landing| *landing == Landing::Served) > 0);
    let times = times_of(&server.log(), "has done its share and is replaced");
    assert_eq!(times.len(), 4);
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= 950, "{gap} ms between two: {times:?}");
    }
}

/// The worker of examples/life.rs keeps what it is told to leak.
#[test]
fn workers_that_leak_are_replaced_one_after_the_other_and_nobody_is_refused() {
    const WORKERS: usize = 3;
    let config = "[server]\nworker_memory_max = \"48MiB\"\nreconnect_spread = \"1s\"\n";
    let server = Place::start("life", WORKERS, |command, directory| {
        let file = directory.join("config.toml");
        fs::write(&file, config).expect("the directory is ours");
        command.arg(file);
    });
    let before = server.status();
    for (slot, worker) in workers(&before).enumerate() {
        let own = worker["own_bytes"].as_u64().expect("a number");
        assert!(own < 16 << 20, "worker {slot} holds {own} bytes from the start");
    }
    let mut leaky: Vec<Client> = (0..WORKERS).map(|slot| server.echoed_by_worker(slot)).collect();
    for client in &mut leaky {
        assert_eq!(ask(client, "leak 24", PATIENCE), "leak 24");
    }
    // That much is allowed: two looks and nothing happens.
    for client in &mut leaky {
        client.expect_silence(Duration::from_millis(800));
    }
    for client in &mut leaky {
        assert_eq!(ask(client, "leak 40", PATIENCE), "leak 40");
    }
    let replaced = || {
        let status = server.status();
        let is_new = |worker: &Value| worker["replacements"] == 1 && worker["state"] == "ready";
        let all = workers(&status).all(is_new);
        all.then_some(status)
    };
    let status = eventually("three successors", 2 * PATIENCE, || {
        // Whoever comes in the meantime is served, or told to come back.
        let mut visitor = Client::open(server.addr(), "/");
        visitor.send_text("hello");
        replaced()
    });
    for client in &mut leaky {
        assert_eq!(place::text(client, PATIENCE), "goodbye: Memory");
        client.expect_close(1001);
    }
    for (slot, worker) in workers(&status).enumerate() {
        assert_eq!(worker["restarts"], 0, "{status}");
        let own = worker["own_bytes"].as_u64().expect("a number");
        assert!(own < 16 << 20, "the successor in slot {slot} holds {own} bytes");
    }
    let times = times_of(&server.log(), "more than server.worker_memory_max, and is replaced");
    assert_eq!(times.len(), WORKERS, "{}", server.log());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 950), "{times:?}");
}

/// Memory that the application has nothing to do with: what waits for clients that do not read.
#[test]
fn a_worker_that_holds_too_much_for_a_slow_reader_is_replaced() {
    const KIB: usize = 1024;
    let config = "[server]\nworker_memory_max = \"32MiB\"\n\
                  [limits]\noutbox_bytes_max = \"256MiB\"\nclose_timeout = \"1s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let pid = server.worker_pid(1);
    let deaf = Client::connect_to_worker(&server, 1);
    let mut witness = Client::connect_to_worker(&server, 0);
    let (api, text) = (Api::of(&server), "x".repeat(200 * KIB));
    // 48 MiB, some of which the kernel takes; or less, when the worker leaves before.
    for _ in 0..240 {
        if api.push_text(deaf.id(), &text).status != 200 {
            break;
        }
    }
    server.wait_replaced(1, pid);
    let status = server.wait_ready();
    let counts = |slot: usize| {
        let worker = &status["workers"][slot];
        (worker["restarts"].clone(), worker["replacements"].clone())
    };
    assert_eq!((counts(0), counts(1)), ((json!(0), json!(0)), (json!(0), json!(1))));
    server.wait_log("more than server.worker_memory_max, and is replaced");
    witness.expect_alive();
    Client::connect_to_worker(&server, 1).expect_alive();
}

fn workers(status: &Value) -> impl Iterator<Item = &Value> {
    status["workers"].as_array().expect("workers").iter()
}

/// When the lines of a log that end like this were written, in ms of the day.
fn times_of(log: &str, end: &str) -> Vec<u64> {
    let stamp = |line: &str| {
        let (_, time) = line.split_once(' ')?.0.split_once('T')?;
        let mut parts = time.trim_end_matches('Z').split([':', '.']).map(str::parse::<u64>);
        let mut part = || parts.next()?.ok();
        Some(((part()? * 60 + part()?) * 60 + part()?) * 1000 + part()?)
    };
    log.lines().filter(|line| line.ends_with(end)).filter_map(stamp).collect()
}
