//! From the first fork until all workers have served once: the only time in which what workers do can end the server.

use std::time::Instant;

use wsmaster_ipc::{LifeEvent, sys::process};
use wsmaster_workers::Handler;

use super::{
    Master, report,
    start::{OnServing, Serving},
};
use crate::{
    server::WorkerInfo,
    supervisor::{Event, Phase, Report},
};

/// Deaths and failed forks of workers before all have served once that make the start a failure.
const START_FAILURES_MAX: u32 = 3;

/// A server whose start can still fail.
pub(super) struct ComingUp {
    pub(super) on_serving: Option<OnServing>,
    /// Workers that have died or could not be forked so far.
    pub(super) failures: u32,
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Workers that die, or cannot be forked, before all have served once: a start that fails is told to whoever started it,
    /// and not tried for ever.
    pub(super) fn judge_the_start(&mut self, report: &Report) {
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
            self.fail(failure);
        }
    }

    /// The first time that all workers serve, says so.
    pub(super) fn announce(&mut self) {
        if self.coming_up.is_none() || self.stopping {
            return;
        }
        // A side process that does not come up is no reason not to serve.
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
    pub(super) fn fail(&mut self, reason: String) {
        if self.failure.is_none() {
            self.failure = Some(reason);
            self.stopping = true;
            self.tell(Event::Stop);
        }
    }
}
