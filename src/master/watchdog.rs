//! Whether workers still make turns. Pure: counts of turns and the time go in, verdicts come out.
//!
//! It counts looks, not time. A look that comes late says that this process itself stood still (a suspended machine, a
//! stopped process group), and nothing about the workers: they get their whole time again. Clocks that are set do not
//! matter: the time is monotonic.

use std::{collections::HashMap, time::Duration};

use wsmaster_ipc::Moment;

use crate::supervisor::Pid;

/// Looks without a turn between them that make a worker a hanging one.
pub(super) const LOOKS: u32 = 4;

/// What is known of the workers' turns.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    seen: HashMap<Pid, Seen>,
    next: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    turns: u64,
    /// Looks since the last turn.
    looks: u32,
}

/// What to do about a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It hangs: it is aborted, so that a core can tell where.
    Abort(Pid),
    /// It still hangs.
    Kill(Pid),
}

impl Watchdog {
    /// When [`Self::look`] wants to be called next.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next
    }

    /// Looks at the workers' turns, if it is time. `limit` is how long a worker may make none.
    pub(super) fn look(
        &mut self,
        limit: Option<Duration>,
        turns: impl Iterator<Item = (Pid, u64)>,
        now: Moment,
    ) -> Vec<Verdict> {
        let Some(every) = limit.map(|limit| limit / LOOKS) else {
            *self = Self::default();
            return Vec::new();
        };
        let due = *self.next.get_or_insert(now);
        if now < due {
            return Vec::new();
        }
        self.next = Some(now + every);
        let late = now.saturating_duration_since(due) > every / 2;
        let before = std::mem::take(&mut self.seen);
        let mut verdicts = Vec::new();
        for (pid, turns) in turns {
            let looks = match before.get(&pid) {
                Some(seen) if seen.turns == turns && !late => seen.looks + 1,
                Some(_) | None => 0,
            };
            self.seen.insert(pid, Seen { turns, looks });
            match looks {
                0..LOOKS => {}
                LOOKS => verdicts.push(Verdict::Abort(pid)),
                _ => verdicts.push(Verdict::Kill(pid)),
            }
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(4));
    const STEP: Duration = Duration::from_secs(1);

    /// Looks once a second at two workers: one makes turns, the other stands still.
    fn looks(
        watchdog: &mut Watchdog,
        start: Moment,
        seconds: std::ops::Range<u64>,
    ) -> Vec<(u64, Verdict)> {
        seconds
            .flat_map(|second| {
                let turns = [(Pid(1), second), (Pid(2), 7)].into_iter();
                let now = start + STEP * second as u32;
                let verdicts = watchdog.look(LIMIT, turns, now);
                verdicts.into_iter().map(move |verdict| (second, verdict)).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn who_stands_still_is_aborted_and_then_killed() {
        let (mut watchdog, start) = (Watchdog::default(), clock::now());
        let verdicts = looks(&mut watchdog, start, 0..6);
        assert_eq!(verdicts, [(4, Verdict::Abort(Pid(2))), (5, Verdict::Kill(Pid(2)))]);
    }

    #[test]
    fn a_machine_that_slept_accuses_nobody() {
        let (mut watchdog, start) = (Watchdog::default(), clock::now());
        assert_eq!(looks(&mut watchdog, start, 0..4), []);
        // The look of second 4 comes in second 3,600.
        assert_eq!(looks(&mut watchdog, start, 3600..3604), []);
        assert_eq!(looks(&mut watchdog, start, 3604..3605), [(3604, Verdict::Abort(Pid(2)))]);
    }

    #[test]
    fn without_a_limit_nobody_is_watched() {
        let (mut watchdog, start) = (Watchdog::default(), clock::now());
        looks(&mut watchdog, start, 0..4);
        assert_eq!(watchdog.look(None, [(Pid(2), 7)].into_iter(), start + STEP * 4), []);
        assert_eq!(watchdog.wake_at(), None);
    }
}
