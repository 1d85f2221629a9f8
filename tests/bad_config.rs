//! Wrong configurations, told to the real program in every way there is: by file, variable and flag, to every command that
//! reads one, at a start and at a reload.
//!
//! The exact words for wrong files stand in `config_cases/refused.txt`; here they must be what the operator sees, all of
//! them at once, with exit code 2 and nothing started. Secrets are never among what is seen.

#[path = "bad_input/place.rs"]
mod place;
#[path = "bad_config/secrets.rs"]
mod secrets;
mod support;

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use place::Place;
use support::{Client, Output, Server, Setup, Signal};

const FILE: &str = "wsmaster.toml";

/// The refused files and the lines that answer each.
fn refused_files() -> Vec<(String, String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_cases/refused.txt");
    let cases = fs::read_to_string(path).expect("the cases are there");
    let read = cases.split("--- ").skip(1).map(|case| {
        let (title, rest) = case.split_once('\n').expect("a title");
        let (text, lines) = rest.split_once("=>\n").expect("an answer");
        (title.to_owned(), text.to_owned(), lines.to_owned())
    });
    read.collect()
}

/// Nothing but these lines, exit code 2, and no trace of a program that fell over.
#[track_caller]
fn assert_refused(title: &str, output: &Output, lines: &str) {
    assert_eq!(output.stderr.trim_end(), lines.trim_end(), "{title}");
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{title}: {output}");
}

#[test]
fn every_wrong_file_is_refused_by_every_command() {
    let cases = refused_files();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let place = Place::new();
    for (title, text, lines) in &cases {
        place.write(FILE, text);
        let output = place.run(&["config", "check", "-c", FILE]);
        assert_refused(&format!("check: {title}"), &output, lines);
    }
    // The others read it in the same way; some of all kinds will do.
    for (title, text, lines) in cases.iter().step_by(7) {
        place.write(FILE, text);
        for command in [
            &["start", "-c", FILE, "--listen", "127.0.0.1:0"][..],
            &["start", "-c", FILE, "--listen", "127.0.0.1:0", "--daemon"],
            &["restart", "-c", FILE],
            &["config", "show", "-c", FILE],
            &["stop", "-c", FILE],
            &["status", "--json", "-c", FILE],
            &["reload", "-c", FILE],
        ] {
            let output = place.run(command);
            assert_refused(&format!("{command:?}: {title}"), &output, lines);
        }
    }
    assert!(!place.at("wsmaster").exists(), "a refused start has made its directory");
}

#[test]
fn a_server_that_is_told_to_reload_nonsense_goes_on_as_it_was() {
    let server = Server::start(Setup::default().workers(2).config_toml("[limits]\n"));
    let pids = server.worker_pids();
    let mut client = Client::connect(&server);
    let name = server.directory().join(FILE).display().to_string();
    for (title, text, lines) in refused_files() {
        server.rewrite_config(&text);
        let output = server.reload();
        let expected = lines.replace(FILE, &name);
        let expected =
            format!("{}\nnothing was reloaded; the server goes on as it was", expected.trim_end());
        assert_refused(&title, &output, &expected);
    }
    fs::remove_file(&name).expect("it is there");
    let output = server.reload();
    let expected = format!(
        "{name}: cannot be read: no such file or directory\n\
         nothing was reloaded; the server goes on as it was"
    );
    assert_refused("no file", &output, &expected);
    // A signal cannot be answered, so its refusal is in the log.
    server.signal(Signal::Hup);
    server.wait_log("cannot be read: no such file or directory");
    client.expect_alive();
    assert_eq!(server.worker_pids(), pids, "workers were replaced");
    assert_eq!(server.status()["reloads"], 0);

    fs::write(&name, "[limits]\nsubscriptions_max = 1\n").expect("the directory is ours");
    server.reload().expect_code(0);
    client.expect_close(1001);
    let mut client = Client::connect(&server);
    client.subscribe("one");
    client.send_json(&serde_json::json!({"action": "subscribe", "data": {"channel": "two"}}));
    client.expect_reply("error");
}

