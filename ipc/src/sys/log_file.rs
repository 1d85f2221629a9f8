//! A file that several processes append to, and its place: opened, moved aside and opened again without ever being led
//! elsewhere by a symbolic link.
//!
//! The path is resolved once, with the links that the operator has put there. From then on no link on it is followed: who
//! may write to a directory on the way could otherwise have root append to a file of his choice.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{MetadataExt, fchown},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat},
    sys::stat::{Mode, fchmod, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::io_error;

/// For its owner, and to be read by its group.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);

/// The name of a file in a directory, both fixed.
#[derive(Clone, Debug)]
pub struct LogPlace {
    directory: PathBuf,
    name: OsString,
}

/// What became of [`LogPlace::rotate`].
#[derive(Debug)]
pub enum Rotated {
    /// The file has been moved aside, and this is the new one.
    Moved(File),
    /// Somebody else had moved it: its name led nowhere, or to another file, which this is.
    WasMoved(File),
}

impl LogPlace {
    /// The place that a path leads to now.
    ///
    /// # Errors
    /// There is no such directory, or the path names none.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file");
        let name = path.file_name().ok_or_else(no_file)?.to_owned();
        let directory = std::fs::canonicalize(path.parent().ok_or_else(no_file)?)?;
        Ok(Self { directory, name })
    }

    /// The file as a path.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// Opens the file for appending, and makes it (mode 0640) when it is not there. A writer never waits for it, whatever it
    /// is: where there is no room, a write fails.
    ///
    /// # Errors
    /// The name is a symbolic link, or a directory on its way has become one; for root also that the file has a second
    /// name, which somebody else may have given it; and what open(2) says.
    pub fn open(&self) -> io::Result<File> {
        self.open_in(&self.directory()?)
    }

    /// Moves the file aside to `NAME.1`, what was there to `NAME.2`, and so on; `NAME.keep` is gone. The new file has owner,
    /// group and mode of the old one, and was made before the old one is moved: when it cannot be made, nothing is changed.
    ///
    /// `current` is the file that is written to. If its name does not lead to it any more, nothing is moved.
    ///
    /// # Errors
    /// As of [`Self::open`]; a full disk.
    pub fn rotate(&self, current: &File, keep: u32) -> io::Result<Rotated> {
        let directory = self.directory()?;
        let facts = current.metadata()?;
        if !self.leads_to(&directory, &facts) {
            return self.open_in(&directory).map(Rotated::WasMoved);
        }
        let new_name = self.beside("new");
        // Left behind by a server that was killed in the middle of this.
        match unlinkat(&directory, new_name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(io_error(errno)),
        }
        let flags = append_flags() | OFlag::O_EXCL;
        let new = openat(&directory, new_name.as_os_str(), flags, MODE).map_err(io_error)?;
        let new = File::from(new);
        // Who may not give a file away writes to its own all the same.
        let _ = fchown(&new, Some(facts.uid()), Some(facts.gid()));
        let _ = fchmod(&new, Mode::from_bits_truncate(facts.mode()));
        for number in (1..keep).rev() {
            let (from, to) = (self.beside(number), self.beside(number + 1));
            match renameat(&directory, from.as_os_str(), &directory, to.as_os_str()) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(io_error(errno)),
            }
        }
        let first = self.beside(1);
        for (from, to) in [(&self.name, &first), (&new_name, &self.name)] {
            renameat(&directory, from.as_os_str(), &directory, to.as_os_str()).map_err(io_error)?;
        }
        Ok(Rotated::Moved(new))
    }

    /// `NAME.suffix`
    fn beside(&self, suffix: impl std::fmt::Display) -> OsString {
        let mut name = self.name.clone();
        name.push(format!(".{suffix}"));
        name
    }

    fn directory(&self) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(AT_FDCWD, self.directory.as_path(), how).map_err(io_error)
    }

    fn open_in(&self, directory: &OwnedFd) -> io::Result<File> {
        let file = openat(directory, self.name.as_os_str(), append_flags(), MODE);
        let file = File::from(file.map_err(io_error)?);
        let facts = file.metadata()?;
        if facts.is_file() && facts.nlink() > 1 && nix::unistd::geteuid().is_root() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it has a second name (a hard link), so it may be a file of somebody else",
            ));
        }
        Ok(file)
    }

    fn leads_to(&self, directory: &OwnedFd, facts: &std::fs::Metadata) -> bool {
        let name: &OsStr = &self.name;
        fstatat(directory.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .is_ok_and(|named| (named.st_dev, named.st_ino) == (facts.dev(), facts.ino()))
    }
}

