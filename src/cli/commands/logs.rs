//! `wsmaster logs reopen`: has the log file opened again after it was moved away, and waits until nobody writes to the old one.

use std::time::Duration;

use super::{out, out::complain, running_server::RunningServer};
use crate::{
    cli::{Exit, Target, control_client::ask},
    master::{Question, ReopenAnswer, control_path},
};

/// A worker that hangs takes the file when it goes on, or is replaced: longer than the watchdog waits by default.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) fn reopen(target: &Target) -> Exit {
    let server = match RunningServer::find(target) {
        Ok(server) => server,
        Err(exit) => return exit,
    };
    let socket = control_path(server.pid_file());
    match ask::<ReopenAnswer>(&socket, &Question::ReopenLogs, PATIENCE) {
        Ok(ReopenAnswer { ok: true, line }) => {
            out::say(&format!("{line}\n"));
            Exit::Done
        }
        Ok(ReopenAnswer { ok: false, line }) => {
            complain!("{line}");
            Exit::Failed
        }
        Err(error) => server.report_unanswered(&error),
    }
}
