//! What the log is written to, so that no write ever waits: not for a pipe that nobody reads, a terminal that is stopped, a
//! socket whose peer hangs. What is not taken at once is an error, and the line is lost.
//!
//! A stream that this process was started with (the standard error, `/dev/stdout`) is shared with others, the shell above all.
//! `O_NONBLOCK` belongs to what is shared, not to the descriptor, and would be set for them too. So, by what it is:
//!
//! - **a pipe, a FIFO, a terminal** is opened once more by `/proc/self/fd/N`, which makes a description of our own with
//!   `O_NONBLOCK`. Where that is not permitted (a pipe of another user's), `pwritev2(2)` with `RWF_NOWAIT` asks the same for
//!   one write; older kernels know it for no pipe, and there poll(2) is asked first, and at most `PIPE_BUF` bytes are written,
//!   for which a pipe that has room has room enough, unless another writer takes it in between.
//! - **a socket** (the journal's) is sent to with `MSG_DONTWAIT`.
//! - **a file, a device like /dev/null** is written to as it is: a duplicate shares the offset with the others.
//!
//! A log file that the server opens has `O_NONBLOCK` from the start ([`LogPlace`](super::log_file::LogPlace)).

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, send},
};

use super::io_error;

/// See the module.
#[derive(Debug)]
pub struct LogOutput {
    file: File,
    way: Way,
}

/// How it is written to without waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// With write(2): it does not wait by itself.
    Write,
    /// With send(2).
    Send,
    /// With pwritev2(2).
    NoWait,
    /// With write(2), when poll(2) says that there is room.
    Poll,
}

/// The number of the stream that a path stands for: `/dev/stdout`, `/dev/stderr`, `/dev/fd/N`, `/proc/self/fd/N`. `None` for any
/// other path.
pub fn stream_number(path: &Path) -> Option<RawFd> {
    let path = path.to_str()?;
    match path {
        "/dev/stdout" => Some(libc::STDOUT_FILENO),
        "/dev/stderr" => Some(libc::STDERR_FILENO),
        _ => path
            .strip_prefix("/dev/fd/")
            .or_else(|| path.strip_prefix("/proc/self/fd/"))?
            .parse()
            .ok()
            .filter(|number| *number >= 0),
    }
}

