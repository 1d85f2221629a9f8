//! An application that is started again: its clients stay, wait for it, and are made known to it.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    puppet::{Puppet, table, wait_process},
    support::{App, Client, PATIENCE, Server, Setup, Signal, eventually, is_alive, signal},
};

/// The puppets of a server whose application they are.
fn config(more: &str) -> String {
    table("p", &format!("env = {{ PUPPET_APP = \"1\" }}\n{more}"))
}

#[track_caller]
fn start(more: &str) -> Server {
    let setup = Setup::default().workers(2).app(App::Plugin("p"));
    Server::start(setup.config_toml(&config(more)))
}

/// What the program has heard since its last start.
fn last_life(puppet: &Puppet<'_>) -> Vec<Value> {
    let events = puppet.events();
    let last = events.iter().rposition(|event| event["event"] == "hello").unwrap_or(0);
    events[last..].to_vec()
}

#[test]
fn a_successor_is_told_of_all_connections_before_anything_else_and_loses_no_message() {
    let server = start("");
    let puppet = Puppet::of(&server, "p");
    let mut clients: Vec<Client> = (0..20).map(|_| Client::open(server.addr(), "/")).collect();
    for client in &mut clients {
        client.send_text("before");
        client.expect_text("0 before");
    }
    let mut leaver = Client::open(server.addr(), "/");
    leaver.send_text("before");
    leaver.expect_text("0 before");
    for life in 1..=3 {
        let (host, pid) = (puppet.host(), puppet.pid());
        // Its host with it, or it alone.
        assert!(signal(if life == 2 { host } else { pid }, Signal::Kill));
        // What it has not read by then is lost with it.
        eventually("its end", PATIENCE, || (!is_alive(pid) && !is_alive(host)).then_some(()));
        // Half of them speak while it is away.
        for client in clients.iter_mut().step_by(2) {
            client.send_text(&format!("during {life}"));
        }
        for client in clients.iter_mut().step_by(2) {
            client.expect_text(&format!("0 during {life}"));
        }
        for client in clients.iter_mut().skip(1).step_by(2) {
            client.send_text("after");
            client.expect_text("0 after");
        }
        eventually("all to be told of again", PATIENCE, || {
            let events = last_life(&puppet);
            let again = events.iter().filter(|event| event["again"] == true);
            let known: BTreeSet<String> =
                again.map(|event| event["connection"].to_string()).collect();
            (known.len() >= 20).then_some(())
        });
        // Nobody is spoken of before it was told of, and nobody is told of twice.
        let mut known = BTreeSet::new();
        for event in last_life(&puppet) {
            let connection = event["connection"].to_string();
            match event["event"].as_str() {
                Some("open") => assert!(known.insert(connection), "{event}"),
                Some("message" | "close") => assert!(known.contains(&connection), "{event}"),
                _ => {}
            }
        }
    }
    leaver.close();
    puppet.expect("the leaver's end", |event| event["event"] == "close");
    assert_eq!(server.status()["totals"]["dropped_by_handler"], 0);
}

#[test]
fn what_the_predecessor_was_sent_and_never_saw_is_put_right() {
    let server = start("");
    let puppet = Puppet::of(&server, "p");
    let mut stays = Client::open(server.addr(), "/");
    stays.send_text("before");
    stays.expect_text("0 before");
    let mut leaves = Client::open(server.addr(), "/");
    leaves.send_text("before");
    leaves.expect_text("0 before");
    // Its host stands still: what comes now lies in the mailbox, and nobody knows yet that it is for a successor.
    let host = puppet.host();
    assert!(signal(host, Signal::Stop));
    let taken = server.status()["totals"]["messages_in"].as_u64().expect("a counter");
    stays.send_text("to the host that stands still");
    leaves.send_text("half a story");
    let mut comes = Client::open(server.addr(), "/");
    comes.send_text("a whole story");
    server.wait_until("the messages to be read", PATIENCE, |status| {
        status["totals"]["messages_in"].as_u64() == Some(taken + 3)
    });
    leaves.close();
    comes.close();
    assert!(signal(host, Signal::Kill));
    stays.expect_text("0 to the host that stands still");
    puppet.expect("its end", |event| event["event"] == "close");
    let told: Vec<(Value, Value)> = last_life(&puppet)
        .into_iter()
        .filter(|event| !event["connection"].is_null())
        .map(|event| (event["connection"].clone(), event["event"].clone()))
        .collect();
    // The one that stays is introduced before it speaks; the one that came and left is told as it was. Of the one whose
    // beginning only the predecessor knew, nothing is said, and its message is counted.
    let mut stories: Vec<Vec<&Value>> = Vec::new();
    let mut ids: Vec<&Value> = told.iter().map(|(id, _)| id).collect();
    ids.sort_by_key(|id| id.as_u64());
    ids.dedup();
    for id in ids {
        stories.push(told.iter().filter(|(of, _)| of == id).map(|(_, kind)| kind).collect());
    }
    stories.sort_by_key(Vec::len);
    assert_eq!(stories, [vec!["open", "message"], vec!["open", "message", "close"]]);
    assert_eq!(wait_process(&server, "p", |_| true)["dropped_events"], 1);
}

