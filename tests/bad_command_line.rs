//! Wrong words on the command line of the real program, and the exit code of every command: 0 done, 1 failed at run time,
//! 2 wrong arguments or configuration, 3 not running.
//!
//! What is wrong is said in words on the standard error, never with a backtrace, whatever `RUST_BACKTRACE` says.

#[path = "bad_input/place.rs"]
mod place;
mod support;

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    net::TcpListener,
    os::unix::ffi::OsStrExt,
};

use place::Place;
use support::{Output, PATIENCE, Server, Setup, Signal, eventually};

/// A directory in which a program that falls over would say where.
fn place() -> Place {
    Place::new().variable("RUST_BACKTRACE", "1")
}

/// No word of a program that fell over.
#[track_caller]
fn assert_in_words(title: &str, output: &Output) {
    let text = output.to_string();
    for word in ["panicked", "backtrace", "RUST_BACKTRACE", "unwrap", ".rs:", "Error {", "Err("] {
        assert!(!text.contains(word), "{title}: {word:?} in {output}");
    }
}

#[track_caller]
fn assert_usage(title: &str, output: &Output, parts: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{title}: {output}");
    for part in parts {
        assert!(output.stderr.contains(part), "{title}: no {part:?} in {output}");
    }
    assert_in_words(title, output);
}

#[test]
fn wrong_words_are_refused_with_what_was_expected() {
    let place = place();
    for (line, parts) in [
        ("", &["Usage: wsmaster <COMMAND>", "Exit codes:", "start"][..]),
        ("strat", &["'strat'", "'start'", "--help"]),
        ("START", &["'START'"]),
        ("--wrokers", &["'--wrokers'", "Usage: wsmaster <COMMAND>"]),
        ("-w 4", &["'-w'"]),
        ("--json status", &["'--json'"]),
        ("start --wrokers 4", &["'--wrokers'", "'--workers'"]),
        ("start extra", &["'extra'", "Usage: wsmaster start"]),
        ("start -- extra", &["'extra'"]),
        ("start stop", &["'stop'"]),
        ("start -w", &["a value is required for '--workers <N|auto>'"]),
        ("start -w 0", &["expected \"auto\" or an integer from 1 to 1000, found \"0\""]),
        ("start -w 1001", &["from 1 to 1000, found \"1001\""]),
        ("start -w=-1", &["from 1 to 1000, found \"-1\""]),
        ("start -w 1.5", &["found \"1.5\""]),
        ("start -w 4x", &["found \"4x\""]),
        ("start -w many", &["found \"many\""]),
        ("start -w 99999999999999999999", &["from 1 to 1000"]),
        ("start -w 1 -w 2", &["cannot be used multiple times"]),
        ("start --workers 1 -w 2", &["cannot be used multiple times"]),
        ("start --daemon=yes", &["'yes'", "'--daemon'"]),
        ("start --listen 9501", &["expected HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH"]),
        ("start --listen 127.0.0.1", &["expected HOST:PORT"]),
        ("start --listen ::1:9501", &["in brackets"]),
        ("start --listen [::1:9501", &["in brackets"]),
        ("start --listen 127.0.0.1:99999", &["expected a port from 0 to 65535"]),
        ("start --listen 127.0.0.1:http", &["expected a port", "'127.0.0.1:http'"]),
        (
            "start --listen 127.0.0.1.1:80",
            &["expected an IP address or a host name before the port"],
        ),
        ("start --listen a/b:80", &["expected an IP address or a host name before the port"]),
        (
            "start --app ecko",
            &["\"channels\", \"echo\", \"broadcast\" or \"plugin:NAME\"", "did you mean \"echo\"?"],
        ),
        ("start --log-level loud", &["\"error\", \"warn\"", "found \"loud\""]),
        ("start --log-file /var/log/", &["the path of a file"]),
        ("start --pid-file /run/", &["the path of a file"]),
        ("start --user a:b", &["the name of a user"]),
        ("start --group a:b", &["the name of a group"]),
        ("start --timeout 5s", &["'--timeout'"]),
        ("start --json", &["'--json'"]),
        ("start -c", &["a value is required for '--config <FILE>'"]),
        ("stop -w 4", &["'-w'", "Usage: wsmaster stop"]),
        ("stop 1234", &["'1234'"]),
        ("stop --timeout", &["a value is required for '--timeout <DURATION>'"]),
        ("stop --timeout 10x", &["expected a duration from 100ms to 1h, found \"10x\""]),
        ("stop --timeout 0", &["expected a duration from 100ms to 1h"]),
        ("stop --timeout 2h", &["expected a duration from 100ms to 1h"]),
        ("stop --timeout=-1s", &["expected a duration from 100ms to 1h"]),
        ("stop --force", &["'--force'"]),
        ("restart --json", &["'--json'"]),
        ("restart --timeout soon", &["expected a duration"]),
        ("reload -w 4", &["'-w'"]),
        ("reload --timeout 5s", &["'--timeout'"]),
        ("status --jsno", &["'--jsno'", "'--json'"]),
        ("status --json=yes", &["'yes'"]),
        ("config", &["Usage: wsmaster config <COMMAND>", "check", "show", "default"]),
        ("config chekc", &["'chekc'", "'check'"]),
        ("config default -c x", &["'-c'"]),
        ("config show --json", &["'--json'"]),
        ("completions", &["<SHELL>"]),
        ("completions tcsh", &["'tcsh'", "bash", "fish", "zsh"]),
        ("man 1", &["'1'"]),
        ("help strat", &["'strat'"]),
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        assert_usage(line, &place.run(&args), parts);
    }
}

