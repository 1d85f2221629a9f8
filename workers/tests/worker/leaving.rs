//! The end of a worker: its clients are told, a successor takes the seat, and what queued meanwhile is served by it.

use std::time::{Duration, Instant};

use wsmaster_workers::{
    ClosedBy, Limits,
    ipc::{
        LeaveReason, LifeEvent,
        link::{ToChild, ToMaster},
        shared_state::Counter,
    },
};

use crate::support::{
    Server, Told,
    client::{close_frame, handshake},
    eventually, limits,
};

fn drain(deadline_ms: u64) -> ToChild {
    ToChild::Drain {
        reason: LeaveReason::Reload,
        reconnect_spread_ms: 500,
        close_code: 1012,
        deadline_ms,
    }
}

#[test]
fn clients_are_told_to_come_back_and_the_worker_ends_when_they_have_answered() {
    let mut server = Server::start(1, limits());
    let mut clients: Vec<_> = (0..20).map(|_| server.connect(0).upgrade()).collect();
    server.eventually_counts(Counter::WebSockets, 20);
    server.say(0, &drain(60_000));
    server.expect_said(0, &ToMaster::Draining);
    let mut waits = std::collections::BTreeSet::new();
    for client in &mut clients {
        let reason = client.expect_close(1012);
        let wait = reason.strip_prefix("restarting; retry_after_ms=").expect("when to come back");
        let wait: u64 = wait.parse().expect("a number");
        assert!(wait <= 500, "{wait}");
        waits.insert(wait);
    }
    assert!(waits.len() > 5, "they all come back at the same moment: {waits:?}");
    assert!(server.is_running(0), "it waits for the clients' answers");
    for client in &mut clients {
        client.send(close_frame(1012));
        client.expect_eof();
    }
    drop(clients);
    server.expect_end(0);
    assert!(
        server.journal.expect_ends(20).iter().all(|end| *end == (ClosedBy::Server, Some(1012)))
    );
    assert_eq!(server.count(Counter::Connections), 0);
}

#[test]
fn a_worker_does_not_wait_beyond_its_deadline() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let mut asking = server.connect(0);
    asking.get("/never");
    eventually("it is asked", || server.journal.requests() == 1);
    let began = Instant::now();
    server.say(0, &drain(300));
    client.expect_close(1012);
    server.expect_end(0);
    assert!(began.elapsed() >= Duration::from_millis(290), "too early");
    client.expect_cut();
    asking.expect_cut();
}

/// Nothing is refused or lost between the two.
#[test]
fn a_successor_serves_what_queued_meanwhile() {
    let mut server = Server::start(2, limits());
    let stays = server.connect(0).upgrade();
    let mut far = server.open(1);
    server.eventually_counts(Counter::WebSockets, 1);
    let old_id = {
        let mut client = stays;
        client.send_text("!id");
        let crate::support::Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
        server.say(0, &drain(60_000));
        server.expect_said(0, &ToMaster::Draining);
        client.expect_close(1012);
        // These come while nobody accepts or reads the mailbox.
        let mut early = server.connect(0);
        early.send(handshake("/"));
        far.send_text(&format!("!push-ack {id} stale"));
        let successor = server.start_worker(0);
        early.expect_upgraded();
        early.send_text("hello");
        early.expect_text("hello");
        // The worker before still has it, and says so.
        far.expect_text("Closing");
        assert_eq!(server.cell(successor).read(Counter::Relayed), 1);
        client.send(close_frame(1012));
        client.expect_eof();
        id
    };
    server.expect_end(0);
    let mut newcomer = server.open(0);
    assert!(newcomer.id() > old_id.parse().unwrap(), "an id was given again");
}

/// What was passed on to a worker that died waits nowhere any more, and nobody is refused a large message for it.
#[test]
fn bodies_that_a_worker_did_not_take_do_not_count_when_it_is_gone() {
    let mut server = Server::start(2, limits());
    let mut client = server.connect(0).upgrade();
    server.eventually_counts(Counter::WebSockets, 1);
    server.say(0, &drain(60_000));
    server.expect_said(0, &ToMaster::Draining);
    server.start_worker(0);
    client.expect_close(1012);
    let address = crate::support::server::slot(0).address();
    server.shared_state.add_attached(address, 1_000_000);
    client.send(close_frame(1012));
    client.expect_eof();
    server.expect_end(0);
    eventually("nothing to wait", || server.shared_state.attached_bytes(address) == 0);
}

