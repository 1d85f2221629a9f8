//! What workers are handed while they serve, and told to let go of: listeners, and memory files beside a word.
//!
//! Listeners are sent as duplicates; the master keeps its own. What a worker takes with it at its fork is no matter of this
//! file.

use std::os::fd::{AsFd, BorrowedFd};

use wsmaster_ipc::{
    link::{Handed, ToChild},
    sys::clock,
};
use wsmaster_workers::Handler;

use super::{Master, Role, control::ReloadAnswer, handover::Handover};
use crate::{
    supervisor::{ChildId, Event, Pid},
    worker_info::WorkerInfo,
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
                child.link.send(&ToChild::Retire { listener });
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

    /// Gives the certificates to every worker, those that leave among them.
    pub(super) fn hand_out_certificates(&mut self) {
        let workers = self.workers();
        self.certificates_handover.given(workers.iter().copied(), clock::now());
        self.hand_certificates_to(&workers);
    }

    /// As [`Self::hand_out_certificates`], the keys of session tickets.
    pub(super) fn hand_out_ticket_keys(&mut self) {
        let workers = self.workers();
        self.ticket_keys_handover.given(workers.iter().copied(), clock::now());
        self.hand_ticket_keys_to(&workers);
    }

    /// Gives what has not been taken to those who have not taken it.
    pub(super) fn hand_out_again(&mut self) {
        let now = clock::now();
        let again = self.certificates_handover.again(now);
        self.hand_certificates_to(&again);
        let again = self.ticket_keys_handover.again(now);
        self.hand_ticket_keys_to(&again);
        let _ = self.ticket_keys_handover.give_up(now);
        for pid in self.certificates_handover.give_up(now) {
            log::warn!(
                "{} (pid {}) does not take the new certificates: until it does, it shows the old ones",
                self.name_of(pid),
                pid.0
            );
        }
    }

    fn hand_certificates_to(&self, workers: &[Pid]) {
        if let Some(tls) = &self.tls {
            let message = ToChild::Certificates { number: self.certificates_handover.number() };
            self.hand_to(workers, &message, tls.loaded.credentials.as_fd());
        }
    }

    fn hand_ticket_keys_to(&self, workers: &[Pid]) {
        if let Some(tls) = &self.tls {
            let message = ToChild::TicketKeys { number: self.ticket_keys_handover.number() };
            self.hand_to(workers, &message, tls.ticket_keys());
        }
    }

    fn hand_to(&self, workers: &[Pid], message: &ToChild, file: BorrowedFd<'_>) {
        for child in workers.iter().filter_map(|pid| self.children.get(pid)) {
            // A line that is full is tried again with those who do not answer.
            child.link.send_with(message, file);
        }
    }

    fn workers(&self) -> Vec<Pid> {
        let workers = self.children.iter().filter(|(_, child)| match child.role {
            Role::Worker(_) => true,
            Role::Side(_) => false,
        });
        workers.map(|(pid, _)| *pid).collect()
    }

    /// Of what children have been handed.
    pub(super) fn handover(&mut self, what: Handed) -> &mut Handover {
        match what {
            Handed::Log => &mut self.log_keeper.handover,
            Handed::Certificates => &mut self.certificates_handover,
            Handed::TicketKeys => &mut self.ticket_keys_handover,
        }
    }

    /// A process is dead, and nothing is expected of it.
    pub(super) fn bury_in_handovers(&mut self, pid: Pid) {
        for what in [Handed::Log, Handed::Certificates, Handed::TicketKeys] {
            self.handover(what).buried(pid);
        }
    }

    /// The beginning of a sentence about those who could not be handed something; `None` when there are none.
    pub(super) fn who_has_not_taken(&self, without: &[Pid]) -> Option<String> {
        let names: Vec<String> =
            without.iter().map(|pid| format!("{} (pid {})", self.name_of(*pid), pid.0)).collect();
        (!names.is_empty()).then(|| {
            let processes = if names.len() == 1 { "process has" } else { "processes have" };
            format!(
                "{} {processes} no descriptor left for it, or does not answer: {}",
                names.len(),
                names.join(", ")
            )
        })
    }

    /// Tells the callers who wait for it how many show the new certificates.
    pub(super) fn answer_renewers(&mut self) {
        if self.renewers.is_empty() {
            return;
        }
        let Some(without) = self.certificates_handover.outcome() else { return };
        let missing = self.who_has_not_taken(&without);
        let missing = missing.map(|who| {
            format!("{who}; the old certificates stay there until it can take the new ones")
        });
        for (caller, mut lines) in std::mem::take(&mut self.renewers) {
            lines.extend(missing.clone());
            self.answer(caller, &ReloadAnswer { ok: missing.is_none(), lines, refused: false });
        }
    }
}
