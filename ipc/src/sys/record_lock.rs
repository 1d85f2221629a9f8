//! A lock that a process holds for a few system calls, and that the kernel releases when the process dies (fcntl(2),
//! "advisory record locking").
//!
//! It belongs to the process and to the file behind the descriptor, a socket for example. All descriptors of the same file
//! are equal to it, those of other processes too, so a descriptor that came by fork(2) will do; a child does not inherit
//! the lock. It is lost when the process closes any descriptor of the file: nobody closes one while it is held. Two threads
//! of one process do not lock each other out.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// The lock, until it is dropped.
#[derive(Debug)]
pub struct RecordLock<'f> {
    file: BorrowedFd<'f>,
}

impl<'f> RecordLock<'f> {
    /// Takes the lock, and waits while another process holds it. `file` has to be open for writing.
    ///
    /// # Errors
    /// What fcntl(2) says: the kernel has no room for locks.
    pub fn take(file: BorrowedFd<'f>) -> io::Result<Self> {
        let lock = of_kind(libc::F_WRLCK);
        loop {
            return match fcntl(file, FcntlArg::F_SETLKW(&lock)) {
                Ok(_) => Ok(Self { file }),
                Err(Errno::EINTR) => continue,
                Err(errno) => Err(super::io_error(errno)),
            };
        }
    }
}

impl Drop for RecordLock<'_> {
    fn drop(&mut self) {
        if let Err(errno) = fcntl(self.file, FcntlArg::F_SETLK(&of_kind(libc::F_UNLCK))) {
            log::error!(
                "the lock of descriptor {} was not released: {errno}",
                self.file.as_raw_fd()
            );
        }
    }
}

/// A lock, or the end of one, on all of a file.
fn of_kind(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
