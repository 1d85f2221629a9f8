//! What must be true of a server after anything that clients have done to it.

use crate::support::{PATIENCE, Server};

/// Its one worker is the same, nothing is left in it, and nothing went wrong inside.
#[track_caller]
pub(crate) fn assert_unharmed(server: &Server, worker: u32) {
    let status = server.wait_until("all connections to be gone", 2 * PATIENCE, |status| {
        status["totals"]["connections"] == 0
    });
    assert_eq!(server.worker_pid(0), worker, "another worker");
    assert_eq!(status["totals"]["handler_panics"], 0, "{status}");
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}
