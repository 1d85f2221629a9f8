//! Callers of the control socket, and the reload that some of them wait for.

use std::{collections::HashMap, time::Instant};

use mio::Interest;
use wsmaster_workers::Handler;

use super::{
    Master,
    control::{CALLERS_MAX, Caller, Progress, Question, ReloadAnswer},
    forking, report, settings,
    token::Source,
};
use crate::{logging, server::WorkerInfo, supervisor::Event};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Reads the configuration and begins to replace the workers.
    pub(super) fn begin_reload(&mut self) -> Result<(), Vec<String>> {
        if self.stopping {
            return Err(vec!["the server is stopping".to_owned()]);
        }
        if let Some(read) = &self.reload {
            match read() {
                Ok(new) => {
                    let mut changed = self.config.clone();
                    let lines = settings::adopt(&mut changed, new);
                    match self.listeners.change(&changed) {
                        Ok(new) => self.introduce_listeners(&new),
                        Err(error) => {
                            log::error!("{error}");
                            log::error!("nothing was reloaded: a listener cannot be had");
                            return Err(vec![error.to_string()]);
                        }
                    }
                    self.config = changed;
                    for line in lines {
                        log::warn!("{line}");
                        self.reload_lines.push(line);
                    }
                    let sides =
                        forking::stop_timeout_max(&self.config, &self.processes, &self.directory);
                    self.supervisor.set_policy(settings::policy(&self.config, sides));
                    logging::set_level(self.config.server.log_level.into());
                }
                Err(errors) => {
                    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    for line in &lines {
                        log::error!("{line}");
                    }
                    log::error!("nothing was reloaded: the configuration is wrong");
                    return Err(lines);
                }
            }
        }
        self.tell(Event::Reload);
        Ok(())
    }

    pub(super) fn answer_reloaders(&mut self) {
        if self.supervisor.is_reloading() {
            return;
        }
        let lines = std::mem::take(&mut self.reload_lines);
        if self.reloaders.is_empty() {
            return;
        }
        let ok = self.supervisor.all_ready() && !self.stopping && !report::tell_of_failure(&lines);
        let answer = ReloadAnswer { ok, lines, refused: false };
        for number in std::mem::take(&mut self.reloaders) {
            self.answer(number, &answer);
        }
    }

    pub(super) fn take_calls(&mut self) {
        while let Some(mut caller) = self.control.accept(Instant::now()) {
            if self.callers.len() >= CALLERS_MAX {
                log::warn!("too many callers at the control socket: one was hung up on");
                continue;
            }
            let number = self.next_caller;
            self.next_caller = self.next_caller.wrapping_add(1);
            let interests = Interest::READABLE | Interest::WRITABLE;
            let token = Source::Caller(number).token();
            if self.poll.registry().register(&mut caller.stream, token, interests).is_ok() {
                self.callers.insert(number, caller);
                self.advance_caller(number);
            }
        }
    }

    pub(super) fn advance_caller(&mut self, number: u32) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.advance() {
            Progress::Waiting => {}
            Progress::Over => drop(self.callers.remove(&number)),
            Progress::Asked(Question::Status) => {
                let status = self.status();
                self.answer(number, &status);
            }
            Progress::Asked(Question::Survey { slot, question }) => {
                self.survey(number, slot, &question);
            }
            Progress::Asked(Question::ReopenLogs) => {
                caller_waits(&mut self.callers, number);
                self.reopen_log(Some(number));
            }
            Progress::Asked(Question::Reload) => match self.begin_reload() {
                Ok(()) => {
                    caller_waits(&mut self.callers, number);
                    self.reloaders.push(number);
                }
                Err(lines) => {
                    let refused = !self.stopping;
                    self.answer(number, &ReloadAnswer { ok: false, lines, refused });
                }
            },
        }
    }

    pub(super) fn answer(&mut self, number: u32, answer: &impl serde::Serialize) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.answer(answer, Instant::now()) {
            Progress::Waiting => {}
            Progress::Over | Progress::Asked(_) => drop(self.callers.remove(&number)),
        }
    }

    pub(super) fn hang_up_on_the_slow(&mut self) {
        let now = Instant::now();
        self.callers.retain(|_, caller| caller.deadline.is_none_or(|deadline| now < deadline));
    }
}

fn caller_waits(callers: &mut HashMap<u32, Caller>, number: u32) {
    if let Some(caller) = callers.get_mut(&number) {
        caller.deadline = None;
    }
}
