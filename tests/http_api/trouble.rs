//! Calls while a worker sleeps, is killed or is replaced: every one is answered in time, and every answer is true.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    ROOM,
    doors::{Answer, Doors},
    support::{Api, Client, Deadline, PATIENCE, Server, Setup, Signal, Swarm, signal},
};

/// No call may take longer, whatever the state of the server.
const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// A reload waits for the calls that are under way.
const RELOAD_PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_full_mailbox_is_an_answer_and_what_was_accepted_arrives() {
    const PUSHES: usize = 5;
    /// 60 MiB: far more than the kernel and the backlog hold.
    const MESSAGES_MAX: u64 = 2560;
    let config = "[limits]\nmessage_bytes_max = \"32KiB\"\nbacklog_bytes_max = \"256KiB\"\n\
        outbox_bytes_max = \"64MiB\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let (awake, asleep) = (0, 1);
    let mut waiting: Vec<Doors> = (0..PUSHES).map(|_| Doors::open(&server, 2)).collect();
    let mut doors = Doors::open(&server, 2);
    let mut publisher = Client::connect_to_worker(&server, awake as u16);
    let mut receiver = Client::connect_to_worker(&server, asleep);
    publisher.subscribe(ROOM);
    receiver.subscribe(ROOM);
    let id = receiver.id();

    let sleeper = server.kill_worker(asleep, Signal::Stop);
    let begun = Instant::now();
    for (number, doors) in waiting.iter_mut().enumerate() {
        let body = json!({"connection": id, "json": {"pushed": number}});
        doors.begin(awake, "push", &body);
    }
    // The publisher fills what is between the two workers, and is told when it is full.
    let mut accepted = Vec::new();
    let refused = (0..MESSAGES_MAX).find(|number| {
        let ballast = "x".repeat(24 * 1024);
        let message = json!({"number": number, "ballast": ballast});
        let data = json!({"channel": ROOM, "message": message, "recipients": [id]});
        publisher.send_json(&json!({"action": "message", "data": data}));
        let reply = publisher.expect_json(PATIENCE);
        if reply["success"] == true {
            accepted.push(*number);
            return false;
        }
        assert_eq!((&reply["success"], &reply["code"]), (&json!(false), &json!("overloaded")));
        true
    });
    assert!(refused.is_some(), "a mailbox without a bound");
    assert!(!accepted.is_empty(), "a mailbox without room");

    // Full: told at once, and whatever is asked.
    let large = "x".repeat(24 * 1024);
    let full = json!({"success": false, "status": 503, "result": "mailbox_full"});
    let full = Answer { status: 503, fields: &full };
    let at = Instant::now();
    doors.expect(awake, "push", &json!({"connection": id, "text": large}), &full);
    assert!(at.elapsed() < CALL_PATIENCE, "{:?}", at.elapsed());
    let unknown = json!({"success": false, "result": "unanswered", "unanswered": [asleep]});
    let unknown = Answer { status: 504, fields: &unknown };
    doors.expect(awake, "broadcast", &json!({"text": large, "exclude": publisher.id()}), &unknown);
    doors.expect(awake, "publish", &json!({"channel": ROOM, "text": large}), &unknown);
    publisher.expect_text(&large);

    // Taken and not answered: told when the time is up, and not later.
    for doors in &mut waiting {
        let reply = doors.receive(awake).expect_status(504);
        assert_eq!(reply.json()["result"], "unanswered");
    }
    assert!(begun.elapsed() < CALL_PATIENCE, "{:?}", begun.elapsed());
    // The worker that is awake is so for others.
    publisher.expect_alive();

    signal(sleeper, Signal::Cont);
    let mut pushed = Vec::new();
    let mut numbers = Vec::new();
    let deadline = Deadline::after(PATIENCE);
    while pushed.len() < PUSHES || numbers.len() < accepted.len() {
        let message = receiver.expect_json(deadline.left());
        match message["pushed"].as_u64() {
            Some(number) => pushed.push(number),
            None => numbers.push(message["message"]["number"].as_u64().expect("of the publisher")),
        }
    }
    assert_eq!(numbers, accepted, "what was accepted, in order, once");
    pushed.sort_unstable();
    assert!(pushed.into_iter().eq(0..PUSHES as u64), "each push once");
    receiver.expect_silence(Duration::from_millis(100));
    doors.post(awake, "push", &json!({"connection": id, "text": "awake"})).expect_status(200);
    receiver.expect_text("awake");
    // A late answer to a call that was given up is nobody's.
    let known = doors.call(awake, "GET", &format!("/api/connections/{id}"), b"");
    assert_eq!(known.expect_status(200).json()["connection"], id);
}

