//! The listener of a slot that stays down is served by the worker of another one: nobody waits on it for long, nothing is
//! reset, and the slot has it back when it serves again.

mod support;

#[path = "support/fragile.rs"]
mod fragile;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;
#[path = "support/storm.rs"]
mod storm;

use std::time::{Duration, Instant};

use fragile::{break_worker, fragile, mend_worker};
use kernel::{links, listening_sockets, socket_number};
use storm::{Landing, Storm};
use support::{Client, Deadline, PATIENCE, Server, Setup, Signal, eventually};

/// A second until the listener moves, and the turns of a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

#[test]
fn nobody_waits_at_the_listener_of_a_worker_that_keeps_dying() {
    let server = fragile(2, "");
    let addr = server.addr();
    let mut witness = server.echoed_by_worker(0);
    break_worker(&server, 1);
    let mut longest = Duration::ZERO;
    // About half of them come to the listener of the broken worker; a few of these wait for the move, all others find it done.
    for connect in 0..100 {
        let begun = Instant::now();
        let mut client = Client::open(addr, "/");
        client.send_text("hello");
        client.expect_text("hello");
        longest = longest.max(begun.elapsed());
        assert!(longest <= LONGEST_WAIT, "connect {connect} took {longest:?}");
    }
    let status = server.status();
    assert_eq!(status["workers"][1]["covered_by"], 0, "{status}");
    assert_eq!(status["workers"][0]["covered_by"], serde_json::Value::Null);
    let accepted = status["workers"][0]["accepted"].as_u64().expect("a number");
    assert!(accepted >= 100, "all are its clients: {accepted}");
    let covering = server.worker_pid(0);
    assert_eq!(listeners_of(covering), 2);

    mend_worker(&server, 1);
    eventually("the worker to be back", 8 * PATIENCE, || {
        let status = server.status();
        let worker = &status["workers"][1];
        (worker["state"] == "ready" && worker["covered_by"].is_null()).then_some(())
    });
    eventually("the listener to be let go", PATIENCE, || {
        (listeners_of(covering) == 1).then_some(())
    });
    for _ in 0..3 {
        server.echoed_by_worker(1);
    }
    witness.send_text("still there?");
    witness.expect_text("still there?");
}

#[test]
fn another_worker_takes_over_from_one_that_dies_while_it_covers() {
    let server = fragile(3, "");
    let addr = server.addr();
    break_worker(&server, 1);
    let covering = |but: Option<u64>| {
        eventually("somebody to cover", PATIENCE, || {
            let status = server.status();
            let by = status["workers"][1]["covered_by"].as_u64()?;
            (Some(by) != but).then_some(by)
        })
    };
    let first = covering(None);
    let pid = server.worker_pid(first as usize);
    assert!(support::signal(pid, Signal::Kill));
    covering(Some(first));
    for _ in 0..30 {
        let begun = Instant::now();
        let mut client = Client::open(addr, "/");
        client.send_text("hello");
        client.expect_text("hello");
        assert!(begun.elapsed() <= LONGEST_WAIT, "{:?}", begun.elapsed());
    }
}

#[test]
fn nothing_is_reset_while_listeners_move_to_and_fro() {
    const CLIENTS: usize = 4;
    const WATCHED: Duration = Duration::from_secs(8);
    let server = Server::start(Setup::default().workers(3).arg("--log-level").arg("warn"));
    let storm = Storm::begin(server.addr(), CLIENTS);
    let deadline = Deadline::after(WATCHED);
    let mut kills = 0;
    // Two that are killed whenever they are back stay down longer each time, and worker 2 has the listeners of both.
    while !deadline.has_passed() {
        let status = server.status();
        for slot in [0, 1] {
            let worker = &status["workers"][slot];
            if worker["state"] == "ready" {
                let pid = worker["pid"].as_u64().expect("it is ready") as u32;
                kills += usize::from(support::signal(pid, Signal::Kill));
            }
        }
        std::thread::yield_now();
    }
    eventually("a listener that was moved", PATIENCE, || {
        let status = server.status();
        let covered = |slot: usize| status["workers"][slot]["covered_by"] == 2;
        (covered(0) || covered(1)).then_some(())
    });
    server.wait_log("is down for long: worker 2 serves its new clients");
    let landings = storm.end();
    assert_eq!(landings.refused(), 0, "{landings:?}");
    // What a killed worker had accepted dies with it. A client has one connection at a time.
    assert!(landings.broken() <= kills * CLIENTS, "{landings:?}");
    let served = landings.count(|landing| *landing == Landing::Served);
    assert!(served > landings.broken(), "{landings:?}");
    assert_eq!(served + landings.broken(), landings.count(|_| true), "{landings:?}");
}

/// How many listening sockets a process has.
fn listeners_of(pid: u32) -> usize {
    let listening = listening_sockets();
    let is_listener = |link: &str| socket_number(link).is_some_and(|n| listening.contains(&n));
    links(pid).iter().filter(|(_, link)| is_listener(link)).count()
}
