//! The log file and its readers: moved aside when it is too long, opened again when somebody asks, and handed to every child.

use serde::{Deserialize, Serialize};
use wsmaster_ipc::{Moment, link::ToChild, sys::clock};
use wsmaster_workers::Handler;

use super::{Master, log_keeper::Rotation};
use crate::{logging, supervisor::Pid, worker_info::WorkerInfo};

/// The answer to [`Question::ReopenLogs`](super::Question::ReopenLogs).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ReopenAnswer {
    /// Whether every process writes to the file that has the name now.
    pub(crate) ok: bool,
    /// What happened.
    pub(crate) line: String,
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Opens the log file by its name again, and hands it to all. Callers are answered when all write to it.
    pub(super) fn reopen_log(&mut self, caller: Option<u32>) {
        let result = match logging::path() {
            None => Err("there is no file to open: server.log_file is not set".to_owned()),
            Some(path) => logging::reopen().map_err(|error| {
                let why = crate::missing::directory(&path).unwrap_or_else(|| error.to_string());
                let path = path.display();
                format!("the log file {path} cannot be opened again, and the old one stays in use: {why}")
            }),
        };
        match (result, caller) {
            (Ok(()), caller) => {
                self.hand_out_the_log();
                log::info!("the log was opened again");
                self.reopeners.extend(caller);
            }
            (Err(line), caller) => {
                log::warn!("{line}");
                if let Some(caller) = caller {
                    self.answer(caller, &ReopenAnswer { ok: false, line });
                }
            }
        }
    }

    /// Does what is due: a file that is too long, children who have not answered, callers who wait for them.
    pub(super) fn keep_the_log(&mut self) {
        let now = clock::now();
        let (bytes, keep) =
            (self.config.server.log_rotate_bytes, self.config.server.log_rotate_keep);
        match bytes.and_then(|bytes| Some((bytes, logging::length()?))) {
            Some((bytes, length)) => {
                if self.log_keeper.look(Rotation { bytes, keep }, length, now) {
                    self.rotate_the_log(keep, now);
                }
            }
            None => self.log_keeper.look_no_more(),
        }
        let message = ToChild::TakeLog { number: self.log_keeper.handover.number() };
        for pid in self.log_keeper.handover.again(now) {
            self.hand_log_to(pid, &message);
        }
        for pid in self.log_keeper.handover.give_up(now) {
            log::warn!(
                "{} (pid {}) does not take the new log file: until it does, its lines go to the old one",
                self.name_of(pid),
                pid.0
            );
        }
        self.answer_reopeners();
    }

    fn rotate_the_log(&mut self, keep: u32, now: Moment) {
        match logging::rotate(keep) {
            Ok(moved) => {
                if moved {
                    self.log_keeper.rotated();
                }
                self.hand_out_the_log();
            }
            Err(error) => {
                self.log_keeper.failed(now);
                log::warn!("the log file cannot be moved aside, and grows on: {error}");
            }
        }
    }

    fn hand_out_the_log(&mut self) {
        let children: Vec<Pid> = self.children.keys().copied().collect();
        let number = self.log_keeper.given(children.iter().copied(), clock::now());
        for pid in children {
            self.hand_log_to(pid, &ToChild::TakeLog { number });
        }
    }

    fn hand_log_to(&self, pid: Pid, message: &ToChild) {
        if let Some(child) = self.children.get(&pid) {
            // A line that is full is tried again with those who do not answer.
            logging::with_descriptor(|file| file.map(|file| child.link.send_with(message, file)));
        }
    }

    fn answer_reopeners(&mut self) {
        if self.reopeners.is_empty() {
            return;
        }
        let Some(without) = self.log_keeper.handover.outcome() else { return };
        let path = logging::path().unwrap_or_default();
        let line = match self.who_has_not_taken(&without) {
            None => format!("all processes write to {}", path.display()),
            Some(who) => {
                let path = path.display();
                format!("{who}; what it says goes to the old log file until it can take {path}")
            }
        };
        let answer = ReopenAnswer { ok: without.is_empty(), line };
        if !answer.ok {
            log::warn!("{}", answer.line);
        }
        for caller in std::mem::take(&mut self.reopeners) {
            self.answer(caller, &answer);
        }
    }
}