#[test]
fn words_no_keyboard_has() {
    let place = place();
    let long = "a".repeat(100_000);
    let invalid = OsStr::from_bytes(b"\xff\xfe");
    for args in [
        vec![invalid],
        vec![OsStr::new("start"), invalid],
        vec![OsStr::new("start"), OsStr::new("-w"), invalid],
        vec![OsStr::new("start"), OsStr::new("--listen"), invalid],
        vec![OsStr::new("start"), OsStr::new("-c"), invalid],
        vec![OsStr::new("start"), OsStr::from_bytes(b"--\xff=1")],
        vec![OsStr::new(&long)],
        vec![OsStr::new("start"), OsStr::new("-w"), OsStr::new(&long)],
        vec![OsStr::new("start"), OsStr::new("--listen"), OsStr::new(&long)],
        vec![OsStr::new("config"), OsStr::new("check"), OsStr::new("-c"), OsStr::new("")],
        vec![OsStr::new("start"), OsStr::new("-w"), OsStr::new("")],
        vec![OsStr::new("start"), OsStr::new("-w"), OsStr::new("٤")],
        vec![OsStr::new("")],
        vec![OsStr::new("start"), OsStr::new("")],
    ] {
        let title = format!("{args:?}").chars().take(100).collect::<String>();
        assert_usage(&title, &place.run(&args), &[]);
    }
    let many: Vec<OsString> = (0..5000).map(|number| format!("--x{number}").into()).collect();
    assert_usage("5,000 flags", &place.run(&many), &["'--x0'"]);
}

