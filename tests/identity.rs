//! An id names one connection, once: it tells its worker, is never given again, and reaches nobody once its connection is
//! gone. Not after a reload, not after the death of a worker, not after a restart of everything.

mod support;

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use support::{
    Api, Client, Deadline, KeepAlive, PATIENCE, Running, Server, Setup, Signal, Swarm, request,
};

const WORKERS: u16 = 4;
const KEY: &str = "the-key-of-these-tests";
const CONFIG: &str = "[api]\nkey = \"the-key-of-these-tests\"\n";
/// A whole stop and start, with clients to be told, on a busy machine.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
/// What every connection of a server is told, so that a message before it shows.
const BARRIER: &str = "barrier";

/// The bits of an id that name the slot of its worker.
const SLOT_BITS: u32 = 10;
/// Numbers below are exact in JavaScript.
const ID_BITS: u32 = 53;

#[test]
fn five_thousand_connections_have_ids_of_their_own() {
    const WAVES: usize = 5;
    const CLIENTS: usize = 1000;
    let server = Server::start(Setup::default().workers(WORKERS.into()));
    let mut seen = BTreeSet::new();
    let mut last = [0; WORKERS as usize];
    for _ in 0..WAVES {
        let swarm = Swarm::connect(&server, CLIENTS);
        let mut wave = Vec::with_capacity(CLIENTS);
        for member in 0..CLIENTS {
            let welcome = swarm.welcome(member);
            assert_eq!(welcome.id & ((1 << SLOT_BITS) - 1), u64::from(welcome.worker));
            assert!(welcome.id < 1 << ID_BITS && welcome.id >> SLOT_BITS > 0, "{welcome:?}");
            assert!(seen.insert(welcome.id), "{welcome:?} was given before");
            wave.push(welcome);
        }
        // The places of those who leave are taken by the next wave; their ids are not, and go on growing.
        for (slot, last) in (0..WORKERS).zip(&mut last) {
            let ids = || wave.iter().filter(|welcome| welcome.worker == slot).map(|w| w.id);
            assert!(ids().min() > Some(*last), "slot {slot} went back");
            *last = ids().max().unwrap_or(*last);
        }
        swarm.close();
    }
    assert_eq!(seen.len(), WAVES * CLIENTS);
    let totals = &server.status()["totals"];
    assert_eq!(totals["accepted"], WAVES * CLIENTS);
}

#[test]
fn an_id_outlives_its_connection_for_nobody() {
    const CLIENTS: usize = 300;
    let server = Server::start(setup());
    let mut old = Vec::new();

    // Closed one by one.
    old.extend(ids_of_a_wave(&server, CLIENTS));
    let mut swarm = Swarm::connect(&server, CLIENTS);
    expect_nobody(&server, &mut swarm, &old);

    // Closed by a reload.
    old.extend(ids(&swarm));
    run_beside(&mut swarm, server.cli_begin(&["reload"]));
    swarm.until("the end of all", PATIENCE, |swarm| swarm.ends().count() == swarm.len());
    let mut swarm = Swarm::connect(&server, CLIENTS);
    expect_nobody(&server, &mut swarm, &old);

    // Cut by the death of a worker. The connections of the others live on.
    let (dead, living): (Vec<_>, Vec<_>) =
        (0..CLIENTS).partition(|member| swarm.welcome(*member).worker == 2);
    assert!(!dead.is_empty() && !living.is_empty(), "connections on all workers");
    let killed = server.kill_worker(2, Signal::Kill);
    swarm.until("the end of its connections", PATIENCE, |swarm| swarm.ends().count() == dead.len());
    server.wait_replaced(2, killed);
    old.extend(dead.iter().map(|member| swarm.welcome(*member).id));
    let mut newcomers = Swarm::connect(&server, CLIENTS);
    expect_nobody(&server, &mut newcomers, &old);
    swarm.until("the barrier", PATIENCE, |swarm| swarm.received() >= living.len());
    for member in living {
        assert_eq!(swarm.texts(member), [BARRIER], "to a member that was there before");
    }
    newcomers.close();
}

#[test]
fn an_id_outlives_a_full_restart_for_nobody() {
    const CLIENTS: usize = 1000;
    let server = Server::start(setup());
    let mut old = ids_of_a_wave(&server, CLIENTS);
    let mut swarm = Swarm::connect(&server, 100);
    for command in ["start", "restart"] {
        // Its clients are there until the end.
        old.extend(ids(&swarm));
        if command == "start" {
            run_beside(&mut swarm, server.cli_begin(&["stop"]));
        }
        run_beside(&mut swarm, start_again(&server, command));
        swarm.until("the end of all", PATIENCE, |swarm| swarm.ends().count() == swarm.len());
        swarm = Swarm::connect(&server, CLIENTS);
        expect_nobody(&server, &mut swarm, &old);
    }
    run_beside(&mut swarm, server.cli_begin(&["stop"]));
}

