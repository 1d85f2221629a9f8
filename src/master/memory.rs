//! How much memory the workers hold: one look a second, and word to the supervisor of those that hold too much.
//!
//! The master looks, and not each worker at itself: a worker that hangs is seen too, one that is idle is not woken, and the
//! supervisor, which has one go after the other, sits here. It owns the moments of the looks and decides nothing more.

use std::time::Duration;

use wsmaster_ipc::{
    Moment,
    sys::{clock, resource},
};
use wsmaster_workers::Handler;

use super::{Master, Role};
use crate::{
    supervisor::{Event, Pid, RecycleReason},
    worker_info::WorkerInfo,
};

/// Between two looks. A look is one small read from /proc for each worker.
const EVERY: Duration = Duration::from_secs(1);

/// When the next look is due.
#[derive(Debug, Default)]
pub(super) struct MemoryWatch {
    next: Option<Moment>,
}

impl MemoryWatch {
    /// When [`Self::is_due`] has something to say next.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next
    }

    /// Whether it is time to look. Without a limit it never is.
    fn is_due(&mut self, bytes_max: u64, now: Moment) -> bool {
        if bytes_max == 0 {
            self.next = None;
            return false;
        }
        let is_due = self.next.is_none_or(|next| now >= next);
        if is_due {
            self.next = Some(now + EVERY);
        }
        is_due
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Looks at the workers' memory, if it is time.
    pub(super) fn watch_the_memory(&mut self) {
        let bytes_max = self.config.server.worker_memory_max;
        if !self.memory.is_due(bytes_max, clock::now()) {
            return;
        }
        let weigh = |pid: Pid| Some((pid, resource::own_bytes(pid.0 as i32)?));
        let workers = self.children.iter().filter_map(|(pid, child)| match child.role {
            Role::Worker(_) => weigh(*pid),
            Role::Side(_) => None,
        });
        let heavy: Vec<(Pid, u64)> = workers.filter(|(_, bytes)| *bytes > bytes_max).collect();
        for (pid, bytes) in heavy {
            // Said again at every look; the first wish counts, and one that leaves is not asked again.
            self.tell(Event::Recycle { pid, why: RecycleReason::Memory(bytes) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_comes_once_a_second_and_only_with_a_limit() {
        let (mut watch, start) = (MemoryWatch::default(), clock::now());
        assert!(!watch.is_due(0, start));
        assert_eq!(watch.wake_at(), None);
        assert!(watch.is_due(1, start));
        assert!(!watch.is_due(1, start + EVERY / 2));
        assert_eq!(watch.wake_at(), Some(start + EVERY));
        assert!(watch.is_due(1, start + EVERY));
        assert!(!watch.is_due(0, start + 3 * EVERY));
        assert_eq!(watch.wake_at(), None, "a reload has taken the limit away");
    }
}
