//! What this process sees of the file system, and how it leaves its own files.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags},
    libc,
    sys::stat::{Mode, umask},
    unistd::{AccessFlags, faccessat},
};

use super::io_error;

/// Sets the mask of files that this process and its children make (umask(2)).
pub fn set_mask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

/// Does something with another mask of files for as long as it takes. The process has one thread: others would get the mask
/// too.
pub fn with_mask<R>(mask: u32, work: impl FnOnce() -> R) -> R {
    let before = umask(Mode::from_bits_truncate(mask));
    let result = work();
    umask(before);
    result
}

/// Whether this process, as the user it is now, may make and rename files in a directory (faccessat(2)).
pub fn may_write_in(directory: &Path) -> bool {
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, directory, rights, AtFlags::AT_EACCESS).is_ok()
}

/// Whether this process, as the user it is now, may execute a file, or enter a directory (faccessat(2)).
pub fn may_execute(file: &Path) -> bool {
    faccessat(AT_FDCWD, file, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok()
}

/// Whether a file has a list of rights beside its mode (acl(5)).
pub fn has_access_list(file: &Path) -> bool {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else { return false };
    let list = c"system.posix_acl_access";
    // SAFETY: both strings end in a zero byte and outlive the call; with a size of 0 nothing is written (getxattr(2)).
    let size = unsafe { libc::getxattr(name.as_ptr(), list.as_ptr(), std::ptr::null_mut(), 0) };
    size > 0
}

/// Makes this directory the root of this process and of those it will fork, and stands in it (chroot(2)). Descriptors that
/// are open stay what they are.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_CHROOT; there is no such directory.
pub fn change_root(directory: &Path) -> io::Result<()> {
    let wanted = fs::metadata(directory)?;
    // Inside it first: from a directory outside, `..` would lead out of the new root.
    std::env::set_current_dir(directory)?;
    nix::unistd::chroot(".").map_err(io_error)?;
    std::env::set_current_dir("/")?;
    let root = fs::metadata("/")?;
    if (root.dev(), root.ino()) == (wanted.dev(), wanted.ino()) {
        Ok(())
    } else {
        Err(io::Error::other("the root is another directory"))
    }
}
