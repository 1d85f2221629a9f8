//! A server whose workers can be made to die as soon as they start.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{fs, path::Path};

use super::{
    place::Place,
    support::{Signal, signal},
};

/// The server of examples/crash_loop.rs with this configuration: an echo whose worker N aborts at its start while the file
/// N is in the directory.
#[track_caller]
pub(crate) fn fragile(workers: usize, config: &str) -> Place {
    Place::start("crash_loop", workers, |command, directory| {
        fs::write(directory.join("config.toml"), config).expect("the directory is ours");
        command.arg(directory).arg(directory.join("config.toml"));
    })
}

/// Has a worker die as soon as it starts, from its next start on.
pub(crate) fn set_trap(directory: &Path, slot: usize) {
    fs::write(directory.join(slot.to_string()), "").expect("the directory is ours");
}

/// Has a worker die as soon as it starts, from now on, and the one that lives as well.
#[track_caller]
pub(crate) fn break_worker(server: &Place, slot: usize) {
    set_trap(server.directory(), slot);
    assert!(signal(server.worker_pid(slot), Signal::Kill));
}

/// Lets a worker live when it is started next.
#[track_caller]
pub(crate) fn mend_worker(server: &Place, slot: usize) {
    fs::remove_file(server.directory().join(slot.to_string())).expect("it was broken");
}