#[test]
fn help_is_no_mistake() {
    let place = place();
    let version = concat!("wsmaster ", env!("CARGO_PKG_VERSION"), "\n");
    for (line, parts) in [
        (
            "--help",
            &["Usage: wsmaster <COMMAND>", "Examples:", "Exit codes:", "WSMASTER_SERVER_PORT"][..],
        ),
        ("-h", &["Usage: wsmaster <COMMAND>"]),
        ("help", &["Usage: wsmaster <COMMAND>"]),
        ("help start", &["Usage: wsmaster start", "--workers"]),
        (
            "start --help",
            &["--workers", "--listen", "--app", "--daemon", "--pid-file", "--log-level"],
        ),
        ("start -h -w nonsense", &["Usage: wsmaster start"]),
        ("stop --help", &["--timeout", "Exit code 3"]),
        ("restart --help", &["--timeout", "--workers"]),
        ("reload --help", &["--pid-file", "Exit code 3"]),
        ("status --help", &["--json", "Exit code 3"]),
        ("config --help", &["check", "show", "default"]),
        ("config check --help", &["--config", "Exit code 2"]),
        ("completions --help", &["bash"]),
        ("man --help", &["Usage: wsmaster man"]),
        ("--version", &[version]),
        ("-V", &[version]),
        ("completions bash", &["wsmaster", "reload"]),
        ("completions zsh", &["wsmaster", "reload"]),
        ("completions fish", &["wsmaster", "reload"]),
        ("man", &["WSMASTER", "EXIT CODES"]),
        ("config default", &["[server]", "[limits]", "[api]", "[channels]"]),
        ("config show", &["[server]", "# From: built-in defaults"]),
        ("config check", &["the configuration is good: built-in defaults\n"]),
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = place.run(&args);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{line}: {output}");
        for part in parts {
            assert!(output.stdout.contains(part), "{line}: no {part:?} in {output}");
        }
        if line.contains("help") || line.contains("-h") {
            let widest = output.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{line}: {widest:?} columns\n{output}");
        }
    }
}

#[test]
fn what_is_printed_is_what_can_be_read_again() {
    let place = place();
    let text = place.run(&["config", "default"]).expect_code(0).stdout;
    place.write("wsmaster.toml", &text);
    let output = place.run(&["config", "check", "-c", "wsmaster.toml"]).expect_code(0);
    assert_eq!(output.stdout, "the configuration is good: wsmaster.toml\n");
    // Where it went is read by nobody, or there is no room for it.
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    for args in [&["config", "default"][..], &["config", "show"], &["man"]] {
        let output = place.run_to(args, full());
        assert_eq!(output.code, 1, "{args:?}: {output}");
        assert!(output.stderr.contains("cannot be written: No space left"), "{args:?}: {output}");
        assert_in_words("full", &output);
    }
}

#[test]
fn nothing_runs_here() {
    let place =
        place().file("left.pid", "1\n").file("text.pid", "nonsense\n").file("empty.pid", "");
    fs::create_dir(place.at("directory")).expect("the directory is ours");
    for command in ["stop", "reload", "status"] {
        for (pid_file, code, part) in [
            ("no.pid", 3, "not running: there is no pid file no.pid"),
            ("no/such/place.pid", 3, "not running: there is no pid file no/such/place.pid"),
            ("left.pid", 3, "not running: the pid file left.pid was left behind"),
            ("text.pid", 3, "not running: the pid file text.pid was left behind"),
            ("empty.pid", 3, "not running: the pid file empty.pid was left behind"),
            ("directory", 1, "the pid file directory cannot be examined"),
            ("left.pid/x", 1, "the pid file left.pid/x cannot be examined"),
        ] {
            let output = place.run(&[command, "--pid-file", pid_file]);
            let title = format!("{command} {pid_file}");
            assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{title}: {output}");
            assert!(output.stderr.contains(part), "{title}: {output}");
            assert_eq!(output.stderr.lines().count(), 1, "{title}: {output}");
            assert_in_words(&title, &output);
        }
        // Without the flag, the file is where the configuration says.
        place.write("wsmaster.toml", "[server]\npid_file = \"here.pid\"\n");
        let output = place.run(&[command, "-c", "wsmaster.toml"]);
        assert!(output.stderr.contains("here.pid"), "{command}: {output}");
        assert_eq!(output.code, 3, "{command}: {output}");
        // With it, the configuration is not needed, and may be wrong.
        place.write("wsmaster.toml", "nonsense");
        let output = place.run(&[command, "-c", "wsmaster.toml", "--pid-file", "no.pid"]);
        assert_eq!(output.code, 3, "{command}: {output}");
    }
    assert_eq!(fs::read(place.at("left.pid")).ok().as_deref(), Some(&b"1\n"[..]), "it was touched");
}

