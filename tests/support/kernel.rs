//! What the kernel tells of a process beyond its life: its descriptors, its user, its session. And processes of a test's
//! own, which end with it.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::support::{PATIENCE, in_time, working_below};

/// Sends a signal by its name as kill(1) knows it. Whether there was such a process.
pub(crate) fn send(pid: u32, signal: &str) -> bool {
    Command::new("kill")
        .args(["-s", signal, "--", &pid.to_string()])
        .output()
        .expect("kill(1) is needed: package procps or util-linux")
        .status
        .success()
}

/// The line `NAME:` of /proc/PID/status, without the name; empty for no process.
pub(crate) fn status_line(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(entry(pid, "status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// The numbers in a line of /proc/PID/status.
pub(crate) fn status_numbers(pid: u32, name: &str) -> Vec<u32> {
    status_line(pid, name).split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// A field of /proc/PID/stat by its number in proc(5), from 3 on.
pub(crate) fn stat_field(pid: u32, field: usize) -> i64 {
    let stat = fs::read_to_string(entry(pid, "stat")).unwrap_or_default();
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    fields.split_ascii_whitespace().nth(field - 3).and_then(|text| text.parse().ok()).unwrap_or(-1)
}

/// The session of a process.
pub(crate) fn session(pid: u32) -> i64 {
    stat_field(pid, 6)
}

/// The controlling terminal of a process; 0 for none.
pub(crate) fn terminal(pid: u32) -> i64 {
    stat_field(pid, 7)
}

/// What the descriptors of a process lead to, by number: a path, `socket:[123]`, `anon_inode:[eventpoll]`.
pub(crate) fn links(pid: u32) -> Vec<(u32, String)> {
    let entries = fs::read_dir(entry(pid, "fd")).into_iter().flatten().filter_map(Result::ok);
    let mut links: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        })
        .collect();
    links.sort_unstable();
    links
}

/// The sockets of TCP on this machine that listen, as their numbers.
pub(crate) fn listening_sockets() -> BTreeSet<u64> {
    const LISTEN: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| {
            let table = fs::read_to_string(table).unwrap_or_default();
            let sockets = table.lines().skip(1).filter_map(|line| {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                (*fields.get(3)? == LISTEN).then(|| fields.get(9)?.parse().ok()).flatten()
            });
            sockets.collect::<Vec<u64>>()
        })
        .collect()
}

/// The sockets of the machine that stand at this path, as their numbers.
pub(crate) fn sockets_at(path: &Path) -> BTreeSet<u64> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let lines = table.lines().filter(|line| line.ends_with(&path.display().to_string()));
    lines.filter_map(|line| line.split_ascii_whitespace().nth(6)?.parse().ok()).collect()
}

/// The number in `socket:[NUMBER]`.
pub(crate) fn socket_number(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether the test may do what only root may.
pub(crate) fn is_root() -> bool {
    status_numbers(std::process::id(), "Uid").get(1) == Some(&0)
}

fn entry(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

/// A process that has nothing to do with any server, and that nobody may signal.
#[derive(Debug)]
pub(crate) struct Stranger(Child);

impl Stranger {
    /// One that sleeps.
    pub(crate) fn sleeping() -> Self {
        Self::of(Command::new("sleep").arg("600").stdin(Stdio::null()))
    }

    /// One that sleeps and has this file open.
    pub(crate) fn holding(file: &Path) -> Self {
        let file = fs::File::open(file).expect("the file is there");
        Self::of(Command::new("sleep").arg("600").stdin(file))
    }

    fn of(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sleep(1)"))
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Fails the test when something has ended it.
    #[track_caller]
    pub(crate) fn expect_unharmed(&mut self) {
        assert_eq!(self.0.try_wait().expect("it is our child"), None, "a stranger was signalled");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Any program in a directory of its own, with its outputs in files there. All that is left of it is killed at the end.
#[derive(Debug)]
pub(crate) struct Errand {
    child: Child,
    directory: tempfile::TempDir,
}

impl Errand {
    /// Starts what `make` makes of the directory.
    #[track_caller]
    pub(crate) fn start(make: impl FnOnce(&Path) -> Command) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory for the test"), make)
    }

    /// As [`Self::start`], in the directory of an earlier one.
    #[track_caller]
    pub(crate) fn start_in(
        directory: tempfile::TempDir,
        make: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let output = |name| fs::File::create(directory.path().join(name)).expect("it is ours");
        let child = make(directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .spawn()
            .expect("the program is there");
        Self { child, directory }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.directory().join("stdout")).unwrap_or_default()
    }

    /// What it has said on the standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.directory().join("stderr")).unwrap_or_default()
    }

    /// Its exit code, once it has ended; -1 when a signal ended it.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is our child").map(|status| status.code().unwrap_or(-1))
    }

    /// Kills what is left, and hands the directory on.
    pub(crate) fn into_directory(mut self) -> tempfile::TempDir {
        self.clear();
        let fresh = tempfile::tempdir().expect("a directory for the test");
        std::mem::replace(&mut self.directory, fresh)
    }

    fn clear(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let gone = || {
            let left = working_below(self.directory.path());
            left.iter().all(|pid| !send(*pid, "KILL")).then_some(())
        };
        let _ = in_time(PATIENCE, gone);
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- stdout\n{}\n--- stderr\n{}---", self.stdout(), self.stderr());
        }
        self.clear();
    }
}

/// Sets the soft limit of descriptors of a process. It holds for new ones; those that are open stay.
#[track_caller]
pub(crate) fn limit_descriptors(pid: u32, soft: &str) {
    let output = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")])
        .output()
        .expect("prlimit(1) is needed: package util-linux");
    assert!(output.status.success(), "{output:?}");
}
