//! Closures that run beside the workers: what they can do to connections, what they say to each other and to workers, and
//! what becomes of them when they return, fail, panic or will not stop.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "support/place.rs"]
mod place;
#[path = "side_processes/queue.rs"]
mod queue;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use place::{Place, ask, text, worker_of};
use serde_json::Value;
use support::{Mark, PATIENCE, Signal, Swarm, eventually, in_time, is_alive, signal};
use tungstenite::Message;

/// How long 100,000 messages may take on a loaded machine.
const MANY: Duration = Duration::from_secs(60);
const MIB: usize = 1024 * 1024;

#[test]
fn a_hundred_thousand_pushes_reach_a_thousand_connections_each_in_order() {
    const MEMBERS: usize = 1_000;
    const EACH: usize = 50;
    let place = Place::harness(4, &["hands"]);
    let (mut client, _) = place.client();
    let mut swarm = Swarm::open(place.addr(), MEMBERS);
    swarm.send_all(|_| "id".to_owned());
    swarm.expect_each(1, MANY);
    let ids: BTreeSet<u64> =
        (0..MEMBERS).map(|member| swarm.take_texts(member)[0].parse().expect("an id")).collect();
    assert_eq!(ids.len(), MEMBERS);
    assert_eq!(ids.iter().map(|id| worker_of(*id)).collect::<BTreeSet<_>>().len(), 4);

    let number = |text: &str| text.parse().ok().map(|number| Mark { stream: 0, number });
    // One way waits for what became of each message, the others do not; the last sends many in a packet.
    for way in ["flood", "blast", "gather"] {
        client.send_text(&format!("@hands {way} {EACH}"));
        swarm.expect_each(EACH, MANY);
        let answer = text(&mut client, MANY);
        println!("{way}: {answer}");
        assert!(answer.starts_with(&format!("{} taken in ", MEMBERS * EACH)), "{answer}");
        swarm.order(number).expect_whole((MEMBERS * EACH) as u64);
        swarm.expect_silence(Duration::from_millis(100));
        swarm.clear_texts();
    }
}

#[test]
fn what_a_closure_does_to_connections_is_done_and_answered_truly() {
    let place = Place::harness(3, &["hands"]);
    let mut people: Vec<_> = (0..3).map(|slot| place.client_of_worker(slot)).collect();
    let (mut requester, asker_id) = place.client();
    let mut hands = |words: &str| ask(&mut requester, &format!("@hands {words}"), PATIENCE);

    for (client, id) in &mut people {
        assert_eq!(hands(&format!("push {id} hello {id}")), "Ok(Delivered)");
        client.expect_text(&format!("hello {id}"));
        assert_eq!(hands(&format!("exists {id}")), "Ok(true)");
        let info: Value = serde_json::from_str(&hands(&format!("info {id}"))).expect("JSON");
        assert_eq!((&info["connection"], &info["state"]), (&Value::from(*id), &"open".into()));
    }

    let mut all: BTreeSet<u64> = people.iter().map(|(_, id)| *id).collect();
    all.insert(asker_id);
    // Those that were opened only to find a worker are on their way out.
    eventually("the list of connections", PATIENCE, || {
        let list = hands("connections");
        let numbers = list.split(|letter: char| !letter.is_ascii_digit());
        let found: BTreeSet<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
        (found == all).then_some(())
    });

    let three = "Ok(DeliveryCount { delivered: 3, dropped: 0, unanswered: [] })";
    assert_eq!(hands("broadcast to all others"), three);
    for (client, _) in &mut people {
        client.expect_text("to all others");
    }
    let publish = |hands: &mut dyn FnMut(&str) -> String| hands("publish news it rains");
    let none = "Ok(DeliveryCount { delivered: 0, dropped: 0, unanswered: [] })";
    assert_eq!(publish(&mut hands), none);
    for (client, _) in &mut people[1..] {
        assert_eq!(ask(client, "@channel news", PATIENCE), "Ok(true)");
    }
    let two = "Ok(DeliveryCount { delivered: 2, dropped: 0, unanswered: [] })";
    assert_eq!(publish(&mut hands), two);
    for (client, _) in &mut people[1..] {
        client.expect_text("it rains");
    }

    let (mut gone, id) = people.pop().expect("three");
    assert_eq!(hands(&format!("disconnect {id} go away")), "Ok(Delivered)");
    assert_eq!(gone.expect_close(4001), "go away");
    eventually("the end of the connection", PATIENCE, || {
        (hands(&format!("exists {id}")) == "Ok(false)").then_some(())
    });
    assert_eq!(hands(&format!("push {id} too late")), "Ok(NoSuchConnection)");
    assert_eq!(hands(&format!("disconnect {id} again")), "Ok(NoSuchConnection)");
    assert_eq!(hands(&format!("info {id}")), "null");
    // One that does not read is closed when its outbox is full, and so the truth changes.
    let (_deaf, id) = place.client_of_worker(1);
    let after = hands(&format!("fill {id}"));
    let expected =
        ["NoSuchConnection", "Closing"].map(|then| format!("Some(Ok(OutboxFull)) Ok({then})"));
    assert!(expected.contains(&after), "{after}");
    // A slot that the server does not have.
    let nowhere = (1 << 30) + 999;
    assert_eq!(hands(&format!("push {nowhere} hello")), "Ok(NoSuchConnection)");
    for (client, _) in &mut people {
        client.expect_silence(Duration::from_millis(50));
    }
}

