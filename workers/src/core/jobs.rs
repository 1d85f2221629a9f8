//! Jobs from the application, and word of their ends.

use wsmaster_ipc::{ConnectionId, board::Counter};

use super::{Core, EndedJob};
use crate::jobs::{JobEnd, JobError, JobOrder, Work};

impl Core {
    /// Takes a job from the application, or queues word of why not.
    pub(crate) fn submit_job(
        &mut self,
        connection: Option<ConnectionId>,
        order: JobOrder,
        work: Work,
        end: JobEnd,
    ) {
        let refused = if self.limits.job_threads == 0 {
            Some((end, JobError::NoThread))
        } else {
            let taken = self.jobs.submit(connection, order, work, end);
            taken.err().map(|end| (end, JobError::Full))
        };
        if let Some((end, error)) = refused {
            self.cell.add(Counter::JobsRefused, 1);
            self.ended_jobs.push_back(EndedJob { connection, end, result: Err(error) });
        }
    }

    /// Queues word of a job's end for the application.
    pub(crate) fn end_job(&mut self, number: u64, result: Result<(), JobError>) {
        if let Some((connection, end)) = self.jobs.ended(number) {
            self.ended_jobs.push_back(EndedJob { connection, end, result });
        }
    }

    /// The place of a connection of whose end the application has not been told.
    pub(crate) fn find_open(&self, id: ConnectionId) -> Option<u32> {
        let index = self.registry.find(id)?;
        self.registry.at(index).filter(|connection| connection.flags.open).map(|_| index)
    }
}