#[test]
fn a_command_that_waits_for_a_dead_worker_reaches_no_newcomer() {
    let server = Server::start(setup());
    let victim = Client::connect_to_worker(&server, 1);
    let (old, api) = (victim.id(), Api::of(&server));
    let commands = [
        ("/api/push", json!({"connection": old, "text": "late"})),
        ("/api/disconnect", json!({"connection": old})),
    ];
    let mut asked = commands.each_ref().map(|_| door_beside(&server, 1));
    // Asked while the worker sleeps, so that what is asked is in its mailbox when it dies.
    let worker = server.kill_worker(1, Signal::Stop);
    for (door, (path, command)) in asked.iter_mut().zip(&commands) {
        door.send("POST", path, &[authorization()], command.to_string().as_bytes());
    }
    for door in &mut asked {
        assert!(!door.receive_until_closed(Duration::from_millis(100)), "a door was shut");
        assert_eq!(door.unread(), b"", "who can answer sleeps");
    }
    server.kill_worker(1, Signal::Kill);
    server.wait_replaced(1, worker);
    let mut newcomer = Client::connect_to_worker(&server, 1);
    for door in &mut asked {
        let reply = door.receive("POST").expect_status(404);
        assert_eq!(reply.json()["result"], "no_such_connection");
    }
    api.push_text(newcomer.id(), BARRIER).expect_status(200);
    newcomer.expect_text(BARRIER);
    newcomer.expect_silence(Duration::from_millis(50));
}

/// A server whose key outlives a restart.
fn setup() -> Setup {
    Setup::default().workers(WORKERS.into()).config_toml(CONFIG).api_key(KEY)
}

fn authorization() -> (&'static str, &'static str) {
    ("Authorization", "Bearer the-key-of-these-tests")
}

fn ids(swarm: &Swarm) -> Vec<u64> {
    (0..swarm.len()).map(|member| swarm.welcome(member).id).collect()
}

/// The ids of clients that have come and gone.
#[track_caller]
fn ids_of_a_wave(server: &Server, clients: usize) -> Vec<u64> {
    let swarm = Swarm::connect(server, clients);
    let ids = ids(&swarm);
    swarm.close();
    ids
}

/// Pushes to each of these ids, which are nobody's, and looks whether one of those who are there now gets anything.
#[track_caller]
fn expect_nobody(server: &Server, present: &mut Swarm, old: &[u64]) {
    let new: BTreeSet<u64> = ids(present).into_iter().collect();
    assert!(old.iter().all(|id| !new.contains(id)), "an id was given again");
    let mut connection = KeepAlive::open(server.addr());
    for id in old {
        let body = json!({"connection": id, "text": "for somebody else"}).to_string();
        let reply = connection.request("POST", "/api/push", &[authorization()], body.as_bytes());
        assert_eq!(reply.expect_status(404).json()["result"], "no_such_connection", "id {id}");
    }
    // What went to a connection before comes before: with the barrier everything is there.
    let body = json!({"text": BARRIER}).to_string();
    let reply =
        request(server.addr(), "POST", "/api/broadcast", &[authorization()], body.as_bytes());
    assert!(reply.expect_status(200).json()["delivered"].as_u64() >= Some(present.len() as u64));
    present.until("the barrier", PATIENCE, |swarm| swarm.received() >= swarm.len());
    for member in 0..present.len() {
        assert_eq!(present.texts(member), [BARRIER], "member {member}");
    }
    present.clear_texts();
}

/// A connection for requests to any worker but the one in `slot`.
#[track_caller]
fn door_beside(server: &Server, slot: u16) -> KeepAlive {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let mut door = KeepAlive::open(server.addr());
        let health = door.request("GET", "/health", &[], b"").expect_status(200).json();
        if health["worker"] != slot {
            return door;
        }
        assert!(!deadline.has_passed(), "all connections came to worker {slot}");
    }
}

/// Begins `start` or `restart` with the same PID file, configuration and port, in the background.
#[track_caller]
fn start_again(server: &Server, command: &str) -> Running {
    let (listen, workers) = (server.addr().to_string(), WORKERS.to_string());
    let args = [command, "-d", "--log-file", "log", "-c", "wsmaster.toml"];
    let more = ["-w", workers.as_str(), "--listen", listen.as_str()];
    server.cli_begin(&[&args[..], &more[..]].concat())
}

/// Waits for a command to succeed, while the clients do what they are told.
#[track_caller]
fn run_beside(swarm: &mut Swarm, mut command: Running) {
    swarm.until("a command to end", COMMAND_PATIENCE, |_| command.has_ended());
    command.wait().expect_code(0);
}
