//! Sessions that are taken up again: by any worker, after a worker was killed, after all were replaced, and never under
//! other rules.

use rustls::version::{TLS12, TLS13};

use crate::{
    client::{Way, echo, is_resumed},
    place::Place,
    support::{PATIENCE, Server, Signal},
};

/// How many connections each worker has resumed.
fn resumed(server: &Server) -> Vec<u64> {
    let status = server.status();
    let workers = status["workers"].as_array().expect("workers").iter();
    workers.map(|worker| worker["tls_resumed"].as_u64().expect("a counter")).collect()
}

#[test]
fn a_session_is_taken_up_by_every_worker_whoever_began_it() {
    let place = Place::new();
    for version in [&TLS12, &TLS13] {
        let server = Server::start(place.setup("").workers(4));
        let way = Way::with(&place.authority, &[version], None);
        let mut first = way.open(server.addr());
        assert!(!is_resumed(&first));
        echo(&mut first, "so that the ticket is read");
        for _ in 0..40 {
            let mut again = way.open(server.addr());
            assert!(is_resumed(&again), "{version:?}");
            echo(&mut again, "again");
        }
        // The kernel spreads 40 connections: that one of four workers gets none happens once in 25,000 runs, and that it
        // gets them all never.
        let resumed = resumed(&server);
        assert_eq!(resumed.iter().sum::<u64>(), 40, "{resumed:?}");
        assert!(resumed.iter().filter(|count| **count > 0).count() >= 3, "{resumed:?}");
    }
}

#[test]
fn a_session_outlives_the_worker_that_began_it() {
    let place = Place::new();
    let server = Server::start(place.setup(""));
    let way = place.way();
    echo(&mut way.open(server.addr()), "the first");
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    let mut again = way.open(server.addr());
    assert!(is_resumed(&again));
    echo(&mut again, "the second");
    let pid = server.worker_pid(0);
    server.reload().expect_code(0);
    server.wait_replaced(0, pid);
    drop(again);
    assert!(is_resumed(&way.open(server.addr())));
}

#[test]
fn a_session_from_before_clients_were_asked_is_not_taken_up() {
    let place = Place::new();
    let server = Server::start(place.setup(""));
    let way = place.way();
    echo(&mut way.open(server.addr()), "nobody was asked");
    server.rewrite_config(&place.section(&place.client_ca()));
    server.reload().expect_code(0);
    // The ticket opens the door no more.
    server.wait_until("the new rules", PATIENCE, |_| way.try_open(server.addr()).is_err());
}
