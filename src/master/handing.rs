//! What workers are handed while they serve, and told to let go of: listeners, and memory files beside a word.
//!
//! Listeners are sent as duplicates; the master keeps its own. What a worker takes with it at its fork is no matter of this
//! file.

use std::os::fd::BorrowedFd;

use wsmaster_ipc::link::ToChild;
use wsmaster_workers::Handler;

use super::{Master, Role};
use crate::{
    server::WorkerInfo,
    supervisor::{ChildId, Event, Pid},
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Hands duplicates of a slot's listeners to the process of another one.
    pub(super) fn cover(&mut self, child: ChildId, by: Pid) {
        let covering = self.children.get(&by);
        let is_given = covering.is_some_and(|by| self.listeners.cover(child.0, &by.link));
        if !is_given {
            self.tell(Event::CoverFailed { child, by });
        }
    }

    /// Every worker is of the new configuration: what is not in it is emptied and closed.
    pub(super) fn close_retired_listeners(&mut self) {
        for listener in self.listeners.retire() {
            for child in self.children.values() {
                child.link.say(&ToChild::Retire { listener });
            }
        }
    }

    /// Hands listeners that are new to the workers that serve already, so that nobody waits at them for the reload.
    pub(super) fn introduce_listeners(&self, new: &[u16]) {
        for (pid, child) in &self.children {
            if let (Role::Worker(_), Some(slot)) = (&child.role, self.supervisor.child_of(*pid)) {
                self.listeners.introduce(new, slot.0, &child.link);
            }
        }
    }

    /// Gives a memory file to every worker, those that leave among them.
    pub(super) fn hand_out(&self, message: &ToChild, file: BorrowedFd<'_>) {
        for (pid, child) in &self.children {
            if matches!(child.role, Role::Worker(_)) && !child.link.say_with(message, file) {
                log::warn!("{} does not hear: it keeps what it has", self.name_of(*pid));
            }
        }
    }
}
