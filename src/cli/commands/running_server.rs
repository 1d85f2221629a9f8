//! Asking the running server: its status, and what its workers have. Each question is a call of the control socket of its
//! own, so a list is asked for a part at a time, as fast as its reader takes it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use wsmaster_ipc::sys::{process::Process, resource};
use wsmaster_workers::inspect::{InspectRequest, Page};

use super::{given::environment, out::complain};
use crate::{
    cli::{
        Exit, Target,
        control_client::{FindError, Found, ask, find},
    },
    master::{Question as Ask, SurveyAnswer, SurveyProblem, control_path},
    missing,
    status::Status,
};

/// How long the master may take for its part of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running server.
#[derive(Debug)]
pub(super) struct RunningServer {
    pid_file: PathBuf,
    /// Its master.
    pub(super) process: Process,
}

impl RunningServer {
    /// The server that is meant; says so when it is not running.
    pub(super) fn find(target: &Target) -> Result<Self, Exit> {
        let pid_file = pid_file(target)?;
        let process = running(&pid_file)?;
        Ok(Self { pid_file, process })
    }

    /// Its PID file.
    pub(super) fn pid_file(&self) -> &Path {
        &self.pid_file
    }

    /// How it is; says so when it does not answer.
    pub(super) fn status(&self) -> Result<Status, Exit> {
        status(&self.pid_file).map_err(|error| self.report_unanswered(&error))
    }

    /// How it is, in the words of the server, which may be another version and say more than is known here.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) fn status_as_told(&self) -> io::Result<Value> {
        status_as_told(&self.pid_file)
    }

    /// A part of what a worker has; says so when the master does not answer.
    pub(super) fn part<R: DeserializeOwned>(
        &self,
        slot: u16,
        question: &InspectRequest,
    ) -> Result<Result<Page<R>, SurveyProblem>, Exit> {
        part(&self.pid_file, slot, question).map_err(|error| self.report_unanswered(&error))
    }

    /// Says that it does not answer.
    pub(super) fn report_unanswered(&self, error: &io::Error) -> Exit {
        let socket = control_path(&self.pid_file);
        complain!("the master does not answer at {}: {error}", socket.display());
        Exit::Failed
    }
}

/// How the server with this PID file is.
///
/// # Errors
/// It does not answer.
pub(super) fn status(pid_file: &Path) -> io::Result<Status> {
    Ok(Status::deserialize(status_as_told(pid_file)?)?)
}

fn status_as_told(pid_file: &Path) -> io::Result<Value> {
    ask(&control_path(pid_file), &Ask::Status, PATIENCE)
}

/// A part of what a worker of the server with this PID file has.
///
/// # Errors
/// The master does not answer. That the worker does not is a [`SurveyProblem`].
pub(super) fn part<R: DeserializeOwned>(
    pid_file: &Path,
    slot: u16,
    question: &InspectRequest,
) -> io::Result<Result<Page<R>, SurveyProblem>> {
    let ask_for = Ask::Survey { slot, question: question.clone() };
    let answer: SurveyAnswer<Page<R>> = ask(&control_path(pid_file), &ask_for, PATIENCE)?;
    Ok(answer.part.ok_or(answer.problem.unwrap_or(SurveyProblem::Unanswered)))
}

/// The PID file that a command is about.
pub(super) fn pid_file(target: &Target) -> Result<PathBuf, Exit> {
    let cpus = resource::cpus_available();
    target.pid_file(&environment(), resource::effective_uid(), cpus).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })
}

/// The living master of a PID file; says so when there is none.
pub(super) fn running(path: &Path) -> Result<Process, Exit> {
    match find(path) {
        Ok(Found::Running(process)) => Ok(process),
        Ok(Found::NoFile) => {
            let why = missing::directory(path).map_or_else(String::new, |why| format!(": {why}"));
            complain!("wsmaster is not running: there is no pid file {}{why}", path.display());
            Err(Exit::NotRunning)
        }
        Ok(Found::Stale) => {
            complain!(
                "wsmaster is not running: the pid file {} was left behind by one that has ended",
                path.display()
            );
            Err(Exit::NotRunning)
        }
        Err(error @ (FindError::Foreign(..) | FindError::Unreadable(..))) => {
            complain!("{error}");
            Err(Exit::Failed)
        }
    }
}
