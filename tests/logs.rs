//! The log: one line for each event, none that others could have written, and a file that is moved away, swapped for a link
//! or on a full disk without harm.

mod support;

#[path = "support/kernel.rs"]
mod kernel;
#[path = "logs/rotation.rs"]
mod rotation;
#[path = "logs/trouble.rs"]
mod trouble;
#[path = "logs/unread.rs"]
mod unread;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use kernel::{links, send};
use support::{Api, Client, PATIENCE, Server, Setup, Signal, eventually, raw, request};

/// The parts of a line: level, role and text.
#[track_caller]
fn parts(line: &str) -> (&str, &str, &str) {
    let (head, text) = line.split_once(": ").unwrap_or_else(|| panic!("no text in {line:?}"));
    let mut words = head.split_ascii_whitespace();
    let (time, level) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // 2026-01-31T23:59:59.999Z
    assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "no time in {line:?}");
    assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "no level in {line:?}");
    let role = head.split_once(level).map(|(_, role)| role.trim()).unwrap_or_default();
    assert!(role == "master" || role.starts_with("worker "), "no role in {line:?}");
    (level, role, text)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// An access log for who looks for something: what was asked and answered, without what a query may hold.
#[test]
fn with_debug_each_request_and_answer_has_a_line() {
    let server = Server::start(Setup::default().config_toml("[server]\nlog_level = \"debug\"\n"));
    request(server.addr(), "POST", "/no%20thing?token=secret", &[], b"").expect_status(404);
    let client = Client::open(server.addr(), "/chat?token=secret");
    for line in ["POST \"/no%20thing\"", "is answered 404", "is a WebSocket at \"/chat\" now"] {
        server.wait_log(line);
    }
    assert!(!server.log().contains("secret"), "{server}");
    drop(client);
}

#[test]
fn each_event_is_one_line_in_the_file() {
    let server = Server::start(Setup::default().workers(2).arg("--log-file").arg("w.log"));
    let file = server.directory().join("w.log");
    let killed = server.kill_worker(1, Signal::Kill);
    server.wait_replaced(1, killed);
    server.reload().expect_code(0);
    server.stop().expect_code(0);
    let log = read(&file);
    assert!(log.ends_with('\n'));
    for line in log.lines() {
        parts(line);
    }
    for (level, text) in [
        ("INFO", "starts on 127.0.0.1:".to_owned()),
        ("INFO", "all workers serve".to_owned()),
        ("ERROR", format!("worker 1 (pid {killed}) ended with signal 9")),
        ("INFO", "reload: workers replaced: 2".to_owned()),
        ("INFO", "stop: all processes have".to_owned()),
        ("INFO", "all processes have ended".to_owned()),
    ] {
        let found = log.lines().filter(|line| line.contains(&text)).count();
        assert_eq!(found, 1, "{text:?} in\n{log}");
        let line = log.lines().find(|line| line.contains(&text)).expect("counted");
        assert_eq!(parts(line).0, level, "{line}");
    }
    assert_eq!(server.log(), "", "nothing goes to the standard error");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}: for the owner and its group only");
}

#[test]
fn the_level_filters() {
    for (level, present, absent) in [
        ("debug", &["DEBUG", "INFO", "ERROR"][..], &[][..]),
        ("info", &["INFO", "ERROR"], &["DEBUG"]),
        ("warn", &["ERROR"], &["DEBUG", "INFO"]),
        ("error", &["ERROR"], &["DEBUG", "INFO", "WARN"]),
        ("off", &[], &["DEBUG", "INFO", "WARN", "ERROR"]),
    ] {
        let server = Server::start(Setup::default().arg("--log-level").arg(level));
        let killed = server.kill_worker(0, Signal::Kill);
        server.wait_replaced(0, killed);
        server.stop().expect_code(0);
        assert_eq!(server.wait_exit(), 0);
        let last = present.last().copied().unwrap_or_default();
        server.wait_log(last);
        let log = server.log();
        let has = |word: &&str| log.lines().any(|line| parts(line).0 == *word);
        assert!(present.iter().all(has) && !absent.iter().any(has), "{level}:\n{log}");
        assert!(level != "off" || log.is_empty(), "{log}");
    }
}

