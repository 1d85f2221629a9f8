//! Recycling: processes that wish to be replaced, one after the other.
//!
//! Owns whose turn it is. Workers that were started together reach a limit together; were all of them replaced at once,
//! their clients would come back to workers that are about to go as well, or to none. So a worker waits until no other is
//! on its way in or out, and a while longer. Children that a reload does not touch have no clients and do not wait.

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{ChildId, ChildState, DrainReason, Phase, Pid, Process, RecycleReason, Wish};
use super::message::Report;
use super::policy::deadline;
use super::reload::Reload;
use super::slot::{Place, Slot};

impl Supervisor {
    pub(super) fn handle_recycle(&mut self, pid: Pid, why: RecycleReason, now: Moment) {
        let Some((child, Place::Current)) = self.find(pid) else { return };
        let ChildState::Ready { process, since, wish: None } = self.slot(child).state else {
            return;
        };
        let at = deadline(since, self.policy.recycle_after).max(now);
        let wish = Some(Wish { at, why });
        self.slot_mut(child).state = ChildState::Ready { process, since, wish };
    }

    /// Has those begin whose turn has come.
    pub(super) fn advance_recycling(&mut self, now: Moment) {
        while let Some((child, process, why)) = self.next_recycled(now) {
            self.report(Report::Recycling { child, pid: process.pid, why });
            self.drain(child, process, DrainReason::Recycle(why), now);
            if self.slot(child).spec.reloadable {
                self.recycle_from = Some(deadline(now, self.policy.recycle_gap));
            }
        }
    }

    /// When time alone makes it somebody's turn.
    pub(super) fn recycling_timeout(&self) -> Option<Moment> {
        let is_busy = self.is_replacing();
        self.slots.iter().filter_map(|slot| self.turn_at(slot, is_busy)).min()
    }

    /// Who has waited longest of those whose turn it is.
    fn next_recycled(&self, now: Moment) -> Option<(ChildId, Process, RecycleReason)> {
        let is_busy = self.is_replacing();
        let due = |slot: &&Slot| self.turn_at(slot, is_busy).is_some_and(|at| at <= now);
        let first = self.slots.iter().filter(due).filter_map(|slot| match slot.state {
            ChildState::Ready { process, wish: Some(Wish { at, why }), .. } => {
                Some((at, (slot.id, process, why)))
            }
            ChildState::Ready { wish: None, .. }
            | ChildState::Forking
            | ChildState::Starting { .. }
            | ChildState::Draining { .. }
            | ChildState::Stopping { .. }
            | ChildState::BackingOff { .. }
            | ChildState::GivenUp { .. }
            | ChildState::Stopped
            | ChildState::Vacant => None,
        });
        first.min_by_key(|(at, _)| *at).map(|(_, who)| who)
    }

    /// When the wish of a slot may come true. Without an answer it waits for another event than time: for a death that
    /// makes room, or for the end of what others are busy with.
    fn turn_at(&self, slot: &Slot, is_busy: bool) -> Option<Moment> {
        let ChildState::Ready { wish: Some(wish), .. } = slot.state else { return None };
        if !slot.has_room_to_leave() {
            return None;
        }
        if !slot.spec.reloadable {
            return Some(wish.at);
        }
        (!is_busy).then(|| self.recycle_from.map_or(wish.at, |from| from.max(wish.at)))
    }

    /// Whether one of the children that are replaced one after the other is on its way in or out. One that waits before
    /// its next start is not: it may do so for long.
    fn is_replacing(&self) -> bool {
        let moves = |slot: &Slot| {
            slot.spec.reloadable
                && match slot.state.phase() {
                    Phase::Forking | Phase::Starting | Phase::Draining | Phase::Stopping => true,
                    Phase::Ready
                    | Phase::Leaving
                    | Phase::BackingOff
                    | Phase::GivenUp
                    | Phase::Stopped
                    | Phase::Vacant => false,
                }
        };
        matches!(self.reload, Reload::Rolling(_)) || self.slots.iter().any(moves)
    }
}