#[test]
fn starts_that_fail_say_why() {
    let place = place().file("file", "");
    fs::create_dir(place.at("directory")).expect("the directory is ours");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let taken = taken.as_str();
    let free = "127.0.0.1:0";
    for (args, part) in [
        (&["--listen", taken, "--pid-file", "p.pid"][..], "Address already in use"),
        (&["--listen", "192.0.2.1:0", "--pid-file", "p.pid"], "this machine has no such address"),
        (&["--listen", free, "--pid-file", "directory"], "the pid file directory cannot be used"),
        (&["--listen", free, "--pid-file", "file/x"], "the pid file file/x cannot be used"),
        (&["--listen", free, "--pid-file", "/proc/x"], "the pid file /proc/x cannot be used"),
        (
            &["--listen", free, "--log-file", "directory", "--pid-file", "p.pid"],
            "see server.log_file",
        ),
        (
            &["--listen", free, "--log-file", "no/x.log", "--pid-file", "p.pid"],
            "see server.log_file",
        ),
        (
            &["--listen", free, "--user", "nobody-at-all", "--pid-file", "p.pid"],
            "no user \"nobody-at-all\"",
        ),
        (
            &["--listen", free, "--group", "none-at-all", "--pid-file", "p.pid"],
            "no group \"none-at-all\"",
        ),
    ] {
        for background in [false, true] {
            let mut args = [&["start", "-w", "1"][..], args].concat();
            if background {
                args.push("--daemon");
            }
            let output = place.run(&args);
            assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{args:?}: {output}");
            assert!(output.stderr.contains(part), "{args:?}: {output}");
            assert_in_words(&format!("{args:?}"), &output);
            assert!(!place.at("p.pid").exists(), "{args:?}: a pid file is left");
        }
    }
}

#[test]
fn the_exit_codes_of_a_life() {
    let server = Server::start(Setup::default());
    let pid_file = server.pid_file();
    let pid_file = pid_file.to_str().expect("the name is text");
    let place = place();
    for args in [&["status"][..], &["status", "--json"], &["reload"]] {
        server.cli(args).expect_code(0);
    }
    // There is one already.
    let output = place.run(&["start", "--listen", "127.0.0.1:0", "--pid-file", pid_file]);
    assert_eq!(output.code, 1, "{output}");
    let expected = format!("is running already (pid {})", server.pid());
    assert!(output.stderr.contains(&expected), "{output}");
    assert_in_words("a second start", &output);

    // A master that cannot answer is no reason to wait for ever.
    server.signal(Signal::Stop);
    let output = server.cli(&["stop", "--timeout", "300ms"]);
    assert_eq!(output.code, 1, "{output}");
    assert!(output.stderr.contains("is still stopping after 300ms"), "{output}");
    assert_in_words("a stop that takes too long", &output);
    server.signal(Signal::Cont);
    assert_eq!(server.wait_exit(), 0);
    for args in [&["stop"][..], &["reload"], &["status"], &["status", "--json"]] {
        let output = server.cli(args).expect_code(3);
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

#[test]
fn a_restart_needs_nothing_that_runs() {
    let place = place();
    let start = |command: &str| {
        let args = ["-d", "-w", "1", "--listen", "127.0.0.1:0", "--pid-file", "p.pid"];
        place.run(&[&[command][..], &args].concat())
    };
    let pid = || fs::read_to_string(place.at("p.pid")).unwrap_or_default();
    let output = start("restart").expect_code(0);
    assert!(output.stdout.contains("listening"), "{output}");
    let first = pid();
    let output = start("restart").expect_code(0);
    assert_in_words("restart", &output);
    eventually("another master", PATIENCE, || (pid() != first).then_some(()));
    place.run(&["stop", "--pid-file", "p.pid"]).expect_code(0);
    place.run(&["stop", "--pid-file", "p.pid"]).expect_code(3);
}