#[test]
fn calls_for_a_worker_that_is_killed_are_answered() {
    let server = Server::start(Setup::default().workers(2));
    let mut doors = Doors::open(&server, 2);
    let doomed = Client::connect_to_worker(&server, 1);
    let call = json!({"connection": doomed.id(), "text": "?"});
    doors.post(0, "push", &call).expect_status(200);
    let killed = server.kill_worker(1, Signal::Kill);
    let deadline = Deadline::after(PATIENCE);
    let mut statuses = BTreeMap::<u16, usize>::new();
    while !statuses.contains_key(&404) {
        let at = Instant::now();
        let reply = doors.post(0, "push", &call);
        assert!(at.elapsed() < CALL_PATIENCE, "{:?}", at.elapsed());
        *statuses.entry(reply.status).or_default() += 1;
        assert!(!deadline.has_passed(), "{statuses:?}");
    }
    // Delivered before the signal came, asked of the dead, or answered by the successor.
    assert!(statuses.keys().all(|status| [200, 404, 504].contains(status)), "{statuses:?}");
    server.wait_replaced(1, killed);
    let mut newcomer = Client::connect_to_worker(&server, 1);
    doors.expect(0, "push", &call, &Answer { status: 404, fields: &json!({}) });
    let call = json!({"connection": newcomer.id(), "text": "!"});
    doors.post(0, "push", &call).expect_status(200);
    newcomer.expect_text("!");
}

#[test]
fn calls_during_a_reload_are_answered_and_true() {
    const CLIENTS: usize = 40;
    let server = Server::start(Setup::default().workers(2));
    let api = Api::of(&server);
    let mut swarm = Swarm::connect(&server, CLIENTS);
    let ids: Vec<u64> = (0..CLIENTS).map(|member| swarm.welcome(member).id).collect();
    let over = AtomicBool::new(false);

    let answers = thread::scope(|scope| {
        // Each call on a connection of its own, so that the workers that come get some too. A call without an answer
        // fails the thread.
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = BTreeMap::<String, usize>::new();
                    for id in ids.iter().cycle() {
                        let is_last = over.load(Ordering::Relaxed);
                        let at = Instant::now();
                        let reply = api.push(*id, &json!("?"));
                        assert!(at.elapsed() < CALL_PATIENCE, "{:?}", at.elapsed());
                        let result = reply.json()["result"].as_str().map(str::to_owned);
                        let result = result.unwrap_or_else(|| panic!("{}", reply.text()));
                        *answers.entry(result).or_default() += 1;
                        if is_last {
                            break;
                        }
                    }
                    answers
                })
            })
            .collect();
        swarm.until("the first deliveries", PATIENCE, |swarm| swarm.received() > CLIENTS);
        let mut reload = server.cli_begin(&["reload"]);
        swarm.until("the end of all", PATIENCE, |swarm| swarm.ends().count() == CLIENTS);
        swarm.until("the end of the reload", RELOAD_PATIENCE, |_| reload.has_ended());
        reload.wait().expect_code(0);
        swarm.run_for(Duration::from_millis(200));
        over.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::<String, usize>::new();
        for caller in callers {
            for (result, count) in caller.join().expect("every call was answered in time") {
                *all.entry(result).or_default() += count;
            }
        }
        all
    });

    let count = |result: &str| answers.get(result).copied().unwrap_or(0);
    // What was asked just before the requester left may be answered when it is no more there to hear it.
    let known = ["delivered", "closing", "no_such_connection", "unanswered"];
    assert!(answers.keys().all(|result| known.contains(&result.as_str())), "{answers:?}");
    assert!(count("delivered") > 0 && count("no_such_connection") > 0, "{answers:?}");
    // Delivered is delivered, and nothing else is.
    let received = swarm.received();
    let possible = count("delivered")..=count("delivered") + count("unanswered");
    assert!(possible.contains(&received), "{received} received, {answers:?}");
    let mut newcomer = Client::connect(&server);
    api.push(newcomer.id(), &Value::Null).expect_status(200);
    newcomer.expect_text("null");
}
