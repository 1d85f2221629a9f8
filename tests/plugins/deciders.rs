//! A handshake is never decided by nobody: a program that believes to decide who may connect, and would not be asked, does not
//! come up, and its paths are closed.

use std::{fs, net::SocketAddr, path::Path, thread};

use tungstenite::Error;

use crate::{
    puppet::{Puppet, shell, wait_process},
    support::{App, Client, PATIENCE, Server, Setup, Signal, eventually, signal},
};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/plugins");

const ROUTE: &str = "[[route]]\npath = \"/p/*\"\napp = \"plugin:p\"\n\n";

/// A program that says this in its `ready`, and nothing more.
fn saying(fields: &str) -> String {
    format!("read -r _ <&3; printf '{{\"do\":\"ready\"{fields}}}\\n' >&4; exec cat <&3 >/dev/null")
}

/// The status that a client of the program gets: 101 if it comes in.
fn knock(addr: SocketAddr) -> u16 {
    match Client::try_open(addr, "/p/", &[]) {
        Ok(_) => 101,
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[track_caller]
fn expect_refused(config: &str, words: &[&str]) {
    let output = Setup::default().app(App::Echo).config_toml(config).start_refused().expect_code(1);
    for words in words {
        assert!(output.stderr.contains(words), "{words:?} is not said: {output}");
    }
    let lines = output.stderr.lines().filter(|line| line.contains("does not come up")).count();
    assert_eq!(lines, 1, "one line says it: {output}");
}

#[test]
fn a_start_fails_when_a_program_decides_and_is_not_asked() {
    let decides = saying(",\"handles\":[\"message\",\"handshake\"]");
    expect_refused(
        &(ROUTE.to_owned() + &shell("p", &decides, "")),
        &[
            "the process \"p\" does not come up: it handles \"handshake\" but would not be asked",
            "add events = [\"handshake\"] to the [[process]] \"p\" in ",
            "wsmaster.toml",
        ],
    );
    expect_refused(
        &(ROUTE.to_owned() + &shell("p", &saying(",\"events\":[\"handshake\"]"), "")),
        &["add events = [\"handshake\"] to the [[process]] \"p\" in "],
    );
    // Nobody is its client at all.
    expect_refused(
        &shell("p", &decides, ""),
        &[
            "it handles \"handshake\" but is no application, and would not be asked: add app = \"plugin:p\"",
        ],
    );
}

#[test]
fn a_start_fails_when_a_program_is_asked_and_does_not_decide() {
    let script = saying(",\"handles\":[\"message\"]");
    expect_refused(
        &(ROUTE.to_owned() + &shell("p", &script, "events = [\"handshake\"]")),
        &[
            "it is asked about handshakes and has no handler of \"handshake\"",
            "take \"handshake\" out of the events",
        ],
    );
}

/// What a program made with each of the files for languages does with a handler of handshakes, by itself.
#[test]
fn programs_made_with_the_files_for_languages_say_what_they_handle() {
    let python = "import sys; sys.path.insert(0, 'CLIENTS/python')\nfrom wsmaster import Plugin\np = Plugin()\n\
                  @p.on_handshake\ndef handshake(event):\n    p.reject(event, 401)\np.run()\n";
    let node = "import { Plugin } from 'CLIENTS/node/wsmaster.mjs';\nconst p = new Plugin();\n\
                p.onHandshake((event) => { p.reject(event, { status: 401 }); });\nawait p.run();\n";
    let php = "<?php require 'CLIENTS/php/wsmaster.php'; $p = new Wsmaster\\Plugin();\n\
               $p->onHandshake(function (array $event) use ($p): void { $p->reject($event, 401); });\n$p->run();\n";
    let place = tempfile::tempdir().expect("a directory");
    for (command, file, text) in
        [("python3", "p.py", python), ("node", "p.mjs", node), ("php", "p.php", php)]
    {
        if !is_there(command) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no {command} here");
            continue;
        }
        let file = place.path().join(file);
        fs::write(&file, text.replace("CLIENTS", CLIENTS)).expect("it is ours");
        let config = |more: &str| {
            format!(
                "{ROUTE}[[process]]\nname = \"p\"\ncommand = \"{command}\"\nargs = [\"{}\"]\n{more}\n",
                file.display()
            )
        };
        expect_refused(&config(""), &["add events = [\"handshake\"] to the [[process]] \"p\" in "]);
        let config = config("events = [\"handshake\"]");
        let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
        assert_eq!(knock(server.addr()), 401, "{command}");
        server.stop().expect_code(0);
    }
}

fn is_there(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(command).exists())
}

