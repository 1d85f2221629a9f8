//! From the first fork until all workers have served, and all programs were ready, once: the only time in which what they do
//! can end the server.

use std::collections::HashMap;

use wsmaster_ipc::{
    LifeEvent,
    sys::{clock, process},
};
use wsmaster_workers::Handler;

use super::{
    Master, Role,
    calls::Reach,
    report,
    start::{OnServing, Serving, StartError},
};
use crate::{
    logging,
    side::Body,
    supervisor::{ChildId, Event, ExitStatus, GiveUpReason, Phase, Pid, Report},
    worker_info::WorkerInfo,
};

/// Deaths and failed forks of workers, or of one program, before all have come up that make the start a failure.
const START_FAILURES_MAX: u32 = 3;

/// A server whose start can still fail.
pub(super) struct ComingUp {
    pub(super) on_serving: Option<OnServing>,
    /// Workers that have died or could not be forked so far.
    failures: u32,
    /// The same of each program, before it was ready.
    program_failures: HashMap<ChildId, u32>,
    /// What a reload was asked to change, which waits until all have come up.
    reload: Option<Reach>,
    /// Callers that wait for it.
    reloaders: Vec<u32>,
    /// Side processes are to be started again, then.
    restarts_sides: bool,
}

impl ComingUp {
    pub(super) fn new(on_serving: Option<OnServing>) -> Self {
        let (reload, reloaders, restarts_sides) = (None, Vec::new(), false);
        Self {
            on_serving,
            failures: 0,
            program_failures: HashMap::new(),
            reload,
            reloaders,
            restarts_sides,
        }
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Workers and programs that die, or cannot be forked, before all have come up: a start that fails is told to whoever
    /// started it, and not tried for ever.
    pub(super) fn judge_the_start(&mut self, report: &Report) {
        if self.stopping {
            return;
        }
        self.judge_the_programs(report);
        let (child, failure) = if let Report::Died { child, how, phase, .. } = report {
            if !is_unasked(*phase, *how) {
                return;
            }
            (*child, format!("they exited during startup ({}); see the log", report::ended(*how)))
        } else if let Report::ForkFailed { child, reason } = report {
            (*child, format!("they cannot be forked: {reason}"))
        } else {
            return;
        };
        if !self.is_worker(child) {
            return;
        }
        let Some(coming_up) = &mut self.coming_up else { return };
        coming_up.failures += 1;
        if coming_up.failures >= START_FAILURES_MAX {
            self.fail(StartError::Workers(failure));
        }
    }

    fn judge_the_programs(&mut self, report: &Report) {
        let mut is_last = false;
        let (child, what) = if let Report::Died { child, how, phase: Phase::Starting, .. } = report
        {
            (*child, format!("it ended with {} before it was ready", report::ended(*how)))
        } else if let Report::ForkFailed { child, reason } = report {
            (*child, format!("it cannot be forked: {reason}"))
        } else if let Report::GivenUp { child, reason: GiveUpReason::RanOnce(how) } = report
            && !how.is_success()
        {
            is_last = true;
            (*child, format!("it ended with {}, and is not started again", report::ended(*how)))
        } else {
            return;
        };
        if !self.is_program(child) {
            return;
        }
        let name = self.supervisor.spec(child).map_or_else(String::new, |spec| spec.name.clone());
        let Some(coming_up) = &mut self.coming_up else { return };
        let failures = coming_up.program_failures.entry(child).or_default();
        if !is_last {
            *failures += 1;
        }
        // One that was ready before it ended is none that did not come up.
        if *failures >= START_FAILURES_MAX || (is_last && *failures > 0) {
            let times = if *failures > 1 { format!(", {failures} times") } else { String::new() };
            let words = match self.last_words.get(&child) {
                Some(words) => format!("; its last words: {}", logging::escape(words)),
                None => "; the log may say more".to_owned(),
            };
            self.fail(StartError::Program(name, format!("{what}{times}{words}")));
        }
    }

    /// A process says that it cannot do its work, and that trying again would not help.
    pub(super) fn fail_the_start_of(&mut self, pid: Pid, reason: String) {
        let is_worker =
            matches!(self.children.get(&pid).map(|child| &child.role), Some(Role::Worker(_)));
        self.note_last_words(pid, reason.clone());
        if self.coming_up.is_some() {
            let name = self.name_of(pid);
            self.fail(match is_worker {
                true => StartError::Workers(reason),
                false => StartError::Program(name, reason),
            });
        }
    }

    pub(super) fn note_last_words(&mut self, pid: Pid, line: String) {
        if let Some(child) = self.supervisor.child_of(pid) {
            self.last_words.insert(child, line);
        }
    }

    pub(super) fn is_program(&self, child: ChildId) -> bool {
        let side = usize::from(child.0).checked_sub(self.seats.len());
        let body = side.and_then(|side| self.directory.sides().get(side)).map(|side| &side.body);
        match body {
            Some(Body::Program(_)) => true,
            Some(Body::Closure(_) | Body::Tasks | Body::Vacant) | None => false,
        }
    }

    /// The first time that all workers serve and all programs are ready, says so. Whether something that has waited for it
    /// has begun.
    pub(super) fn announce(&mut self) -> bool {
        if self.coming_up.is_none() || self.stopping {
            return false;
        }
        // One that has run once, and well, is not waited for; nor are closures, whose start says nothing of their work.
        let is_up = |phase| matches!(phase, Phase::Ready | Phase::GivenUp);
        let programs_are_up = self
            .supervisor
            .children(clock::now())
            .all(|child| !self.is_program(child.id) || is_up(child.state));
        if !programs_are_up {
            return false;
        }
        let workers = self.supervisor.children(clock::now()).take(self.seats.len());
        let workers: Option<Vec<i32>> = workers
            .map(|child| child.pid.filter(|_| child.state == Phase::Ready).map(|pid| pid.0 as i32))
            .collect();
        let Some(workers) = workers else { return false };
        let serving = Serving {
            listeners: self.listeners.endpoints(),
            master: process::own_pid(),
            workers,
            config: self.config.clone(),
            certificates: self
                .tls
                .as_ref()
                .map_or_else(Vec::new, |tls| tls.loaded.summary.certificates.clone()),
        };
        log::info!("all workers serve");
        let Some(coming_up) = self.coming_up.take() else { return false };
        if let Some(call) = coming_up.on_serving {
            call(&serving);
        }
        self.spread_event(LifeEvent::ServerStart);
        self.systemd.ready(&self.summary());
        if coming_up.restarts_sides {
            self.restart_side_processes();
        }
        if let Some(reach) = coming_up.reload {
            self.take_reloaders(coming_up.reloaders, reach);
        }
        coming_up.restarts_sides || coming_up.reload.is_some()
    }

    /// Has a reload wait until the start is over. Whether it is not over yet.
    pub(super) fn defer_reload(&mut self, reach: Reach, caller: Option<u32>) -> bool {
        let stopping = self.stopping;
        let Some(coming_up) = self.coming_up.as_mut().filter(|_| !stopping) else { return false };
        if coming_up.reload.is_none() {
            log::info!("a reload follows when all workers serve");
        }
        coming_up.reload = Some(coming_up.reload.map_or(reach, |before| before.and(reach)));
        coming_up.reloaders.extend(caller);
        true
    }

    /// Has the restart of side processes wait until the start is over. Whether it is not over yet.
    pub(super) fn defer_restart_of_sides(&mut self) -> bool {
        let stopping = self.stopping;
        let Some(coming_up) = self.coming_up.as_mut().filter(|_| !stopping) else { return false };
        log::info!("side processes are started again when all workers serve");
        coming_up.restarts_sides = true;
        true
    }

    /// Answers those who wait for a reload that will not be.
    pub(super) fn refuse_deferred_reload(&mut self) {
        let callers = self.coming_up.as_mut().map(|coming_up| {
            coming_up.reload = None;
            std::mem::take(&mut coming_up.reloaders)
        });
        if let Some(callers) = callers.filter(|callers| !callers.is_empty()) {
            self.take_reloaders(callers, Reach::Everything);
        }
    }

    /// One line for whoever asks systemd.
    pub(super) fn summary(&self) -> String {
        format!("serving on {} with {} workers", self.listed_endpoints(), self.seats.len())
    }

    pub(super) fn listed_endpoints(&self) -> String {
        let endpoints = self.listeners.endpoints();
        let listed: Vec<String> =
            endpoints.iter().map(|(_, endpoint)| endpoint.to_string()).collect();
        listed.join(", ")
    }

    /// Gives the start up, unless somebody has told the server to stop.
    pub(super) fn fail(&mut self, error: StartError) {
        if !self.stopping {
            self.failure = Some(error);
            self.stopping = true;
            self.refuse_deferred_reload();
            self.tell(Event::Stop);
        }
    }
}

/// Whether nobody has asked a worker that ended in this phase to end. One that was told to leave and obeys is no failure, nor
/// is one that has left of its own will and ended well; one that was not ready in time is.
fn is_unasked(phase: Phase, how: ExitStatus) -> bool {
    match phase {
        Phase::Forking
        | Phase::Starting
        | Phase::Ready
        | Phase::Stopping
        | Phase::BackingOff
        | Phase::GivenUp => true,
        Phase::Leaving | Phase::Draining => !how.is_success(),
        Phase::Stopped | Phase::Vacant => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deaths_that_nobody_asked_for_are_failures_of_a_start() {
        let (well, badly) = (ExitStatus::Exited(0), ExitStatus::Exited(1));
        let killed = ExitStatus::Signaled { signal: 9, core_dumped: false };
        for (phase, how, expected) in [
            (Phase::Starting, well, true),
            (Phase::Starting, killed, true),
            (Phase::Ready, badly, true),
            // It was not ready in time: a stop of the whole server does not come here.
            (Phase::Stopping, well, true),
            (Phase::Leaving, well, false),
            (Phase::Draining, well, false),
            (Phase::Leaving, killed, true),
            (Phase::Draining, badly, true),
        ] {
            assert_eq!(is_unasked(phase, how), expected, "{phase:?}, {how:?}");
        }
    }
}
