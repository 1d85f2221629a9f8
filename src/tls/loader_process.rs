//! Reading the files in a process of its own, which ends at once and takes with it what it knew.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use wsmaster_ipc::sys::{memory::sealed_file, socket};

use super::{
    LoadedTls, TlsSummary,
    files::{self, Fault},
};
use crate::{
    apart,
    config::{Config, ConfigErrors},
};

/// How long the files may take to be read. The master serves nobody meanwhile, but a disk that hangs must not hang it.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest report.
const REPORT_BYTES_MAX: usize = 512 * 1024;

/// What the process says before it ends. The credentials come beside it.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    Good(TlsSummary),
    Bad(Vec<Fault>),
}

/// Reads and checks the files that `[tls]` names, if it is on. To be called in a process with one thread.
///
/// # Errors
/// All that is wrong with them; that there is no other process to be had is told as a fault of `tls.cert_file`.
pub(crate) fn load_in_process(
    config: &Config,
    now_unix_s: i64,
) -> Result<Option<LoadedTls>, ConfigErrors> {
    if !config.tls.is_on() {
        return Ok(None);
    }
    match ask(config, now_unix_s) {
        Ok(Ok(loaded)) => Ok(Some(loaded)),
        Ok(Err(faults)) => Err(files::errors(config, &faults)),
        Err(error) => {
            let problem = format!("the files cannot be read by a process of their own: {error}");
            Err(config.refuse([("tls.cert_file", problem)]))
        }
    }
}

fn ask(config: &Config, now_unix_s: i64) -> io::Result<Result<LoadedTls, Vec<Fault>>> {
    let (report, credentials) =
        apart::ask(LOAD_TIMEOUT, REPORT_BYTES_MAX, |line| answer(config, now_unix_s, line))?;
    match (serde_json::from_slice(&report)?, credentials) {
        (Report::Good(summary), Some(credentials)) => Ok(Ok(LoadedTls { credentials, summary })),
        (Report::Good(_), None) => Err(io::ErrorKind::UnexpectedEof.into()),
        (Report::Bad(faults), _) => Ok(Err(faults)),
    }
}

/// What the other process does: its exit code.
fn answer(config: &Config, now_unix_s: i64, line: BorrowedFd<'_>) -> i32 {
    let (report, credentials) = match files::read(config, now_unix_s) {
        Ok((credentials, summary)) => match sealed_file(&credentials.to_bytes()) {
            Ok(file) => (Report::Good(summary), Some(file)),
            Err(_) => return 1,
        },
        Err(faults) => (Report::Bad(faults), None),
    };
    let Ok(report) = serde_json::to_vec(&report) else { return 1 };
    let attachment = credentials.as_ref().map(AsFd::as_fd);
    i32::from(!matches!(socket::send_packet(line, &report, attachment), Ok(socket::Sent::Whole)))
}