fn append_flags() -> OFlag {
    OFlag::O_WRONLY
        | OFlag::O_APPEND
        | OFlag::O_CREAT
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::unix::fs::symlink};

    use super::*;

    /// A directory of a test's own.
    struct Here(PathBuf);

    impl Here {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("wsmaster-log-file-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap_or_else(|_| "-".to_owned())
        }
    }

    impl Drop for Here {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_move_along_and_the_last_one_is_gone() {
        let here = Here::new("rotate");
        let place = LogPlace::new(&here.0.join("w.log")).unwrap();
        let mut file = place.open().unwrap();
        fs::write(here.0.join("w.log.new"), "left behind").unwrap();
        for round in 0..4 {
            write!(file, "{round}").unwrap();
            file = match place.rotate(&file, 2).unwrap() {
                Rotated::Moved(file) => file,
                Rotated::WasMoved(_) => panic!("nobody has moved it"),
            };
        }
        let names = ["w.log", "w.log.1", "w.log.2", "w.log.3", "w.log.new"];
        assert_eq!(names.map(|name| here.read(name)), ["", "3", "2", "-", "-"]);
    }

    #[test]
    fn a_file_that_somebody_has_moved_is_not_moved_again() {
        let here = Here::new("moved");
        let place = LogPlace::new(&here.0.join("w.log")).unwrap();
        let mut file = place.open().unwrap();
        file.write_all(b"old").unwrap();
        fs::rename(here.0.join("w.log"), here.0.join("w.log.1")).unwrap();
        let Rotated::WasMoved(mut file) = place.rotate(&file, 3).unwrap() else {
            panic!("it was moved")
        };
        file.write_all(b"new").unwrap();
        assert_eq!(
            ["w.log", "w.log.1", "w.log.2"].map(|name| here.read(name)),
            ["new", "old", "-"]
        );
    }

    #[test]
    fn no_link_is_followed_but_those_of_the_start() {
        let here = Here::new("links");
        let (real, link) = (here.0.join("real"), here.0.join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let place = LogPlace::new(&link.join("w.log")).unwrap();
        place.open().unwrap().write_all(b"x").unwrap();
        assert_eq!(fs::read(real.join("w.log")).unwrap(), b"x");
        // The directory is swapped for a link to another one.
        let elsewhere = here.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&real, here.0.join("moved")).unwrap();
        symlink(&elsewhere, &real).unwrap();
        assert!(place.open().is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        fs::remove_file(&real).unwrap();
        fs::create_dir(&real).unwrap();
        place.open().unwrap();
        // The name itself is one.
        fs::remove_file(real.join("w.log")).unwrap();
        symlink(here.0.join("target"), real.join("w.log")).unwrap();
        assert!(place.open().is_err());
        assert!(!here.0.join("target").exists());
    }

    #[test]
    fn a_file_with_a_second_name_is_no_log_of_root() {
        let here = Here::new("hard-link");
        let place = LogPlace::new(&here.0.join("w.log")).unwrap();
        fs::write(here.0.join("precious"), "").unwrap();
        fs::hard_link(here.0.join("precious"), here.0.join("w.log")).unwrap();
        assert_eq!(place.open().is_err(), nix::unistd::geteuid().is_root());
    }
}
