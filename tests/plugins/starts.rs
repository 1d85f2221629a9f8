//! A start with a program that cannot come up fails, and says why where it was asked for: on the terminal, in the
//! foreground and in the background, with a log that nobody reads.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use crate::{
    puppet::{shell, table},
    support::{Client, Server, Setup, run},
};

/// Says that it is ready, and waits for the end.
const WELL: &str = r#"read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4; read -r _ <&3"#;

/// The start is refused in the foreground and in the background, with this exit code and these words on the standard error.
#[track_caller]
fn expect_refused(config: &str, code: i32, words: &str) {
    let log = |directory: &Path| directory.join("w.log").display().to_string();
    let place = tempfile::tempdir().expect("a directory");
    for more in [&[][..], &["--daemon"], &["--log-file", &log(place.path())]] {
        let setup = more.iter().fold(Setup::default(), |setup, word| setup.arg(*word));
        let output = setup.config_toml(config).start_refused();
        assert_eq!(output.code, code, "{more:?}: {output}");
        let said = output.stderr.lines().filter(|line| line.contains(words)).count();
        assert!(said >= 1, "{more:?}: {words:?} is not said: {output}");
        assert_eq!(output.stdout, "", "{more:?}");
    }
}

#[test]
fn a_command_that_is_not_there_is_a_wrong_configuration_at_the_start_and_in_the_check() {
    let place = tempfile::tempdir().expect("a directory");
    let plain = place.path().join("plain.sh");
    fs::write(&plain, "#!/bin/sh\n").expect("it is ours");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let table = |lines: &str| format!("[[process]]\nname = \"p\"\n{lines}\n");
    for (lines, words) in [
        (
            "command = \"no-such-program\"".to_owned(),
            "process[0].command: there is no program no-such-program in PATH",
        ),
        (
            "command = \"sh\"\nenv = { PATH = \"/no/such\" }".to_owned(),
            "process[0].command: there is no program sh in PATH (/no/such)",
        ),
        (format!("command = \"{}\"", plain.display()), "process[0].command: "),
        (
            "command = \"sh\"\ncwd = \"/no/such\"".to_owned(),
            "process[0].cwd: /no/such: No such file or directory",
        ),
        (
            "command = \"python3\"\nargs = [\"no-such.py\"]".to_owned(),
            "process[0].args: there is no script no-such.py in ",
        ),
    ] {
        let config = table(&lines);
        expect_refused(&config, 2, words);
        let file = place.path().join("w.toml");
        fs::write(&file, &config).expect("it is ours");
        let file = file.to_str().expect("text");
        let checked = run(&["config", "check", "-c", file]).expect_code(2);
        assert!(checked.stderr.contains(words), "{checked}");
        let doctor = run(&["doctor", "-c", file, "--json"]).expect_code(1);
        assert!(doctor.stdout.contains("\"programs\""), "{doctor}");
    }
}

#[test]
fn a_program_that_ends_before_it_is_ready_is_a_start_that_fails_with_its_last_words() {
    for (script, more, words) in [
        (
            "echo 'starting' >&2; echo 'no database' >&2; exit 3",
            "",
            "the process \"p\" does not come up: it ended with exit code 3 before it was ready, 3 times; its last \
             words: no database",
        ),
        ("kill -9 $$", "", "the process \"p\" does not come up: it ended with exit code 137"),
        // It would be no program of this server.
        (
            "exit 0",
            "",
            "it ended with exit code 0 before it was ready, 3 times; the log may say more",
        ),
        (
            "exit 4",
            "restart = \"never\"",
            "it ended with exit code 4, and is not started again; the log may say more",
        ),
    ] {
        expect_refused(&shell("p", script, more), 1, words);
    }
}

#[test]
fn a_program_that_does_not_say_that_it_is_ready_is_a_start_that_fails() {
    let setup = Setup::default().config_toml(&shell("p", "exec sleep 1000", ""));
    let output = setup.start_refused_within(Duration::from_secs(30)).expect_code(1);
    let words = "the process \"p\" does not come up: not ready within 10s";
    assert!(output.stderr.contains(words), "{output}");
}

#[test]
fn one_that_needs_a_second_attempt_or_a_while_comes_up_and_the_start_waits_for_it() {
    let again = format!("[ -e once ] || {{ touch once; exit 1; }}; sleep 1; {WELL}");
    let config = shell("again", &again, "")
        + &shell("done", "exit 0", "restart = \"never\"")
        + &table("p", "");
    let server = Server::start(Setup::default().config_toml(&config));
    // The banner stands for it.
    let processes = server.status()["processes"].clone();
    assert_eq!(processes[0]["state"], "ready", "{processes}");
    assert_eq!(processes[0]["restarts"], 1, "{processes}");
    assert_eq!(processes[1]["state"], "given_up", "{processes}");
    Client::connect(&server).expect_alive();
    server.stop().expect_code(0);
}

/// From any directory, in a shell.
#[test]
fn the_commands_that_the_banner_names_find_the_server() {
    let server = Server::start(Setup::default().config_toml(&table("p", "")));
    let banner = server.stdout();
    for word in ["status", "reload", "stop"] {
        let command = format!("wsmaster {word} ");
        let line = banner.lines().find_map(|line| line.split_once(&command));
        let (_, flags) = line.unwrap_or_else(|| panic!("no {word}: {banner}"));
        let args: Vec<&str> = std::iter::once(word).chain(flags.split_whitespace()).collect();
        run(&args).expect_code(0);
    }
    assert_eq!(server.wait_exit(), 0);
}
