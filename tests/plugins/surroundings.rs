//! What a program finds around itself: its variables, arguments, directory, user and descriptors, and a log.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::{
    puppet::{Puppet, shell, wait_process},
    support::{PATIENCE, Server, Setup, Signal, children_of, eventually},
};

/// Says that it is ready, and waits for the end of events or for `stop`.
const WAITS: &str = r#"read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4; read -r _ <&3"#;

fn proc_of(pid: u32, entry: &str) -> Vec<u8> {
    fs::read(Path::new("/proc").join(pid.to_string()).join(entry)).expect("it lives, and is ours")
}

fn environment(pid: u32) -> BTreeMap<String, String> {
    let text = String::from_utf8(proc_of(pid, "environ")).expect("text");
    let pairs = text.split('\0').filter_map(|variable| variable.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn am_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("coreutils");
    id.stdout == b"0\n"
}

#[test]
fn it_has_its_own_variables_and_those_of_the_server_but_no_secret() {
    let secret = "a-secret-key-of-a-test";
    let config =
        shell("p", WAITS, "instances = 2\nenv = { COLOUR = \"blue\", PLAIN = \"overridden\" }");
    let setup = Setup::default().config_toml(&config).api_key(secret);
    let setup = setup.env("PLAIN", "of the server").env("INHERITED", "also");
    let server = Server::start(setup);
    let puppet = Puppet::instance(&server, "p", 1);
    let variables = environment(puppet.pid());
    let expected = [
        ("WSMASTER_PLUGIN_NAME", "p"),
        ("WSMASTER_PLUGIN_INSTANCE", "1"),
        ("WSMASTER_PLUGIN_EVENTS_FD", "3"),
        ("WSMASTER_PLUGIN_COMMANDS_FD", "4"),
        ("WSMASTER_PLUGIN_PROTOCOL", "1"),
        ("COLOUR", "blue"),
        ("PLAIN", "overridden"),
        ("INHERITED", "also"),
    ];
    for (name, value) in expected {
        assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}: {variables:?}");
    }
    let of_the_server =
        |name: &&String| name.starts_with("WSMASTER_") && !name.starts_with("WSMASTER_PLUGIN_");
    assert_eq!(variables.keys().find(of_the_server), None);
    assert!(variables.values().all(|value| !value.contains(secret)), "{variables:?}");
}

