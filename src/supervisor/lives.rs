//! The lives of the children: what each event and each timer does to the slot it concerns.
//!
//! Owns the columns of the table in the header of the parent module; recycling, reload and stop excepted, which have rows
//! of their own and files to match.

use std::collections::VecDeque;

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{
    ChildId, ChildState, DrainReason, ExitStatus, GiveUpReason, Phase, Pid, Pressure, Process,
    StopCause,
};
use super::message::{Action, KillSignal, Overdue, ReloadFailure, Report, TooOften};
use super::policy::{RestartPolicy, deadline};
use super::slot::Place;
use super::stop::Course;
use super::tally::Verdict;

/// How a slot came to be without a process that serves, unasked.
#[derive(Clone, Copy, Debug)]
enum Failure {
    NotForked,
    /// It stopped accepting of its own will.
    Left,
    Died(ExitStatus),
    /// It was ended for not doing what it had to; the code with which it obeyed says nothing about success.
    Hung(ExitStatus),
}

/// Why a slot is given a process.
#[derive(Clone, Copy, Debug)]
pub(super) enum ForkReason {
    Restart,
    Replacement,
}

impl Supervisor {
    pub(super) fn handle_forked(&mut self, child: ChildId, pid: Pid, now: Moment) {
        if self.find(pid).is_some() || !self.awaits_fork(child) {
            return;
        }
        let generation = self.slot(child).generation;
        let process = Process { pid, generation, forked_at: now };
        self.report(Report::Started { child, pid, generation });
        if self.slot(child).is_removed && self.course == Course::Supervising {
            self.stop_removed(child, process, now);
            return;
        }
        self.slot_mut(child).state = match self.course {
            Course::Supervising => {
                ChildState::Starting { process, deadline: deadline(now, self.policy.ready_timeout) }
            }
            // It was being forked when the stop came.
            Course::Stopping { deadline, .. } => {
                self.actions.push_back(Action::AskStop { pid });
                let pressure = Pressure::Asked { deadline };
                ChildState::Stopping { process, cause: StopCause::Shutdown, pressure }
            }
            // Out of reach: the end is not reached while a slot awaits a fork.
            Course::Stopped => ChildState::Stopped,
        };
    }

    pub(super) fn handle_fork_failed(&mut self, child: ChildId, reason: String, now: Moment) {
        if !self.awaits_fork(child) {
            return;
        }
        self.report(Report::ForkFailed { child, reason });
        self.fail(child, Failure::NotForked, now);
    }

    pub(super) fn handle_ready(&mut self, pid: Pid, now: Moment) {
        let Some((child, Place::Current)) = self.find(pid) else { return };
        let ChildState::Starting { process, .. } = self.slot(child).state else { return };
        let slot = self.slot_mut(child);
        slot.tally.record_ready(now);
        slot.state = ChildState::Ready { process, since: now, wish: None };
        let took = now.saturating_duration_since(process.forked_at);
        self.report(Report::Ready { child, pid, generation: process.generation, took });
    }

    pub(super) fn handle_retry(&mut self, child: ChildId) {
        if let Some(ChildState::BackingOff { .. }) = self.state(child) {
            self.fork(child, ForkReason::Restart);
        }
    }

    pub(super) fn handle_draining(&mut self, pid: Pid, now: Moment) {
        let Some((child, Place::Current)) = self.find(pid) else { return };
        let in_time = Pressure::Asked { deadline: deadline(now, self.policy.leave_timeout) };
        match self.slot(child).state {
            ChildState::Draining { process, .. } => self.succeed(child, process, in_time),
            // The answer came after all, with the signal on its way: only the waiting is over.
            ChildState::Stopping { process, cause: StopCause::NotDraining, pressure } => {
                self.succeed(child, process, pressure);
            }
            ChildState::Starting { process, .. } | ChildState::Ready { process, .. } => {
                self.leave_unasked(child, process, in_time, now);
            }
            ChildState::Stopping {
                cause:
                    StopCause::NotReady | StopCause::NoRoom | StopCause::Removed | StopCause::Shutdown,
                ..
            }
            | ChildState::Forking
            | ChildState::BackingOff { .. }
            | ChildState::GivenUp { .. }
            | ChildState::Stopped
            | ChildState::Vacant => {}
        }
    }

