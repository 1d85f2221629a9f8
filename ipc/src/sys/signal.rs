//! Signals: masks, defaults, and a descriptor that tells a worker of SIGTERM.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal, pthread_sigmask},
    signalfd::{SfdFlags, SignalFd},
};

use super::io_error;

/// The mask of this thread at an earlier moment.
#[derive(Debug)]
pub struct Mask(SigSet);

/// Blocks every signal that can be blocked, and tells what was blocked before.
///
/// # Errors
/// None that a correct kernel gives.
pub fn block_all() -> io::Result<Mask> {
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(io_error)?;
    Ok(Mask(before))
}

/// Takes a mask back.
///
/// # Errors
/// None that a correct kernel gives.
pub fn restore(mask: &Mask) -> io::Result<()> {
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask.0), None).map_err(io_error)
}

/// Every signal's action to its default, but those of SIGPIPE and SIGXFSZ to ignored: a write to a closed pipe, or to a file
/// that may grow no more, is an answer, not a death. The mask is not touched; real-time signals included, since one that kills by default is sent to reopen logs.
pub(super) fn reset_all() -> io::Result<()> {
    for number in 1..=nix::libc::SIGRTMAX() {
        let is_of_writes = number == nix::libc::SIGPIPE || number == nix::libc::SIGXFSZ;
        let action = if is_of_writes { nix::libc::SIG_IGN } else { nix::libc::SIG_DFL };
        // SAFETY: the dispositions set are "ignore" and "default", which run no code. The call fails for SIGKILL,
        // SIGSTOP and the two signals that the C library keeps for itself, which is right.
        unsafe { nix::libc::signal(number, action) };
    }
    Ok(())
}

/// Has writes to closed pipes and sockets, and to files that have the size that this process may give them (RLIMIT_FSIZE), give
/// an error instead of a signal, in this process and its children. What is executed has SIGXFSZ as this process was started
/// with it ([`Inheritance`](super::inheritance::Inheritance)).
pub fn ignore_failed_writes() {
    // SAFETY: "ignore" runs no code.
    unsafe { nix::libc::signal(nix::libc::SIGPIPE, nix::libc::SIG_IGN) };
    // SAFETY: as above. What is returned is compared only.
    let before = unsafe { nix::libc::signal(nix::libc::SIGXFSZ, nix::libc::SIG_IGN) };
    if !IGNORES_FILE_SIZE.swap(true, Ordering::Relaxed) {
        IGNORED_FILE_SIZE_BEFORE.store(before == nix::libc::SIG_IGN, Ordering::Relaxed);
    }
}

/// Whether [`ignore_failed_writes`] has been called, and whether SIGXFSZ was ignored before.
static IGNORES_FILE_SIZE: AtomicBool = AtomicBool::new(false);
static IGNORED_FILE_SIZE_BEFORE: AtomicBool = AtomicBool::new(false);

/// Whether SIGXFSZ is ignored for no other reason than that this process was started so.
pub(super) fn is_file_size_ignored_by_others() -> bool {
    !IGNORES_FILE_SIZE.load(Ordering::Relaxed) || IGNORED_FILE_SIZE_BEFORE.load(Ordering::Relaxed)
}

/// The number of the first real-time signal that programs may use (signal(7)).
pub fn real_time_min() -> i32 {
    nix::libc::SIGRTMIN()
}

/// The numbers of the signals that an operator sends.
pub mod number {
    use nix::libc;

    /// Hang-up: reload.
    pub const HUP: i32 = libc::SIGHUP;
    /// Interrupt from the terminal: stop.
    pub const INT: i32 = libc::SIGINT;
    /// Quit from the terminal: stop.
    pub const QUIT: i32 = libc::SIGQUIT;
    /// Stop.
    pub const TERM: i32 = libc::SIGTERM;
    /// Reload.
    pub const USR1: i32 = libc::SIGUSR1;
    /// Reload of side processes.
    pub const USR2: i32 = libc::SIGUSR2;
    /// A child has changed its state.
    pub const CHLD: i32 = libc::SIGCHLD;
}

/// A descriptor that is readable when SIGTERM has come to this process (signalfd(2)).
#[derive(Debug)]
pub struct TermSignal {
    fd: SignalFd,
}

impl TermSignal {
    /// Keeps every signal blocked in this thread and makes SIGTERM readable. What an operator sends to the whole process
    /// group (the terminal's INT and QUIT, HUP, USR1, USR2) is the master's to act on, and stays blocked here.
    ///
    /// Faults of the program itself (SEGV, ABRT, BUS, FPE, ILL) and CPU limits keep their deadly default.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Self> {
        let mut term = SigSet::empty();
        term.add(Signal::SIGTERM);
        let fd = SignalFd::with_flags(&term, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(io_error)?;
        let mut blocked = SigSet::all();
        for fault in [
            Signal::SIGSEGV,
            Signal::SIGABRT,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGTRAP,
            Signal::SIGSYS,
            Signal::SIGXCPU,
        ] {
            blocked.remove(fault);
        }
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None).map_err(io_error)?;
        Ok(Self { fd })
    }

    /// Whether SIGTERM has come since the last call.
    pub fn take(&mut self) -> bool {
        matches!(self.fd.read_signal(), Ok(Some(_)))
    }
}

impl AsFd for TermSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
