//! What a process was started with, as far as it changes it for itself and what it executes is to have it as it was.

use std::io;

use nix::{
    libc,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, SigmaskHow, pthread_sigmask},
    },
};

use super::{io_error, signal::is_file_size_ignored_by_others};

/// Ignored signals, blocked signals, and the soft limit of descriptors.
///
/// Programs rely on them: one that was started below nohup(1) is not to end with its terminal, and one that uses select(2)
/// is not to get descriptors above 1023.
#[derive(Clone, Copy, Debug)]
pub struct Inheritance {
    /// One bit for each signal, that of signal 1 the lowest.
    ignored: u64,
    blocked: SigSet,
    descriptors: u64,
}

impl Inheritance {
    /// What this process has now. SIGPIPE counts as not ignored: the Rust runtime ignores it before anybody can look.
    ///
    /// # Errors
    /// None that a correct kernel gives.
    pub fn of_this_process() -> io::Result<Self> {
        let mut blocked = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut blocked)).map_err(io_error)?;
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io_error)?;
        let ignored = signals()
            .filter(|signal| *signal != libc::SIGPIPE && is_ignored(*signal))
            .filter(|signal| *signal != libc::SIGXFSZ || is_file_size_ignored_by_others())
            .fold(0, |bits, signal| bits | bit(signal));
        Ok(Self { ignored, blocked, descriptors })
    }

    /// Takes all of it on, in a process that is about to execute a program and has every other signal at its default, but
    /// for SIGPIPE and SIGXFSZ, which this server ignores; std sees to SIGPIPE.
    /// Between fork(2) and execve(2) it may be called: it allocates nothing.
    ///
    /// # Errors
    /// None that a correct kernel gives.
    pub(super) fn take_on(&self) -> io::Result<()> {
        // SAFETY: "default" runs no code.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
        for signal in signals().filter(|signal| self.ignored & bit(*signal) != 0) {
            // SAFETY: "ignore" runs no code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        // The hard limit may have been lowered since.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io_error)?;
        let soft = self.descriptors.min(hard);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(io_error)?;
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.blocked), None).map_err(io_error)
    }
}

fn signals() -> impl Iterator<Item = i32> {
    1..=libc::SIGRTMAX()
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: all zero bytes are a valid sigaction: no handler, no flags, no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, since the new action is null; the old one is written to a place that outlives the call.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
