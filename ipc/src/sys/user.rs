//! Users and groups: giving up root for good.

use std::io;

use nix::unistd::{
    Gid, Group, Uid, User, getgroups, getresgid, getresuid, setgid, setgroups, setuid,
};

use super::io_error;

/// Whom a process becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
}

impl Identity {
    /// Looks up a user and a group by name or number. Without a group it is the user's own.
    ///
    /// # Errors
    /// `NotFound` with a sentence that names who is missing.
    pub fn look_up(user: Option<&str>, group: Option<&str>) -> io::Result<Option<Self>> {
        let missing = |what: &str, name: &str| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} {name:?}"))
        };
        let found = match user {
            None => None,
            Some(name) => Some(
                match name.parse() {
                    Ok(uid) => User::from_uid(Uid::from_raw(uid)),
                    Err(_) => User::from_name(name),
                }
                .map_err(io_error)?
                .ok_or_else(|| missing("user", name))?,
            ),
        };
        let gid = match group {
            None => found.as_ref().map(|user| user.gid),
            Some(name) => Some(
                match name.parse() {
                    Ok(gid) => Group::from_gid(Gid::from_raw(gid)),
                    Err(_) => Group::from_name(name),
                }
                .map_err(io_error)?
                .ok_or_else(|| missing("group", name))?
                .gid,
            ),
        };
        let uid = found.map_or(Uid::effective(), |user| user.uid);
        Ok(gid.map(|gid| Self { uid, gid }))
    }

    /// Its user's number.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Its group's number.
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Whether it is root.
    pub fn is_root(&self) -> bool {
        self.uid.is_root()
    }

    /// Becomes this user and group, in the order that leaves no way back: supplementary groups, group, user; then checks
    /// every number that the kernel keeps, and that root cannot be taken back. It also clears the parent-death signal, which
    /// has to be asked for again.
    ///
    /// # Errors
    /// `PermissionDenied` when this process is not root and not that user already.
    pub fn assume(&self) -> io::Result<()> {
        if Uid::effective() == self.uid && nix::unistd::getegid() == self.gid && !self.uid.is_root()
        {
            return Ok(());
        }
        setgroups(&[self.gid]).map_err(io_error)?;
        setgid(self.gid).map_err(io_error)?;
        setuid(self.uid).map_err(io_error)?;
        let (users, groups) = (getresuid().map_err(io_error)?, getresgid().map_err(io_error)?);
        let others = getgroups().map_err(io_error)?;
        let is_whole = [users.real, users.effective, users.saved] == [self.uid; 3]
            && [groups.real, groups.effective, groups.saved] == [self.gid; 3]
            && others == [self.gid];
        if !is_whole {
            return Err(io::Error::other("something of the former user is left"));
        }
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(io::Error::other("root could be taken back after it was given up"));
        }
        Ok(())
    }
}
