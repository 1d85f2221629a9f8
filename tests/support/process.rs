//! Processes as the kernel shows them under /proc, and signals to them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Clock ticks of a second in /proc: USER_HZ, which Linux fixes at 100 for programs on every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

/// What a test sends to a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Term,
    Int,
    Hup,
    Kill,
    Stop,
    Cont,
    Usr1,
    Usr2,
    Segv,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Segv => "SEGV",
        }
    }
}

/// Sends `signal` to the process. Whether there was one.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    // The program and not the call: the call is `unsafe`, which nothing outside of one crate may be.
    Command::new("kill")
        .args(["-s", signal.name(), "--", &pid.to_string()])
        .output()
        .expect("kill(1) is needed: package procps or util-linux")
        .status
        .success()
}

/// One process, told from a later one with the same pid by the time of its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    start_ticks: u64,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Stat::of(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    /// Whether it still runs; a zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.runs() && stat.start_ticks == self.start_ticks)
    }
}

/// Whether a process with this pid runs; a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.runs())
}

/// The living children of a process, in the order of their pids.
pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    living()
        .filter(|(_, stat)| stat.parent == pid)
        .map(|(pid, _)| pid)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The living children of a process, their children, and so on.
pub(crate) fn descendants_of(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children_of(parent));
        next += 1;
    }
    found.remove(0);
    found
}

/// The living processes whose working directory is in `directory`, whoever their parent is by now.
pub(crate) fn working_below(directory: &Path) -> Vec<u32> {
    // The kernel shows the name without symbolic links.
    let Ok(directory) = fs::canonicalize(directory) else { return Vec::new() };
    living()
        .map(|(pid, _)| pid)
        .filter(|pid| {
            fs::read_link(entry(*pid, "cwd")).is_ok_and(|cwd| cwd.starts_with(&directory))
        })
        .collect()
}

/// CPU time used so far, in user mode and in the kernel together, in steps of 10 ms; 0 for no process.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    Stat::of(pid).map_or(0, |stat| stat.cpu_ticks * 1000 / TICKS_PER_SECOND)
}

/// Physical memory in use, shared pages included; 0 for no process.
pub(crate) fn rss_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(entry(pid, "status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    kib.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The command line or title, its parts separated by spaces; empty for no process.
pub(crate) fn cmdline(pid: u32) -> String {
    let bytes = fs::read(entry(pid, "cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim_end().to_owned()
}

/// Descriptors open in a process; 0 for no process.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(entry(pid, "fd")).map_or(0, Iterator::count)
}

fn entry(pid: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

fn living() -> impl Iterator<Item = (u32, Stat)> {
    fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .filter(|(_, stat)| stat.runs())
}

/// What /proc/PID/stat says (proc(5)).
struct Stat {
    state: u8,
    parent: u32,
    cpu_ticks: u64,
    start_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(entry(pid, "stat")).ok()?;
        // The second field is the name in parentheses, which may itself contain spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: u32::try_from(number(4)?).ok()?,
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
        })
    }

    /// Not a zombie (Z) and not on its way out (X, x).
    fn runs(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}
