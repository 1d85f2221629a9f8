//! Jobs between the loop and its threads.

use wsmaster_ipc::shared_state::Counter;

use super::Worker;
use crate::{events::EndedJob, handler::Handler, jobs::JobError, threads::Ended};

impl<H: Handler> Worker<H> {
    /// Gives the threads what may run. It is the last thing before the poll, so nothing that a turn has brought up waits
    /// for the next one; and no thread is ever started before the worker has said that it is ready.
    pub(super) fn hand_out_jobs(&mut self) {
        while let Some((number, work)) = self.state.fx.events.jobs.next_ready() {
            if let Err(error) = self.threads.run(self.poll.registry(), number, work) {
                log::error!("a job cannot run, there is no thread for it: {error}");
                self.state.fx.stats.add(Counter::JobsRefused, 1);
                self.state.fx.events.end_job(number, Err(JobError::NoThread));
                self.run_callbacks();
            }
        }
    }

    /// Tells the application of the jobs that are over. Those that end meanwhile have woken the loop again.
    pub(super) fn take_ended_jobs(&mut self) {
        for _ in 0..self.threads.ended_len() {
            let Some(Ended { number, panicked }) = self.threads.next_ended() else { break };
            let (counter, result) = if panicked {
                (Counter::JobPanics, Err(JobError::Panicked))
            } else {
                (Counter::JobsDone, Ok(()))
            };
            self.state.fx.stats.add(counter, 1);
            self.state.fx.events.end_job(number, result);
        }
        self.run_callbacks();
    }

    /// The worker has to go, and waits no longer.
    pub(super) fn abandon_jobs(&mut self) {
        let abandoned: Vec<_> = self.state.fx.events.jobs.abandon().collect();
        if abandoned.is_empty() {
            return;
        }
        log::warn!("{} jobs were not over in time, and are abandoned", abandoned.len());
        self.state.fx.stats.add(Counter::JobsAbandoned, abandoned.len() as u64);
        for (connection, end) in abandoned {
            let result = Err(JobError::Abandoned);
            self.state.fx.events.ended_jobs.push_back(EndedJob { connection, end, result });
        }
        self.run_callbacks();
        // What they say to connections that are still there.
        self.flush();
    }
}