impl LogOutput {
    /// A stream that this process was started with.
    ///
    /// # Errors
    /// It was not started with it: nothing has this number, or something that this process has opened itself. Out of
    /// descriptors.
    pub fn stream(number: RawFd) -> io::Result<Self> {
        // SAFETY: the number is looked up in the next call, which fails when it names nothing; it is borrowed for that only,
        // and a duplicate is used from then on.
        let inherited = unsafe { BorrowedFd::borrow_raw(number) };
        let flags = fcntl(inherited, FcntlArg::F_GETFD).map_err(io_error)?;
        if FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC) {
            // Whatever survived the exec that started this process does not have it; all that was opened since does.
            return Err(io_error(Errno::EBADF));
        }
        Self::of(inherited)
    }

    /// What shares its description with this descriptor.
    fn of(shared: BorrowedFd<'_>) -> io::Result<Self> {
        let file = File::from(duplicate(shared)?);
        let kind = file.metadata()?.file_type();
        let again = || {
            OpenOptions::new()
                .append(true)
                .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
                .open(format!("/proc/self/fd/{}", shared.as_raw_fd()))
        };
        if kind.is_socket() {
            return Ok(Self { file, way: Way::Send });
        }
        if !kind.is_fifo() && !file.is_terminal() {
            return Ok(Self { file, way: Way::Write });
        }
        Ok(match again() {
            Ok(file) => Self { file, way: Way::Write },
            Err(_) => Self { file, way: Way::NoWait },
        })
    }

    /// A file that was opened with `O_NONBLOCK`.
    pub fn file(file: File) -> Self {
        Self { file, way: Way::Write }
    }

    /// The file itself.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    fn write_polled(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        poll(&mut polled, PollTimeout::ZERO).map_err(io_error)?;
        let events = polled[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLOUT) && !events.contains(PollFlags::POLLERR) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.write(&bytes[..bytes.len().min(libc::PIPE_BUF)])
    }

    fn write_no_wait(&self, bytes: &[u8]) -> io::Result<usize> {
        let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: one part, which is the slice; the kernel reads it and keeps nothing. An offset of -1 is that of the file.
        let count = unsafe {
            libc::pwritev2(self.file.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT)
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

impl Write for LogOutput {
    /// Writes what is taken at once. `WouldBlock` when that is nothing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Write => self.file.write(bytes),
            Way::Send => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                send(self.file.as_raw_fd(), bytes, flags).map_err(io_error)
            }
            Way::NoWait => match self.write_no_wait(bytes) {
                Err(error) if is_unknown(&error) => {
                    self.way = Way::Poll;
                    self.write_polled(bytes)
                }
                other => other,
            },
            Way::Poll => self.write_polled(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for LogOutput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The kernel does not know the call, or not for a file of this kind.
fn is_unknown(error: &io::Error) -> bool {
    let unknown = [Errno::EOPNOTSUPP, Errno::ENOSYS, Errno::EINVAL, Errno::ESPIPE];
    unknown.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(0)).map_err(io_error)?;
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, time::Instant};

    use super::*;

    /// The end that is read and the one that is written.
    fn pipe() -> (File, OwnedFd) {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        (File::from(reader), writer)
    }

    /// A terminal: the end of whoever shows it, and that of programs.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let (mut shown, mut written) = (-1, -1);
        let none = std::ptr::null_mut();
        // SAFETY: the two numbers are written to, and nothing else is given.
        let made = unsafe {
            libc::openpty(&raw mut shown, &raw mut written, none, none.cast(), none.cast())
        };
        assert_eq!(made, 0);
        let owned = |number| {
            // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
            let end = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl(&end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
            end
        };
        (owned(shown), owned(written))
    }

    /// Writes lines until one is not taken.
    fn fill(output: &mut LogOutput) -> usize {
        let line = [b'x'; 200];
        let begun = Instant::now();
        let mut taken = 0;
        loop {
            match output.write(&line) {
                Ok(count) => taken += count,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                    return taken;
                }
            }
            assert!(begun.elapsed().as_secs() < 30 && taken < 100 << 20, "it never ends");
        }
    }

    fn flags_of(fd: impl AsFd) -> OFlag {
        OFlag::from_bits_truncate(fcntl(fd.as_fd(), FcntlArg::F_GETFL).unwrap())
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for_and_stays_as_it_was_for_others() {
        let (mut reader, writer) = pipe();
        let mut output = LogOutput::of(writer.as_fd()).unwrap();
        assert!(fill(&mut output) > 4096);
        assert!(!flags_of(&writer).contains(OFlag::O_NONBLOCK));
        reader.read_exact(&mut [0; 8192]).unwrap();
        assert_eq!(output.write(b"again").unwrap(), 5);
    }

    #[test]
    fn the_ways_for_a_pipe_that_cannot_be_opened_again_do_not_wait_either() {
        for way in [Way::NoWait, Way::Poll] {
            let (mut reader, writer) = pipe();
            let mut output = LogOutput { file: File::from(writer), way };
            assert!(fill(&mut output) > 4096, "{way:?}");
            reader.read_exact(&mut [0; 8192]).unwrap();
            assert_eq!(output.write(b"again").unwrap(), 5, "{way:?}");
        }
    }

    #[test]
    fn a_socket_is_not_waited_for() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut output = LogOutput::of(ours.as_fd()).unwrap();
        assert!(fill(&mut output) > 4096);
        assert!(!flags_of(&ours).contains(OFlag::O_NONBLOCK));
        theirs.read_exact(&mut [0; 8192]).unwrap();
        drop(theirs);
        assert_eq!(output.write(b"again").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_terminal_that_nobody_looks_at_is_not_waited_for() {
        let (_shown, written) = terminal();
        let mut output = LogOutput::of(written.as_fd()).unwrap();
        assert!(fill(&mut output) > 1000);
        assert!(!flags_of(&written).contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn a_file_goes_on_where_others_have_stopped() {
        let path = std::env::temp_dir().join(format!("wsmaster-output-{}", std::process::id()));
        let mut shared = File::create(&path).unwrap();
        let mut output = LogOutput::of(shared.as_fd()).unwrap();
        shared.write_all(b"one ").unwrap();
        output.write_all(b"two ").unwrap();
        shared.write_all(b"three").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let _ = std::fs::remove_file(&path);
        assert_eq!(text, "one two three");
    }

    #[test]
    fn what_this_process_was_not_started_with_is_no_stream() {
        let own = File::open("/dev/null").unwrap();
        assert!(LogOutput::stream(own.as_raw_fd()).is_err(), "it has opened it itself");
        assert!(LogOutput::stream(9_999).is_err());
    }

    #[test]
    fn some_paths_stand_for_streams() {
        for (path, number) in [
            ("/dev/stdout", Some(1)),
            ("/dev/stderr", Some(2)),
            ("/dev/fd/7", Some(7)),
            ("/proc/self/fd/2", Some(2)),
            ("/dev/fd/-1", None),
            ("/dev/fd/x", None),
            ("/dev/fd/", None),
            ("/dev/null", None),
            ("/var/log/dev/stdout", None),
            ("stdout", None),
        ] {
            assert_eq!(stream_number(Path::new(path)), number, "{path}");
        }
    }
}
