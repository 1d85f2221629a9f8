//! A log that nobody reads: a pipe, a socket, a FIFO, `/dev/stdout`. It costs lines, and nothing waits for it: not the master,
//! not a worker, not the host of a program that prints without end.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::support::{
    App, Client, Deadline, PATIENCE, Server, Setup, Signal, eventually, in_time, run, signal,
    working_below,
};

/// A program that prints more than any pipe holds.
const CHATTY: &str = "[[process]]\nname = \"chatty\"\ncommand = \"bash\"\nargs = [\"-c\", \"\"\"
echo '{\"do\":\"ready\"}' >&4
text=$(printf 'x%.0s' {1..1000})
for number in {1..100000}; do echo \"$number $text\" >&2; done
cat <&3 >/dev/null\"\"\"]\n";

/// A server in a directory of its own whose log has a reader that does not read.
struct Unread {
    child: Child,
    directory: tempfile::TempDir,
    addr: std::net::SocketAddr,
}

impl Unread {
    /// `arrange` sets the streams of the command up.
    fn start(arrange: impl FnOnce(&mut Command, &Path)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        std::fs::write(at.join("w.toml"), CHATTY).expect("ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsmaster"));
        command.args(["start", "-w", "2", "--app", "echo", "--listen", "127.0.0.1:0"]);
        command.args(["-c", "w.toml", "--pid-file", "w.pid"]).current_dir(at);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        arrange(&mut command, at);
        let child = command.spawn().expect("the program is there");
        drop(command);
        let pid_file = at.join("w.pid").to_string_lossy().into_owned();
        // From here on it is ended with the test, whatever comes.
        let mut server = Self { child, directory, addr: ([127, 0, 0, 1], 0).into() };
        server.addr = eventually("the server to serve", PATIENCE, || {
            let output = run(&["status", "--json", "--pid-file", &pid_file]);
            let status: serde_json::Value = serde_json::from_str(&output.stdout).ok()?;
            let is_up = status["activity"] == "supervising"
                && status["workers"].as_array()?.iter().all(|worker| worker["state"] == "ready");
            is_up.then(|| status["listen"].as_str()?.parse().ok()).flatten()
        });
        server
    }

    fn cli(&self, words: &[&str]) -> super::support::Output {
        let file = self.directory.path().join("w.pid").to_string_lossy().into_owned();
        run(&[words, &["--pid-file", &file]].concat())
    }

    fn lines_lost(&self) -> u64 {
        let status = self.cli(&["status", "--json"]).expect_code(0).json();
        status["log"]["lines_lost"].as_u64().expect("a number")
    }

    /// Everything works although lines are lost; and when somebody reads again, it is said how many were.
    fn expect_undisturbed(mut self, what: &str, reader: impl Read) {
        eventually(format!("{what}: lines to be lost"), PATIENCE, || {
            (self.lines_lost() > 100).then_some(())
        });
        let mut client = Client::open(self.addr, "/");
        client.send_text("hello");
        client.expect_text("hello");
        // The master and each worker have something to say.
        self.cli(&["reload"]).expect_code(0);
        let mut client = Client::open(self.addr, "/");
        client.send_text("hello again");
        client.expect_text("hello again");
        assert!(self.cli(&["status"]).expect_code(0).stdout.contains("of the log lost"), "{what}");

        let deadline = Deadline::after(PATIENCE);
        let mut lines = BufReader::new(reader).lines();
        let told = loop {
            let line = lines.next().expect("more is to come").expect("it can be read");
            if line.contains("lines lost by the log: ") {
                break line;
            }
            assert!(!deadline.has_passed(), "{what}: nothing was told");
        };
        assert!(told.contains("(nobody read them)"), "{what}: {told}");
        // And now nobody reads again.
        self.cli(&["stop"]).expect_code(0);
        let code = eventually(format!("{what}: the end"), PATIENCE, || {
            self.child.try_wait().expect("our child")
        });
        assert_eq!(code.code(), Some(0), "{what}");
        drop(lines);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = in_time(PATIENCE, || {
            let left = working_below(self.directory.path());
            for pid in &left {
                signal(*pid, Signal::Kill);
            }
            left.is_empty().then_some(())
        });
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_nothing_else() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let server = Unread::start(|command, _| {
        command.stderr(writer);
    });
    server.expect_undisturbed("a pipe", reader);
}