#[test]
fn processes_and_workers_send_each_other_messages_of_any_size() {
    let place = Place::harness(2, &["hands", "mirror"]);
    for slot in [0, 1] {
        let (mut client, _) = place.client_of_worker(slot);
        assert_eq!(ask(&mut client, "@mirror there and back", PATIENCE), "there and back");
        for bytes in [0, 1, 1000, 40 * 1024, 200 * 1024] {
            let body: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            client.send(Message::binary(body.clone()));
            assert!(client.expect_any(PATIENCE) == Message::binary(body), "{bytes} bytes");
        }
        assert_eq!(ask(&mut client, "@nobody hello", PATIENCE), "no such process");
        assert_eq!(
            ask(&mut client, "@hands send nobody 1", PATIENCE),
            "0 sent, then: no such process"
        );
        for bytes in [0, 1, 32 * 1024, 32 * 1024 + 1, MIB, 16 * MIB] {
            let answer = ask(&mut client, &format!("@hands mirror {bytes}"), PATIENCE);
            assert_eq!(answer, "the same", "{bytes} bytes");
        }
    }
}

#[test]
fn messages_between_processes_come_in_order() {
    let place = Place::harness(1, &["hands", "counter"]);
    let (mut client, _) = place.client();
    assert_eq!(ask(&mut client, "@hands send counter 10000", PATIENCE), "10000 sent");
    expect_report(&mut client, "10000 came, 0 astray, 0 dropped");
}

#[test]
fn a_full_mailbox_is_an_answer_and_all_that_it_took_arrives() {
    let place = Place::harness(1, &["hands", "counter"]);
    let (mut client, _) = place.client();
    // A stopped process looks at nothing.
    let counter = place.pid("counter");
    assert!(signal(counter, Signal::Stop));
    let answer = ask(&mut client, "@hands send counter 100000000", MANY);
    let sent = answer.strip_suffix(" sent, then: the mailbox is full");
    let sent = sent.unwrap_or_else(|| panic!("{answer}"));
    println!("a mailbox that nobody looks at took {sent} messages");
    assert!(sent.parse::<u64>().expect("a number") > 10_000, "{sent}");
    assert!(signal(counter, Signal::Cont));
    expect_report(&mut client, &format!("{sent} came, 0 astray, 0 dropped"));
}

/// Asks `counter` for its report until it is this one.
#[track_caller]
fn expect_report(client: &mut support::Client, report: &str) {
    let mut last = String::new();
    let found = in_time(MANY, || {
        last = ask(client, "@counter report", MANY);
        (last == report).then_some(())
    });
    assert_eq!(found, Some(()), "expected {report:?}, found {last:?}");
}

