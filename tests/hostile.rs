//! Clients that mean harm beside clients that do not, and a worker that has run out of descriptors: what the good ones
//! have sent is delivered, whole and in order, what the bad ones cost stays below its bound, and each refusal is counted.
//!
//! Times are printed and not asserted: they are the machine's. `scripts/hostile` runs the same with the program as it is
//! shipped and with as many clients as the limits are made for.

#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

#[path = "hostile/bomb.rs"]
mod bomb;
#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/line.rs"]
mod line;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/mob.rs"]
mod mob;
#[path = "hostile/sizes.rs"]
mod sizes;
mod support;
#[path = "bad_frames/wire.rs"]
mod wire;

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crowd::{Crowd, Latencies};
use line::End;
use memory::Watch;
use mob::{Harm, Mob};
use serde_json::json;
use sizes::Sizes;
use support::{
    App, Client, Deadline, PATIENCE, Server, Setup, Swarm, cpu_ms, descriptors, eventually,
    rss_bytes,
};
use tungstenite::Message;
use wsmaster_ipc::sys::schedule;

const WORKERS: usize = 2;
const ROOM_MEMBERS: usize = 5;
/// Where clients are when times are measured; the server is on the first one.
const CLIENTS_CPU: u16 = 1;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

/// What the outboxes of a worker may hold in these tests.
const OUTBOXES_BYTES: u64 = 32 * MIB;

/// A worker itself: its program, its tables, its one buffer for reading, and the noise of an allocator.
const WORKER_BYTES: u64 = 24 * MIB;

/// What one connection may make a worker hold beside its outbox: the head of a request (`limits.head_bytes_max`).
const CONNECTION_BYTES: u64 = 16 * KIB;

/// One test at a time: each measures a machine that it would like to have for itself.
static MACHINE: Mutex<()> = Mutex::new(());

#[test]
fn a_siege_costs_the_good_clients_nothing_and_no_more_memory_than_was_agreed() {
    let _machine = machine();
    let sizes = Sizes::asked_for();
    let config = format!(
        "{}[limits]\nhandshake_timeout = \"2s\"\nclose_timeout = \"1s\"\n\
         outboxes_bytes_max = {OUTBOXES_BYTES}\n[compression]\nenabled = true\n",
        apart(sizes)
    );
    let server = Server::start(Setup::default().workers(WORKERS).config_toml(&config));
    stand_apart(sizes);
    let every = Duration::from_millis(500);
    let mut crowd = Crowd::gather(server.addr(), sizes.good, ROOM_MEMBERS);
    let quiet = crowd.talk(sizes.good, every, sizes.quiet);

    let workers = server.worker_pids();
    let watch = Watch::begin(workers.clone());
    let mob = Mob::loose(
        server.addr(),
        &[
            (Harm::SlowHandshake, sizes.slow),
            (Harm::NonReader, sizes.non_readers),
            (Harm::Shouter, 1),
            (Harm::PingFlood, sizes.floods),
            (Harm::FragmentFlood, sizes.floods),
            (Harm::InflateBomb, sizes.floods),
            (Harm::HeaderBomb, sizes.floods),
        ],
        sizes.shouts,
    );
    let attacked = crowd.talk(sizes.good, every, sizes.attack);
    // It takes as long as the machine needs to fill what the kernel keeps for those who do not read.
    let deadline = Deadline::after(6 * PATIENCE);
    while total(&server, "slow_closed") < sizes.non_readers as u64 && !deadline.has_passed() {
        crowd.talk(sizes.good, every, every);
    }
    let report = mob.disperse();
    let memory = watch.end();

    compare("siege", &quiet, &attacked);
    println!("siege: the most memory of each worker: {:?} MiB", in_mib(&memory));
    println!("siege: {report:?}");
    let connections = sizes.good + sizes.slow + sizes.non_readers + 4 * sizes.floods + 1;
    let ceiling = WORKER_BYTES + OUTBOXES_BYTES + connections as u64 * CONNECTION_BYTES;
    for worker in &memory {
        assert!(*worker < ceiling, "{worker} bytes of memory, {ceiling} were agreed");
    }

    // Each kind of harm was stopped by the bound that is for it, and is in the books.
    report.expect_ends(Harm::SlowHandshake, &[End::Answered(408)]);
    report.expect_ends(Harm::HeaderBomb, &[End::Answered(431)]);
    report.expect_ends(Harm::FragmentFlood, &[End::Closed(1008)]);
    assert_eq!(report.ended(Harm::PingFlood), 0, "they are left unread, not closed: {report:?}");
    report.expect_ends(Harm::InflateBomb, &[End::Closed(1009)]);
    for (counter, least) in [
        ("handshake_timeouts", report.ended(Harm::SlowHandshake)),
        ("refused_requests", report.ended(Harm::HeaderBomb)),
        ("rate_limited", sizes.floods),
        ("slow_closed", sizes.non_readers),
        ("protocol_errors", report.ended(Harm::FragmentFlood) + report.ended(Harm::InflateBomb)),
    ] {
        // What the server has refused by now, some of the bad clients learn a moment later.
        let count = total(&server, counter) as usize;
        assert!(
            count >= least.max(1),
            "{counter} is {count}, expected {least}: {}",
            server.status()
        );
    }
    assert_eq!(server.worker_pids(), workers, "a worker has died");
    assert_eq!(total(&server, "handler_panics"), 0);

    // The siege is over, and nothing of it is left.
    crowd.talk(sizes.good, every, every);
    server.wait_until("the bad clients to be gone", 3 * PATIENCE, |status| {
        status["totals"]["connections"] == sizes.good
    });
}

