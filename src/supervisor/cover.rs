//! Cover: while a slot that listens has no process that serves, another one's process serves its listener as well.
//!
//! Owns who covers whom, and when. That a process which is asked to leave or dies lets go of all listeners by itself is the
//! shell's promise, so nothing is asked of it then; somebody else is asked.

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{ChildId, ChildState, Phase, Pid};
use super::message::{Action, Report};
use super::policy::deadline;
use super::slot::Slot;
use super::stop::Course;

/// What is done about the listener of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// Nothing: its own process serves it, or it has none.
    None,
    /// It waits until then for the slot's own next process.
    After(Moment),
    /// It has waited long enough, and nobody is there to take it.
    Wanted,
    /// This process of another slot serves it.
    By(Pid),
}

impl Cover {
    pub(super) fn pid(self) -> Option<Pid> {
        match self {
            Self::By(pid) => Some(pid),
            Self::None | Self::After(_) | Self::Wanted => None,
        }
    }

    pub(super) fn timeout(self) -> Option<Moment> {
        match self {
            Self::After(at) => Some(at),
            Self::None | Self::Wanted | Self::By(_) => None,
        }
    }
}

impl Supervisor {
    pub(super) fn handle_cover_failed(&mut self, child: ChildId, by: Pid, now: Moment) {
        let after = deadline(now, self.policy.cover_after);
        let Some(slot) = self.slots.get_mut(usize::from(child.0)) else { return };
        if slot.cover == Cover::By(by) {
            slot.cover = Cover::After(after);
        }
    }

    /// Has every listener served that can be, by its own process if there is one.
    pub(super) fn advance_cover(&mut self, now: Moment) {
        self.take_back_covers();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if !slot.spec.listens {
                continue;
            }
            let child = slot.id;
            if slot.state.phase() == Phase::Ready || self.course != Course::Supervising {
                self.uncover(child);
                continue;
            }
            let is_over = match slot.cover {
                Cover::None => {
                    let after = deadline(now, self.policy.cover_after);
                    self.slot_mut(child).cover = Cover::After(after);
                    false
                }
                Cover::After(at) => at <= now,
                Cover::Wanted => true,
                // Dead, or on its way out: it has let go.
                Cover::By(pid) => !self.serves(pid),
            };
            if is_over {
                self.cover(child);
            }
        }
    }

    /// Gives the listener to the process with the fewest to cover already, since new clients will come to it from all of
    /// them, and among those to the one with the least load.
    fn cover(&mut self, child: ChildId) {
        let covers = |pid| self.slots.iter().filter(|slot| slot.cover == Cover::By(pid)).count();
        let best = self
            .slots
            .iter()
            .filter(|slot| slot.spec.listens)
            .filter_map(|slot| Some((slot, serving(slot)?)))
            .min_by_key(|(slot, pid)| (covers(*pid), slot.load, slot.id));
        let found = best.map(|(slot, pid)| (slot.id, pid));
        let Some((of, by)) = found else {
            self.slot_mut(child).cover = Cover::Wanted;
            return;
        };
        self.slot_mut(child).cover = Cover::By(by);
        self.actions.push_back(Action::Cover { child, by });
        self.report(Report::Covered { child, by: of });
    }

    /// What was to be asked of a process that has begun to leave in the meantime is nothing to ask of it any more.
    fn take_back_covers(&mut self) {
        let slots = &self.slots;
        self.actions.retain(|action| match *action {
            Action::Cover { by, .. } | Action::Uncover { by, .. } => serves(slots, by),
            Action::Fork { .. }
            | Action::AskDrain { .. }
            | Action::AskStop { .. }
            | Action::Kill { .. }
            | Action::Report(_)
            | Action::Exit => true,
        });
    }

    fn uncover(&mut self, child: ChildId) {
        let cover = std::mem::replace(&mut self.slot_mut(child).cover, Cover::None);
        if let Some(by) = cover.pid()
            && self.serves(by)
        {
            self.actions.push_back(Action::Uncover { child, by });
            self.report(Report::Uncovered { child });
        }
    }

    /// Whether a process is its slot's current one, and ready.
    pub(super) fn serves(&self, pid: Pid) -> bool {
        serves(&self.slots, pid)
    }
}

fn serves(slots: &[Slot], pid: Pid) -> bool {
    slots.iter().any(|slot| serving(slot) == Some(pid))
}

fn serving(slot: &Slot) -> Option<Pid> {
    match slot.state {
        ChildState::Ready { process, .. } => Some(process.pid),
        ChildState::Forking
        | ChildState::Starting { .. }
        | ChildState::Draining { .. }
        | ChildState::Stopping { .. }
        | ChildState::BackingOff { .. }
        | ChildState::GivenUp { .. }
        | ChildState::Stopped
        | ChildState::Vacant => None,
    }
}
