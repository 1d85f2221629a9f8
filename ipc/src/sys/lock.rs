//! A lock on a file that lives as long as the process that took it (fcntl(2), "open file description locks").
//!
//! The lock belongs to the open file, which a forked child shares: children close it (see
//! [`super::process::fork_child`]), so it ends with its owner. It is not a POSIX lock, which would be lost when any
//! other descriptor of the file is closed ([`super::record_lock`] is one), and not one of flock(2), which cannot be looked at without being taken for a
//! moment: whoever looked would be in the way of a start.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
    unistd::{Whence, lseek},
};

/// An open file that this process has locked.
#[derive(Debug)]
pub struct LockedFile {
    file: File,
}

/// How much of a file is read to tell what it is.
const START_BYTES: usize = 4096;

/// What stands in a file that is to be a PID file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Nothing: the file may be new.
    Nothing,
    /// What a server can have left behind: a number, a part of one, or the NUL bytes that a power cut leaves of it.
    LeftBehind,
    /// Anything else. No server has written it.
    Foreign,
}

/// Tells what these bytes are: all of a file, or all of it in front of a hole.
fn content_of(bytes: &[u8]) -> Content {
    let is_blank = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let Some(first) = bytes.iter().position(|byte| !is_blank(byte)) else {
        return if bytes.is_empty() { Content::Nothing } else { Content::LeftBehind };
    };
    let number = &bytes[first..];
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && number[digits..].iter().all(is_blank) {
        Content::LeftBehind
    } else {
        Content::Foreign
    }
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
                .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
                .open(path)?;
            if !file.metadata()?.is_file() {
                return Err(
                    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into()
                );
            }
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => return Err(LockError::Held),
                Err(errno) => return Err(super::io_error(errno).into()),
            }
            let locked = Self { file };
            // Its last owner may have removed the name between our open and our lock: then we hold the lock of a file
            // that nobody else can find.
            if locked.is_named(path) {
                return Ok(locked);
            }
        }
    }

    /// What stands in the file. A hole of any size is not read.
    ///
    /// # Errors
    /// What read(2) and lseek(2) say.
    pub fn content(&self) -> io::Result<Content> {
        let mut start = [0; START_BYTES];
        let mut length = 0;
        loop {
            match self.file.read_at(&mut start[length..], length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if length == START_BYTES {
            // A file system without holes says that all of a file is data (lseek(2)).
            match lseek(&self.file, START_BYTES as libc::off_t, Whence::SeekData) {
                Err(Errno::ENXIO) => {}
                Ok(_) => return Ok(Content::Foreign),
                Err(errno) => return Err(super::io_error(errno)),
            }
        }
        Ok(content_of(&start[..length]))
    }

    /// Replaces what stands in the file.
    ///
    /// # Errors
    /// What write(2) says: a full disk.
    pub fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }

    /// Removes the file's name, while the lock is still held. A file that has come into its place is left alone: it is
    /// somebody else's.
    ///
    /// # Errors
    /// What unlink(2) says.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        if self.is_named(path) { std::fs::remove_file(path) } else { Ok(()) }
    }

    fn is_named(&self, path: &Path) -> bool {
        let named = std::fs::symlink_metadata(path);
        named.is_ok_and(|named| self.file.metadata().is_ok_and(|ours| same_file(&named, &ours)))
    }
}

/// A lock for writing on all of a file, however long it becomes.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
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
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lookup::Absent),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut lock = whole_file();
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(super::io_error)?;
    if lock.l_type == libc::F_UNLCK as libc::c_short {
        return Ok(Lookup::Unlocked);
    }
    let mut bytes = Vec::new();
    file.take(64).read_to_end(&mut bytes)?;
    Ok(Lookup::Locked(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether this process holds the lock of that file. To have the file open is not enough: anybody who may read it can have
/// that.
///
/// # Errors
/// `/proc` of another user's process cannot be read.
pub fn process_holds(pid: i32, path: &Path) -> io::Result<bool> {
    let wanted = std::fs::symlink_metadata(path)?;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let Ok(open) = std::fs::metadata(entry.path()) else { continue };
        if !same_file(&open, &wanted) {
            continue;
        }
        // proc(5): the locks that are held through this descriptor, a line each, as
        // "lock: 1: OFDLCK ADVISORY WRITE -1 00:2a:1234 0 EOF".
        let number = entry.file_name();
        let facts =
            std::fs::read(Path::new("/proc").join(pid.to_string()).join("fdinfo").join(number));
        let Ok(facts) = facts else { continue };
        let facts = String::from_utf8_lossy(&facts);
        let mut locks = facts.lines().filter_map(|line| line.strip_prefix("lock:"));
        if locks.any(|lock| lock.contains("OFDLCK") && lock.contains("WRITE")) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_can_have_left_behind_is_told_from_what_is_somebody_elses() {
        let table: [(&[u8], Content); 16] = [
            (b"", Content::Nothing),
            (b"4711\n", Content::LeftBehind),
            (b"4711", Content::LeftBehind),
            (b"47", Content::LeftBehind),
            (b"  4711\r\n", Content::LeftBehind),
            (b"99999999999999999999\n", Content::LeftBehind),
            (b"\n", Content::LeftBehind),
            (b"\0\0\0\0\0", Content::LeftBehind),
            (b"47\0\0\0", Content::LeftBehind),
            (b"-1\n", Content::Foreign),
            (b"12 34\n", Content::Foreign),
            (b"12\n34\n", Content::Foreign),
            (b"4711a\n", Content::Foreign),
            (b"port = 9501\n", Content::Foreign),
            (b"\0\0data", Content::Foreign),
            (b"\xff\xfe\x00\x01\x80", Content::Foreign),
        ];
        for (bytes, expected) in table {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(content_of(bytes), expected, "{shown:?}");
        }
    }

    #[test]
    fn a_large_file_is_foreign_unless_it_is_one_hole() {
        let path = std::env::temp_dir().join(format!("wsmaster-lock-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let content = || LockedFile::take(&path).unwrap().content().unwrap();
        assert_eq!(content(), Content::LeftBehind);
        // A disk image may begin with very many NUL bytes.
        file.write_all_at(b"data", 1 << 30).unwrap();
        assert_eq!(content(), Content::Foreign);
        std::fs::write(&path, [b'7'; START_BYTES + 1]).unwrap();
        assert_eq!(content(), Content::Foreign);
        std::fs::remove_file(&path).unwrap();
    }
}
