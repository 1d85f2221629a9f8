//! What must be true of the table after every event.
//!
//! Owns the checks only. They run after each event in debug builds, and wherever a test asks for them.

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{ChildId, ChildState, Phase, Pid, StopCause};
use super::cover::Cover;
use super::lives::fork_is_queued;
use super::message::Action;
use super::reload::Reload;
use super::slot::{LEAVING_MAX, Slot};
use super::stop::Course;

impl Supervisor {
    /// Checks the whole table as it must be right after [`handle`](Self::handle) at `now`.
    ///
    /// # Panics
    ///
    /// If anything is not as it must be; the message says what.
    pub fn check_invariants(&self, now: Moment) {
        let live = self.check_processes();
        self.check_actions(&live);
        self.check_course(&live);
        self.check_reload();
        self.check_cover();
        if let Some(due) = self.poll_timeout() {
            assert!(due > now, "a timer is still due: the master would spin");
        }
    }

    /// Every living process belongs to one slot, once.
    fn check_processes(&self) -> Vec<Pid> {
        let mut live = Vec::new();
        for slot in &self.slots {
            for process in slot.processes() {
                live.push(process.pid);
                assert!(process.generation <= slot.generation, "{:?} is of the future", slot.id);
            }
            assert!(slot.leaving.len() <= LEAVING_MAX, "{:?}: too many leave", slot.id);
            assert!(slot.generation <= self.generation, "{:?} is ahead of the table", slot.id);
            if let ChildState::BackingOff { attempt, .. } = slot.state {
                assert!(attempt > 0, "{:?} backs off without a failure", slot.id);
                assert_eq!(attempt, slot.tally.in_a_row(), "{:?}", slot.id);
            }
        }
        assert_distinct(&mut live, "processes");
        live
    }

    /// Nothing is done to the dead, and nothing is forked for a slot that does not wait for it.
    fn check_actions(&self, live: &[Pid]) {
        let mut forks: Vec<ChildId> = Vec::new();
        for action in &self.actions {
            if let Some(pid) = action.pid() {
                assert!(live.binary_search(&pid).is_ok(), "{action:?} for a process that is gone");
            }
            if let Action::AskDrain { child, pid, .. } = *action {
                let current = self.slot(child).state.process().map(|process| process.pid);
                assert_eq!(
                    current,
                    Some(pid),
                    "{child:?} is asked to drain a process that has left"
                );
            }
            if let Action::Fork { child, generation } = *action {
                forks.push(child);
                let slot = self.slot(child);
                assert_eq!(slot.state, ChildState::Forking, "{child:?} does not wait for a fork");
                assert_eq!(slot.generation, generation, "{child:?}");
            }
        }
        assert_distinct(&mut forks, "forks asked for");
    }

    /// After a stop nothing starts, serves or waits to be started; after the end nothing lives.
    fn check_course(&self, live: &[Pid]) {
        for slot in &self.slots {
            let is_shutting_down = match slot.state {
                ChildState::Stopping { cause, .. } => Some(cause == StopCause::Shutdown),
                ChildState::Stopped => Some(true),
                ChildState::Forking => fork_is_queued(&self.actions, slot.id).then_some(false),
                ChildState::GivenUp { .. } | ChildState::Vacant => None,
                ChildState::Starting { .. }
                | ChildState::Ready { .. }
                | ChildState::Draining { .. }
                | ChildState::BackingOff { .. } => Some(false),
            };
            let is_expected = match self.course {
                Course::Supervising => is_shutting_down != Some(true),
                Course::Stopping { .. } => is_shutting_down != Some(false),
                Course::Stopped => {
                    matches!(slot.state.phase(), Phase::Stopped | Phase::GivenUp | Phase::Vacant)
                }
            };
            assert!(is_expected, "{:?} while {:?}: {:?}", slot.state, self.course, slot.id);
        }
        match self.course {
            Course::Supervising => {}
            Course::Stopping { .. } => {
                assert!(!self.slots.iter().all(Slot::is_over), "the end was not noticed");
            }
            Course::Stopped => assert!(live.is_empty(), "the master would leave {live:?} behind"),
        }
    }

    /// A reload runs only while the table is supervised, has each slot ahead of it once, and waits for one that moves.
    fn check_reload(&self) {
        let Reload::Rolling(pass) = &self.reload else { return };
        assert_eq!(self.course, Course::Supervising, "a reload has outlived the stop");
        let Some(at) = pass.at else { panic!("a reload rests between two slots") };
        let mut ahead: Vec<ChildId> = pass.remaining.iter().copied().chain([at]).collect();
        assert_distinct(&mut ahead, "slots ahead of a reload");
        assert!(ahead.iter().all(|&child| self.slot(child).spec.reloadable));
        assert_ne!(self.slot(at).state.phase(), Phase::GivenUp, "{at:?} holds up the reload");
    }
}

impl Supervisor {
    /// Whoever covers serves a slot of its own, and who serves is not covered.
    fn check_cover(&self) {
        for slot in &self.slots {
            let is_down = slot.state.phase() != Phase::Ready;
            let is_about_cover = slot.spec.listens && is_down && self.course == Course::Supervising;
            assert_eq!(
                slot.cover != Cover::None,
                is_about_cover,
                "{:?}: {:?}",
                slot.id,
                slot.cover
            );
            if let Some(pid) = slot.cover.pid() {
                assert!(
                    self.serves(pid),
                    "{:?} is covered by {pid:?}, which does not serve",
                    slot.id
                );
            }
        }
    }
}

/// Sorts and compares neighbours.
fn assert_distinct<T: Ord + Copy + std::fmt::Debug>(items: &mut [T], what: &str) {
    items.sort_unstable();
    for pair in items.windows(2) {
        assert_ne!(pair[0], pair[1], "twice among the {what}");
    }
}