#[test]
fn files_that_are_none() {
    let long = "# ".repeat(600_000);
    let place = Place::new()
        .file("bytes", b"\x7fELF\x02\x01\x01\0\0\0\0")
        .file("not-utf-8", b"[server]\nhost = \"caf\xe9\"\n")
        .file("long", &long)
        .file("empty", "")
        .file("blank", "\n \n# nothing\r\n")
        .file("marked", "\u{feff}[server]\n");
    fs::create_dir(place.at("directory")).expect("the directory is ours");
    std::os::unix::fs::symlink("loop", place.at("loop")).expect("the directory is ours");
    for (file, lines) in [
        ("missing", "missing: cannot be read: no such file or directory"),
        ("no/such/place", "no/such/place: cannot be read: no such file or directory"),
        ("directory", "directory: cannot be read: is a directory"),
        ("empty/x", "empty/x: cannot be read: not a directory"),
        ("loop", "loop: cannot be read: too many levels of symbolic links"),
        ("/proc/self/mem", "/proc/self/mem: cannot be read: input/output error"),
        ("bytes", "bytes: is not a text file: it has a zero byte at offset 7"),
        ("not-utf-8", "not-utf-8: is not UTF-8: line 2, offset 20"),
        ("long", "long: is larger than 1048576 bytes"),
        // It has no end.
        ("/dev/zero", "/dev/zero: is larger than 1048576 bytes"),
        ("two\nlines\x1b[2J", "two\\nlines\\u{1b}[2J: cannot be read: no such file or directory"),
    ] {
        for command in [["config", "check"], ["config", "show"]] {
            let output = place.run(&[&command[..], &["-c", file]].concat());
            assert_refused(file, &output, lines);
        }
        let output = place.run(&["start", "--listen", "127.0.0.1:0", "-c", file]);
        assert_refused(file, &output, lines);
        if file.starts_with('/') {
            let named = Place::new().variable("WSMASTER_CONFIG", file);
            assert_refused(file, &named.run(&["config", "check"]), lines);
        }
    }
    for file in ["empty", "blank", "marked"] {
        let output = place.run(&["config", "check", "-c", file]).expect_code(0);
        assert_eq!(output.stdout, format!("the configuration is good: {file}\n"));
    }
    // Unless permissions mean nothing to whoever runs the tests.
    let secret = place.at("secret");
    fs::write(&secret, "").expect("the directory is ours");
    let nobody = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    fs::set_permissions(&secret, nobody).expect("the file is ours");
    if fs::read(&secret).is_err() {
        let output = place.run(&["config", "check", "-c", "secret"]);
        assert_refused("secret", &output, "secret: cannot be read: permission denied");
    }
}

