//! A lock on a file that lives as long as the process that took it (flock(2)).
//!
//! The lock belongs to the open file, which a forked child shares: children close it (see
//! [`super::process::fork_child`]), so it ends with its owner. It is not a POSIX lock, which would be lost when any
//! other descriptor of the file is closed.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

/// An open file that this process has locked.
#[derive(Debug)]
pub struct LockedFile {
    file: Flock<File>,
}

/// Why a file could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("the file is locked by another process")]
    Held,
    /// The file could not be opened or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LockedFile {
    /// Opens the file, makes it (mode 0644) when it is not there, and locks it. A symbolic link at the end of the path is
    /// refused.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK)
                .open(path)?;
            if !file.metadata()?.is_file() {
                return Err(
                    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into()
                );
            }
            let locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => locked,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Err(LockError::Held),
                Err((_, errno)) => return Err(super::io_error(errno).into()),
            };
            // Its last owner may have removed the name between our open and our lock: then we hold the lock of a file
            // that nobody else can find.
            let same = std::fs::symlink_metadata(path).is_ok_and(|named| {
                locked
                    .metadata()
                    .is_ok_and(|ours| (named.dev(), named.ino()) == (ours.dev(), ours.ino()))
            });
            if same {
                return Ok(Self { file: locked });
            }
        }
    }

    /// Replaces what stands in the file.
    ///
    /// # Errors
    /// What write(2) says: a full disk.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        let file = &mut *self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }

    /// Removes the file's name, while the lock is still held.
    ///
    /// # Errors
    /// What unlink(2) says.
    pub fn remove(self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl AsFd for LockedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What a file that may be locked says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// There is no such file.
    Absent,
    /// The file is there, and nobody holds its lock.
    Unlocked,
    /// Somebody holds the lock; this stands in the file (its first 64 bytes).
    Locked(String),
}

/// Looks at a file without changing it.
///
/// # Errors
/// The file cannot be read, or is no regular file.
pub fn look(path: &Path) -> io::Result<Lookup> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lookup::Absent),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // A shared lock: two that look at the same moment do not take each other for an owner.
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(unowned) => {
            drop(unowned);
            Ok(Lookup::Unlocked)
        }
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.take(64).read_to_string(&mut text)?;
            Ok(Lookup::Locked(text))
        }
        Err((_, errno)) => Err(super::io_error(errno)),
    }
}

/// Whether this process has that file open: true of the process that holds its lock, and of no other that closed it.
///
/// # Errors
/// `/proc` of another user's process cannot be read.
pub fn process_has_open(pid: i32, path: &Path) -> io::Result<bool> {
    let wanted = std::fs::symlink_metadata(path)?;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(open) = std::fs::metadata(entry?.path()) else { continue };
        if (open.dev(), open.ino()) == (wanted.dev(), wanted.ino()) {
            return Ok(true);
        }
    }
    Ok(false)
}