#[test]
fn a_program_that_decides_only_after_it_was_started_again_is_closed_until_both_agree() {
    // It is another program as soon as there is a file `new`.
    let plain = saying("");
    let decides = saying(",\"handles\":[\"handshake\"]");
    let script = format!("if [ -e new ]; then {decides}; else {plain}; fi");
    let config = ROUTE.to_owned() + &shell("p", &script, "");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    assert_eq!(knock(server.addr()), 101, "who says nothing is believed");
    let new = server.directory().join("new");
    fs::write(&new, "").expect("the directory is ours");
    assert!(signal(puppet.pid(), Signal::Kill));
    // Whatever the moment, nobody comes in again after the first one that does not.
    eventually("the end of the old one", PATIENCE, || (knock(server.addr()) == 503).then_some(()));
    server.wait_log("ERROR p: it handles \"handshake\" but would not be asked: add events = ");
    for _ in 0..50 {
        assert_eq!(knock(server.addr()), 503);
    }
    fs::remove_file(&new).expect("it is there");
    eventually("both to agree", 3 * PATIENCE, || (knock(server.addr()) == 101).then_some(()));
}

#[test]
fn nobody_comes_in_before_the_program_has_said_what_it_handles() {
    let script = "read -r hello <&3; while [ -e wait ]; do sleep 0.05; done; \
                  if [ -e say ]; then cat say; else echo '{\"do\":\"ready\"}'; fi >&4; exec cat <&3 >/dev/null";
    for (say, status) in [
        (r#"{"do":"ready","protocol":1}"#, 101),
        (r#"{"do":"ready","protocol":1,"handles":["handshake"]}"#, 503),
    ] {
        let config = ROUTE.to_owned() + &shell("p", script, "");
        let setup = Setup::default().workers(2).app(App::Echo).config_toml(&config);
        let server = Server::start(setup);
        let puppet = Puppet::of(&server, "p");
        let wait = server.directory().join("wait");
        fs::write(&wait, "").expect("the directory is ours");
        fs::write(server.directory().join("say"), format!("{say}\n"))
            .expect("the directory is ours");
        assert!(signal(puppet.pid(), Signal::Kill));
        wait_process(&server, "p", |process| process["state"] == "starting");
        let addr = server.addr();
        thread::scope(|scope| {
            let early = scope.spawn(move || knock(addr));
            wait_process(&server, "p", |process| process["open_questions"] == 1);
            assert!(!early.is_finished(), "nobody has said anything");
            fs::remove_file(&wait).expect("it is there");
            assert_eq!(early.join().expect("an answer"), status, "{say}");
        });
    }
}

#[test]
fn a_reload_of_a_configuration_that_does_not_ask_opens_no_door() {
    let script = "read -r _ <&3; echo '{\"do\":\"ready\",\"handles\":[\"handshake\"]}' >&4; while read -r e <&3; do case $e in \
                  '{\"event\":\"handshake\",'*) r=${e#*'\"request\":'}; \
                  echo '{\"do\":\"reject\",\"request\":'\"${r%%[!0-9]*}\"'}' >&4;; \
                  '{\"event\":\"stop\",'*) exit 0;; esac; done";
    let config = |more: &str| ROUTE.to_owned() + &shell("p", script, more);
    let setup = Setup::default().workers(2).app(App::Echo);
    let server = Server::start(setup.config_toml(&config("events = [\"handshake\"]")));
    assert_eq!(knock(server.addr()), 403, "as the program decides");
    fs::write(server.directory().join("wsmaster.toml"), config("")).expect("it is ours");
    // Whatever comes of it: the program that runs is asked, and one that is started again is closed.
    let _ = server.reload();
    for _ in 0..50 {
        let status = knock(server.addr());
        assert!(matches!(status, 403 | 503), "nobody decides: {status}");
    }
}
