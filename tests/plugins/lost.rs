//! A worker that is killed takes its connections with it, and every program that was told of one hears of its end.

use serde_json::{Value, json};

use crate::{
    puppet::{Puppet, application, table},
    support::{App, Client, PATIENCE, Server, Setup, Signal, eventually, signal},
};

/// Until each of two workers has so many connections below `/p/`.
fn clients_of_both(server: &Server, puppet: &Puppet<'_>, each: usize) -> (Vec<Client>, Vec<Value>) {
    let mut clients = Vec::new();
    let opens = eventually("connections of both workers", PATIENCE, || {
        let mut client = Client::open(server.addr(), "/p/");
        client.send_text("there");
        client.expect_text("0 there");
        clients.push(client);
        let opens: Vec<Value> =
            puppet.events().into_iter().filter(|event| event["event"] == "open").collect();
        let of = |worker: u16| opens.iter().filter(|open| open["worker"] == worker).count();
        (of(0) >= each && of(1) >= each).then_some(opens)
    });
    (clients, opens)
}

/// The ids of those of these connections that a worker has.
fn of_worker(opens: &[Value], worker: u16) -> Vec<u64> {
    let own = opens.iter().filter(|open| open["worker"] == worker);
    own.filter_map(|open| open["connection"].as_u64()).collect()
}

/// The ids of connections that have ended in this manner, in the order of telling.
fn closed(puppet: &Puppet<'_>, by: &str) -> Vec<u64> {
    let events = puppet.events();
    let closes = events.iter().filter(|event| event["event"] == "close" && event["by"] == by);
    closes.filter_map(|event| event["connection"].as_u64()).collect()
}

#[track_caller]
fn wait_for_a_successor(server: &Server, worker: u16, pid: u32) {
    server.wait_until("a successor", PATIENCE, |status| {
        let worker = &status["workers"][usize::from(worker)];
        worker["state"] == "ready" && worker["pid"] != pid
    });
}

#[test]
fn every_program_that_was_told_of_a_connection_hears_that_it_was_lost() {
    let config = application("p", "events = [\"worker_error\"]")
        + &table("ear", "events = [\"open\", \"close\"]")
        + &table("late", "events = [\"message\", \"close\"]")
        + &table("deaf", "events = [\"open\"]");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let [puppet, ear, late, deaf] =
        ["p", "ear", "late", "deaf"].map(|name| Puppet::of(&server, name));
    let (mut clients, opens) = clients_of_both(&server, &puppet, 3);
    // One ends as usual, and once is enough.
    clients.remove(0).close();
    let ended = puppet.expect_event("close")["connection"].as_u64().expect("an id");
    let mut lost = of_worker(&opens, 0);
    lost.retain(|id| *id != ended);
    let pid = server.worker_pid(0);
    assert!(signal(pid, Signal::Kill));
    puppet.expect_event("worker_error");
    for program in [&puppet, &ear, &late] {
        eventually("the ends", PATIENCE, || {
            (closed(program, "lost").len() >= lost.len()).then_some(())
        });
        assert_eq!(closed(program, "lost"), lost, "{}", program.name);
    }
    let close = puppet.expect("one of them", |event| event["by"] == "lost");
    assert_eq!((&close["code"], &close["event"]), (&Value::Null, &json!("close")));
    let events = puppet.events();
    let place = |wanted: &dyn Fn(&Value) -> bool| events.iter().rposition(wanted).expect("it came");
    assert!(
        place(&|event| event["by"] == "lost") < place(&|event| event["event"] == "worker_error"),
        "the last word about a worker's connections comes before the word about the worker"
    );
    assert!(deaf.events().iter().all(|event| event["event"] != "close"));
    // Those of the other worker and of the successor are none of them.
    wait_for_a_successor(&server, 0, pid);
    let (more, _) = clients_of_both(&server, &puppet, 8);
    drop((clients, more));
    eventually("one end for each", PATIENCE, || {
        let mut ends: Vec<u64> = ["peer", "server", "lost"].map(|by| closed(&puppet, by)).concat();
        ends.sort_unstable();
        let events = puppet.events();
        let opens = events.iter().filter(|event| event["event"] == "open");
        let mut all: Vec<u64> = opens.filter_map(|open| open["connection"].as_u64()).collect();
        all.sort_unstable();
        (ends == all).then_some(())
    });
}

