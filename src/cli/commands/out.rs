//! What commands write to the standard output and the standard error. Nothing else in the program writes there but the log.
//!
//! A terminal can be gone, a pipe closed, a disk full: none of that may end a command, or change what its exit code says of
//! what was done. So nothing here panics, and only [`print`], for commands whose output is all that they are for, fails.

use std::{
    fmt::Arguments,
    io::{self, Write},
};

use wsmaster_ipc::sys::log_output::LogOutput;

use crate::cli::Exit;

/// Writes a line to the standard error, as `eprintln!` does, but goes on where that cannot be written.
macro_rules! complain {
    ($($words:tt)*) => { $crate::cli::commands::out::to_stderr(format_args!($($words)*)) };
}
pub(crate) use complain;

/// See [`complain!`].
pub(crate) fn to_stderr(words: Arguments<'_>) {
    // In one piece: other processes may write to the same file.
    let line = format!("{words}\n");
    // There is nobody left to tell when this cannot be written.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Writes what a command is for. A reader that has read enough (`wsmaster man | head`) ends it without a word.
pub(super) fn print(text: &str) -> Exit {
    match write(text) {
        Ok(()) => Exit::Done,
        Err(error) => unwritten(&error),
    }
}

/// How a command ends whose output cannot be written.
pub(super) fn unwritten(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Exit::Done,
        _ => {
            complain!("the output cannot be written: {error}");
            Exit::Failed
        }
    }
}

/// Tells what a command has done. That stays done, so the exit code says the same whether this can be written or not.
pub(super) fn say(text: &str) {
    if let Err(error) = write(text) {
        let _ = unwritten(&error);
    }
}

/// As [`say`], for a process that others wait for: where the standard output has no room at once, it says so in the log.
pub(super) fn say_without_waiting(text: &str) {
    let written = LogOutput::stream(1).and_then(|mut out| out.write_all(text.as_bytes()));
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            log::warn!("nobody reads the standard output: the message of the start was dropped");
        }
        Err(error) => drop(unwritten(&error)),
    }
}

/// Writes to the standard output, all of it or an error.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
