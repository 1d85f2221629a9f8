//! `wsmaster stop`: asks the master to stop, and waits until it has.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use wsmaster_ipc::sys::signal::number;

use super::{
    hint,
    load::read_config,
    out,
    out::complain,
    running_server::{pid_file, running},
};
use crate::{
    cli::{Exit, Target},
    config::Config,
};

/// What the master needs beyond its children's time, to kill what is left.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn stop(target: &Target, timeout: Option<Duration>) -> Exit {
    let path = match pid_file(target) {
        Ok(path) => path,
        Err(exit) => return exit,
    };
    let patience = match (timeout, read_config(&target.flags())) {
        (Some(timeout), _) => timeout,
        (None, Ok(config)) => self::timeout(&config, None),
        // The configuration may have been broken since the start; stopping must still work.
        (None, Err(_)) => Duration::from_secs(30),
    };
    stop_at(&path, patience, &hint::flags_given(target))
}

/// How long to wait for a server with this configuration.
pub(super) fn timeout(config: &Config, wanted: Option<Duration>) -> Duration {
    wanted.unwrap_or(config.server.stop_timeout + GRACE)
}

/// Stops the server with this PID file. `flags` are what the command needs to find it.
pub(super) fn stop_at(path: &Path, patience: Duration, flags: &str) -> Exit {
    let process = match running(path) {
        Ok(process) => process,
        Err(exit) => return exit,
    };
    let pid = process.pid();
    match process.signal(number::TERM) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            complain!("the master (pid {pid}) cannot be signalled: {error}");
            return Exit::Failed;
        }
    }
    let begun = Instant::now();
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        match process.wait(left) {
            Ok(true) => {
                out::say(&format!("wsmaster (pid {pid}) stopped after {:.1?}\n", begun.elapsed()));
                return Exit::Done;
            }
            Ok(false) if left.is_zero() => {
                complain!(
                    "wsmaster (pid {pid}) is still stopping after {patience:?}; run stop again to \
                     end its clients at once (wsmaster stop{flags}), or wait longer with --timeout"
                );
                return Exit::Failed;
            }
            Ok(false) => {}
            Err(error) => {
                complain!("cannot wait for the end of the master (pid {pid}): {error}");
                return Exit::Failed;
            }
        }
    }
}