/// A request that is under way, or whose connection was just made, is answered; an idle kept connection ends.
#[test]
fn requests_under_way_are_answered_by_a_worker_that_leaves() {
    let mut server = Server::start(1, limits());
    let mut idle = server.connect(0);
    idle.get("/hello");
    idle.expect_answer();
    let mut begun = server.connect(0);
    begun.get("/hello");
    begun.expect_answer();
    begun.send("GET /hel");
    let mut fresh = server.connect(0);
    let mut upgrading = server.connect(0);
    let mut waiting = server.connect(0);
    waiting.get("/push/1025/x");
    waiting.expect_answer();
    server.eventually_counts(Counter::Accepted, 5);
    eventually("it is read", || server.count(Counter::BytesIn) >= 3 * 30 + 8);
    server.say(0, &drain(60_000));
    server.expect_said(0, &ToMaster::Draining);
    idle.expect_eof();
    begun.send("lo HTTP/1.1\r\nHost: test\r\n\r\n");
    fresh.get("/hello");
    for client in [&mut begun, &mut fresh] {
        let answer = client.expect_answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        client.expect_eof();
    }
    upgrading.send(handshake("/"));
    upgrading.expect_upgraded();
    upgrading.expect_close(1012);
    upgrading.send(close_frame(1012));
    upgrading.expect_eof();
    drop((idle, begun, fresh, upgrading, waiting));
    server.expect_end(0);
}

#[test]
fn a_stop_says_that_the_server_goes_away() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    let idle = server.connect(0);
    server.eventually_counts(Counter::Connections, 2);
    server.say(0, &ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: 60_000 });
    client.expect_close(1001);
    client.send(close_frame(1001));
    client.expect_eof();
    drop((client, idle));
    server.expect_end(0);
}

/// Until the master says that the side processes have ended.
#[test]
fn a_stop_that_waits_for_side_processes_leaves_clients_connected_and_served() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    server.say(0, &ToChild::Stop { wait_ms: 60_000, spread_ms: 0, deadline_ms: 120_000 });
    client.send_text("still there?");
    client.expect_text("still there?");
    server.say(0, &ToChild::CloseClients);
    client.expect_close(1001);
    client.send(close_frame(1001));
    client.expect_eof();
    server.expect_end(0);
}

#[test]
fn the_application_says_farewell_first_and_has_the_last_word() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    client.send_text("!subscribe farewells");
    client.expect_text("Ok(true)");
    let started = LifeEvent::ReloadStart;
    server.say(0, &ToChild::Life { what: started });
    server.say(0, &drain(60_000));
    // A second request changes only what those hear who were not told yet.
    server.say(0, &ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: 60_000 });
    client.expect_text("farewell");
    client.expect_close(1001);
    client.send(close_frame(1001));
    client.expect_eof();
    server.expect_end(0);
    let told = server.journal.read();
    let [Told::Open(opened), rest @ ..] = told.as_slice() else { panic!("{told:?}") };
    let [Told::Life(life), Told::Leaves(LeaveReason::Reload), Told::Closed { id, .. }, last] = rest
    else {
        panic!("{told:?}")
    };
    assert_eq!((life, id), (&started, opened));
    assert_eq!(*last, Told::Stops(LeaveReason::Reload));
}

/// A deadline may be brought forward, never put off.
#[test]
fn a_stop_during_a_drain_hastens_it() {
    let mut server = Server::start(1, limits());
    let mut client = server.connect(0).upgrade();
    server.say(0, &drain(3_600_000));
    client.expect_close(1012);
    server.say(0, &ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: 50 });
    server.say(0, &ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: 3_600_000 });
    server.expect_end(0);
}

#[test]
fn a_worker_without_a_master_ends() {
    let mut server = Server::start(1, limits());
    let mut client = server.open(0);
    assert_eq!(client.ask("hello"), "hello");
    server.worker(0).link = None;
    server.expect_end(0);
}

#[test]
fn shares_differ_by_the_spread_and_are_never_smaller_than_they_should() {
    let limits = Limits { requests_max: 20, requests_spread: 30, ..limits() };
    let shares: Vec<u32> = (0..8)
        .map(|_| {
            let server = Server::start(1, limits.clone());
            let mut client = server.open(0);
            let asked = |messages: &u32| {
                client.ask("hello");
                // What the worker said before it answered is there.
                *messages >= 20
                    && server.has_said(0, &ToMaster::Recycle { reason: LeaveReason::Share })
            };
            (1..=50).find(asked).expect("at most 50")
        })
        .collect();
    assert!(shares.iter().all(|share| (20..=50).contains(share)), "{shares:?}");
    assert!(shares.iter().any(|share| *share != shares[0]), "they go together: {shares:?}");
}

#[test]
fn a_worker_that_has_done_its_share_asks_once_to_be_replaced() {
    let server = Server::start(1, Limits { requests_max: 3, ..limits() });
    let mut client = server.open(0);
    for _ in 0..10 {
        client.ask("hello");
    }
    server.expect_said(0, &ToMaster::Recycle { reason: LeaveReason::Share });
    server.say(0, &drain(60_000));
    server.expect_said(0, &ToMaster::Draining);
    client.expect_close(1012);
}