#[test]
fn a_server_whose_banner_nobody_reads_serves_and_stops() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let full = "x".repeat(4096);
    let mut filler = writer.try_clone().expect("a descriptor");
    // One page at a time, as long as there is room for one more.
    let room = 16;
    for _ in 0..room {
        filler.write_all(full.as_bytes()).expect("a pipe holds 16 pages");
    }
    let mut server = Unread::start(|command, _| {
        command.stdout(writer).args(["--log-file", "w.log"]);
    });
    let mut client = Client::open(server.addr, "/");
    client.send_text("hello");
    client.expect_text("hello");
    let log = server.directory.path().join("w.log");
    eventually("a word about the banner", PATIENCE, || {
        let log = std::fs::read_to_string(&log).ok()?;
        log.contains("nobody reads the standard output").then_some(())
    });
    server.cli(&["stop"]).expect_code(0);
    let code = eventually("the end", PATIENCE, || server.child.try_wait().expect("our child"));
    assert_eq!(code.code(), Some(0));
    drop(reader);
}

#[test]
fn a_socket_that_nobody_reads_costs_lines_and_nothing_else() {
    let (reader, writer) = UnixStream::pair().expect("two sockets");
    let server = Unread::start(|command, _| {
        command.stderr(OwnedFd::from(writer));
    });
    server.expect_undisturbed("a socket", reader);
}

#[test]
fn a_fifo_that_nobody_reads_costs_lines_and_nothing_else() {
    let mut reader = None;
    let server = Unread::start(|command, directory| {
        let fifo = directory.join("log");
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo(1)");
        assert!(made.success());
        // With both ends, so that the opening does not wait for the server.
        reader = OpenOptions::new().read(true).write(true).open(&fifo).ok();
        command.args(["--log-file", "log"]);
    });
    server.expect_undisturbed("a FIFO", reader.expect("it was opened"));
}

#[test]
fn the_standard_output_can_be_the_log_and_is_not_waited_for_either() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let server = Unread::start(|command, _| {
        command.args(["--log-file", "/dev/stdout"]).stdout(writer);
    });
    server.expect_undisturbed("/dev/stdout", reader);
}

#[test]
fn a_stream_as_the_log_is_what_the_server_was_started_with() {
    let server =
        Server::start(Setup::default().app(App::Echo).arg("--log-file").arg("/dev/stderr"));
    server.wait_log("all workers serve");
    server.reload().expect_code(0);
    server.wait_log("workers replaced: 1");
    assert_eq!(server.status()["log"]["file"], "/dev/stderr");
    let output = server.cli(&["logs", "reopen"]).expect_code(1);
    assert!(output.stderr.contains("a stream that the server was started with"), "{output}");
    // A file behind the stream is written to where it is.
    let directory = tempfile::tempdir().expect("a directory");
    let file = File::create(directory.path().join("out")).expect("ours");
    let (path, server) = (
        directory.path().join("out"),
        Unread::start(|command, _| {
            command.args(["--log-file", "/proc/self/fd/1"]).stdout(file);
        }),
    );
    eventually("the log behind the banner", PATIENCE, || {
        let text = std::fs::read_to_string(&path).ok()?;
        (text.contains("listening") && text.contains("all workers serve")).then_some(())
    });
    server.cli(&["stop"]).expect_code(0);
}

#[test]
fn a_stream_that_cannot_be_the_log_is_refused_with_what_to_do() {
    let output =
        Setup::default().arg("--log-file").arg("/dev/fd/87").start_refused().expect_code(1);
    assert!(output.stderr.contains("/dev/fd/87") && output.stderr.contains("log_file"), "{output}");
    let output = Setup::default()
        .arg("-d")
        .arg("--log-file")
        .arg("/dev/stdout")
        .start_refused()
        .expect_code(2);
    assert!(output.stderr.contains("expected the path of a file"), "{output}");
    assert!(output.stderr.contains("server.daemonize"), "{output}");
}
