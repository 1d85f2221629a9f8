//! `wsmaster reload`: asks the master to replace its workers, and tells how it went.

use std::time::Duration;

use super::{
    out,
    out::complain,
    running_server::{pid_file, running},
};
use crate::{
    cli::{Exit, Reload, Target, control_client::ask},
    master::{Question, ReloadAnswer, control_path},
};

/// No reload takes longer: each worker has its deadlines.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn reload(target: &Target, what: Reload) -> Exit {
    let path = match pid_file(target) {
        Ok(path) => path,
        Err(exit) => return exit,
    };
    if let Err(exit) = running(&path) {
        return exit;
    }
    let question = match what {
        Reload::Everything => Question::Reload,
        Reload::Certificates => Question::ReloadCertificates,
        Reload::Processes(name) => Question::ReloadProcesses { name },
    };
    let answer: ReloadAnswer = match ask(&control_path(&path), &question, PATIENCE) {
        Ok(answer) => answer,
        Err(error) => {
            complain!("the master does not answer at {}: {error}", control_path(&path).display());
            return Exit::Failed;
        }
    };
    for line in &answer.lines {
        if answer.ok {
            out::say(&format!("{line}\n"));
        } else {
            complain!("{line}");
        }
    }
    match (answer.ok, answer.refused) {
        (true, _) => Exit::Done,
        (false, true) => {
            complain!("nothing was reloaded; the server goes on as it was");
            Exit::Usage
        }
        (false, false) => Exit::Failed,
    }
}
