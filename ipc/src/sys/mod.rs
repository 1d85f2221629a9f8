//! The wall around the kernel: every system call and every `unsafe` block of the project stands below here.
//!
//! What leaves this module is safe: owned descriptors that are close-on-exec, `io::Result`s, plain values.

#![allow(unsafe_code)]

pub mod activation;
pub mod clock;
pub mod daemon;
pub mod delivery;
pub mod files;
pub mod inheritance;
pub mod listener;
pub mod lock;
pub mod log_file;
pub mod log_output;
pub mod marked;
pub mod memory;
pub mod privilege;
pub mod process;
pub mod random;
pub mod record_lock;
pub mod reserve;
pub mod resource;
pub mod schedule;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod terminal;
pub mod title;
pub mod user;

pub(crate) fn io_error(errno: nix::errno::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno as i32)
}