    pub(super) fn handle_died(&mut self, pid: Pid, how: ExitStatus, now: Moment) {
        let Some((child, place)) = self.find(pid) else { return };
        self.actions.retain(|action| action.pid() != Some(pid));
        let slot = self.slot_mut(child);
        slot.last_exit = Some(how);
        let state = slot.state;
        let (process, phase) = match place {
            Place::Leaving(index) => (slot.leaving.remove(index).process, Phase::Leaving),
            Place::Current => match state.process() {
                Some(process) => (process, state.phase()),
                None => return,
            },
        };
        let uptime = now.saturating_duration_since(process.forked_at);
        self.report(Report::Died { child, pid, how, phase, uptime });
        if place != Place::Current {
            return;
        }
        match state {
            ChildState::Starting { .. } | ChildState::Ready { .. } => {
                self.fail(child, Failure::Died(how), now);
            }
            ChildState::Draining { .. } => self.fork(child, ForkReason::Replacement),
            ChildState::Stopping { cause, .. } => match cause {
                StopCause::NotDraining => self.fork(child, ForkReason::Replacement),
                StopCause::NotReady | StopCause::NoRoom => {
                    self.fail(child, Failure::Hung(how), now);
                }
                StopCause::Removed => self.vacate(child),
                StopCause::Shutdown => self.slot_mut(child).state = ChildState::Stopped,
            },
            ChildState::Forking
            | ChildState::BackingOff { .. }
            | ChildState::GivenUp { .. }
            | ChildState::Stopped
            | ChildState::Vacant => {}
        }
    }

