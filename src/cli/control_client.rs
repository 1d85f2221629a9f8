//! The running master, as the command line reaches it: found by its PID file, and asked through its control socket.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde::de::DeserializeOwned;
use wsmaster_ipc::sys::{
    lock::{self, Lookup},
    process::Process,
};

use crate::{
    master::{Question, Reached, control_path},
    status::Status,
};

/// The master that a PID file leads to.
#[derive(Debug)]
pub(crate) enum Found {
    /// It runs, and it is really the one: it holds the file.
    Running(Process),
    /// There is no such file.
    NoFile,
    /// A file that a server left behind; nobody holds it.
    Stale,
}

/// Why it cannot be said who runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// The lock is held, but not by the process whose number is in the file.
    #[error(
        "the pid file {0} is locked, but not by the process that it names ({1:?}); nothing was signalled"
    )]
    Foreign(String, String),
    /// The file, or what is known of the process, cannot be read.
    #[error("the pid file {0} cannot be examined: {1}")]
    Unreadable(String, io::Error),
}

/// Finds the living master. A number in the file is believed only when that process holds the file's lock.
pub(crate) fn find(path: &Path) -> Result<Found, FindError> {
    let shown = || path.display().to_string();
    let unreadable = |error| FindError::Unreadable(shown(), error);
    let text = match lock::look(path).map_err(unreadable)? {
        Lookup::Absent => return Ok(Found::NoFile),
        Lookup::Unlocked => return Ok(Found::Stale),
        Lookup::Locked(text) => text,
    };
    let foreign = || FindError::Foreign(shown(), text.trim().to_owned());
    let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 0).ok_or_else(foreign)?;
    // Held first and checked then: from here on the number cannot come to mean another process.
    let process = match Process::open(pid) {
        Ok(process) => process,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(foreign()),
        Err(error) => return Err(unreadable(error)),
    };
    match lock::process_holds(pid, path) {
        Ok(true) => Ok(Found::Running(process)),
        Ok(false) => Err(foreign()),
        Err(error) => Err(unreadable(error)),
    }
}

/// Asks the master behind a control socket, and waits for its answer. `patience` bounds each wait.
///
/// # Errors
/// The socket is not there, is not ours, or the master does not answer in time.
pub(crate) fn ask<A: DeserializeOwned>(
    path: &Path,
    question: &Question,
    patience: Duration,
) -> io::Result<A> {
    let reached = Reached::new(path)?;
    let mut stream = UnixStream::connect(&reached.name)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// Where the server with this PID file listens, by its status; `None` when it does not answer within `timeout`.
pub(crate) fn addresses(pid_file: &Path, timeout: Duration) -> Option<Vec<String>> {
    let status: Status = ask(&control_path(pid_file), &Question::Status, timeout).ok()?;
    Some(status.listeners.into_iter().map(|listener| listener.address).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use wsmaster_ipc::sys::process;

    use super::*;
    use crate::master::{PidFileError, pid_file::PidFile};

    #[test]
    fn what_an_earlier_server_left_behind_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/wsmaster.pid");
        assert!(matches!(find(&path).unwrap(), Found::NoFile));
        fs::create_dir(path.parent().unwrap()).unwrap();
        // Pid 1 is alive and is no server of ours.
        fs::write(&path, "1\n").unwrap();
        assert!(matches!(find(&path).unwrap(), Found::Stale));
        let file = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), process::own_pid().to_string());
        let Found::Running(found) = find(&path).unwrap() else { panic!("not found") };
        assert_eq!(found.pid(), process::own_pid());
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Running { .. })));
        fs::write(&path, "1\n").unwrap();
        assert!(matches!(find(&path), Err(FindError::Foreign(..))), "a forged number");
        drop(file);
        assert!(matches!(find(&path).unwrap(), Found::NoFile));
    }
}
