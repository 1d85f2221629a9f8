//! Blocking work of the application: which jobs are under way, and in which order they may run. Owns the bound and the
//! order. Pure: it starts no thread, and what is to be done and what is to be told are values of the caller's.
//!
//! The loop alone changes it. A job that has to wait for an earlier one of its connection stays here until the loop has
//! heard that the earlier one is over; so no thread ever waits for another.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use rustc_hash::FxHashMap;
use wsmaster_ipc::ConnectionId;

/// Which jobs a job waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobOrder {
    /// None: it runs as soon as a thread is free.
    Any,
    /// The earlier jobs of the same connection that have this order: they run one after the other, and their ends are told
    /// in the order in which they were given. For a call that is about no connection this is [`Self::Any`].
    OfConnection,
}

/// Why a job has no result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum JobError {
    /// It was not begun: this worker may have no threads, or the system has no more.
    #[error("there is no thread for the job: see server.job_threads")]
    NoThread,
    /// It was not begun: as many jobs are under way as may be.
    #[error("too many jobs are under way")]
    Full,
    /// It panicked.
    #[error("the job panicked")]
    Panicked,
    /// The worker has to go, and waits no longer. The job may have been begun.
    #[error("the job was not over when the worker had to go")]
    Abandoned,
}

/// What a thread does.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// All jobs of a worker that are not over. `W` is what is to be done, `D` what is to be told.
#[derive(Debug)]
pub struct Jobs<W, D> {
    job_queue_max: usize,
    given: u64,
    /// To be handed to threads.
    ready: VecDeque<(u64, W)>,
    /// Connections of which an ordered job is ready or runs, each with those behind it.
    lanes: FxHashMap<ConnectionId, VecDeque<(u64, W)>>,
    open: HashMap<u64, Open<D>>,
}

#[derive(Debug)]
struct Open<D> {
    connection: Option<ConnectionId>,
    order: JobOrder,
    end: D,
}

impl<W, D> Jobs<W, D> {
    /// No jobs yet, and never more than this many.
    pub fn new(job_queue_max: usize) -> Self {
        Self {
            job_queue_max,
            given: 0,
            ready: VecDeque::new(),
            lanes: FxHashMap::default(),
            open: HashMap::new(),
        }
    }

    /// How many wait or run.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a job.
    ///
    /// # Errors
    /// `end`, because there is no room.
    pub fn submit(
        &mut self,
        connection: Option<ConnectionId>,
        order: JobOrder,
        work: W,
        end: D,
    ) -> Result<(), D> {
        if self.open.len() >= self.job_queue_max {
            return Err(end);
        }
        self.given += 1;
        let number = self.given;
        let behind = match (order, connection) {
            (JobOrder::OfConnection, Some(connection)) => match self.lanes.entry(connection) {
                Entry::Occupied(lane) => Some(lane.into_mut()),
                Entry::Vacant(lane) => {
                    lane.insert(VecDeque::new());
                    None
                }
            },
            (JobOrder::OfConnection, None) | (JobOrder::Any, _) => None,
        };
        behind.unwrap_or(&mut self.ready).push_back((number, work));
        self.open.insert(number, Open { connection, order, end });
        Ok(())
    }

    /// Takes a job that may run now.
    pub fn next_ready(&mut self) -> Option<(u64, W)> {
        self.ready.pop_front()
    }

    /// A job is over: whose it was, and what is to be told. The next one of its connection may run.
    pub fn ended(&mut self, number: u64) -> Option<(Option<ConnectionId>, D)> {
        let Open { connection, order, end } = self.open.remove(&number)?;
        match (order, connection) {
            (JobOrder::OfConnection, Some(connection)) => {
                if let Entry::Occupied(mut lane) = self.lanes.entry(connection) {
                    match lane.get_mut().pop_front() {
                        Some(next) => self.ready.push_back(next),
                        None => drop(lane.remove()),
                    }
                }
            }
            (JobOrder::OfConnection, None) | (JobOrder::Any, _) => {}
        }
        Some((connection, end))
    }

    /// Gives all of them up, in the order in which they were given.
    pub fn abandon(&mut self) -> impl Iterator<Item = (Option<ConnectionId>, D)> + use<W, D> {
        self.ready.clear();
        self.lanes.clear();
        let mut open: Vec<(u64, Open<D>)> = self.open.drain().collect();
        open.sort_unstable_by_key(|(number, _)| *number);
        open.into_iter().map(|(_, open)| (open.connection, open.end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use wsmaster_ipc::Slot;

    use super::*;

    fn connection(serial: u64) -> ConnectionId {
        ConnectionId::new(Slot::new(0).unwrap(), serial).unwrap()
    }

    #[test]
    fn there_is_a_bound_and_room_again_when_a_job_is_over() {
        let mut jobs = Jobs::new(2);
        assert_eq!(jobs.submit(None, JobOrder::Any, (), 'a'), Ok(()));
        assert_eq!(jobs.submit(None, JobOrder::OfConnection, (), 'b'), Ok(()));
        assert_eq!(jobs.submit(None, JobOrder::Any, (), 'c'), Err('c'));
        let (first, ()) = jobs.next_ready().unwrap();
        assert_eq!(jobs.submit(None, JobOrder::Any, (), 'd'), Err('d'), "what runs counts too");
        assert_eq!(jobs.ended(first), Some((None, 'a')));
        assert_eq!(jobs.ended(first), None);
        assert_eq!(jobs.submit(None, JobOrder::Any, (), 'e'), Ok(()));
        assert_eq!(jobs.abandon().map(|(_, end)| end).collect::<String>(), "be");
        assert!(jobs.is_empty() && jobs.next_ready().is_none());
    }

    proptest! {
        /// Threads that finish in any order: of each connection at most one ordered job runs, and they run in the order in
        /// which they were given; all others run at once; none is lost.
        #[test]
        fn jobs_of_one_connection_run_one_after_the_other(
            steps in proptest::collection::vec((0..4_u64, any::<bool>(), any::<prop::sample::Index>()), 1..120),
        ) {
            let mut jobs = Jobs::new(1000);
            // Number to what it is, as handed out and not over.
            let mut running: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
            let mut last: BTreeMap<u64, usize> = BTreeMap::new();
            let (mut given, mut over) = (0, 0);
            let mut rest = Vec::new();
            for (serial, ordered, which) in steps {
                if serial > 0 {
                    let order = if ordered { JobOrder::OfConnection } else { JobOrder::Any };
                    let work = (serial, ordered, given);
                    prop_assert!(jobs.submit(Some(connection(serial)), order, work, given).is_ok());
                    given += 1;
                } else if !running.is_empty() {
                    rest.push(*which.get(&running.keys().copied().collect::<Vec<_>>()));
                }
                for number in rest.drain(..) {
                    prop_assert!(jobs.ended(number).is_some());
                    running.remove(&number);
                    over += 1;
                }
                while let Some((number, (serial, ordered, place))) = jobs.next_ready() {
                    if ordered {
                        prop_assert!(!running.values().any(|it| *it == (serial, true)), "two at a time");
                        prop_assert!(last.insert(serial, place).is_none_or(|last| last < place));
                    }
                    running.insert(number, (serial, ordered));
                }
                prop_assert_eq!(jobs.len(), given - over);
                // What does not run waits behind one that does.
                prop_assert!(!running.is_empty() || jobs.is_empty());
            }
        }
    }
}
