//! Jobs: blocking work that stalls nobody, in order where that is asked for, with an end that is always told.

use std::time::{Duration, Instant};

use wsmaster_workers::{
    Limits,
    ipc::{
        LeaveReason,
        link::{ToChild, ToMaster},
        shared_state::Counter,
    },
};

use crate::support::{Server, eventually, limits};

fn with_threads(job_threads: usize) -> Limits {
    Limits { job_threads, ..limits() }
}

#[test]
fn the_loop_goes_on_while_a_job_runs() {
    let server = Server::start(1, limits());
    let (mut waits, mut other) = (server.open(0), server.open(0));
    let begun = Instant::now();
    waits.send_text("!job any 300 done");
    let mut echoes = 0;
    while begun.elapsed() < Duration::from_millis(250) {
        assert_eq!(other.ask("hello"), "hello");
        echoes += 1;
    }
    assert!(echoes > 20, "{echoes} echoes while the job ran");
    // The connection of the job is served too.
    waits.send_text("meanwhile");
    waits.expect_text("meanwhile");
    waits.expect_text("done");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    server.eventually_counts(Counter::JobsDone, 1);
    server.eventually_counts(Counter::Jobs, 0);
}

#[test]
fn ordered_jobs_of_a_connection_end_in_their_order_and_others_do_not_wait() {
    let server = Server::start(1, with_threads(4));
    let mut client = server.open(0);
    for (ms, text) in [(200, "one"), (1, "two"), (60, "three"), (1, "four")] {
        client.send_text(&format!("!job ordered {ms} {text}"));
    }
    client.send_text("!job any 1 at-once");
    let mut other = server.open(0);
    other.send_text("!job ordered 1 mine");
    other.expect_text("mine");
    for text in ["at-once", "one", "two", "three", "four"] {
        client.expect_text(text);
    }
}

#[test]
fn threads_are_used_side_by_side_and_no_more_than_may() {
    let server = Server::start(1, with_threads(3));
    let mut client = server.open(0);
    let begun = Instant::now();
    for _ in 0..6 {
        client.send_text("!job any 200 done");
    }
    for _ in 0..6 {
        client.expect_text("done");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400), "more than three at a time: {took:?}");
    assert!(took < Duration::from_millis(1100), "not three at a time: {took:?}");
}

#[test]
fn one_job_too_many_is_told_so_and_the_others_are_done() {
    let limits = Limits { job_queue_max: 3, job_threads: 1, ..limits() };
    let server = Server::start(1, limits);
    let mut client = server.open(0);
    for number in 0..5 {
        client.send_text(&format!("!job any 100 {number}"));
    }
    for text in ["Full", "Full", "0", "1", "2"] {
        client.expect_text(text);
    }
    assert_eq!(client.ask("!job any 1 again"), "again");
    assert_eq!(server.count(Counter::JobsRefused), 2);
}

#[test]
fn without_threads_that_is_the_answer() {
    let server = Server::start(1, with_threads(0));
    assert_eq!(server.open(0).ask("!job any 1 never"), "NoThread");
}

#[test]
fn a_job_that_panics_is_told_and_costs_nobody_anything() {
    let server = Server::start(1, with_threads(1));
    let mut client = server.open(0);
    client.send_text("!job ordered 1 panic");
    client.send_text("!job ordered 1 fine");
    client.expect_text("Panicked");
    client.expect_text("fine");
    assert_eq!(server.count(Counter::JobPanics), 1);
    assert_eq!(server.count(Counter::HandlerPanics), 0);
}

#[test]
fn a_request_can_be_answered_by_a_job() {
    let server = Server::start(1, limits());
    let (mut slow, mut quick) = (server.connect(0), server.connect(0));
    slow.get("/job/150/at-last");
    quick.get("/hello");
    assert_eq!(quick.expect_answer().body, "hello");
    assert_eq!(slow.expect_answer().body, "at-last");
}

#[test]
fn the_application_learns_that_the_connection_is_gone() {
    let server = Server::start(1, limits());
    let mut client = server.open(0);
    client.send_text("!job ordered 150 too-late");
    client.send_text("!job ordered 1 as-well");
    eventually("the jobs are begun", || server.count(Counter::Jobs) == 2);
    client.close();
    let gone = [("too-late".to_owned(), false), ("as-well".to_owned(), false)];
    eventually("both ends are told", || server.journal.jobs() == gone);
    let mut stays = server.open(0);
    assert_eq!(stays.ask("!job any 1 here"), "here");
    assert_eq!(server.journal.jobs().last(), Some(&("here".to_owned(), true)));
}

#[test]
fn a_worker_that_leaves_waits_for_its_jobs() {
    let mut server = Server::start(1, limits());
    let mut client = server.open(0);
    client.send_text("!job any 400 in-time");
    eventually("the job is begun", || server.count(Counter::Jobs) == 1);
    server.say(
        0,
        &ToChild::Drain {
            reason: LeaveReason::Reload,
            reconnect_spread_ms: 0,
            close_code: 1012,
            deadline_ms: 60_000,
        },
    );
    server.expect_said(0, &ToMaster::Draining);
    client.expect_close(1012);
    server.expect_end(0);
    assert_eq!(server.journal.jobs(), [("in-time".to_owned(), false)]);
    assert_eq!(server.count(Counter::JobsAbandoned), 0);
}

#[test]
fn a_worker_that_has_to_go_abandons_its_jobs_and_says_so() {
    let mut server = Server::start(1, with_threads(1));
    let mut client = server.open(0);
    for text in ["hangs", "waits"] {
        client.send_text(&format!("!job any 5000 {text}"));
    }
    eventually("the jobs are begun", || server.count(Counter::Jobs) == 2);
    let begun = Instant::now();
    server.say(0, &ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: 300 });
    client.expect_close(1001);
    server.expect_end(0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(290), "it did not wait: {took:?}");
    assert!(took < Duration::from_secs(4), "it waited too long: {took:?}");
    let abandoned = ("Abandoned".to_owned(), false);
    assert_eq!(server.journal.jobs(), [abandoned.clone(), abandoned]);
    assert_eq!(server.count(Counter::JobsAbandoned), 2);
}
