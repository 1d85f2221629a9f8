//! The rolling reload: one slot after the other is given a successor, and the first that fails ends it.
//!
//! Owns the order and the outcome of a reload. How a single process is replaced is the business of its slot's life; here
//! it is only started and watched.

use std::collections::VecDeque;

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{ChildId, ChildState, DrainReason, Phase};
use super::lives::ForkReason;
use super::message::{ReloadFailure, Report};
use super::stop::Course;

#[derive(Debug)]
pub(super) enum Reload {
    Idle,
    Rolling(Pass),
}

/// One reload on its way through the slots.
#[derive(Debug)]
pub(super) struct Pass {
    /// The slot whose turn it is.
    pub(super) at: Option<ChildId>,
    pub(super) remaining: VecDeque<ChildId>,
    begun: Moment,
    replaced: usize,
    /// Another reload was asked for meanwhile.
    again: bool,
}

/// What the slot whose turn it is needs.
enum Turn {
    /// An event of its own.
    Wait,
    /// Nothing: it runs the new generation.
    Replaced,
    /// Nothing: it is not started any more.
    Skipped,
}

impl Supervisor {
    pub(super) fn handle_reload(&mut self, now: Moment) {
        if self.course != Course::Supervising {
            return;
        }
        match &mut self.reload {
            Reload::Idle => self.begin_reload(now),
            Reload::Rolling(pass) => {
                pass.again = true;
                self.report(Report::ReloadQueued);
            }
        }
    }

    /// Takes the reload as far as it goes without waiting.
    pub(super) fn advance_reload(&mut self, now: Moment) {
        while let Reload::Rolling(pass) = &mut self.reload {
            let Some(child) = pass.at else {
                match pass.remaining.pop_front() {
                    Some(child) => {
                        pass.at = Some(child);
                        self.arrive(child);
                    }
                    None => self.finish_reload(now),
                }
                continue;
            };
            let turn = self.take_turn(child, now);
            let Reload::Rolling(pass) = &mut self.reload else { return };
            match turn {
                Turn::Wait => return,
                Turn::Replaced => {
                    pass.replaced += 1;
                    pass.at = None;
                }
                Turn::Skipped => pass.at = None,
            }
        }
    }

    /// A slot has failed. That ends the reload if it is this slot's turn and what failed is the successor on its way to
    /// ready, not the process to be replaced.
    pub(super) fn fail_reload_of(&mut self, child: ChildId, reason: ReloadFailure, now: Moment) {
        let is_at = match &self.reload {
            Reload::Idle => false,
            Reload::Rolling(pass) => pass.at == Some(child),
        };
        let slot = self.slot(child);
        let is_successor = slot.generation == self.generation
            && matches!(slot.state.phase(), Phase::Forking | Phase::Starting);
        if is_at && is_successor {
            self.fail_reload(reason, now);
        }
    }

    /// Ends the reload, if there is one. A further one that was asked for begins, since whoever asked may have removed
    /// the cause.
    pub(super) fn fail_reload(&mut self, reason: ReloadFailure, now: Moment) {
        match std::mem::replace(&mut self.reload, Reload::Idle) {
            Reload::Idle => {}
            Reload::Rolling(pass) => {
                self.report(Report::ReloadFailed { generation: self.generation, reason });
                self.begin_queued(&pass, now);
            }
        }
    }

    fn finish_reload(&mut self, now: Moment) {
        match std::mem::replace(&mut self.reload, Reload::Idle) {
            Reload::Idle => {}
            Reload::Rolling(pass) => {
                self.report(Report::ReloadFinished {
                    generation: self.generation,
                    replaced: pass.replaced,
                    took: now.saturating_duration_since(pass.begun),
                });
                self.begin_queued(&pass, now);
            }
        }
    }

    fn begin_queued(&mut self, ended: &Pass, now: Moment) {
        if ended.again && self.course == Course::Supervising {
            self.begin_reload(now);
        }
    }

    fn begin_reload(&mut self, now: Moment) {
        self.generation += 1;
        let remaining: VecDeque<ChildId> =
            self.slots.iter().filter(|slot| slot.spec.reloadable).map(|slot| slot.id).collect();
        self.report(Report::ReloadStarted {
            generation: self.generation,
            children: remaining.len(),
        });
        self.reload =
            Reload::Rolling(Pass { at: None, remaining, begun: now, replaced: 0, again: false });
    }

    /// A slot that waits is tried at once, even if its last failure was in the new generation: the reload wants to know.
    fn arrive(&mut self, child: ChildId) {
        if let ChildState::BackingOff { .. } = self.slot(child).state {
            self.fork(child, ForkReason::Restart);
        }
    }

    fn take_turn(&mut self, child: ChildId, now: Moment) -> Turn {
        let slot = self.slot(child);
        let is_new = slot.generation == self.generation;
        match slot.state {
            ChildState::Ready { .. } if is_new => Turn::Replaced,
            ChildState::Ready { process, .. } if slot.has_room_to_leave() => {
                self.drain(child, process, DrainReason::Reload, now);
                Turn::Wait
            }
            // The process to be replaced has failed by itself since its turn began.
            ChildState::BackingOff { .. } if !is_new => {
                self.fork(child, ForkReason::Restart);
                Turn::Wait
            }
            ChildState::Ready { .. }
            | ChildState::BackingOff { .. }
            | ChildState::Forking
            | ChildState::Starting { .. }
            | ChildState::Draining { .. }
            | ChildState::Stopping { .. } => Turn::Wait,
            ChildState::GivenUp { .. } | ChildState::Stopped | ChildState::Vacant => Turn::Skipped,
        }
    }
}
