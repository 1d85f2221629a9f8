//! What a reload does to programs: those that are the same stay and miss nothing, the others are started again, come or go.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use tungstenite::Message;

use crate::{
    puppet::{PROGRAMS, Puppet, application, shell, table, wait_process},
    support::{App, Client, PATIENCE, Server, Setup, eventually, is_alive},
};

const EVENTS: &str = "events = [\"open\", \"message\"]";

/// A puppet whose script is a file of its own.
fn own_table(name: &str, script: &Path) -> String {
    format!(
        "[[process]]\nname = \"{name}\"\ncommand = \"python3\"\nargs = [\"{}\"]\n{EVENTS}\n\n",
        script.display()
    )
}

#[test]
fn programs_that_are_the_same_stay_the_changed_are_started_again_new_ones_come_and_others_go() {
    let begin = table("stays", EVENTS) + &table("changes", EVENTS) + &table("goes", EVENTS);
    let server = Server::start(Setup::default().workers(2).config_toml(&begin));
    let stays = Puppet::of(&server, "stays");
    let changes = Puppet::of(&server, "changes");
    let goes = Puppet::of(&server, "goes");
    let (host, pid) = (stays.host(), stays.pid());
    let (changed, gone) = (changes.pid(), goes.host());
    assert_eq!(
        stays.ask(json!({"do": "send", "process": "comes", "text": "?"}))["result"],
        "no_such_process"
    );

    let end = table("changes", "events = [\"open\"]\ninstances = 1\ntick = \"50ms\"")
        + &application("comes", "instances = 2")
        + &table("stays", EVENTS);
    server.rewrite_config(&end);
    let told = server.reload().expect_code(0).stdout;
    for line in [
        "process changes: changed, and started again",
        "process comes/1: new",
        "process goes: removed",
    ] {
        assert!(told.contains(line), "{line:?}: {told}");
    }
    // The answer stands for it.
    assert_ne!(changes.pid(), changed);
    changes.expect_event("tick");
    for instance in 0..2 {
        Puppet::instance(&server, "comes", instance);
    }
    let mut client = Client::open(server.addr(), "/p/1");
    client.send_text("to the new one");
    let owner = eventually("its message", PATIENCE, || {
        (0..2).find(|instance| {
            let puppet = Puppet::instance(&server, "comes", *instance);
            puppet.events().iter().any(|event| event["text"] == "to the new one")
        })
    });
    client.expect_text(&format!("{owner} to the new one"));
    // The one that stays is the same process, hears of those who come, and knows the new names.
    assert_eq!((stays.host(), stays.pid()), (host, pid));
    stays.expect("an open", |event| event["event"] == "open" && event["path"] == "/p/1");
    stays.expect("the message", |event| event["text"] == "to the new one");
    let sent = stays.ask(json!({"do": "send", "process": "comes/1", "text": "hello"}));
    assert_eq!(sent["success"], true, "{sent}");
    Puppet::instance(&server, "comes", 1).expect("the word", |event| event["from"] == "stays");
    // The one that goes was told, in its own time, and is nowhere any more.
    goes.wait_gone();
    assert!(!is_alive(gone));
    assert_eq!(
        goes.lines().last().map(String::as_str),
        Some(r#"{"event":"stop","timeout_ms":5000}"#)
    );
    assert_eq!(
        stays.ask(json!({"do": "send", "process": "goes", "text": "?"}))["result"],
        "no_such_process"
    );

    // And back.
    server.rewrite_config(&begin);
    server.reload().expect_code(0);
    Puppet::of(&server, "goes");
    assert_eq!((stays.host(), stays.pid()), (host, pid));
    for instance in 0..2 {
        eventually("the end of what came", PATIENCE, || {
            let name = format!("comes/{instance}");
            let status = server.status();
            let processes = status["processes"].as_array().expect("a list");
            processes.iter().all(|process| process["name"] != name.as_str()).then_some(())
        });
    }
    server.stop().expect_code(0);
}

#[test]
fn a_program_whose_files_are_others_is_started_again_and_no_connection_is_lost() {
    let place = tempfile::tempdir().expect("a directory");
    let scripts = ["one", "two"].map(|name| place.path().join(format!("{name}.py")));
    let puppet = fs::read_to_string(format!("{PROGRAMS}/puppet.py")).expect("it is there");
    for script in &scripts {
        fs::write(script, &puppet).expect("it is ours");
    }
    let config = own_table("one", &scripts[0]) + &own_table("two", &scripts[1]);
    let server = Server::start(Setup::default().config_toml(&config));
    let (one, two) = (Puppet::of(&server, "one"), Puppet::of(&server, "two"));
    let before = (one.pid(), two.pid());
    server.reload().expect_code(0);
    assert_eq!((one.pid(), two.pid()), before, "nothing has changed");

    fs::write(&scripts[1], format!("{puppet}\n# another\n")).expect("it is ours");
    let told = server.reload().expect_code(0).stdout;
    assert!(told.contains("process two: changed") && !told.contains("process one"), "{told}");
    assert_eq!(one.pid(), before.0);
    let second = two.pid();
    assert_ne!(second, before.1);
    server.reload().expect_code(0);
    assert_eq!(two.pid(), second, "it is what it is");

    // By name, whatever has changed; no worker is replaced.
    let workers = server.worker_pids();
    let mut client = Client::connect(&server);
    server.cli(&["reload", "--processes", "one"]).expect_code(0);
    assert_ne!(one.pid(), before.0);
    assert_eq!((two.pid(), server.worker_pids()), (second, workers.clone()));
    let first = one.pid();
    server.cli(&["reload", "--processes"]).expect_code(0);
    assert!(one.pid() != first && two.pid() != second);
    assert_eq!(server.worker_pids(), workers);
    client.expect_alive();
    let refused = server.cli(&["reload", "--processes", "three"]).expect_code(2);
    assert!(refused.stderr.contains("no process \"three\"; there are: one, two"), "{refused}");
}

#[test]
fn a_reload_that_cannot_be_changes_nothing_and_says_so() {
    let config = table("p", "");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let (pid, workers) = (puppet.pid(), server.worker_pids());
    server.rewrite_config(
        &(config.clone() + "[[process]]\nname = \"q\"\ncommand = \"no-such-program\"\n"),
    );
    let refused = server.reload().expect_code(2);
    assert!(
        refused.stderr.contains("process[1].command: there is no program no-such-program"),
        "{refused}"
    );
    assert_eq!((puppet.pid(), server.worker_pids()), (pid, workers));

    // One that does not come up is told with its last words, and tried again.
    let brief = "echo 'no luck' >&2; exit 1";
    server.rewrite_config(&(config.clone() + &shell("q", brief, "")));
    let failed = server.reload().expect_code(1);
    let words = "process q does not come up: it ended with exit code 1 before it was ready; its last words: no luck";
    assert!(failed.stderr.contains(words), "{failed}");
    wait_process(&server, "q", |process| process["state"] == "backing_off");
    server.rewrite_config(&(config.clone() + &table("q", "")));
    server.reload().expect_code(0);
    assert_eq!(Puppet::of(&server, "q").name, "q");
    assert_eq!(puppet.pid(), pid);

    // There is not room for everything.
    server.rewrite_config(&(config + &table("q", "instances = 20")));
    let told = server.reload().expect_code(0);
    let words = "the process \"q\" needs places for 20 instances, and a server that runs has 15";
    assert!(told.stdout.contains(words) && told.stdout.contains("stay as they are"), "{told}");
    wait_process(&server, "q", |process| process["state"] == "ready");
    assert_eq!(puppet.pid(), pid);
}

#[test]
fn messages_that_come_during_a_reload_reach_a_program_that_stays() {
    let config = table("stays", EVENTS);
    let server = Server::start(
        Setup::default().workers(2).app(App::Echo).config_toml(&(config.clone() + &table("q", ""))),
    );
    let stays = Puppet::of(&server, "stays");
    let pid = stays.pid();
    server.rewrite_config(&(config + &table("q", "tick = \"1s\"") + &table("r", "")));
    let reload = server.cli_begin(&["reload"]);
    let mut taken = Vec::new();
    let begun = std::time::Instant::now();
    for number in 0.. {
        if taken.len() >= 20 && begun.elapsed() > Duration::from_secs(1) {
            break;
        }
        let mut client = Client::open(server.addr(), "/");
        let text = format!("number {number}");
        client.send_text(&text);
        // A worker that leaves takes nothing more; what it answers it has told the program of before.
        if client.next_if_any(PATIENCE) == Some(Message::text(text.as_str())) {
            taken.push(text);
        }
    }
    reload.wait().expect_code(0);
    let last = taken.last().expect("twenty").as_str();
    stays.expect("the last message", |event| event["text"] == last);
    let events = stays.events();
    for text in &taken {
        assert!(events.iter().any(|event| event["text"] == text.as_str()), "{text} is lost");
    }
    assert_eq!(stays.pid(), pid);
}