#[test]
fn what_a_killed_worker_has_said_comes_before_the_ends_and_nothing_after_them() {
    let config = application("p", "");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let (mut clients, opens) = clients_of_both(&server, &puppet, 1);
    let lost = of_worker(&opens, 0);
    // The host stands still: what the worker says lies in its mailbox when the worker dies.
    let host = puppet.host();
    assert!(signal(host, Signal::Stop));
    let before = server.status()["totals"]["messages_in"].as_u64().expect("a counter");
    for client in &mut clients {
        client.send_text("the last");
    }
    server.wait_until("the messages to be read", PATIENCE, |status| {
        status["totals"]["messages_in"].as_u64() == Some(before + clients.len() as u64)
    });
    let pid = server.worker_pid(0);
    assert!(signal(pid, Signal::Kill));
    wait_for_a_successor(&server, 0, pid);
    assert!(signal(host, Signal::Cont));
    eventually("the ends", PATIENCE, || {
        (closed(&puppet, "lost").len() == lost.len()).then_some(())
    });
    let events = puppet.events();
    for id in lost {
        let own: Vec<&Value> = events
            .iter()
            .filter(|event| event["connection"] == id)
            .map(|event| &event["event"])
            .collect();
        assert_eq!(own, ["open", "message", "message", "close"], "of {id}");
    }
}

#[test]
fn a_program_that_is_started_again_while_a_worker_dies_has_no_ghosts() {
    let config = application("p", "");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    for worker in 0..2 {
        let mut clients: Vec<Client> =
            (0..12).map(|_| Client::open(server.addr(), "/p/")).collect();
        for client in &mut clients {
            client.send_text("there");
            client.expect_text("0 there");
        }
        let (host, pid) = (puppet.host(), server.worker_pid(worker));
        assert!(signal(host, Signal::Stop));
        let before = server.status()["totals"]["messages_in"].as_u64().expect("a number");
        for client in &mut clients {
            client.send_text("something that waits");
        }
        // Of these only the mailbox of the old program hears.
        let mut late: Vec<Client> =
            (0..12).map(|_| Client::open(server.addr(), "/p/late")).collect();
        late.iter_mut().for_each(|client| client.send_text("hello"));
        server.wait_until("everything to be told of", PATIENCE, |status| {
            let told = status["totals"]["messages_in"].as_u64();
            told >= Some(before + (clients.len() + late.len()) as u64)
        });
        // What the worker says is partly for the old program, and partly for the new one.
        assert!(signal(host, Signal::Kill) && signal(pid, Signal::Kill));
        wait_for_a_successor(&server, worker, pid);
        eventually("a successor of the host", PATIENCE, || (puppet.host() != host).then_some(()));
        // Whoever it believes to be there is there, and it hears of those too who came and were lost before it was there.
        eventually("no ghosts", PATIENCE, || {
            let events = puppet.events();
            let last = events.iter().rposition(|event| event["event"] == "hello")?;
            let ids = |kind: &str| -> Vec<u64> {
                let own = events[last..].iter().filter(|event| event["event"] == kind);
                own.filter_map(|event| event["connection"].as_u64()).collect()
            };
            let heard_of = events[last..].iter().filter(|event| event["target"] == "/p/late");
            if heard_of.count() != late.len() {
                return None;
            }
            let (mut open, closed) = (ids("open"), ids("close"));
            open.retain(|id| !closed.contains(id));
            let living = server.status()["totals"]["websockets"].as_u64()?;
            (open.len() as u64 == living).then_some(())
        });
    }
}
