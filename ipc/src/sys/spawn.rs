//! Starting another program with pipes on the descriptors that it expects.
//!
//! The crate command-fds would take over the two dup2(2) below and not the placeholders: it does not know the pipe by which
//! std reports a failed exec, and puts a descriptor in its place when that pipe has got number 3 or 4.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::{prctl, signal::Signal},
    unistd::pipe2,
};

use super::{inheritance::Inheritance, io_error, privilege, user::Identity};

/// Where a program reads events, unless it uses its stdin.
pub const EVENTS_FD: RawFd = 3;
/// Where a program writes commands, unless it uses its stdout.
pub const COMMANDS_FD: RawFd = 4;
/// Descriptors that are moved into place before the exec stand at this number or above, out of the way.
const HIGH_FD: RawFd = 10;

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program.
    pub command: &'a Path,
    /// Its arguments.
    pub args: &'a [String],
    /// Variables beside those of this process.
    pub env: &'a [(String, String)],
    /// Which variables of this process it does not get.
    pub is_hidden: fn(&OsStr) -> bool,
    /// Its directory.
    pub cwd: Option<&'a Path>,
    /// Whom it becomes, with no capabilities and no way to any.
    pub identity: Option<Identity>,
    /// The signals that it ignores and blocks, and its limit of descriptors.
    pub inheritance: Inheritance,
    /// Events on stdin and commands on stdout, instead of descriptors 3 and 4.
    pub stdio: bool,
}

/// A program that runs, and our ends of its pipes: none of them blocks.
#[derive(Debug)]
pub struct Running {
    /// Its pid. It is a child of this process and has to be reaped.
    pub pid: i32,
    /// Write events here.
    pub events: OwnedFd,
    /// Read commands here.
    pub commands: OwnedFd,
    /// Its stdout, if it is not for commands.
    pub stdout: Option<OwnedFd>,
    /// Its stderr.
    pub stderr: OwnedFd,
}

/// How many bytes stand in a pipe that nobody has read yet. It can be asked at either end.
///
/// # Errors
/// The descriptor is no pipe.
pub fn unread_bytes(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int (ioctl_tty(2); pipe(7) has it too), for which `count` is the place, and keeps no
    // pointer; the descriptor is borrowed, and so open during the call.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    nix::errno::Errno::result(result).map_err(io_error)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Starts a program in this process's group. The kernel kills it when this process dies. It inherits
/// no other descriptor: all of ours are close-on-exec.
///
/// # Errors
/// What pipe(2), fork(2) and execve(2) say: above all that there is no such program.
pub fn spawn(program: &Program<'_>) -> io::Result<Running> {
    // std reports a failed exec through a pipe of its own, which must not get the numbers that are taken over below.
    let placeholders = occupy_low_numbers()?;
    let (their_events, events) = high_pipe()?;
    let (commands, their_commands) = high_pipe()?;
    let mut command = Command::new(program.command);
    command.args(program.args).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if (program.is_hidden)(&name) {
            command.env_remove(name);
        }
    }
    command.envs(program.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = program.cwd {
        command.current_dir(cwd);
    }
    if let Some(identity) = program.identity {
        command.uid(identity.uid()).gid(identity.gid());
    }
    let moves = if program.stdio {
        command.stdin(their_events).stdout(their_commands);
        None
    } else {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Some((their_events, their_commands))
    };
    let numbers =
        moves.as_ref().map(|(events, commands)| (events.as_raw_fd(), commands.as_raw_fd()));
    let parent = nix::unistd::getpid();
    let gives_up_root = program.identity.is_some_and(|identity| !identity.is_root());
    let inheritance = program.inheritance;
    let prepare = move || {
        if let Some((events, commands)) = numbers {
            put_in_place(events, EVENTS_FD)?;
            put_in_place(commands, COMMANDS_FD)?;
        }
        // A mask is inherited, and this process may have blocked what the program has to hear: SIGTERM above all.
        inheritance.take_on()?;
        if gives_up_root {
            privilege::drop_capabilities()?;
            privilege::gain_no_more()?;
        }
        // After the change of user, which would clear it.
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(io_error)?;
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: `prepare` calls dup2(2), signal(2), getrlimit(2), setrlimit(2), pthread_sigmask(3), prctl(2), capset(2), capget(2) and getppid(2) only, which are safe
    // between fork and exec, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    drop(placeholders);
    let pid = i32::try_from(child.id()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let stderr = stderr.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
    for end in
        [Some(&events), Some(&commands), stdout.as_ref(), Some(&stderr)].into_iter().flatten()
    {
        do_not_block(end)?;
    }
    // `child` neither kills nor reaps when it is dropped: the pid is the caller's.
    Ok(Running { pid, events, commands, stdout, stderr })
}

fn put_in_place(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: numbers only; in the child, `to` is a placeholder that nobody uses.
    if unsafe { libc::dup2(from, to) } == to { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Opens /dev/null until every number below [`HIGH_FD`] is taken.
fn occupy_low_numbers() -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    loop {
        let null = OwnedFd::from(OpenOptions::new().read(true).write(true).open("/dev/null")?);
        if null.as_raw_fd() >= HIGH_FD {
            return Ok(taken);
        }
        taken.push(null);
    }
}

/// A pipe (reader, writer) with both ends at [`HIGH_FD`] or above.
fn high_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(io_error)?;
    Ok((raise(reader)?, raise(writer)?))
}

fn raise(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= HIGH_FD {
        return Ok(fd);
    }
    let raised = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(HIGH_FD)).map_err(io_error)?;
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raised) })
}