#[test]
fn closures_that_return_are_restarted_as_their_policies_say_and_with_growing_delays() {
    const WATCHED: Duration = Duration::from_secs(4);
    let place = Place::harness(1, &["hands", "brief", "once", "persistent", "panicking"]);
    let begun = Instant::now();
    let (mut client, _) = place.client();
    let hands = place.pid("hands");
    while begun.elapsed() < WATCHED {
        assert_eq!(ask(&mut client, "still there?", PATIENCE), "still there?");
        client.expect_silence(Duration::from_millis(100));
    }
    for process in ["brief", "panicking"] {
        let runs = place.lines(process).len();
        assert!((3..=10).contains(&runs), "{runs} runs of {process} in {WATCHED:?}");
    }
    assert_eq!(place.process("brief")["last_exit"], "exit code 0");
    assert_eq!(place.process("panicking")["last_exit"], "exit code 101");
    assert!(place.log().contains("as it was told"), "the panic is in the log");
    // A failure is no reason for one that runs once, and success is none for one that is repeated until then.
    assert_eq!(place.lines("once").len(), 1);
    assert_eq!(place.lines("persistent").len(), 3);
    assert_eq!(place.process("persistent")["pid"], Value::Null);
    // What becomes of them is nobody else's matter.
    assert_eq!(place.pid("hands"), hands);
    assert_eq!(place.process("hands")["restarts"], 0);
}

#[test]
fn a_killed_closure_has_a_successor_with_the_same_mailbox() {
    let place = Place::harness(2, &["hands", "counter"]);
    let (mut client, _) = place.client();
    let killed = place.pid("counter");
    // It cannot take any of them before it dies.
    assert!(signal(killed, Signal::Stop));
    assert_eq!(ask(&mut client, "@hands send counter 1000", PATIENCE), "1000 sent");
    assert!(signal(killed, Signal::Kill));
    expect_report(&mut client, "1000 came, 0 astray, 0 dropped");
    assert_ne!(place.pid("counter"), killed);
    assert_eq!(place.process("counter")["last_exit"], "signal 9 (SIGKILL)");
}

#[test]
fn a_stop_is_told_to_closures_and_waits_for_them() {
    let mut place = Place::harness(2, &["hands", "polite"]);
    eventually("its first line", PATIENCE, || (place.lines("polite") == ["ran"]).then_some(()));
    let begun = Instant::now();
    place.stop().expect_code(0);
    // Its stop timeout is 5 s: nobody has waited for that.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(place.lines("polite"), ["ran", "Stop"]);
    place.expect_nothing_left();
}

#[test]
fn a_closure_that_does_not_hear_of_a_stop_is_killed_and_nothing_is_left() {
    let took = stop_a_deaf_one();
    // The server's own stop timeout is 10 s.
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn a_closure_that_does_not_hear_of_a_stop_is_killed_at_its_own_deadline() {
    let took = stop_a_deaf_one();
    assert!(took < Duration::from_secs(8), "it has one second: {took:?}");
}

/// Stops a server with a closure that pays no attention, and says how long that took.
#[track_caller]
fn stop_a_deaf_one() -> Duration {
    let mut place = Place::harness(1, &["deaf"]);
    let deaf = place.pid("deaf");
    eventually("its first line", PATIENCE, || (place.lines("deaf") == ["ran"]).then_some(()));
    let begun = Instant::now();
    place.stop().expect_code(0);
    let took = begun.elapsed();
    assert!(place.log().contains(&format!("deaf (pid {deaf}) does not stop in time: SIGKILL")));
    assert!(!is_alive(deaf));
    place.expect_nothing_left();
    assert!(took >= Duration::from_millis(900), "its second was not given to it: {took:?}");
    took
}

#[test]
fn closures_end_with_a_killed_master() {
    let place = Place::harness(1, &["hands", "polite", "deaf"]);
    let master = place.status()["master"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    for process in ["hands", "polite", "deaf"] {
        place.pid(process);
    }
    assert!(signal(master.expect("a pid"), Signal::Kill));
    let gone = in_time(PATIENCE, || {
        let left = support::working_below(place.directory());
        // The master itself is the test's child and a zombie.
        left.is_empty().then_some(())
    });
    assert_eq!(gone, Some(()), "left: {:?}", support::working_below(place.directory()));
}