#[test]
fn one_frozen_reader_costs_what_its_outbox_may_hold_and_the_others_nothing() {
    let _machine = machine();
    let sizes = Sizes::asked_for();
    let config = format!("{}[limits]\nslow_client = \"drop_newest\"\n", apart(sizes));
    let server = Server::start(Setup::default().workers(WORKERS).config_toml(&config));
    stand_apart(sizes);
    let every = Duration::from_millis(250);
    let mut crowd = Crowd::gather(server.addr(), sizes.readers, sizes.readers);
    let quiet = crowd.talk(1, every, sizes.quiet);

    let workers = server.worker_pids();
    let before: Vec<u64> = workers.iter().map(|pid| rss_bytes(*pid)).collect();
    let watch = Watch::begin(workers.clone());
    let harms = [(Harm::NonReader, 1), (Harm::Shouter, 1)];
    let mob = Mob::loose(server.addr(), &harms, Duration::from_millis(20));
    let attacked = crowd.talk(1, every, sizes.attack);
    let status = server.wait_until("drops", 3 * PATIENCE, |status| {
        status["totals"]["dropped_outbox_full"].as_u64() > Some(0)
    });
    let grown: Vec<u64> = watch
        .end()
        .iter()
        .zip(&before)
        .map(|(most, before)| most.saturating_sub(*before))
        .collect();
    mob.disperse();

    compare("frozen reader", &quiet, &attacked);
    println!("frozen reader: the workers have grown by {:?} MiB at most", in_mib(&grown));
    let waiting = status["totals"]["outbox_bytes"].as_u64().expect("a count");
    assert!(waiting <= MIB, "{waiting} bytes wait, more than limits.outbox_bytes_max");
    // Its outbox, what is on its way between the workers, and the noise of an allocator.
    assert!(
        grown.iter().all(|grown| *grown < 6 * MIB),
        "the workers have grown by {grown:?} bytes"
    );
    assert_eq!(server.worker_pids(), workers, "a worker has died");
}

#[test]
fn a_client_that_wants_very_many_channels_gets_few() {
    const WANTED: usize = 100_000;
    const SUBSCRIPTIONS_MAX: usize = 128;
    let _machine = machine();
    let server = Server::start(Setup::default());
    let worker = server.worker_pid(0);
    let mut greedy = Swarm::connect(&server, 1);
    let before = rss_bytes(worker);
    for number in 0..WANTED {
        // As long as a name may be, and each another one.
        let channel = format!("{number:0>128}");
        greedy.send(0, json!({"action": "subscribe", "data": {"channel": channel}}).to_string());
    }
    greedy.until("all answers", 6 * PATIENCE, |greedy| greedy.received() == WANTED);
    let refused = |text: &&String| text.contains("too_many_subscriptions");
    assert_eq!(greedy.texts(0).iter().filter(refused).count(), WANTED - SUBSCRIPTIONS_MAX);
    assert_eq!(total(&server, "subscriptions"), SUBSCRIPTIONS_MAX as u64);
    let grown = rss_bytes(worker).saturating_sub(before);
    assert!(grown < 4 * MIB, "the worker has grown by {grown} bytes");
    greedy.close();
}

