//! examples/jobs.rs end to end: blocking work on job threads of real workers, while clients, reloads, signals and stops go
//! on.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;

use std::time::{Duration, Instant};

use place::{Place, ask, text};
use serde_json::Value;
use support::{PATIENCE, Signal, eventually, is_alive, request, signal};

fn start(workers: usize) -> Place {
    Place::start("jobs", workers, |command, directory| {
        command.arg(directory);
    })
}

/// A counter of all workers.
fn total(place: &Place, counter: &str) -> u64 {
    place.status()["totals"][counter].as_u64().expect("a counter")
}

/// The id of the only connection, whose file has its name.
fn own_id(place: &Place) -> u64 {
    let entries = std::fs::read_dir(place.directory()).expect("a directory");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids = names.filter_map(|name| name.strip_suffix(".lines")?.parse().ok());
    ids.next().expect("a file")
}

fn open(place: &Place) -> support::Client {
    support::Client::open(place.addr(), "/")
}

#[test]
fn a_job_of_300_ms_stalls_nobody_on_its_worker() {
    let place = start(1);
    let (mut waits, mut other) = (open(&place), open(&place));
    let begun = Instant::now();
    waits.send_text("sleep 300");
    let (mut echoes, mut slowest) = (0, Duration::ZERO);
    while begun.elapsed() < Duration::from_millis(250) {
        let asked = Instant::now();
        assert_eq!(ask(&mut other, "hello", PATIENCE), "hello");
        slowest = slowest.max(asked.elapsed());
        echoes += 1;
    }
    println!("{echoes} echoes while a job ran, the slowest {slowest:?}");
    assert!(echoes > 20, "{echoes} echoes");
    waits.expect_text("slept 300");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn lines_of_a_hasty_client_are_written_in_order_and_its_file_goes_with_it() {
    let place = start(1);
    let mut client = open(&place);
    for number in 1..=200 {
        client.send_text(&format!("append words {number}"));
    }
    for number in 1..=200 {
        client.expect_text(&format!("line {number}"));
    }
    let id = own_id(&place);
    let lines = request(place.addr(), "GET", &format!("/lines/{id}"), &[], b"");
    let expected: String = (1..=200).map(|number| format!("words {number}\n")).collect();
    assert_eq!(lines.expect_status(200).text(), expected);
    // The connection goes while its jobs still wait.
    for _ in 0..20 {
        client.send_text("append last words");
    }
    client.close();
    let file = place.directory().join(format!("{id}.lines"));
    eventually("the end of its file", PATIENCE, || (!file.exists()).then_some(()));
    request(place.addr(), "GET", &format!("/lines/{id}"), &[], b"").expect_status(404);
}

#[test]
fn too_many_jobs_are_refused_and_those_that_were_taken_are_done() {
    let place = start(1);
    let mut client = open(&place);
    // The default is 1,024 jobs at a time.
    for _ in 0..1_100 {
        client.send_text("sleep 20");
    }
    let (mut done, mut refused) = (0, 0);
    for _ in 0..1_100 {
        match text(&mut client, PATIENCE).as_str() {
            "slept 20" => done += 1,
            "too many jobs are under way" => refused += 1,
            other => panic!("{other}"),
        }
    }
    println!("{done} done, {refused} refused");
    assert!(done >= 1_024 && refused > 0, "{done} done, {refused} refused");
    assert_eq!(total(&place, "jobs_refused"), refused);
    assert_eq!(ask(&mut client, "sleep 1", PATIENCE), "slept 1");
}

#[test]
fn a_panic_and_a_client_that_leaves_cost_the_worker_nothing() {
    let place = start(1);
    let worker = place.worker_pid(0);
    let mut client = open(&place);
    assert_eq!(ask(&mut client, "panic", PATIENCE), "the job panicked");
    assert_eq!(total(&place, "job_panics"), 1);
    client.send_text("sleep 200");
    client.close();
    eventually("the word that nobody is there", PATIENCE, || {
        place.log().contains("nobody is there to be told: slept 200").then_some(())
    });
    assert_eq!(place.worker_pid(0), worker);
}

#[test]
fn threads_are_started_when_there_is_work_and_hear_no_signals() {
    let place = start(1);
    let worker = place.worker_pid(0);
    let threads = || kernel::status_numbers(worker, "Threads");
    assert_eq!(threads(), [1], "no thread before the first job");
    let mut client = open(&place);
    for _ in 0..8 {
        client.send_text("sleep 100");
    }
    for _ in 0..8 {
        client.expect_text("slept 100");
    }
    assert_eq!(threads(), [1 + 4], "as many as may be");
    // With all threads at work, the worker hears SIGTERM and asks for a successor.
    for _ in 0..8 {
        client.send_text("sleep 100");
    }
    assert!(signal(worker, Signal::Term));
    client.expect_close(1001);
    eventually("its end", PATIENCE, || (!is_alive(worker)).then_some(()));
    assert_ne!(place.worker_pid(0), worker);
    // The last one is that of the connection's end.
    assert_eq!(total(&place, "jobs_done"), 8 + 8 + 1);
    assert_eq!(total(&place, "jobs_abandoned"), 0);
}

#[test]
fn a_reload_waits_for_the_jobs_that_run_and_nobody_else_does() {
    let place = start(2);
    let workers = [place.worker_pid(0), place.worker_pid(1)];
    let mut clients: Vec<_> = (0..8).map(|_| open(&place)).collect();
    for client in &mut clients {
        client.send_text("sleep 700");
    }
    eventually("the jobs to begin", PATIENCE, || {
        let workers = place.status()["workers"].as_array().cloned().unwrap_or_default();
        let jobs: u64 = workers.iter().filter_map(|worker| worker["jobs"].as_u64()).sum();
        (jobs == 8).then_some(())
    });
    place.reload();
    let begun = Instant::now();
    eventually("all workers to be new", PATIENCE, || {
        let status = place.status();
        let new = |worker: &Value| {
            let pid = worker["pid"].as_u64().filter(|_| worker["state"] == "ready");
            pid.is_some_and(|pid| !workers.contains(&(pid as u32)))
        };
        status["workers"].as_array()?.iter().all(new).then_some(())
    });
    let mut next = open(&place);
    assert_eq!(ask(&mut next, "hello", PATIENCE), "hello");
    for client in &mut clients {
        client.expect_close(1001);
    }
    // Their clients are gone; it is the jobs that the old ones wait for.
    eventually("the old ones to end", PATIENCE, || {
        (!workers.iter().any(|pid| is_alive(*pid))).then_some(())
    });
    let took = begun.elapsed();
    assert!((500..4_500).contains(&took.as_millis()), "{took:?}");
    // And one for the end of each connection.
    assert_eq!((total(&place, "jobs_done"), total(&place, "jobs_abandoned")), (8 + 8, 0));
}

#[test]
fn a_stop_does_not_wait_for_ever_and_says_what_it_abandoned() {
    let mut place = start(1);
    let mut client = open(&place);
    client.send_text("sleep 60000");
    eventually("the job to begin", PATIENCE, || {
        (place.status()["workers"][0]["jobs"] == 1).then_some(())
    });
    let begun = Instant::now();
    place.stop().expect_code(0);
    // close_timeout is 5 s, stop_timeout 10 s.
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert!(place.log().contains("1 jobs were not over in time, and are abandoned"));
    place.expect_nothing_left();
}
