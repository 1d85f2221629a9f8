//! The process of a program, and all that it has started.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use wsmaster_ipc::sys::{
    marked,
    process::{self, Ended, Kill, Process},
};

/// How long the host waits for the end of what it has killed before it ends itself.
const KILLED_TIME: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Child {
    pid: i32,
    process: Process,
    /// The variable of the environment by which what it has started is found.
    mark: String,
}

/// The variable that marks what the program of one host has started: that of the whole run, and the pid of the host.
pub(crate) fn mark_of(run: &str, host: i32) -> String {
    format!("{run}-{host}")
}

impl Child {
    pub(super) fn open(pid: i32, mark: String) -> io::Result<Self> {
        Ok(Self { pid, process: Process::open(pid)?, mark })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.wait(Duration::ZERO).unwrap_or(true)
    }

    /// How it has ended; others that this process has inherited are reaped too.
    pub(super) fn reap(&self) -> Option<Ended> {
        let mut how = None;
        while let Some((pid, ended)) = process::reap() {
            if pid == self.pid {
                how = Some(ended);
            }
        }
        how
    }

    pub(super) fn kill(&self) {
        process::signal_child(self.pid, Kill::Kill);
    }

    /// Kills what carries the mark, which the program itself may still do.
    pub(super) fn kill_descendants(&self) {
        let killed = marked::kill_marked(&self.mark);
        if !killed.is_empty() {
            log::warn!("killed {} processes left behind by the side process", killed.len());
        }
        marked::wait_for_all(&killed, KILLED_TIME);
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}