#[test]
fn without_descriptors_a_worker_rests_and_serves_whom_it_has() {
    /// Of one CPU, while nobody new can be accepted.
    const CPU_PERCENT_MAX: u64 = 5;
    const WAITING: usize = 50;
    /// A line a second, and one for each end of the interval.
    const LINES_PER_SECOND_MAX: u64 = 1;
    let _machine = machine();
    let drought = Sizes::asked_for().drought;
    let server = Server::start(Setup::default().app(App::Echo));
    let worker = server.worker_pid(0);
    let mut old = Swarm::open(server.addr(), 20);
    let _ = server.status();

    limit_descriptors(worker, &descriptors(worker).to_string());
    let mut waiting: Vec<Requester> = (0..WAITING).map(|_| Requester::ask(server.addr())).collect();
    server.wait_until("the worker to notice", PATIENCE, |status| {
        status["totals"]["accept_pauses"].as_u64() > Some(0)
    });
    let (begun, cpu_before) = (Instant::now(), cpu_ms(worker));
    let lines_before = lines_about_pauses(&server);
    let mut echoes = 0;
    while begun.elapsed() < drought {
        old.send_all(|member| format!("still there, {member}?"));
        echoes += old.len();
        old.until("the echoes of old clients", PATIENCE, |old| old.received() == echoes);
        old.run_for(Duration::from_millis(200));
    }
    let elapsed = begun.elapsed();
    let cpu = cpu_ms(worker) - cpu_before;
    let lines = lines_about_pauses(&server) - lines_before;
    let status = server.status();
    println!("drought: {cpu} ms of CPU in {elapsed:?}, {lines} lines in the log");
    assert_eq!((old.open_count(), server.worker_pid(0)), (20, worker), "{status}");
    assert!(cpu * 100 <= elapsed.as_millis() as u64 * CPU_PERCENT_MAX, "{cpu} ms in {elapsed:?}");
    assert!(lines <= (elapsed.as_secs() + 2) * LINES_PER_SECOND_MAX, "{lines} lines in the log");
    let served = waiting.iter_mut().map(Requester::has_answer).filter(|answered| *answered).count();
    assert!(served < WAITING, "there were descriptors for all");

    limit_descriptors(worker, "1024");
    let begun = Instant::now();
    eventually("the answers to all who wait", PATIENCE, || {
        waiting.iter_mut().all(Requester::has_answer).then_some(())
    });
    let elapsed = begun.elapsed();
    println!("drought: all who waited were served {elapsed:?} after its end");
    assert!(elapsed < Duration::from_secs(1), "accepting resumes only after {elapsed:?}");
    let mut newcomer = Client::open(server.addr(), "/");
    newcomer.send(Message::text("new"));
    newcomer.expect_text("new");
}

/// A client that has asked something and waits for the answer.
struct Requester {
    stream: std::net::TcpStream,
    answered: bool,
}

impl Requester {
    #[track_caller]
    fn ask(addr: SocketAddr) -> Self {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(addr).expect("the kernel accepts");
        stream.set_nonblocking(true).expect("a TCP socket");
        let request = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).expect("the buffer of a fresh socket is empty");
        Self { stream, answered: false }
    }

    fn has_answer(&mut self) -> bool {
        use std::io::Read;
        self.answered |= matches!(self.stream.read(&mut [0; 1024]), Ok(1..));
        self.answered
    }
}

/// Lines of the configuration that keep a server to one CPU, where times are measured.
fn apart(sizes: Sizes) -> &'static str {
    if sizes.measured { "[server]\ncpu_affinity = \"0\"\n" } else { "" }
}

/// Keeps the clients of this thread, and of those it starts, to another CPU than the server's. Clients have machines of their
/// own, and what they take from the server here is no work of the server's.
fn stand_apart(sizes: Sizes) {
    if sizes.measured {
        schedule::set_cpus(&[CLIENTS_CPU]).expect("times are measured on two CPUs");
    }
}

fn machine() -> MutexGuard<'static, ()> {
    // The failure of one test is no reason to skip another.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compare(what: &str, quiet: &Latencies, attacked: &Latencies) {
    for percent in [50, 99] {
        let (before, after) = (quiet.percentile(percent), attacked.percentile(percent));
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        println!(
            "{what}: p{percent} of good clients {before:.1?} in quiet, {after:.1?}: x {ratio:.2}"
        );
    }
}

fn in_mib(bytes: &[u64]) -> Vec<u64> {
    bytes.iter().map(|bytes| bytes / MIB).collect()
}

#[track_caller]
fn total(server: &Server, counter: &str) -> u64 {
    server.status()["totals"][counter].as_u64().expect("a count")
}

fn lines_about_pauses(server: &Server) -> u64 {
    server.log().lines().filter(|line| line.contains("accepting pauses")).count() as u64
}

/// Sets the soft limit of a process. It holds for new descriptors; those that are open stay.
#[track_caller]
fn limit_descriptors(pid: u32, soft: &str) {
    let output = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")])
        .output()
        .expect("prlimit(1) is needed: package util-linux");
    assert!(output.status.success(), "{output:?}");
}
