//! News of the server's life: to every worker and to the side processes that want to know.
//!
//! Workers and closures hear it on their line to the master, programs in their mailbox. Nobody is waited for: who does not
//! listen misses what has no room, which is counted.

use wsmaster_ipc::{
    LeaveReason, LifeEvent, Slot,
    link::ToChild,
    sys::{process::Ended, socket::Sent},
};
use wsmaster_protocol::plugin::{self, EventKind, Fate};
use wsmaster_workers::Handler;

use super::{Master, Role};
use crate::{
    side::{Body, event_header},
    supervisor::{ChildId, DrainReason, ExitStatus, Phase, Pid, RecycleReason, Report},
    worker_info::WorkerInfo,
};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Spreads what a report is about, if it is news.
    pub(super) fn spread(&mut self, report: &Report) {
        if let Report::StopStarted { .. } = report {
            self.spread_stop();
        }
        if let Some(event) = self.event_of(report) {
            self.spread_event(event);
        }
    }

    /// Tells everybody. A child that has died and was not reaped yet misses nothing.
    pub(super) fn spread_event(&mut self, event: LifeEvent) {
        let word = ToChild::Life { what: event };
        let full = self.children.values().filter(|child| match child.role {
            Role::Worker(_) => true,
            Role::Side(number) => self.hears_life(number),
        });
        let full =
            full.filter(|child| matches!(child.link.try_send(&word), Ok(Sent::Full))).count();
        if full > 0 {
            self.news_missed += full as u64;
            log::warn!("processes that miss news because they do not listen: {full}");
        }
        self.tell_programs(event);
    }

    /// A process is asked to leave: the first reason is the one that counts.
    pub(super) fn note_reason(&mut self, pid: Pid, reason: LeaveReason) {
        self.told_to_leave.entry(pid).or_insert(reason);
    }

    fn event_of(&mut self, report: &Report) -> Option<LifeEvent> {
        match report {
            Report::Ready { child, pid, .. } => {
                let slot = self.worker_slot(*child)?;
                Some(LifeEvent::WorkerStart { slot, pid: pid.0 })
            }
            Report::Died { child, pid, how, phase, .. } => {
                let reason = self.told_to_leave.remove(pid);
                let (slot, pid) = (self.worker_slot(*child)?, pid.0);
                Some(match reason.filter(|_| has_obeyed(*how, *phase)) {
                    Some(reason) => LifeEvent::WorkerStop { slot, pid, reason },
                    None => LifeEvent::WorkerError { slot, pid, how: ended(*how) },
                })
            }
            Report::ReloadStarted { .. } => Some(LifeEvent::ReloadStart),
            Report::ReloadFinished { .. } => Some(LifeEvent::ReloadEnd { complete: true }),
            Report::ReloadFailed { .. } => Some(LifeEvent::ReloadEnd { complete: false }),
            Report::Started { .. }
            | Report::ForkFailed { .. }
            | Report::Leaving { .. }
            | Report::Recycling { .. }
            | Report::Overdue { .. }
            | Report::BackingOff { .. }
            | Report::Removed { .. }
            | Report::GivenUp { .. }
            | Report::Covered { .. }
            | Report::Uncovered { .. }
            | Report::ReloadQueued
            | Report::StopStarted { .. }
            | Report::AllStopped { .. } => None,
        }
    }

    fn worker_slot(&self, child: ChildId) -> Option<Slot> {
        Slot::new(child.0).filter(|_| self.is_worker(child))
    }

    fn hears_life(&self, number: usize) -> bool {
        match self.directory.sides().get(number).map(|side| &side.body) {
            Some(Body::Closure(closure)) => {
                self.processes.get(*closure).is_some_and(|process| process.hears_life)
            }
            // It has its own words, in its mailbox.
            Some(Body::Program(_)) => false,
            Some(Body::Tasks | Body::Vacant) | None => false,
        }
    }

    /// Programs have asked for kinds of events, and get lines.
    fn tell_programs(&self, event: LifeEvent) {
        let mut line = Vec::new();
        let mut worker = |slot: Slot, pid, fate: Fate<'_>| {
            plugin::worker(&mut line, slot.number(), pid, fate);
            fate.kind()
        };
        let kind = match event {
            LifeEvent::WorkerStart { slot, pid } => worker(slot, pid, Fate::WorkerStart),
            LifeEvent::WorkerStop { slot, pid, reason } => {
                worker(slot, pid, Fate::WorkerStop { reason: reason.name() })
            }
            LifeEvent::WorkerError { slot, pid, how } => {
                let (exit_code, signal) = match how {
                    Ended::Code(code) => (Some(code), None),
                    Ended::Signal(signal) => (None, Some(signal)),
                };
                let how = how.to_string();
                worker(slot, pid, Fate::WorkerError { how: &how, exit_code, signal })
            }
            LifeEvent::ReloadStart => {
                plugin::reload_start(&mut line);
                EventKind::ReloadStart
            }
            LifeEvent::ReloadEnd { complete } => {
                plugin::reload_end(&mut line, complete);
                EventKind::ReloadEnd
            }
            LifeEvent::ServerStart => {
                plugin::server(&mut line, EventKind::ServerStart);
                EventKind::ServerStart
            }
        };
        self.send_news(kind, &line);
    }

    /// The server begins to stop: programs are told before they are told to end themselves. Everybody else hears of it as
    /// the reason for leaving.
    fn spread_stop(&self) {
        let mut line = Vec::new();
        plugin::server(&mut line, EventKind::ServerStop);
        self.send_news(EventKind::ServerStop, &line);
        // It is to be there before the word that it is time to stop, which takes another way.
        self.handle.flush();
    }

    fn send_news(&self, kind: EventKind, line: &[u8]) {
        for subscriber in self.directory.subscribers(kind) {
            for address in subscriber.all() {
                if self.handle.notify(address, event_header(kind, None), line).is_err() {
                    log::warn!(
                        "{} misses news: its mailbox is full",
                        self.directory.name_of(address)
                    );
                }
            }
        }
    }
}

/// Whether a process that was asked to leave has done so. One that was killed for not being ready was not asked.
fn has_obeyed(how: ExitStatus, phase: Phase) -> bool {
    how.is_success()
        && match phase {
            Phase::Draining | Phase::Stopping | Phase::Leaving => true,
            Phase::Forking
            | Phase::Starting
            | Phase::Ready
            | Phase::BackingOff
            | Phase::GivenUp
            | Phase::Stopped
            | Phase::Vacant => false,
        }
}

/// Why a worker leaves that is asked to drain.
pub(super) fn leave_reason(why: DrainReason) -> LeaveReason {
    match why {
        DrainReason::Reload => LeaveReason::Reload,
        DrainReason::Recycle(RecycleReason::Share) => LeaveReason::Share,
        DrainReason::Recycle(RecycleReason::Memory(_)) => LeaveReason::Memory,
        DrainReason::Recycle(RecycleReason::Asked | RecycleReason::Changed) => LeaveReason::Asked,
    }
}

fn ended(how: ExitStatus) -> Ended {
    match how {
        ExitStatus::Exited(code) => Ended::Code(code),
        ExitStatus::Signaled { signal, .. } => Ended::Signal(signal),
    }
}
