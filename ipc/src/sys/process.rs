//! Processes: fork with a child that never returns, waiting, signalling without hitting a stranger.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid},
};

use serde::{Deserialize, Serialize};

use super::{io_error, reserve, signal};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It returned or called exit(3) with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {number} ({})", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// How many threads this process has (proc(5), task).
///
/// # Errors
/// There is no /proc, or it does not show this process.
pub fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// The pid of this process.
pub fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Forks. The child closes every descriptor but 0, 1, 2 and those in `keep`, takes every signal back to its default
/// and is killed by the kernel when this process dies; then it runs `body` and exits with the code that it returns, or
/// with 101 after a panic. It never returns into the caller's code, and runs none of its destructors.
///
/// The numbers in `keep` must be of descriptors that `body` owns, or that nothing in the child will drop.
///
/// Must be called from the main thread of a process with one thread: the parent-death signal follows the thread that
/// forked, not the process (prctl(2), PR_SET_PDEATHSIG).
///
/// # Errors
/// What fork(2) says: out of processes or of memory.
pub fn fork_child(keep: Vec<RawFd>, body: impl FnOnce() -> i32) -> io::Result<i32> {
    let parent = nix::unistd::getpid();
    // Between the fork and the child's own set-up no handler of the parent may run in the child: it would write into
    // pipes that both share.
    let mask = signal::block_all()?;
    // SAFETY: the process has one thread (the contract above), so the child may allocate and lock as usual.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Parent { child }) => {
            signal::restore(&mask)?;
            Ok(child.as_raw())
        }
        Ok(ForkResult::Child) => {
            let code = catch_unwind(AssertUnwindSafe(|| child_main(parent, keep, body)));
            exit_now(code.unwrap_or(101))
        }
        Err(errno) => {
            signal::restore(&mask)?;
            Err(io_error(errno))
        }
    }
}

fn child_main(parent: Pid, kept: Vec<RawFd>, body: impl FnOnce() -> i32) -> i32 {
    if renew_parent_death_signal(parent.as_raw()).is_err() {
        return 0;
    }
    close_all_but(kept);
    reserve::forget_after_fork();
    if signal::reset_all().is_err() {
        return 101;
    }
    body()
}

/// Ends the process without running destructors or exit handlers: they belong to the parent's image of the world.
fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Asks for SIGKILL when the parent dies. It has to be asked for again after a change of user or group, which clears it
/// (prctl(2)).
///
/// # Errors
/// `NotFound` when the parent, whose pid is `parent`, has died already.
pub fn renew_parent_death_signal(parent: i32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(io_error)?;
    if nix::unistd::getppid().as_raw() == parent {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Asks the kernel not to kill this process when its parent dies. It has to notice by itself, and may clean up first.
///
/// # Errors
/// None that a correct kernel gives.
pub fn outlive_parent() -> io::Result<()> {
    prctl::set_pdeathsig(None).map_err(io_error)
}

/// Closes all descriptors above 2 that are not in the list. Owned types that the parent made for them stay behind as
/// memory that nobody drops: the child never returns into their scopes.
fn close_all_but(mut kept: Vec<RawFd>) {
    kept.retain(|fd| *fd > 2);
    kept.sort_unstable();
    kept.dedup();
    let mut from = 3_u32;
    for fd in kept {
        let fd = fd as u32;
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: only numbers are passed. The descriptors closed belong to no value that this process will drop.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
    debug_assert_eq!(closed, 0);
}

/// Reaps one child that has ended, if any. As pid 1 these are orphans too.
pub fn reap() -> Option<(i32, Ended)> {
    loop {
        return match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => Some((pid.as_raw(), Ended::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                Some((pid.as_raw(), Ended::Signal(signal as i32)))
            }
            Err(Errno::EINTR) => continue,
            Ok(_) | Err(_) => None,
        };
    }
}

/// Kills a child of this process, if it has not ended, and reaps it.
pub fn end_child(pid: i32) {
    if pid <= 1 {
        return;
    }
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    while waitpid(Pid::from_raw(pid), None) == Err(Errno::EINTR) {}
}

/// Asks the kernel to write no core file of this process and to let no other process of its user look into it: what it
/// knows must not be found on a disk. An exec(2) takes it back.
///
/// # Errors
/// None that a correct kernel gives.
pub fn keep_secrets() -> io::Result<()> {
    prctl::set_dumpable(false).map_err(io_error)
}

/// Makes this process the leader of a new process group, whose number is its pid. What it starts belongs to the group
/// unless it leaves it.
///
/// # Errors
/// It is the leader of a session.
pub fn lead_own_group() -> io::Result<()> {
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(io_error)
}

/// Kills whatever is left of the process group of a child.
pub fn kill_group(leader: i32) {
    if leader > 1 {
        let _ = nix::sys::signal::killpg(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

/// Terminates the process group of a child (SIGTERM), this process left out.
pub fn terminate_group(leader: i32) {
    if leader > 1 {
        let _ = nix::sys::signal::killpg(Pid::from_raw(leader), Signal::SIGTERM);
    }
}

/// Makes orphans of this process's descendants its own children (prctl(2), PR_SET_CHILD_SUBREAPER), so that they are
/// reaped also where pid 1 reaps nobody.
///
/// # Errors
/// None that a correct kernel gives.
pub fn adopt_orphans() -> io::Result<()> {
    prctl::set_child_subreaper(true).map_err(io_error)
}

/// A signal for a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kill {
    /// SIGTERM.
    Term,
    /// SIGABRT.
    Abort,
    /// SIGKILL.
    Kill,
}

/// Signals a child of this process that has not been reaped: its pid can belong to nobody else.
pub fn signal_child(pid: i32, how: Kill) {
    let signal = match how {
        Kill::Term => Signal::SIGTERM,
        Kill::Abort => Signal::SIGABRT,
        Kill::Kill => Signal::SIGKILL,
    };
    if pid > 1 {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// A process that is not our child, held so that a signal can never reach another one that got its pid later
/// (pidfd_open(2)).
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
    pid: i32,
}

impl Process {
    /// Holds the process that has this pid now.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: two numbers are passed; a descriptor or -1 comes back.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
                _ => error,
            });
        }
        // SAFETY: the kernel has just made this descriptor (close-on-exec by itself) and nothing else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        Ok(Self { pidfd, pid })
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A descriptor that is readable when it has ended.
    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Sends a signal by number.
    ///
    /// # Errors
    /// `NotFound` when it has ended, `PermissionDenied` when it is another user's.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        // SAFETY: a descriptor that we own and numbers; the null pointer is the documented "no siginfo".
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if sent == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        Err(match error.raw_os_error() {
            Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            _ => error,
        })
    }

    /// Waits until it has ended, `timeout` at the most. Whether it has.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut polled = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(io_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_is_not_found() {
        assert_eq!(Process::open(i32::MAX - 1).unwrap_err().kind(), io::ErrorKind::NotFound);
        let this = Process::open(own_pid()).unwrap();
        this.signal(0).unwrap();
        assert!(!this.wait(Duration::ZERO).unwrap());
    }

    #[test]
    fn an_end_reads_as_a_sentence() {
        assert_eq!(Ended::Code(3).to_string(), "exit code 3");
        assert_eq!(Ended::Signal(9).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(Ended::Signal(77).to_string(), "signal 77");
    }
}
