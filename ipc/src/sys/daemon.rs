//! Leaving the terminal: the process that the shell started waits until its grandchild serves, and passes on its verdict.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
};

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use super::io_error;

/// What the process that the shell started learns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The daemon serves; this is what it wants the user to read.
    Serving(String),
    /// It did not come up and has printed why: exit with this code.
    Failed(i32),
    /// It ended before it served and has printed nothing: it was killed.
    Died,
}

/// Which side of [`detach`] this is.
#[derive(Debug)]
pub enum Side {
    /// The process that the shell started.
    Shell(Verdict),
    /// The daemon, in a session of its own, no longer its leader.
    Daemon(Promise),
}

/// The daemon's word to the shell. Dropped without a word, it tells that the daemon died.
#[derive(Debug)]
pub struct Promise {
    line: UnixStream,
}

impl Promise {
    /// Tells the shell that all is well, and turns this process's stdin, stdout and stderr to /dev/null.
    ///
    /// # Errors
    /// /dev/null cannot be opened.
    pub fn serving(mut self, text: &str) -> io::Result<()> {
        // The shell may be gone (a closed ssh session): the daemon does not mind.
        let _ = self.line.write_all(format!("0{text}").as_bytes());
        leave_streams()
    }

    /// Tells the shell to exit with this code. What is wrong has been printed: the streams are still the shell's.
    pub fn failed(mut self, code: u8) {
        let _ = self.line.write_all(&[b'1', code]);
        // The shell reads to the end of the line, which comes with the end of this process: when the command has ended,
        // nothing of it is left.
        std::mem::forget(self);
    }
}

/// Turns this process's stdin, stdout and stderr to /dev/null.
///
/// # Errors
/// /dev/null cannot be opened.
pub fn leave_streams() -> io::Result<()> {
    let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nowhere).map_err(io_error)?;
    dup2_stdout(&nowhere).map_err(io_error)?;
    dup2_stderr(&nowhere).map_err(io_error)
}

/// Forks twice with a new session between, so that the daemon has no terminal and can get none (daemon(7)).
///
/// Must be called while the process has one thread.
///
/// # Errors
/// What fork(2) says.
pub fn detach() -> io::Result<Side> {
    let (mut shell, daemon) = UnixStream::pair()?;
    // SAFETY: the process has one thread (the contract above).
    if let ForkResult::Parent { child } = unsafe { nix::unistd::fork() }.map_err(io_error)? {
        drop(daemon);
        let _ = nix::sys::wait::waitpid(child, None);
        let mut word = Vec::new();
        shell.read_to_end(&mut word)?;
        return Ok(Side::Shell(match word.split_first() {
            Some((b'0', text)) => Verdict::Serving(String::from_utf8_lossy(text).into_owned()),
            Some((_, [code, ..])) => Verdict::Failed(i32::from(*code)),
            Some(_) | None => Verdict::Died,
        }));
    }
    drop(shell);
    setsid().map_err(io_error)?;
    // SAFETY: as above; this is the first child, which has one thread too.
    match unsafe { nix::unistd::fork() }.map_err(io_error)? {
        // SAFETY: _exit(2) has no preconditions.
        ForkResult::Parent { .. } => unsafe { nix::libc::_exit(0) },
        ForkResult::Child => Ok(Side::Daemon(Promise { line: daemon })),
    }
}
