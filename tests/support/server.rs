//! The real program, started in a directory of its own and gone without a trace at the end of the test.
//!
//! When a test fails, what the server said is printed. When it succeeds, it fails after all if a process is left.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsStr,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    eventually::{PATIENCE, eventually, in_time},
    process::{self, Process, Signal},
    program::{COMMAND_PATIENCE, Launched, Output, Running, program},
    setup::{CONFIG_FILE, PID_FILE, Setup},
};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    directory: tempfile::TempDir,
    launched: RefCell<Launched>,
    master: Process,
    addr: SocketAddr,
    api_key: Option<String>,
    /// Every process of the server that was ever seen, so that none is forgotten whose parent has died.
    seen: RefCell<BTreeSet<Process>>,
}

impl Server {
    /// Starts a server and waits until all of its workers are ready.
    #[track_caller]
    pub(crate) fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let mut launched = Launched::new(&mut setup.command(directory.path()));
        let (master, addr) = until_listening(&mut launched, directory.path());
        let told = setup.told_api_key().map(str::to_owned);
        let api_key = told.or_else(|| bearer_key(&launched.stdout.text()));
        let server = Self {
            directory,
            launched: RefCell::new(launched),
            master,
            addr,
            api_key,
            seen: RefCell::default(),
        };
        server.look_around();
        server
    }

    /// The address it listens on.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The key of its HTTP interface: the one of [`Setup::api_key`], or the one on the banner.
    #[track_caller]
    pub(crate) fn api_key(&self) -> String {
        let Some(key) = &self.api_key else {
            panic!("no key was set with Setup::api_key and none is on the banner\n{self}")
        };
        key.clone()
    }

    /// The master's pid, which a reload and an upgrade keep.
    pub(crate) fn pid(&self) -> u32 {
        self.master.pid
    }

    /// The pids of the workers that are current, in the order of their slots.
    #[track_caller]
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        let status = self.status();
        workers(&status).iter().map(pid_of).collect()
    }

    /// The pid of the worker in a slot.
    #[track_caller]
    pub(crate) fn worker_pid(&self, slot: u16) -> u32 {
        let status = self.status();
        let worker = workers(&status).iter().find(|worker| worker["slot"] == slot);
        worker.map_or_else(|| panic!("no slot {slot} in {status}"), pid_of)
    }

    /// What `status --json` says.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.cli(&["status", "--json"]).expect_code(0).json()
    }

    /// Asks for the status until it is as wanted, and returns it. `what` completes "waited for ...".
    #[track_caller]
    pub(crate) fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut last = None;
        let found = in_time(within, || {
            let output = self.cli(&["status", "--json"]);
            // A server in the middle of something may be unable to answer; its next answer counts.
            let status = serde_json::from_str(&output.stdout).ok();
            last = Some(output);
            status.filter(&mut wanted)
        });
        match (found, last) {
            (Some(status), _) => status,
            (None, Some(last)) => panic!("waited {within:?} for {what}; last status: {last}"),
            (None, None) => panic!("waited {within:?} for {what}"),
        }
    }

    /// Waits until every slot has a worker that is ready and nothing else goes on.
    #[track_caller]
    pub(crate) fn wait_ready(&self) -> Value {
        self.wait_until("all workers to be ready", PATIENCE, |status| {
            status["activity"] == "supervising"
                && workers(status).iter().all(|worker| worker["state"] == "ready")
        })
    }

    /// Waits until the worker in `slot` is another process than `pid`, and ready. Returns its pid.
    #[track_caller]
    pub(crate) fn wait_replaced(&self, slot: u16, pid: u32) -> u32 {
        let is_new = |worker: &Value| {
            worker["slot"] == slot && worker["state"] == "ready" && worker["pid"] != pid
        };
        let what = format!("a successor of worker {slot} with pid {pid}");
        let status = self.wait_until(&what, PATIENCE, |status| workers(status).iter().any(is_new));
        workers(&status).iter().find(|worker| is_new(worker)).map(pid_of).expect("just seen")
    }

    /// Sends a signal to the worker in a slot. Returns its pid.
    #[track_caller]
    pub(crate) fn kill_worker(&self, slot: u16, signal: Signal) -> u32 {
        let pid = self.worker_pid(slot);
        assert!(process::signal(pid, signal), "worker {slot} with pid {pid} is gone");
        pid
    }

    /// Sends a signal to the master.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(process::signal(self.pid(), signal), "the master is gone");
    }

    /// Runs `wsmaster reload`. With clients connected, see [`Self::cli_begin`].
    #[track_caller]
    pub(crate) fn reload(&self) -> Output {
        self.cli(&["reload"])
    }

    /// Runs `wsmaster stop` with the timeout of the configuration. With clients connected, see [`Self::cli_begin`].
    #[track_caller]
    pub(crate) fn stop(&self) -> Output {
        self.cli(&["stop"])
    }

    /// Runs a command about this server: the flag with its PID file is added.
    #[track_caller]
    pub(crate) fn cli<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        self.cli_begin(args).wait()
    }

    /// As [`Self::cli`], without waiting for its end. A `stop` or `reload` may last until clients have answered that the
    /// same thread drives.
    #[track_caller]
    pub(crate) fn cli_begin<A: AsRef<OsStr>>(&self, args: &[A]) -> Running {
        self.look_around();
        let mut command = program(self.directory.path());
        command.args(args).arg("--pid-file").arg(self.pid_file());
        Running::start(&mut command)
    }

    /// Waits until the master has ended, and returns its exit code as [`Output::code`] has it. Only for a server in the
    /// foreground.
    #[track_caller]
    pub(crate) fn wait_exit(&self) -> i32 {
        eventually("the master's end", COMMAND_PATIENCE, || self.launched.borrow_mut().ended())
    }

    /// The directory of the server, which is also the working directory of all its processes.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its PID file.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.directory.path().join(PID_FILE)
    }

    /// Replaces the file of configuration, which the server must have been started with.
    #[track_caller]
    pub(crate) fn rewrite_config(&self, text: &str) {
        let file = self.directory.path().join(CONFIG_FILE);
        assert!(file.exists(), "the server was started without Setup::config_toml");
        fs::write(file, text).expect("the directory is ours");
    }

    /// What it has printed so far: the banner.
    pub(crate) fn stdout(&self) -> String {
        self.launched.borrow().stdout.text()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.launched.borrow().stderr.text()
    }

    /// Waits until the log contains this text.
    #[track_caller]
    pub(crate) fn wait_log(&self, text: &str) {
        eventually(format!("{text:?} in the log"), PATIENCE, || {
            self.log().contains(text).then_some(())
        });
    }

    /// Every process of the server that lives, the master among them.
    pub(crate) fn living(&self) -> Vec<u32> {
        self.look_around();
        let seen = self.seen.borrow();
        seen.iter().filter(|process| process.is_alive()).map(|process| process.pid).collect()
    }

    /// Remembers the processes that belong to the server now.
    fn look_around(&self) {
        let mut pids = process::working_below(self.directory.path());
        // The pid of a dead master may be that of somebody else by now.
        if self.master.is_alive() {
            pids.extend(process::descendants_of(self.pid()));
        }
        let mut seen = self.seen.borrow_mut();
        seen.insert(self.master);
        seen.extend(pids.into_iter().filter_map(Process::of));
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, stdout, log) = (self.pid(), self.stdout(), self.log());
        write!(f, "--- server {pid}, stdout\n{stdout}\n--- server {pid}, log\n{log}---")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let failing = thread::panicking();
        if failing {
            eprintln!("{self}");
        }
        self.look_around();
        if !failing && self.master.is_alive() {
            process::signal(self.pid(), Signal::Term);
        }
        let all_gone = || self.living().is_empty().then_some(());
        let patience = if failing { Duration::ZERO } else { PATIENCE };
        let mut left = Vec::new();
        if in_time(patience, all_gone).is_none() {
            left.extend(self.living().into_iter().map(|pid| (pid, process::cmdline(pid))));
            // What a dying master forks in the meantime is found by the next look.
            let _ = in_time(PATIENCE, || {
                for pid in self.living() {
                    process::signal(pid, Signal::Kill);
                }
                all_gone()
            });
        }
        self.launched.borrow_mut().reap();
        assert!(failing || left.is_empty(), "processes were left: {left:?}\n{self}");
    }
}