#[test]
fn it_has_five_descriptors_and_no_blocked_signal() {
    // A shell has descriptors of its own; what it becomes has those that it was given.
    let waits = format!("{}; exec sleep 1000", WAITS.replace("; read -r _ <&3", ""));
    let config = shell("p", &waits, "")
        + &shell(
            "std",
            "read -r _; printf '{\"do\":\"ready\",\"protocol\":1}\\n'; exec sleep 1000",
            "stdio = true",
        );
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    for (name, expected) in [("p", &["0", "1", "2", "3", "4"][..]), ("std", &["0", "1", "2"])] {
        let pid = Puppet::of(&server, name).pid();
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
        let names = entries.map(|entry| entry.expect("as before").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a number")).collect();
        names.sort();
        assert_eq!(names, expected, "{name}");
        let target = |fd: &str| fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("it is open");
        for fd in expected {
            let is_pipe = target(fd).to_string_lossy().starts_with("pipe:");
            assert_eq!(is_pipe, *fd != "0" || name == "std", "{name} {fd}: {:?}", target(fd));
        }
        let status = String::from_utf8(proc_of(pid, "status")).expect("text");
        assert!(status.contains("SigBlk:\t0000000000000000"), "{status}");
    }
}

#[test]
fn it_has_its_arguments_as_they_are_and_its_directory() {
    let cwd = tempfile::tempdir().expect("a directory for the test");
    let path = cwd.path().display();
    let config = format!(
        "[[process]]\nname = \"p\"\ncommand = \"bash\"\nargs = ['-c', '''{WAITS}''', 'zero', '$HOME', 'a b', '*']\ncwd = \"{path}\"\n"
    );
    let server = Server::start(Setup::default().config_toml(&config));
    let pid = Puppet::of(&server, "p").pid();
    let line = String::from_utf8(proc_of(pid, "cmdline")).expect("text");
    let args: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
    assert_eq!(args, ["bash", "-c", WAITS, "zero", "$HOME", "a b", "*"]);
    let link = fs::read_link(format!("/proc/{pid}/cwd")).expect("it lives");
    assert_eq!(link, fs::canonicalize(cwd.path()).expect("it is there"));
}

#[test]
fn a_program_of_another_user_runs_as_that_and_has_no_groups_of_root() {
    if !am_root() {
        return;
    }
    let config = shell("p", WAITS, "user = \"nobody\"\ncwd = \"/\"");
    let server = Server::start(Setup::default().config_toml(&config));
    let pid = Puppet::of(&server, "p").pid();
    let status = String::from_utf8(proc_of(pid, "status")).expect("text");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(field("Uid:").iter().all(|id| *id == field("Uid:")[0] && id != "0"), "{status}");
    assert!(field("Gid:").iter().all(|id| id != "0"), "{status}");
    assert!(field("Groups:").iter().all(|id| id != "0"), "{status}");
    assert_eq!(field("CapEff:"), ["0000000000000000"], "{status}");
    // What root's server has started is root's to end.
    server.stop().expect_code(0);
}

#[test]
fn what_it_prints_is_in_the_log_line_by_line_with_its_name_and_nothing_that_a_terminal_obeys() {
    let script = format!(
        "echo 'to stdout'; echo 'to stderr' >&2; printf 'red \\033[31m bell \\a\\n'; {WAITS}; printf 'no end of line' >&2"
    );
    let server = Server::start(Setup::default().config_toml(&shell("p", &script, "")));
    Puppet::of(&server, "p");
    server.wait_log("INFO  p: to stdout\n");
    server.wait_log("WARN  p: to stderr\n");
    server.wait_log("red \\u{1b}[31m bell \\u{7}");
    server.stop().expect_code(0);
    server.wait_log("WARN  p: no end of line\n");
}

#[test]
fn status_shows_every_instance_with_its_host() {
    let config = shell("p", WAITS, "instances = 3") + &shell("q", WAITS, "");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    for name in ["p/0", "p/1", "p/2", "q"] {
        let process = wait_process(&server, name, |process| process["state"] == "ready");
        assert!(process["pid"].as_u64() > Some(1), "{process}");
        assert_eq!(process["restarts"], 0, "{process}");
        assert!(process["rss_bytes"].as_u64() > Some(0), "{process}");
        // The host, and what it hosts, which is what people want to see.
        let host = process["pid"].as_u64().expect("a pid") as u32;
        let program = process["program_pid"].as_u64().expect("a pid");
        assert_eq!(children_of(host), [program as u32], "{process}");
        let memory = ["program_rss_bytes", "program_own_bytes"].map(|name| process[name].as_u64());
        assert!(memory.iter().all(|bytes| *bytes > Some(0)), "{process}");
        assert!(process["program_cpu_ms"].is_u64(), "{process}");
        let shown = server.cli(&["status"]).expect_code(0).stdout;
        let line = shown.lines().find(|line| line.split(' ').next() == Some(name));
        let line: Vec<&str> = line.expect("a line").split_whitespace().collect();
        assert_eq!(line[1], program.to_string(), "{shown}");
    }
    assert_eq!(server.worker_pids().len(), 2, "they are no workers");
    eventually("all of them for people", PATIENCE, || {
        let text = server.cli(&["status"]).expect_code(0).stdout;
        let has = |name: &str| text.lines().any(|line| line.split(' ').next() == Some(name));
        ["p/0", "p/1", "p/2", "q"].into_iter().all(has).then_some(())
    });
}

#[test]
fn it_is_started_with_the_signals_and_the_limits_that_the_server_was_started_with() {
    // What it is itself, and not its shell, which may have changed something.
    let waits = format!("{}; exec sleep 1000", WAITS.replace("; read -r _ <&3", ""));
    let config = shell("p", &waits, "");
    let launcher = [
        "bash",
        "-c",
        "trap '' HUP USR1; ulimit -S -n 300; exec \"$@\"",
        "bash",
        "nohup",
        "env",
        "NOTIFY_SOCKET=@no-such-socket",
        "WATCHDOG_USEC=30000000",
        "LISTEN_FDNAMES=a",
        "LISTEN_ADDRESS=kept",
    ];
    let server = Server::start(Setup::default().config_toml(&config).through(&launcher));
    let pid = Puppet::of(&server, "p").pid();
    let status = |pid| String::from_utf8(proc_of(pid, "status")).expect("text");
    let bits = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        // Signals 32 and 33 are the C library's own, and no matter of ours.
        u64::from_str_radix(line.trim(), 16).expect("bits") & !(0b11 << 31)
    };
    let (hup, usr1, pipe) = (1 << 0, 1 << 9, 1 << 12);
    // A shell that starts a test in the background has it ignore INT and QUIT. PIPE is this process's alone: Rust ignores it,
    // and not for its children.
    let before = bits(&status(std::process::id()), "SigIgn:") & !pipe;
    let status = status(pid);
    let found = (bits(&status, "SigIgn:"), bits(&status, "SigBlk:"));
    assert_eq!(found, (before | hup | usr1, 0), "{status}");
    let soft = |pid: u32| {
        let limits = String::from_utf8(proc_of(pid, "limits")).expect("text");
        let line = limits.lines().find(|line| line.starts_with("Max open files"));
        let words = line.expect("it is there").split_whitespace();
        words.skip(3).map(|word| word.parse().unwrap_or(u64::MAX)).collect::<Vec<u64>>()
    };
    let (own, of_the_server) = (soft(pid), soft(server.pid()));
    assert_eq!(own[0], 300);
    assert!(of_the_server[0] > 300 && of_the_server[1] == own[1], "{of_the_server:?} {own:?}");
    let variables = environment(pid);
    let hidden = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDNAMES"];
    assert!(hidden.iter().all(|name| !variables.contains_key(*name)), "{variables:?}");
    assert_eq!(variables.get("LISTEN_ADDRESS").map(String::as_str), Some("kept"));
    // Hang-ups concern the server, which was started to act on them.
    server.signal(Signal::Term);
    assert_eq!(server.wait_exit(), 0);
}
