//! The control socket: the command line asks the running master. One JSON object a line, both ways.
//!
//! It stands beside the PID file, for its owner alone, and the kernel's word on who is at the other end is checked.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mio::net::{UnixListener, UnixStream};
use serde::{Deserialize, Serialize};
use wsmaster_ipc::sys::{files, resource, socket};
use wsmaster_workers::survey;

/// Callers at a time; one more is hung up on.
pub(super) const CALLERS_MAX: usize = 16;
/// The longest question.
const QUESTION_BYTES_MAX: usize = 4096;
/// From the call to the question, and from the answer to the hang-up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Question {
    /// How all are.
    Status,
    /// Replace all workers, and say how it went.
    Reload,
    /// Show the certificates that are in their files now, and say how it went.
    ReloadCertificates,
    /// What connections or channels a worker has.
    Survey {
        /// The worker's slot.
        slot: u16,
        /// What is asked of it.
        question: survey::Question,
    },
    /// Open the log file again, and say when all write to it.
    ReopenLogs,
}

/// The answer to [`Question::Reload`] and [`Question::ReloadCertificates`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ReloadAnswer {
    /// Whether all workers have been replaced.
    pub(crate) ok: bool,
    /// What happened, a line each.
    pub(crate) lines: Vec<String>,
    /// The configuration was refused; nothing was changed.
    pub(crate) refused: bool,
}

/// The listening end. Its name goes with it.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the name that was made.
    made: (u64, u64),
}

/// One caller.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) stream: UnixStream,
    question: Vec<u8>,
    /// Its question has been read. It has no other one.
    has_asked: bool,
    answer: Vec<u8>,
    /// When it is hung up on, whatever it does. A caller that waits for a reload has no such moment.
    pub(super) deadline: Option<Instant>,
}

/// How far a caller is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Its question, or the room for its answer, is not there yet.
    Waiting,
    /// It has asked.
    Asked(Question),
    /// Hang up.
    Over,
}

impl Control {
    /// Opens the socket. The PID file is locked, so whatever has this name is an earlier server's.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(facts) if std::os::unix::fs::FileTypeExt::is_socket(&facts.file_type()) => {
                fs::remove_file(path)?;
            }
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "something that is no socket has its name",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Nobody else can call even in the moment before the rights are set.
        let listener = files::with_mask(0o177, || StdListener::bind(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let made = identity(&fs::symlink_metadata(path)?);
        Ok(Self { listener: UnixListener::from_std(listener), path: path.to_owned(), made })
    }

    /// The next caller, if it is the owner of this process or root.
    pub(super) fn accept(&mut self, now: Instant) -> Option<Caller> {
        loop {
            let (stream, _) = self.listener.accept().ok()?;
            match socket::peer_credentials(&stream) {
                Ok((uid, _)) if uid == 0 || uid == resource::effective_uid() => {
                    return Some(Caller {
                        stream,
                        question: Vec::new(),
                        has_asked: false,
                        answer: Vec::new(),
                        deadline: Some(now + PATIENCE),
                    });
                }
                Ok((uid, pid)) => {
                    log::warn!(
                        "process {pid} of user {uid} called the control socket, and was refused"
                    );
                }
                Err(error) => {
                    log::warn!("a caller of the control socket has no credentials: {error}");
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Another server's, if the PID file was taken away from under this one.
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|facts| identity(&facts) == self.made);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(facts: &fs::Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

impl Caller {
    /// Reads what has come of the question, or writes more of the answer.
    pub(super) fn advance(&mut self) -> Progress {
        if !self.answer.is_empty() {
            return self.write();
        }
        let mut buffer = [0; QUESTION_BYTES_MAX];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Progress::Over,
                Ok(_) if self.has_asked => return Progress::Over,
                Ok(count) => self.question.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Waiting;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Progress::Over,
            }
            if let Some(end) = self.question.iter().position(|byte| *byte == b'\n') {
                self.has_asked = true;
                return match serde_json::from_slice(&self.question[..end]) {
                    Ok(question) => Progress::Asked(question),
                    Err(_) => Progress::Over,
                };
            }
            if self.question.len() > QUESTION_BYTES_MAX {
                return Progress::Over;
            }
        }
    }

    /// Answers, and hangs up when all is written.
    pub(super) fn answer(&mut self, answer: &impl Serialize, now: Instant) -> Progress {
        self.answer = serde_json::to_vec(answer).unwrap_or_default();
        self.answer.push(b'\n');
        self.deadline = Some(now + PATIENCE);
        self.write()
    }

    fn write(&mut self) -> Progress {
        while !self.answer.is_empty() {
            match self.stream.write(&self.answer) {
                Ok(0) => return Progress::Over,
                Ok(count) => drop(self.answer.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Waiting;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Over,
            }
        }
        Progress::Over
    }
}

/// Asks the master behind a control socket, and waits for its answer. `patience` bounds each wait.
///
/// # Errors
/// The socket is not there, is not ours, or the master does not answer in time.
pub(crate) fn ask<A: serde::de::DeserializeOwned>(
    path: &Path,
    question: &Question,
    patience: Duration,
) -> io::Result<A> {
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