fn do_not_block(fd: &OwnedFd) -> io::Result<()> {
    let flags = fcntl(fd.as_fd(), FcntlArg::F_GETFL).map_err(io_error)?;
    let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags)).map_err(io_error).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, time::Duration};

    use super::*;
    use crate::sys::process::Process;

    fn shell<'a>(args: &'a [String], stdio: bool) -> Program<'a> {
        Program {
            command: Path::new("/bin/sh"),
            args,
            env: &[],
            is_hidden: |_| false,
            inheritance: Inheritance::of_this_process().unwrap(),
            cwd: None,
            identity: None,
            stdio,
        }
    }

    fn read_all(fd: OwnedFd) -> String {
        let flags = OFlag::empty();
        fcntl(&fd, FcntlArg::F_SETFL(flags)).unwrap();
        io::read_to_string(File::from(fd)).unwrap()
    }

    #[test]
    fn a_program_reads_three_and_writes_four() {
        let args =
            ["-c".to_owned(), "read line <&3; echo \"got $line\" >&4; echo err >&2".to_owned()];
        let running = spawn(&shell(&args, false)).unwrap();
        File::from(running.events).write_all(b"hello\n").unwrap();
        assert_eq!(read_all(running.commands), "got hello\n");
        assert_eq!(read_all(running.stderr), "err\n");
        assert!(Process::open(running.pid).unwrap().wait(Duration::from_secs(10)).unwrap());
    }

    #[test]
    fn a_program_with_stdio_uses_that_and_holds_nothing_else() {
        let list = "ls /proc/self/fd | tr '\\n' ' '";
        let args = ["-c".to_owned(), format!("read line; echo $line; {list}")];
        let running = spawn(&shell(&args, true)).unwrap();
        assert!(running.stdout.is_none());
        File::from(running.events).write_all(b"hello\n").unwrap();
        // What this process itself was started with is not close-on-exec, and reaches any program.
        let plain =
            Command::new("/bin/sh").args(["-c", list]).stdin(Stdio::null()).output().unwrap();
        let plain = String::from_utf8(plain.stdout).unwrap();
        assert_eq!(read_all(running.commands), format!("hello\n{plain}"));
    }

    #[test]
    fn a_program_has_no_signal_blocked_that_was_not_before() {
        let args = ["-c".to_owned(), "grep SigBlk /proc/self/status >&4".to_owned()];
        let program = shell(&args, false);
        let mask = crate::sys::signal::block_all().unwrap();
        let running = spawn(&program).unwrap();
        crate::sys::signal::restore(&mask).unwrap();
        assert_eq!(read_all(running.commands), "SigBlk:\t0000000000000000\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_told_at_once() {
        let program = Program { command: Path::new("/no/such/program"), ..shell(&[], false) };
        assert_eq!(spawn(&program).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