    /// Does all that is due at `now`.
    pub(super) fn expire(&mut self, now: Moment) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.timeout().is_none_or(|due| due > now) {
                continue;
            }
            let child = slot.id;
            self.expire_current(child, now);
            for index in 0..self.slot(child).leaving.len() {
                self.expire_leaving(child, index, now);
            }
        }
    }

    /// Asks the current process of a slot to make way for its successor. There must be room for it to leave.
    pub(super) fn drain(
        &mut self,
        child: ChildId,
        process: Process,
        why: DrainReason,
        now: Moment,
    ) {
        let deadline = deadline(now, self.policy.drain_timeout);
        self.slot_mut(child).state = ChildState::Draining { process, deadline };
        self.actions.push_back(Action::AskDrain { child, pid: process.pid, why });
    }

    pub(super) fn fork(&mut self, child: ChildId, reason: ForkReason) {
        let generation = self.generation;
        let slot = self.slot_mut(child);
        slot.generation = generation;
        match reason {
            ForkReason::Restart => slot.restarts += 1,
            ForkReason::Replacement => slot.replacements += 1,
        }
        slot.state = ChildState::Forking;
        self.actions.push_back(Action::Fork { child, generation });
    }

    /// Whether the shell has taken the request to fork for this slot and not answered it.
    pub(super) fn awaits_fork(&self, child: ChildId) -> bool {
        self.state(child) == Some(&ChildState::Forking) && !fork_is_queued(&self.actions, child)
    }

    fn expire_current(&mut self, child: ChildId, now: Moment) {
        let slot = self.slot(child);
        let is_due = |deadline: Moment| deadline <= now;
        match slot.state {
            ChildState::Starting { process, deadline } if is_due(deadline) => {
                self.fail_reload_of(child, ReloadFailure::NotReady(child), now);
                self.terminate(child, process, StopCause::NotReady, Overdue::Ready, now);
            }
            ChildState::Draining { process, deadline } if is_due(deadline) => {
                self.terminate(child, process, StopCause::NotDraining, Overdue::Drain, now);
            }
            ChildState::Stopping { process, cause, pressure }
                if pressure.deadline().is_some_and(is_due) =>
            {
                self.kill(child, process.pid, pressure, Overdue::Stop);
                let pressure = Pressure::Killed;
                self.slot_mut(child).state = ChildState::Stopping { process, cause, pressure };
            }
            ChildState::BackingOff { until, .. } if is_due(until) => {
                self.fork(child, ForkReason::Restart);
            }
            ChildState::Starting { .. }
            | ChildState::Draining { .. }
            | ChildState::Ready { .. }
            | ChildState::Stopping { .. }
            | ChildState::BackingOff { .. }
            | ChildState::Forking
            | ChildState::GivenUp { .. }
            | ChildState::Stopped
            | ChildState::Vacant => {}
        }
    }

    fn expire_leaving(&mut self, child: ChildId, index: usize, now: Moment) {
        let leaving = self.slot(child).leaving[index];
        if leaving.pressure.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let asked = match self.course {
            Course::Supervising => Overdue::Leave,
            Course::Stopping { .. } | Course::Stopped => Overdue::Stop,
        };
        self.kill(child, leaving.process.pid, leaving.pressure, asked);
        self.slot_mut(child).leaving[index].pressure = Pressure::Killed;
    }

    /// The process has let go of its work: its successor is forked while it finishes.
    fn succeed(&mut self, child: ChildId, process: Process, pressure: Pressure) {
        self.slot_mut(child).leave(process, pressure);
        // It may have done so before the request was taken.
        self.actions.retain(
            |action| !matches!(action, Action::AskDrain { pid, .. } if *pid == process.pid),
        );
        self.report(Report::Leaving { child, pid: process.pid });
        self.fork(child, ForkReason::Replacement);
    }

    /// The process has let go of its work of its own will, for instance because somebody sent it a signal. It gets a
    /// successor without having to die first, but as after a failure: else a child that leaves as soon as it is started
    /// would be forked without end.
    fn leave_unasked(&mut self, child: ChildId, process: Process, asked: Pressure, now: Moment) {
        let slot = self.slot_mut(child);
        // Only its end will tell whether a child of the other policies is started again.
        if slot.spec.restart != RestartPolicy::Always {
            return;
        }
        if slot.has_room_to_leave() {
            slot.leave(process, asked);
            self.report(Report::Leaving { child, pid: process.pid });
            self.fail(child, Failure::Left, now);
        } else {
            self.fail_reload_of(child, ReloadFailure::DiedBeforeReady(child), now);
            self.terminate(child, process, StopCause::NoRoom, Overdue::MakeRoom, now);
        }
    }

    /// A slot is without a process that serves, and nobody asked for that.
    fn fail(&mut self, child: ChildId, failure: Failure, now: Moment) {
        if self.course != Course::Supervising {
            self.slot_mut(child).state = ChildState::Stopped;
            return;
        }
        if self.slot(child).is_removed {
            self.vacate(child);
            return;
        }
        let given_up = give_up(self.slot(child).spec.restart, failure);
        if given_up != Some(GiveUpReason::Finished) {
            let reason = match failure {
                Failure::NotForked => ReloadFailure::ForkFailed(child),
                Failure::Left | Failure::Died(_) | Failure::Hung(_) => {
                    ReloadFailure::DiedBeforeReady(child)
                }
            };
            self.fail_reload_of(child, reason, now);
        }
        if let Some(reason) = given_up {
            self.slot_mut(child).state = ChildState::GivenUp { reason };
            self.report(Report::GivenUp { child, reason });
            return;
        }
        let slot = &mut self.slots[usize::from(child.0)];
        match slot.tally.record_failure(&self.policy, &mut self.dice, now) {
            Verdict::AtOnce => self.fork(child, ForkReason::Restart),
            Verdict::After { delay, attempt, too_often } => {
                let until = deadline(now, delay);
                slot.state = ChildState::BackingOff { until, attempt, too_often };
                let too_often = too_often.then_some(TooOften {
                    restarts_max: self.policy.restarts_max,
                    window: self.policy.restarts_window,
                });
                self.report(Report::BackingOff { child, delay, attempt, too_often });
            }
        }
    }

    /// Sends the terminating signal and leaves the rest to the timer.
    fn terminate(
        &mut self,
        child: ChildId,
        process: Process,
        cause: StopCause,
        what: Overdue,
        now: Moment,
    ) {
        let pressure = Pressure::Terminated { deadline: deadline(now, self.policy.kill_grace) };
        self.slot_mut(child).state = ChildState::Stopping { process, cause, pressure };
        self.signal(child, process.pid, what, KillSignal::Term);
    }

    /// Sends the killing signal to a process that let `pressure` pass; `asked` is what it was asked for.
    fn kill(&mut self, child: ChildId, pid: Pid, pressure: Pressure, asked: Overdue) {
        let what = match pressure {
            Pressure::Asked { .. } => asked,
            Pressure::Terminated { .. } | Pressure::Killed => Overdue::Terminate,
        };
        self.course.count_kill();
        self.signal(child, pid, what, KillSignal::Kill);
    }

    fn signal(&mut self, child: ChildId, pid: Pid, what: Overdue, signal: KillSignal) {
        self.report(Report::Overdue { child, pid, what, signal });
        self.actions.push_back(Action::Kill { pid, signal });
    }
}

/// Whether the request to fork for this slot has not been taken by the shell.
pub(super) fn fork_is_queued(actions: &VecDeque<Action>, wanted: ChildId) -> bool {
    actions.iter().any(|action| matches!(action, Action::Fork { child, .. } if *child == wanted))
}

/// Whether the policy has a child stay down.
fn give_up(restart: RestartPolicy, failure: Failure) -> Option<GiveUpReason> {
    match (restart, failure) {
        (RestartPolicy::OnFailure, Failure::Died(how)) if how.is_success() => {
            Some(GiveUpReason::Finished)
        }
        (RestartPolicy::Never, Failure::Died(how) | Failure::Hung(how)) => {
            Some(GiveUpReason::RanOnce(how))
        }
        (
            RestartPolicy::Always | RestartPolicy::OnFailure,
            Failure::NotForked | Failure::Left | Failure::Died(_) | Failure::Hung(_),
        )
        | (RestartPolicy::Never, Failure::NotForked | Failure::Left) => None,
    }
}
