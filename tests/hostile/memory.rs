//! How much memory processes use while a test is busy with something else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::rss_bytes;

/// The time between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Looks at some processes again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn begin(pids: Vec<u32>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut most = vec![0; pids.len()];
                loop {
                    // Once more after the end, so that even the shortest watch has seen something.
                    let is_last = stop.load(Ordering::Relaxed);
                    for (most, pid) in most.iter_mut().zip(&pids) {
                        *most = rss_bytes(*pid).max(*most);
                    }
                    if is_last {
                        return most;
                    }
                    thread::park_timeout(STEP);
                }
            })
        };
        Self { stop, thread }
    }

    /// The most that each process had at one time, in bytes.
    #[track_caller]
    pub(crate) fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("it does not panic")
    }
}