#[test]
fn a_log_that_was_moved_away_is_opened_again_by_everybody() {
    let server = Server::start(Setup::default().workers(2).arg("--log-file").arg("w.log"));
    let (file, moved) = (server.directory().join("w.log"), server.directory().join("w.log.1"));
    let holders = |name: &Path| {
        let name = name.to_string_lossy().into_owned();
        let holds = |pid: &u32| links(*pid).iter().any(|(_, link)| *link == name);
        server.living().iter().filter(|pid| holds(pid)).count()
    };
    assert_eq!(holders(&file), 3);
    fs::rename(&file, &moved).expect("ours");
    assert_eq!(holders(&moved), 3, "a file that is moved stays in use");
    assert!(send(server.pid(), "RTMIN"));
    eventually("all to have the new file", PATIENCE, || {
        (holders(&file) == 3 && holders(&moved) == 0).then_some(())
    });
    let old = read(&moved);
    server.reload().expect_code(0);
    assert!(read(&file).contains("reload: workers replaced: 2"), "{}", read(&file));
    assert_eq!(read(&moved), old, "nothing is written to the old one any more");
    // Successors have the new one too.
    assert_eq!(holders(&file), 3);
    Client::connect(&server).expect_alive();
}

#[test]
fn what_comes_from_outside_cannot_end_a_line_or_command_a_terminal() {
    const NAME: &str = "a\n2026-01-01T00:00:00.000Z ERROR master: forged\u{1b}[2J\u{202e}.toml";
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join(NAME);
    fs::write(&config, "").expect("any name is a name");
    let server = Server::start(
        Setup::default().arg("-c").arg(config.to_string_lossy()).arg("--log-level").arg("debug"),
    );
    // And whatever a client may say, in whatever place.
    let mut client =
        Client::open_with(server.addr(), "/%20ERROR?a=%1b[2J", &[("User-Agent", "\u{9}x")]);
    client.send_text("{\"action\":\"message\",\"data\":{\"channel\":\"a\\nERROR forged\"}}");
    client.send_text("\u{1b}[2J\nERROR forged");
    raw(server.addr(), b"GET /%0aERROR HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", PATIENCE);
    // What is logged of a stranger's header.
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Origin: https://\u{202e}\u{200f}\u{85}\u{2028}evil\r\n\r\n";
    let refused = raw(server.addr(), upgrade.as_bytes(), PATIENCE);
    assert!(refused.bytes.starts_with(b"HTTP/1.1 403 "), "{refused:?}");
    server.wait_log("server.allowed_origins");
    Api::of(&server).disconnect(1, 3000, "a\nERROR forged\u{1b}").expect_status(404);
    server.reload().expect_code(0);
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    let log = server.log();
    assert!(
        log.contains("2026-01-01T00:00:00.000Z ERROR master: forged\\u{1b}[2J\\u{202e}"),
        "{log}"
    );
    for line in log.lines() {
        parts(line);
        assert!(
            !line.contains(['\u{1b}', '\u{202e}', '\u{200f}', '\u{85}', '\u{2028}', '\r']),
            "{line:?}"
        );
        assert!(!line.starts_with("2026-01-01T00"), "{line:?}");
    }
}

#[test]
fn a_log_file_that_is_none_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    symlink(at("target"), at("link.log")).expect("new");
    fs::create_dir(at("directory.log")).expect("new");
    for path in [at("link.log"), at("directory.log"), "/proc/nowhere/w.log".into()] {
        let path = path.to_string_lossy().into_owned();
        let output = Setup::default().arg("--log-file").arg(&path).start_refused();
        assert!(output.stderr.contains(&path) && output.stderr.contains("log_file"), "{output}");
        output.expect_code(1);
    }
    assert!(!at("target").exists(), "nothing is made through a link");
}

#[test]
fn no_secret_is_in_the_log_or_in_a_title() {
    const KEY: &str = "a-key-that-nobody-may-read-0123456789";
    let server =
        Server::start(Setup::default().workers(2).api_key(KEY).arg("--log-level").arg("debug"));
    let client = Client::connect(&server);
    let api = Api::of(&server);
    api.push_text(client.id(), "x").expect_status(200);
    api.with_key("another-key-that-is-wrong-0123456789")
        .push_text(client.id(), "x")
        .expect_status(401);
    for pid in server.living() {
        assert!(!support::cmdline(pid).contains(KEY));
    }
    assert!(!server.status().to_string().contains(KEY));
    drop(client);
    server.stop().expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    assert!(!server.log().contains(KEY) && !server.stdout().contains(KEY));
}
