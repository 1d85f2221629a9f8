//! What the application has to be told when its present call is over, so that it is never entered twice; and what it has
//! started that ends later: timers and jobs.

use std::collections::VecDeque;

use wsmaster_ipc::{ConnectionId, shared_state::Counter};

use crate::{
    callback_id::CallbackId,
    conn_index::ConnIndex,
    jobs::{JobError, JobOrder, Jobs, Work},
    limits::Limits,
    stats::Stats,
    timers::Timers,
    vocabulary::{Closed, Undecided, Verdict},
};

/// A job that is over, of which the application has to be told.
pub(crate) struct EndedJob {
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) end: CallbackId,
    pub(crate) result: Result<(), JobError>,
}

/// See the module.
pub(crate) struct Events {
    /// WebSockets whose end the application has to be told of.
    pub(crate) closed: VecDeque<(ConnIndex, Closed)>,
    /// Handshakes that the application has decided after a while.
    pub(crate) decisions: VecDeque<(Undecided, Verdict)>,
    /// Jobs that are over, or were refused.
    pub(crate) ended_jobs: VecDeque<EndedJob>,
    pub(crate) timers: Timers,
    pub(crate) jobs: Jobs<Work, CallbackId>,
}

impl Events {
    /// None yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            closed: VecDeque::new(),
            decisions: VecDeque::new(),
            ended_jobs: VecDeque::new(),
            timers: Timers::default(),
            jobs: Jobs::new(limits.job_queue_max),
        }
    }

    /// Whether there is nothing to tell.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.ended_jobs.is_empty() && self.decisions.is_empty()
    }

    /// Takes a job from the application, or queues word of why not.
    pub(crate) fn submit_job(
        &mut self,
        connection: Option<ConnectionId>,
        order: JobOrder,
        work: Work,
        end: CallbackId,
        limits: &Limits,
        stats: &Stats,
    ) {
        let refused = if limits.job_threads == 0 {
            Some((end, JobError::NoThread))
        } else {
            let taken = self.jobs.submit(connection, order, work, end);
            taken.err().map(|end| (end, JobError::Full))
        };
        if let Some((end, error)) = refused {
            stats.add(Counter::JobsRefused, 1);
            self.ended_jobs.push_back(EndedJob { connection, end, result: Err(error) });
        }
    }

    /// Queues word of a job's end for the application.
    pub(crate) fn end_job(&mut self, number: u64, result: Result<(), JobError>) {
        if let Some((connection, end)) = self.jobs.ended(number) {
            self.ended_jobs.push_back(EndedJob { connection, end, result });
        }
    }
}