#[test]
fn wrong_variables() {
    type Variables = &'static [(&'static str, &'static [u8])];
    let cases: &[(Variables, &str)] = &[
        (
            &[("WSMASTER_SERVER_PORT", b"abc")],
            "environment: WSMASTER_SERVER_PORT: expected an integer from 0 to 65535, found \"abc\"",
        ),
        (
            &[("WSMASTER_SERVER_PORT", b"")],
            "environment: WSMASTER_SERVER_PORT: expected an integer from 0 to 65535, found \"\"",
        ),
        (
            &[("WSMASTER_SERVER_PORT", b"65536")],
            "environment: WSMASTER_SERVER_PORT: expected an integer from 0 to 65535, found \"65536\"",
        ),
        (
            &[("WSMASTER_SERVER_DAEMONIZE", b"yes")],
            "environment: WSMASTER_SERVER_DAEMONIZE: expected true or false, found \"yes\"",
        ),
        (
            &[("WSMASTER_SERVER_PROT", b"1")],
            "environment: WSMASTER_SERVER_PROT: unknown variable; did you mean WSMASTER_SERVER_PORT?",
        ),
        (
            &[("WSMASTER_PORT", b"1")],
            "environment: WSMASTER_PORT: unknown variable; did you mean WSMASTER_SERVER_PORT?",
        ),
        (
            &[("WSMASTER_WORKER_NUM", b"1")],
            "environment: WSMASTER_WORKER_NUM: unknown variable; did you mean WSMASTER_SERVER_WORKERS?",
        ),
        (
            &[("WSMASTER_CONFG", b"x")],
            "environment: WSMASTER_CONFG: unknown variable; did you mean WSMASTER_CONFIG?",
        ),
        (&[("WSMASTER_", b"x")], "environment: WSMASTER_: unknown variable"),
        (&[("WSMASTER_XYZZY_PLUGH", b"x")], "environment: WSMASTER_XYZZY_PLUGH: unknown variable"),
        (&[("WSMASTER_SERVER_PORT", b"\xff")], "environment: WSMASTER_SERVER_PORT: is not UTF-8"),
        (
            &[("WSMASTER_SERVER_PID_FILE", b"a\xffb")],
            "environment: WSMASTER_SERVER_PID_FILE: is not UTF-8",
        ),
        (
            &[("WSMASTER_CONFIG", b"a\xffb")],
            "a\u{fffd}b: cannot be read: no such file or directory",
        ),
        (
            &[("WSMASTER_API_KEY", b"short-and-secret")],
            // Long enough, if only just.
            "",
        ),
        (
            &[("WSMASTER_API_KEY", b"hunter2")],
            "environment: WSMASTER_API_KEY: expected \"\" or a bearer key of 16 to 256 characters \
             out of A-Z a-z 0-9 - . _ ~ + / with = at its end only, found one of 7 characters (not shown)",
        ),
        (
            &[("WSMASTER_API_KEY", b"0123456789abcdef hunter2")],
            "environment: WSMASTER_API_KEY: expected \"\" or a bearer key of 16 to 256 characters \
             out of A-Z a-z 0-9 - . _ ~ + / with = at its end only, found one of 24 characters (not shown)",
        ),
        (
            &[("WSMASTER_LIMITS_MESSAGE_BYTES_MAX", b"2MiB")],
            "environment: limits.outbox_bytes_max: expected at least limits.message_bytes_max + 14 \
             bytes, found 1MiB (default); limits.message_bytes_max is 2MiB \
             (WSMASTER_LIMITS_MESSAGE_BYTES_MAX)",
        ),
        // Others than ours are none of our business.
        (&[("WSMASTERS", b"x"), ("wsmaster_server_port", b"x"), ("OTHER", b"\xff")], ""),
        // An empty name is no file.
        (&[("WSMASTER_CONFIG", b"")], ""),
    ];
    for (variables, lines) in cases {
        let mut place = Place::new();
        for (name, value) in *variables {
            place = place.variable(name, OsStr::from_bytes(value));
        }
        let title = format!("{variables:?}");
        let output = place.run(&["config", "check"]);
        if lines.is_empty() {
            assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{title}: {output}");
            continue;
        }
        assert_refused(&title, &output, lines);
        let output = place.run(&["start", "--listen", "127.0.0.1:0"]);
        assert_refused(&title, &output, lines);
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let place = Place::new()
        .file(FILE, "[server]\nport = \"x\"\nworksrs = 2\n[limits]\nmessage_bytes_max = \"2MiB\"\n")
        .variable("WSMASTER_SERVER_BACKLOG", "0")
        .variable("WSMASTER_LIMITS_NOTHING", "1");
    // The right flag for the wrong port does not make the file right.
    let output =
        place.run(&["start", "-c", FILE, "--listen", "127.0.0.1:0", "--log-level", "debug"]);
    let lines = "\
wsmaster.toml:2:8: server.port: expected an integer from 0 to 65535, found \"x\" (a string)
wsmaster.toml:3:1: server.worksrs: unknown key; did you mean \"workers\"?
wsmaster.toml:5:21: limits.outbox_bytes_max: expected at least limits.message_bytes_max + 14 bytes, \
found 1MiB (default); limits.message_bytes_max is 2MiB (wsmaster.toml:5)
environment: WSMASTER_LIMITS_NOTHING: unknown variable
environment: WSMASTER_SERVER_BACKLOG: expected an integer from 1 to 65535, found \"0\"";
    assert_refused("all at once", &output, lines);

    let many: String = (0..150).map(|number| format!("nothing_{number} = 1\n")).collect();
    place.write(FILE, format!("[channels]\n{many}"));
    let output = place.run(&["config", "check", "-c", FILE]);
    assert_eq!(output.stderr.lines().count(), 101, "{output}");
    assert!(output.stderr.ends_with("... and 52 more\n"), "{output}");
}
