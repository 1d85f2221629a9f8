//! The threads that jobs run on. Owns the threads and the way to them and back; which job may run is not decided here.
//!
//! There is none before the first job, and one more is started only when all have work. They have the loop's signal mask,
//! so SIGTERM stays the loop's to read. Nothing of theirs outlives the process, and nobody waits for them: a job that hangs
//! must not keep its worker from going.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{Registry, Waker};

use crate::{jobs::Work, token::Source};

/// See the module.
#[derive(Debug)]
pub(crate) struct Threads {
    threads_max: usize,
    threads: usize,
    /// Jobs that threads have, or will take.
    busy: usize,
    /// Neither way needs a bound of its own: no more jobs are under way than may be.
    work: Way<Numbered>,
    ended: Way<Ended>,
    waker: Option<Arc<Waker>>,
}

/// A job, and what the loop calls it.
type Numbered = (u64, Work);

/// Both ends of a way between the loop and its threads.
type Way<T> = (Sender<T>, Receiver<T>);

/// A job that a thread is done with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    pub(crate) number: u64,
    pub(crate) panicked: bool,
}

impl Threads {
    /// No threads yet, and never more than this many.
    pub(crate) fn new(threads_max: usize) -> Self {
        Self {
            threads_max,
            threads: 0,
            busy: 0,
            work: unbounded(),
            ended: unbounded(),
            waker: None,
        }
    }

    /// Runs a job on a thread; `registry` is that of the loop, which is woken when the job is over.
    ///
    /// # Errors
    /// There is no thread, and none can be started. The job is gone.
    pub(crate) fn run(&mut self, registry: &Registry, number: u64, work: Work) -> io::Result<()> {
        if self.busy >= self.threads && self.threads < self.threads_max {
            match self.start(registry) {
                Ok(()) => self.threads += 1,
                Err(error) if self.threads == 0 => return Err(error),
                // It waits for one of those that there are.
                Err(error) => log::warn!("no further thread for jobs: {error}"),
            }
        }
        self.busy += 1;
        // This end has a receiver too, so it is never closed.
        let _ = self.work.0.send((number, work));
        Ok(())
    }

    /// How many jobs have ended and not been taken.
    pub(crate) fn ended_len(&self) -> usize {
        self.ended.1.len()
    }

    /// Takes a job that has ended.
    pub(crate) fn next_ended(&mut self) -> Option<Ended> {
        let ended = self.ended.1.try_recv().ok()?;
        self.busy -= 1;
        Some(ended)
    }

    fn start(&mut self, registry: &Registry) -> io::Result<()> {
        let waker = match &self.waker {
            Some(waker) => waker.clone(),
            None => {
                let waker = Arc::new(Waker::new(registry, Source::Jobs.token())?);
                self.waker = Some(waker.clone());
                waker
            }
        };
        let (work, ended) = (self.work.1.clone(), self.ended.0.clone());
        let thread = thread::Builder::new().name("job".to_owned());
        // Its handle is of no use: see the module.
        thread.spawn(move || serve(&work, &ended, &waker)).map(drop)
    }
}

/// Runs jobs, one after the other, until the loop is gone.
fn serve(work: &Receiver<Numbered>, ended: &Sender<Ended>, waker: &Waker) {
    for (number, work) in work {
        let panicked = catch_unwind(AssertUnwindSafe(work)).is_err();
        if ended.send(Ended { number, panicked }).is_err() {
            return;
        }
        if let Err(error) = waker.wake() {
            log::error!("a job is over, and the loop could not be woken: {error}");
        }
    }
}
