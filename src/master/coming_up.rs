//! From the first fork until all workers have served, and all programs were ready, once: the only time in which what they do
//! can end the server.

use std::{collections::HashMap, time::Instant};

use wsmaster_ipc::{LifeEvent, sys::process};
use wsmaster_workers::Handler;

use super::{
    Master, Role, report,
    start::{OnServing, Serving, StartError},
};
use crate::{
    logging,
    server::WorkerInfo,
    side::Body,
    supervisor::{ChildId, Event, GiveUpReason, Phase, Pid, Report},
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
    /// What the programs said last that ended before they were ready.
    last_words: HashMap<ChildId, String>,
}

impl ComingUp {
    pub(super) fn new(on_serving: Option<OnServing>) -> Self {
        let (program_failures, last_words) = (HashMap::new(), HashMap::new());
        Self { on_serving, failures: 0, program_failures, last_words }
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
        self.judge_the_programs(report);
        let (child, failure) = if let Report::Died { child, how, .. } = report {
            (*child, format!("they die at once ({}); the log says more", report::ended(*how)))
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
            let words = match coming_up.last_words.get(&child) {
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
        if self.coming_up.is_some() {
            let name = self.name_of(pid);
            self.fail(match is_worker {
                true => StartError::Workers(reason),
                false => StartError::Program(name, reason),
            });
        }
    }

    pub(super) fn note_last_words(&mut self, pid: Pid, line: String) {
        if let (Some(coming_up), Some(child)) = (&mut self.coming_up, self.supervisor.child_of(pid))
        {
            coming_up.last_words.insert(child, line);
        }
    }

    fn is_program(&self, child: ChildId) -> bool {
        let side = usize::from(child.0).checked_sub(self.seats.len());
        let body = side.and_then(|side| self.directory.sides().get(side)).map(|side| side.body);
        match body {
            Some(Body::Program(_)) => true,
            Some(Body::Closure(_) | Body::Tasks) | None => false,
        }
    }

    /// The first time that all workers serve and all programs are ready, says so.
    pub(super) fn announce(&mut self) {
        if self.coming_up.is_none() || self.stopping {
            return;
        }
        // One that has run once, and well, is not waited for; nor are closures, whose start says nothing of their work.
        let is_up = |phase| matches!(phase, Phase::Ready | Phase::GivenUp);
        let programs_are_up = self
            .supervisor
            .children(Instant::now())
            .all(|child| !self.is_program(child.id) || is_up(child.state));
        if !programs_are_up {
            return;
        }
        let workers = self.supervisor.children(Instant::now()).take(self.seats.len());
        let workers: Option<Vec<i32>> = workers
            .map(|child| child.pid.filter(|_| child.state == Phase::Ready).map(|pid| pid.0 as i32))
            .collect();
        let Some(workers) = workers else { return };
        let serving = Serving {
            listeners: self.listeners.endpoints(),
            master: process::own_pid(),
            workers,
            config: self.config.clone(),
            certificates: self
                .tls
                .as_ref()
                .map_or_else(Vec::new, |tls| tls.loaded.told.certificates.clone()),
        };
        log::info!("all workers serve");
        if let Some(call) = self.coming_up.take().and_then(|coming_up| coming_up.on_serving) {
            call(&serving);
        }
        self.spread_event(LifeEvent::ServerStart);
        self.systemd.ready(&self.summary());
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

    /// Gives the start up.
    pub(super) fn fail(&mut self, error: StartError) {
        if self.failure.is_none() {
            self.failure = Some(error);
            self.stopping = true;
            self.tell(Event::Stop);
        }
    }
}
