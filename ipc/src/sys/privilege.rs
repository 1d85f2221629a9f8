//! Privileges beyond the user's number: capabilities(7), and the promise never to gain any (PR_SET_NO_NEW_PRIVS).

use std::io;

use nix::{errno::Errno, libc};

/// `_LINUX_CAPABILITY_VERSION_3`: two sets of three words for 64 capabilities (capget(2)).
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up every capability of this process: effective, permitted, inheritable and ambient, and checks that they are gone.
/// A change from root to another user leaves the inheritable ones, and a process that was never root may have been given
/// ambient ones. It is safe to call between fork and exec.
///
/// # Errors
/// None that a correct kernel gives.
pub fn drop_capabilities() -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: numbers only; the unused arguments are zero, as prctl(2) asks.
    let cleared = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            zero,
            zero,
            zero,
        )
    };
    Errno::result(cleared).map_err(super::io_error)?;
    let header = Header { version: VERSION, pid: 0 };
    let none = [Sets::default(); 2];
    // SAFETY: both pointers are to live values of the layout that capset(2) reads, two sets for this version.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    Errno::result(set).map_err(super::io_error)?;
    let mut header = header;
    let mut left = [Sets { effective: 1, permitted: 1, inheritable: 1 }; 2];
    // SAFETY: both pointers are to live, writable values of the layout that capget(2) fills, two sets for this version.
    let read = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, left.as_mut_ptr()) };
    Errno::result(read).map_err(super::io_error)?;
    if left == none { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// No program that this process or a child of it executes gets more privileges than it has, whatever bits its file carries
/// (prctl(2)). It cannot be taken back. It is safe to call between fork and exec.
///
/// # Errors
/// None that a correct kernel gives.
pub fn gain_no_more() -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs().map_err(super::io_error)
}
