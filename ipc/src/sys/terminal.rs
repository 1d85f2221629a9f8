//! The end of a terminal.

use std::{io, os::fd::BorrowedFd};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};

use super::io_error;

/// Waits until the other end of a terminal is gone: its window was closed, its connection has ended.
///
/// # Errors
/// What poll(2) says.
pub fn wait_for_end(terminal: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        // Hang-ups and errors are told without being asked for (poll(2)).
        match poll(&mut [PollFd::new(terminal, PollFlags::empty())], PollTimeout::NONE) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(io_error(errno)),
        }
    }
}

/// Ends this process as the hang-up of its terminal does (SIGHUP), also where that is ignored or blocked, as below nohup(1).
pub fn end_by_hangup() {
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    let _ = hangup.thread_unblock();
    // SAFETY: "default" runs no code, and raise(3) has no preconditions.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    let _ = nix::sys::signal::raise(Signal::SIGHUP);
}
