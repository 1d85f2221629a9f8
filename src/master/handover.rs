//! Who has been handed something that all are to use from now on, and has not said that it does. Pure.
//!
//! It is given again and again to whoever has not taken it, above all for lack of descriptors. Whoever waits for all of them
//! is told of those who cannot take it, and does not wait for these.

use std::{collections::HashMap, time::Duration};

use wsmaster_ipc::Moment;

use crate::supervisor::Pid;

/// How often a process that has not taken it is given it again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a process that says nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Handover {
    open: HashMap<Pid, Open>,
    /// Of what was handed over last.
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Moment,
    again: Moment,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It has not answered.
    Silent,
    /// It has no descriptor left for it.
    Refused,
    /// It has had its time, and is waited for no more.
    Late,
}

impl Handover {
    /// Something new is given to these. Its number.
    pub(super) fn given(&mut self, to: impl Iterator<Item = Pid>, now: Moment) -> u64 {
        let open = Open { since: now, again: now + AGAIN, state: State::Silent };
        self.open.extend(to.map(|pid| (pid, open)));
        self.number += 1;
        self.number
    }

    /// The number of what was given last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A process uses what has this number.
    pub(super) fn taken(&mut self, pid: Pid, number: u64) {
        if number == self.number {
            self.open.remove(&pid);
        }
    }

    /// A process has no descriptor left for what has this number.
    pub(super) fn refused(&mut self, pid: Pid, number: u64) {
        if let Some(open) = self.open.get_mut(&pid)
            && number == self.number
            && open.state == State::Silent
        {
            open.state = State::Refused;
        }
    }

    /// A process is dead.
    pub(super) fn buried(&mut self, pid: Pid) {
        self.open.remove(&pid);
    }

    /// Whether nobody is waited for: all have taken it, or had their time.
    pub(super) fn is_settled(&self) -> bool {
        self.open.values().all(|open| open.state == State::Late)
    }

    /// Those who have not taken it, when nobody is left who may yet answer: the answer to whoever asks how it went.
    pub(super) fn outcome(&self) -> Option<Vec<Pid>> {
        if self.open.values().any(|open| open.state == State::Silent) {
            return None;
        }
        let mut without: Vec<Pid> = self.open.keys().copied().collect();
        without.sort_unstable_by_key(|pid| pid.0);
        Some(without)
    }

    /// Those who are to be given it again.
    pub(super) fn again(&mut self, now: Moment) -> Vec<Pid> {
        let due = self.open.iter_mut().filter(|(_, open)| now >= open.again);
        due.map(|(pid, open)| {
            open.again = now + AGAIN;
            *pid
        })
        .collect()
    }

    /// Those who are waited for no more from now on. They are given it again all the same.
    pub(super) fn give_up(&mut self, now: Moment) -> Vec<Pid> {
        let mut late = Vec::new();
        for (pid, open) in &mut self.open {
            if open.state != State::Late && now >= open.since + PATIENCE {
                open.state = State::Late;
                late.push(*pid);
            }
        }
        late
    }

    /// When something is due next.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.open.values().map(|open| open.again).min()
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::sys::clock;

    use super::*;

    #[test]
    fn one_who_never_answers_is_waited_for_so_long_and_given_it_for_ever() {
        let mut now = clock::now();
        let mut handover = Handover::default();
        let number = handover.given([Pid(7), Pid(8)].into_iter(), now);
        handover.taken(Pid(8), number);
        now += PATIENCE - Duration::from_millis(1);
        assert!(handover.give_up(now).is_empty() && !handover.is_settled());
        assert_eq!((handover.outcome(), handover.again(now)), (None, vec![Pid(7)]));
        now += AGAIN;
        assert_eq!(handover.give_up(now), [Pid(7)]);
        assert!(handover.give_up(now).is_empty() && handover.is_settled());
        assert_eq!(handover.again(now), [Pid(7)]);
        assert_eq!(handover.outcome(), Some(vec![Pid(7)]));
        handover.taken(Pid(7), number);
        assert_eq!((handover.outcome(), handover.wake_at()), (Some(vec![]), None));
    }

    #[test]
    fn one_who_cannot_take_it_is_told_of_at_once_and_given_it_again() {
        let now = clock::now();
        let mut handover = Handover::default();
        let number = handover.given([Pid(7), Pid(8)].into_iter(), now);
        handover.refused(Pid(7), number);
        assert_eq!(handover.outcome(), None, "the other may yet answer");
        handover.taken(Pid(8), number);
        assert_eq!(handover.outcome(), Some(vec![Pid(7)]));
        assert!(!handover.is_settled());
        assert_eq!(handover.again(now + AGAIN), [Pid(7)]);
        assert!(handover.again(now + AGAIN).is_empty(), "once a second");
        handover.taken(Pid(7), number);
        assert!(handover.is_settled());
    }

    #[test]
    fn an_answer_to_something_older_means_nothing() {
        let now = clock::now();
        let mut handover = Handover::default();
        let first = handover.given([Pid(7)].into_iter(), now);
        let second = handover.given([Pid(7)].into_iter(), now + PATIENCE / 2);
        assert!(handover.give_up(now + PATIENCE).is_empty(), "it is waited for anew");
        handover.taken(Pid(7), first);
        handover.refused(Pid(7), first);
        assert_eq!(handover.outcome(), None);
        handover.taken(Pid(7), second);
        assert!(handover.is_settled());
        handover.given([Pid(9)].into_iter(), now);
        handover.buried(Pid(9));
        assert!(handover.is_settled());
    }
}