/// Waits for the banner of a server and finds its master, which is another process than the one that was started
/// when the server runs in the background.
#[track_caller]
fn until_listening(launched: &mut Launched, directory: &Path) -> (Process, SocketAddr) {
    let up = in_time(PATIENCE, || {
        // First the end and then the outputs, which are whole by then.
        let ended = launched.ended().filter(|code| *code != 0);
        let master = pid_in(&directory.join(PID_FILE)).and_then(Process::of);
        match (listening(&launched.stdout.text()), master, ended) {
            (_, _, Some(code)) => Some(Err(format!("it ended with exit code {code}"))),
            (Some(addr), Some(master), None) => Some(Ok((master, addr))),
            (None, _, None) | (_, None, None) => None,
        }
    });
    let problem = match up {
        Some(Ok((master, addr))) => return (master, addr),
        Some(Err(problem)) => problem,
        None => format!("no banner and PID file within {PATIENCE:?}"),
    };
    for pid in process::working_below(directory) {
        process::signal(pid, Signal::Kill);
    }
    launched.reap();
    let (stdout, stderr) = (launched.stdout.text(), launched.stderr.text());
    panic!("the server is not up: {problem}\n--- stdout\n{stdout}\n--- log\n{stderr}---");
}

/// The address on the line `listening http://ADDRESS/ ...`, or `https://`, of a banner.
fn listening(banner: &str) -> Option<SocketAddr> {
    let line = banner.lines().find(|line| line.trim_start().starts_with("listening"))?;
    let (_, rest) = line.split_once("://")?;
    rest.split_once('/')?.0.parse().ok()
}

/// The key in `Authorization: Bearer KEY` on a banner.
fn bearer_key(banner: &str) -> Option<String> {
    let (_, rest) = banner.split_once("Bearer ")?;
    let key = rest.split(['\'', '"', ' ', '\n']).next()?;
    (!key.is_empty() && !key.starts_with('$')).then(|| key.to_owned())
}

fn pid_in(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.split_whitespace().next()?.parse().ok()
}

#[track_caller]
fn workers(status: &Value) -> &[Value] {
    match status["workers"].as_array() {
        Some(workers) => workers,
        None => panic!("no workers in {status}"),
    }
}

#[track_caller]
fn pid_of(worker: &Value) -> u32 {
    match worker["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
        Some(pid) => pid,
        None => panic!("no pid in {worker}"),
    }
}
