//! Output that cannot be written: on a full disk, into a pipe whose reader is gone, and to descriptors that are closed. It
//! ends no server and no command, and the exit code says what was done.

mod support;

use std::{
    fs::OpenOptions,
    path::Path,
    process::{Command, Stdio},
};

use support::{PATIENCE, Signal, eventually, is_alive, signal, working_below};

/// Where the standard output and the standard error of a command lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sink {
    /// Every write fails: no space left on device.
    FullDisk,
    /// Every write fails: broken pipe.
    PipeWithoutReader,
    /// There are no such descriptors.
    Closed,
}

const SINKS: [Sink; 3] = [Sink::FullDisk, Sink::PipeWithoutReader, Sink::Closed];

/// A directory with a configuration, whose processes do not survive the test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let text = "[server]\nworkers = 2\nport = 0\nhost = \"127.0.0.1\"\npid_file = \"w.pid\"\n\
                    log_file = \"w.log\"\n";
        std::fs::write(directory.path().join("wsmaster.toml"), text).expect("it is ours");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, words: &str, sink: Option<Sink>) -> Command {
        let program = env!("CARGO_BIN_EXE_wsmaster");
        let mut command = match sink {
            // The shell closes what this process cannot leave out.
            Some(Sink::Closed) => {
                let mut command = Command::new("sh");
                command.args(["-c", "exec \"$@\" >&- 2>&-", "sh", program]);
                command
            }
            Some(Sink::FullDisk | Sink::PipeWithoutReader) | None => Command::new(program),
        };
        command.args(words.split(' ')).current_dir(self.path()).stdin(Stdio::null());
        let needs_none = ["man", "completions", "client", "--", "config default", "nonsense"];
        if !needs_none.iter().any(|begin| words.starts_with(begin)) {
            command.args(["-c", "wsmaster.toml"]);
        }
        let target = || match sink {
            None | Some(Sink::Closed) => Stdio::null(),
            Some(Sink::FullDisk) => {
                OpenOptions::new().write(true).open("/dev/full").expect("Linux has it").into()
            }
            Some(Sink::PipeWithoutReader) => std::io::pipe().expect("a pipe").1.into(),
        };
        command.stdout(target()).stderr(target());
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    fn run(&self, words: &str, sink: Option<Sink>) -> i32 {
        let mut child = self.command(words, sink).spawn().expect("it is there");
        let ended = eventually(format!("the end of {words} with {sink:?}"), 2 * PATIENCE, || {
            child.try_wait().expect("it is our child")
        });
        ended.code().unwrap_or(-1)
    }

    fn master(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.path().join("w.pid")).ok()?;
        text.trim().parse().ok()
    }

    #[track_caller]
    fn expect_serving(&self, what: &str) {
        eventually(format!("a server that serves after {what}"), 2 * PATIENCE, || {
            (self.run("status", None) == 0).then_some(())
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in working_below(self.path()) {
            signal(pid, Signal::Kill);
        }
        let gone = || working_below(self.path()).is_empty().then_some(());
        let _ = support::in_time(PATIENCE, gone);
    }
}

#[test]
fn commands_do_what_they_are_told_and_say_so_by_their_exit_codes() {
    let place = Place::new();
    for sink in SINKS {
        assert_eq!(place.run("start -d", Some(sink)), 0, "start -d, {sink:?}");
        place.expect_serving("start -d");
        let begun = place.master();
        for words in ["reload", "reload --certificates", "logs reopen"] {
            assert_eq!(place.run(words, Some(sink)), 0, "{words}, {sink:?}");
        }
        assert_eq!(place.run("restart -d", Some(sink)), 0, "restart -d, {sink:?}");
        place.expect_serving("restart -d");
        let (one, other) = (begun.expect("it served"), place.master().expect("it serves"));
        assert!(one != other && !is_alive(one), "{one} and {other}, {sink:?}");
        assert_eq!(place.run("stop", Some(sink)), 0, "stop, {sink:?}");
        assert!(!is_alive(other), "{sink:?}");
        assert_eq!(place.run("stop", Some(sink)), 3, "stop without a server, {sink:?}");
        assert_eq!(place.run("start -d --workers none", Some(sink)), 2, "wrong start, {sink:?}");
    }
}

#[test]
fn a_server_in_the_foreground_serves_on() {
    let place = Place::new();
    for words in ["start", "restart"] {
        for sink in SINKS {
            let mut child = place.command(words, Some(sink)).spawn().expect("it is there");
            place.expect_serving(words);
            // The banner comes after all workers serve; it answers a reload only behind that.
            assert_eq!(place.run("reload", None), 0, "{words}, {sink:?}");
            assert_eq!(child.try_wait().expect("ours"), None, "{words}, {sink:?}");
            assert_eq!(place.run("stop", None), 0, "{words}, {sink:?}");
            let ended = eventually("the end of the server", PATIENCE, || {
                child.try_wait().expect("it is our child")
            });
            assert_eq!(ended.code(), Some(0), "{words}, {sink:?}");
        }
    }
}

#[test]
fn a_log_on_the_standard_error_is_no_reason_to_end_either() {
    let place = Place::new();
    let text = "[server]\nworkers = 2\nport = 0\nhost = \"127.0.0.1\"\npid_file = \"w.pid\"\n";
    std::fs::write(place.path().join("wsmaster.toml"), text).expect("it is ours");
    for sink in SINKS {
        let mut child = place.command("start", Some(sink)).spawn().expect("it is there");
        place.expect_serving("start");
        assert_eq!(place.run("reload", None), 0, "{sink:?}");
        assert_eq!(child.try_wait().expect("ours"), None, "{sink:?}");
        assert_eq!(place.run("stop", None), 0, "{sink:?}");
        let ended = eventually("the end of the server", PATIENCE, || {
            child.try_wait().expect("it is our child")
        });
        assert_eq!(ended.code(), Some(0), "{sink:?}");
    }
}

/// Commands whose output is all that they are for.
#[test]
fn output_that_was_asked_for_and_cannot_be_written_is_a_failure() {
    let place = Place::new();
    assert_eq!(place.run("start -d", None), 0);
    place.expect_serving("start");
    for words in [
        "config default",
        "config show",
        "config check",
        "man",
        "completions bash",
        "status",
        "status --json",
        "status --watch",
        "connections",
        "doctor --json",
        "--help",
        "--version",
    ] {
        assert_eq!(place.run(words, Some(Sink::FullDisk)), 1, "{words}");
    }
    for words in ["config default", "man", "status --watch", "--help"] {
        // Whoever closes a pipe has read enough.
        assert_eq!(place.run(words, Some(Sink::PipeWithoutReader)), 0, "{words}");
    }
    for words in ["config default", "man", "status", "--version"] {
        // Closed descriptors lead to /dev/null by the time that the program runs.
        assert_eq!(place.run(words, Some(Sink::Closed)), 0, "{words}");
    }
    for words in ["top", "client ws://127.0.0.1:1/", "connections --worker 99", "nonsense"] {
        for sink in SINKS {
            let code = place.run(words, Some(sink));
            assert!([1, 2].contains(&code), "{words}, {sink:?}: {code}");
        }
    }
    assert_eq!(place.run("stop", None), 0);
}
