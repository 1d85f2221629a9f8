//! The PID file: who the master is, and whether it lives. Its lock is the truth; the number in it is for people.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::missing;
use wsmaster_ipc::sys::{
    clock,
    lock::{self, Content, LockError, LockedFile, Lookup},
    process, resource,
};

/// How long a file that is held is tried again.
const LAST_BREATH: Duration = Duration::from_millis(200);
/// The time between two tries.
const STEP: Duration = Duration::from_millis(10);

/// The PID file of this process, locked for as long as the value lives, and removed with it.
#[derive(Debug)]
pub(crate) struct PidFile {
    file: LockedFile,
    path: PathBuf,
    was_left_behind: bool,
}

/// Why a PID file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// A server with this PID file runs.
    #[error(
        "a server with the pid file {path} is running already (pid {pid}); \
         stop it, or give this one another --pid-file"
    )]
    Running {
        /// The file.
        path: String,
        /// What stands in it.
        pid: String,
    },
    /// The file cannot be made or locked.
    #[error("the pid file {path} cannot be used: {source}; choose another one with --pid-file")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something stands in the file that no server has written: it would be lost.
    #[error(
        "the file {path} is no pid file: something else than a process id stands in it, and it was left as it is; choose \
         another one with --pid-file, or remove it if nobody needs it"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// The directory is not safe: somebody else could replace what is in it.
    #[error(
        "the directory {path} of the pid file belongs to another user or is writable by others; \
         choose another one with --pid-file"
    )]
    Directory {
        /// The directory.
        path: String,
    },
}

impl PidFile {
    /// Takes the file for this process. A file that an earlier server left behind is no obstacle, whatever a crash or a power
    /// cut has made of the number in it; a file that holds something else is left as it is.
    pub(crate) fn take(path: &Path) -> Result<Self, PidFileError> {
        let shown = path.display().to_string();
        let unusable = |source| PidFileError::Unusable { path: shown.clone(), source };
        let path = Self::make_place(path)?;
        let mut file = match patiently(|| LockedFile::take(&path)) {
            Ok(file) => file,
            Err(LockError::Io(source)) => return Err(unusable(source)),
            Err(LockError::Held) => {
                let pid = match lock::look(&path) {
                    Ok(Lookup::Locked(text)) => text.trim().to_owned(),
                    Ok(Lookup::Absent | Lookup::Unlocked) | Err(_) => String::new(),
                };
                let pid = if pid.is_empty() { "not written yet".to_owned() } else { pid };
                return Err(PidFileError::Running { path: shown, pid });
            }
        };
        let was_left_behind = match file.content().map_err(unusable)? {
            Content::Nothing => false,
            Content::LeftBehind => true,
            Content::Foreign => return Err(PidFileError::Foreign { path: shown }),
        };
        let written = file.write(&format!("{}\n", process::own_pid()));
        let taken = Self { file, path, was_left_behind };
        written.map(|()| taken).map_err(unusable)
    }

    /// Makes the directory of a PID file if it is not there. The whole path of the file.
    pub(super) fn make_place(path: &Path) -> Result<PathBuf, PidFileError> {
        let shown = path.display().to_string();
        let unusable = |source| PidFileError::Unusable { path: shown.clone(), source };
        let path = std::path::absolute(path).map_err(|error| {
            let why = missing::directory(path).unwrap_or_else(|| error.to_string());
            unusable(io::Error::new(error.kind(), why))
        })?;
        if let Some(directory) = path.parent() {
            make_directory(directory).map_err(unusable)?;
            check_directory(directory)?;
        }
        Ok(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an earlier server did not live to remove it.
    pub(crate) fn was_left_behind(&self) -> bool {
        self.was_left_behind
    }
}

impl Drop for PidFile {
    /// At the end of an orderly life, or of a start that has failed. Forked children run no destructors.
    fn drop(&mut self) {
        if let Err(error) = self.file.remove(&self.path) {
            log::warn!("the pid file {} could not be removed: {error}", self.path.display());
        }
    }
}

/// A file that is held is tried again for a moment: a master that somebody has just killed holds it until the kernel has
/// taken it apart.
fn patiently(take: impl Fn() -> Result<LockedFile, LockError>) -> Result<LockedFile, LockError> {
    let begun = clock::now();
    loop {
        match take() {
            Err(LockError::Held) if (clock::now() - begun) < LAST_BREATH => {
                std::thread::sleep(STEP);
            }
            done => return done,
        }
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Refuses a directory of another user, and one that everybody may write to without its sticky bit.
fn check_directory(directory: &Path) -> Result<(), PidFileError> {
    let unsafe_directory = || PidFileError::Directory { path: directory.display().to_string() };
    let facts = fs::metadata(directory).map_err(|_| unsafe_directory())?;
    let own = facts.uid() == resource::effective_uid() || facts.uid() == 0;
    let open = facts.mode() & 0o022 != 0 && facts.mode() & 0o1000 == 0;
    if own && !open { Ok(()) } else { Err(unsafe_directory()) }
}

/// The control socket that belongs to a PID file. Its name is that of no other PID file's, and of no listener's by accident.
pub(crate) fn control_path(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".control");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_a_directory_that_all_may_write_to_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wsmaster.pid");
        let target = directory.path().join("target");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Unusable { .. })));
        assert!(!target.exists());
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(&open, everybody).unwrap();
        assert!(matches!(
            PidFile::take(&open.join("wsmaster.pid")),
            Err(PidFileError::Directory { .. })
        ));
    }
}
