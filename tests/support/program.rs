//! Running the real program and reading what it says, with a deadline.

use std::{
    ffi::OsStr,
    fmt,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::eventually::in_time;

/// What is kept of each output of a program. A server that says more is not stopped by it.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a command may take, a whole `stop` or `reload` of a server of the tests included.
pub(super) const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// What a command printed and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Output {
    /// The exit code; 128 and the number of the signal when one ended it, as in a shell.
    pub(crate) code: i32,
    /// What it wrote to the standard output.
    pub(crate) stdout: String,
    /// What it wrote to the standard error.
    pub(crate) stderr: String,
}

impl Output {
    /// Fails the test unless the exit code is this one, with the outputs in the message.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// The standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{self}"),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr } = self;
        write!(f, "exit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}---")
    }
}

/// Runs the program without a server, in a directory of its own.
#[track_caller]
pub(crate) fn run<A: AsRef<OsStr>>(args: &[A]) -> Output {
    let directory = tempfile::tempdir().expect("a directory for the test");
    run_to_end(program(directory.path()).args(args), COMMAND_PATIENCE)
}

/// As [`run`], without waiting for its end. Its input is empty.
#[track_caller]
pub(crate) fn begin<A: AsRef<OsStr>>(args: &[A]) -> Running {
    let directory = tempfile::tempdir().expect("a directory for the test");
    Running::start(program(directory.path()).args(args))
}

/// As [`run`], with this standard input.
#[track_caller]
pub(crate) fn run_with_input<A: AsRef<OsStr>>(args: &[A], input: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let mut command = program(directory.path());
    command.args(args);
    let line = format!("{command:?}");
    let launched = Launched::with_input(&mut command, input.to_vec());
    Running { launched, line }.wait()
}

/// A started program whose outputs are read while it runs.
#[derive(Debug)]
pub(super) struct Launched {
    child: Child,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

impl Launched {
    #[track_caller]
    pub(super) fn new(command: &mut Command) -> Self {
        Self::spawn(command, Stdio::null())
    }

    /// It reads this, and then the end of its input.
    #[track_caller]
    fn with_input(command: &mut Command, input: Vec<u8>) -> Self {
        let mut launched = Self::spawn(command, Stdio::piped());
        let mut pipe = launched.child.stdin.take().expect("piped");
        // One that ends before it has read all is judged by its exit code.
        thread::spawn(move || drop(pipe.write_all(&input)));
        launched
    }

    #[track_caller]
    fn spawn(command: &mut Command, input: Stdio) -> Self {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with the tests");
        let stdout = Captured::of(child.stdout.take().expect("piped"));
        let stderr = Captured::of(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    /// The exit code, once it has ended.
    pub(super) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is our child").map(code_of)
    }

    /// Makes sure that it has ended and is out of the process table.
    pub(super) fn reap(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An output that a thread reads to its end.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Captured {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = bytes.clone();
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend_from_slice(&buffer[..length.min(room)]);
            }
        });
        Self { bytes }
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the thread has come to the end of the pipe.
    fn is_whole(&self) -> bool {
        Arc::strong_count(&self.bytes) == 1
    }
}

/// The program in this working directory, without the settings of the environment of the tests.
pub(super) fn program(directory: &Path) -> Command {
    program_through(directory, &[])
}

/// As [`program`], executed by another one that is given the program and its arguments behind its own.
pub(super) fn program_through(directory: &Path, launcher: &[String]) -> Command {
    let own = env!("CARGO_BIN_EXE_wsmaster").to_owned();
    let mut words = launcher.iter().chain([&own]);
    let mut command = Command::new(words.next().expect("at least our own"));
    command.args(words).current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"WSMASTER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
#[track_caller]
pub(super) fn run_to_end(command: &mut Command, within: Duration) -> Output {
    Running::start(command).wait_within(within)
}

/// A command that runs while the test does something else.
#[derive(Debug)]
pub(crate) struct Running {
    launched: Launched,
    line: String,
}

impl Running {
    #[track_caller]
    pub(super) fn start(command: &mut Command) -> Self {
        Self { launched: Launched::new(command), line: format!("{command:?}") }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.launched.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.launched.ended().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Output {
        self.wait_within(COMMAND_PATIENCE)
    }

    #[track_caller]
    fn wait_within(mut self, within: Duration) -> Output {
        let ended = in_time(within, || self.launched.ended());
        if ended.is_none() {
            self.launched.reap();
        }
        let Launched { stdout, stderr, .. } = &self.launched;
        // A process in the background may have inherited the pipes: then their end does not come.
        let is_whole = || (stdout.is_whole() && stderr.is_whole()).then_some(());
        let _ = in_time(Duration::from_millis(500), is_whole);
        let (stdout, stderr) = (stdout.text(), stderr.text());
        match ended {
            Some(code) => Output { code, stdout, stderr },
            None => panic!("not done in {within:?}: {}\n{stdout}\n---\n{stderr}", self.line),
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
