//! The control socket: the command line asks the running master. One JSON object a line, both ways.
//!
//! It stands beside the PID file, for its owner alone, and the kernel's word on who is at the other end is checked.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use mio::net::{UnixListener, UnixStream};
use serde::{Deserialize, Serialize};
use wsmaster_ipc::{
    Moment,
    sys::{
        files,
        listener::{self, Holder},
        resource, socket,
    },
};
use wsmaster_workers::inspect;

/// Callers at a time; one more is hung up on.
pub(super) const CALLERS_MAX: usize = 16;
/// The longest path of a socket (unix(7)).
const PATH_BYTES_MAX: usize = 107;
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
    /// Start side processes again, and say how it went.
    ReloadProcesses {
        /// Those with this name; all of them.
        name: Option<String>,
    },
    /// What connections or channels a worker has.
    Survey {
        /// The worker's slot.
        slot: u16,
        /// What is asked of it.
        question: inspect::InspectRequest,
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
    pub(super) deadline: Option<Moment>,
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
    /// Opens the socket. A socket on which somebody listens is left alone, whoever that is: the PID file of another server may
    /// have been removed, or another program may have this name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if clear(path)? {
            fs::remove_file(path)?;
        }
        // Nobody else can call even in the moment before the rights are set.
        let reached = Reached::new(path)?;
        let listener = files::with_mask(0o177, || StdListener::bind(&reached.name))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let made = identity(&fs::symlink_metadata(path)?);
        Ok(Self { listener: UnixListener::from_std(listener), path: path.to_owned(), made })
    }

    /// The next caller, if it is the owner of this process or root.
    pub(super) fn accept(&mut self, now: Moment) -> Option<Caller> {
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

/// Whether a socket that an earlier server of this user has left behind stands in the place of one that is to be made.
///
/// # Errors
/// What stands there is somebody else's, or is no such socket.
pub(super) fn clear(path: &Path) -> io::Result<bool> {
    let refused = |kind, problem: String| Err(io::Error::new(kind, problem));
    match listener::holder_of(&Reached::new(path)?.name)? {
        Holder::Nobody => Ok(false),
        Holder::Living(pid) => {
            let who = pid.map_or_else(|| "somebody".to_owned(), |pid| format!("process {pid}"));
            refused(io::ErrorKind::AddrInUse, format!("{who} listens there already"))
        }
        Holder::LeftBehind => {
            let owner = fs::symlink_metadata(path)?.uid();
            if owner == resource::effective_uid() || resource::effective_uid() == 0 {
                Ok(true)
            } else {
                let problem = format!("user {owner} has left a socket there");
                refused(io::ErrorKind::PermissionDenied, problem)
            }
        }
    }
}

/// A name by which the kernel takes a socket whose path may be too long for it (unix(7)).
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) name: PathBuf,
    /// The directory that the name leads through.
    _directory: Option<File>,
}

impl Reached {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let (Some(directory), Some(name), true) =
            (path.parent(), path.file_name(), path.as_os_str().len() > PATH_BYTES_MAX)
        else {
            return Ok(Self { name: path.to_owned(), _directory: None });
        };
        let directory = File::open(directory)?;
        let name = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Self { name, _directory: Some(directory) })
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
    pub(super) fn answer(&mut self, answer: &impl Serialize, now: Moment) -> Progress {
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
