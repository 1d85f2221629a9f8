//! Children that come, change and go while the others live on.
//!
//! Owns the row of the table for each of these. A slot is never taken out of the table: it is vacant until somebody is given it.

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{
    ChildId, ChildSpec, ChildState, DrainReason, Pressure, Process, RecycleReason, StopCause,
};
use super::lives::{ForkReason, fork_is_queued};
use super::message::{Action, Report};
use super::policy::deadline;
use super::slot::Slot;
use super::stop::Course;

impl Supervisor {
    pub(super) fn handle_install(&mut self, child: ChildId, spec: ChildSpec) {
        let is_free = |slot: &Slot| slot.state == ChildState::Vacant && slot.leaving.is_empty();
        let is_free = self.slots.get(usize::from(child.0)).is_some_and(is_free);
        if !is_free || self.course != Course::Supervising {
            return;
        }
        let generation = self.generation;
        *self.slot_mut(child) = Slot { generation, ..Slot::new(child, spec) };
        self.actions.push_back(Action::Fork { child, generation });
    }

    pub(super) fn handle_replace(
        &mut self,
        child: ChildId,
        spec: ChildSpec,
        why: RecycleReason,
        now: Moment,
    ) {
        if self.course != Course::Supervising {
            return;
        }
        let Some(slot) = self.slots.get_mut(usize::from(child.0)) else { return };
        match slot.state {
            ChildState::Vacant | ChildState::Stopped => return,
            ChildState::Stopping { cause: StopCause::Removed | StopCause::Shutdown, .. } => return,
            ChildState::Forking
            | ChildState::Starting { .. }
            | ChildState::Ready { .. }
            | ChildState::Draining { .. }
            | ChildState::Stopping { .. }
            | ChildState::BackingOff { .. }
            | ChildState::GivenUp { .. } => slot.spec = spec,
        }
        match slot.state {
            ChildState::Starting { process, .. } | ChildState::Ready { process, .. } => {
                if slot.has_room_to_leave() {
                    self.report(Report::Recycling { child, pid: process.pid, why });
                    self.drain(child, process, DrainReason::Recycle(why), now);
                }
            }
            // Its failures are none of what it is now.
            ChildState::BackingOff { .. } | ChildState::GivenUp { .. } => {
                self.forget_failures(child);
                self.fork(child, ForkReason::Replacement);
            }
            // What comes next is what it is now.
            ChildState::Forking
            | ChildState::Draining { .. }
            | ChildState::Stopping { .. }
            | ChildState::Stopped
            | ChildState::Vacant => {}
        }
    }

    pub(super) fn handle_remove(&mut self, child: ChildId, now: Moment) {
        if self.course != Course::Supervising {
            return;
        }
        let Some(slot) = self.slots.get_mut(usize::from(child.0)) else { return };
        match slot.state {
            ChildState::Forking if fork_is_queued(&self.actions, child) => {
                let is_own = |action: &Action| matches!(action, Action::Fork { child: other, .. } if *other == child);
                self.actions.retain(|action| !is_own(action));
                self.vacate(child);
            }
            // The shell is about to answer with a process, which is stopped then.
            ChildState::Forking => slot.is_removed = true,
            ChildState::Starting { process, .. }
            | ChildState::Ready { process, .. }
            | ChildState::Draining { process, .. } => self.stop_removed(child, process, now),
            ChildState::Stopping { process, pressure, cause } => match cause {
                StopCause::NotReady
                | StopCause::NotDraining
                | StopCause::NoRoom
                | StopCause::Removed => {
                    let cause = StopCause::Removed;
                    slot.state = ChildState::Stopping { process, cause, pressure };
                }
                StopCause::Shutdown => {}
            },
            ChildState::BackingOff { .. } | ChildState::GivenUp { .. } => self.vacate(child),
            ChildState::Stopped | ChildState::Vacant => {}
        }
    }

    /// Asks the process of a child that was removed to stop, in its own time.
    pub(super) fn stop_removed(&mut self, child: ChildId, process: Process, now: Moment) {
        let time = self.slot(child).spec.stop_timeout.unwrap_or(self.policy.stop_timeout);
        let pressure = Pressure::Asked { deadline: deadline(now, time) };
        let cause = StopCause::Removed;
        self.slot_mut(child).state = ChildState::Stopping { process, cause, pressure };
        // What it was asked to do before matters no more.
        self.actions.retain(
            |action| !matches!(action, Action::AskDrain { pid, .. } if *pid == process.pid),
        );
        self.actions.push_back(Action::AskStop { pid: process.pid });
    }

    /// Nobody has the slot any more.
    pub(super) fn vacate(&mut self, child: ChildId) {
        let slot = self.slot_mut(child);
        slot.state = ChildState::Vacant;
        slot.is_removed = false;
        self.forget_failures(child);
        self.report(Report::Removed { child });
    }

    fn forget_failures(&mut self, child: ChildId) {
        self.slot_mut(child).tally = super::tally::Tally::default();
    }
}