#[test]
fn what_was_said_last_by_who_left_meanwhile_reaches_the_successor() {
    let server = start("");
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::open(server.addr(), "/");
    client.send_text("before");
    client.expect_text("0 before");
    let mut quiet = Client::open(server.addr(), "/");
    quiet.send_text("before");
    quiet.expect_text("0 before");
    // Until it is not started again at once.
    eventually("a pause", 3 * PATIENCE, || {
        let process = wait_process(&server, "p", |process| {
            process["state"] == "ready" || process["retry_in_ms"].as_u64() > Some(500)
        });
        match process["pid"].as_u64().filter(|_| process["state"] == "ready") {
            Some(host) => {
                signal(host as u32, Signal::Kill);
                None
            }
            None => process["retry_in_ms"].as_u64(),
        }
    });
    client.send_text("the last word");
    // It is not read, and so nobody hears of its end before it is. Who has nothing to say may go.
    server.wait_until("it to wait", PATIENCE, |status| status["totals"]["held"] == 1);
    drop(client);
    quiet.close();
    let word = puppet.expect("the last word", |event| event["text"] == "the last word");
    let id = word["connection"].clone();
    let of_it: Vec<Value> = eventually("its end", PATIENCE, || {
        let events: Vec<Value> =
            last_life(&puppet).into_iter().filter(|event| event["connection"] == id).collect();
        (events.last()?["event"] == "close").then_some(events)
    });
    let kinds: Vec<&Value> = of_it.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["open", "message", "close"]);
    assert_eq!(of_it[0]["again"], true);
}

#[test]
fn usr2_starts_the_application_again_and_clients_notice_a_pause_at_most() {
    let server = start("instances = 2");
    let puppets = [0, 1].map(|instance| Puppet::instance(&server, "p", instance));
    let mut clients: Vec<Client> = (0..10).map(|_| Client::open(server.addr(), "/")).collect();
    let pids = puppets.each_ref().map(Puppet::pid);
    server.signal(Signal::Usr2);
    for round in 0..30 {
        for client in &mut clients {
            client.send_text(&round.to_string());
        }
        if round == 15 {
            eventually("the old ones to end", PATIENCE, || {
                pids.iter().all(|pid| !is_alive(*pid)).then_some(())
            });
        }
    }
    // Answers of the old one may be lost with it; those of the new one are not.
    for client in &mut clients {
        let last = eventually("the last answer", PATIENCE, || {
            let text = client.expect_any(PATIENCE).into_text().ok()?.to_string();
            text.ends_with(" 29").then_some(text)
        });
        assert!(last.starts_with(['0', '1']), "{last}");
    }
}

#[test]
fn a_reload_of_workers_leaves_the_application_alone() {
    let server = start("");
    let puppet = Puppet::of(&server, "p");
    let pid = puppet.pid();
    let mut client = Client::open(server.addr(), "/");
    client.send_text("before");
    client.expect_text("0 before");
    server.reload().expect_code(0);
    client.expect_close(1001);
    let mut client = Client::open(server.addr(), "/");
    client.send_text("after");
    client.expect_text("0 after");
    assert_eq!(puppet.pid(), pid);
    let opens = puppet.events().into_iter().filter(|event| event["event"] == "open");
    assert!(opens.into_iter().all(|event| event.get("again").is_none()));
    puppet
        .expect("the end of the first", |event| event["event"] == "close" && event["code"] == 1001);
}

#[test]
fn a_program_that_is_not_ready_yet_is_waited_for() {
    // It takes a while to start again, and nobody is refused for that.
    let script = "if test -e late; then until test -e go; do sleep 0.05; done; fi; read -r _ <&3; printf '{\"do\":\"ready\",\"protocol\":1}\\n' >&4; \
                  while read -r e <&3; do case $e in *'\"event\":\"message\"'*) c=${e#*\\\"connection\\\":}; \
                  printf '{\"do\":\"push\",\"connection\":%s,\"text\":\"ready now\"}\\n' \"${c%%[!0-9]*}\" >&4;; \
                  *'\"event\":\"request\"'*) r=${e#*\\\"request\\\":}; r=${r#*\\\"request\\\":}; \
                  printf '{\"do\":\"respond\",\"request\":%s,\"text\":\"at last\"}\\n' \"${r%%[!0-9]*}\" >&4;; \
                  *'\"event\":\"stop\"'*) exit 0;; esac; done";
    let config = crate::puppet::shell("p", script, "");
    let setup = Setup::default().workers(2).app(App::Plugin("p")).config_toml(&config);
    let server = Server::start(setup);
    std::fs::write(server.directory().join("late"), "").expect("the directory is ours");
    server.signal(Signal::Usr2);
    wait_process(&server, "p", |process| process["state"] == "starting");
    // Whether it wants to be asked about a newcomer is not known before it is ready.
    let addr = server.addr();
    let newcomer = std::thread::spawn(move || Client::open(addr, "/"));
    wait_process(&server, "p", |process| process["open_questions"] == 1);
    assert!(!newcomer.is_finished(), "nobody is let in by nobody");
    assert_eq!(wait_process(&server, "p", |_| true)["state"], json!("starting"));
    std::fs::write(server.directory().join("go"), "").expect("the directory is ours");
    let mut client = newcomer.join().expect("it comes in");
    client.send_text("hello");
    client.expect_text("ready now");
    client.expect_silence(Duration::from_millis(50));
    let answer = crate::support::request(server.addr(), "GET", "/", &[], b"");
    assert_eq!(answer.text(), "at last");
}
