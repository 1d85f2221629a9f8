//! The end: all children are asked to stop, then killed, and when the last is gone the master may exit.
//!
//! Owns the course of the supervisor as a whole. It goes one way only: nothing is forked any more once a stop has begun.

use wsmaster_ipc::Moment;

use super::Supervisor;
use super::child::{ChildState, Pid, Pressure, StopCause};
use super::lives::fork_is_queued;
use super::message::{Action, ReloadFailure, Report};
use super::policy::deadline;
use super::slot::Slot;

/// Where the supervisor is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Supervising,
    Stopping { since: Moment, deadline: Moment, killed: usize },
    Stopped,
}

impl Course {
    pub(super) fn count_kill(&mut self) {
        match self {
            Self::Stopping { killed, .. } => *killed += 1,
            Self::Supervising | Self::Stopped => {}
        }
    }
}

impl Supervisor {
    pub(super) fn handle_stop(&mut self, now: Moment) {
        if self.course == Course::Supervising {
            self.begin_stop(deadline(now, self.policy.stop_timeout), now);
        }
    }

    pub(super) fn handle_stop_now(&mut self, now: Moment) {
        match &mut self.course {
            Course::Supervising => self.begin_stop(now, now),
            Course::Stopping { deadline, .. } => {
                *deadline = now;
                self.hurry(now);
            }
            Course::Stopped => {}
        }
    }

    /// Says that all is over, once it is.
    pub(super) fn advance_stop(&mut self, now: Moment) {
        if let Course::Stopping { since, killed, .. } = self.course
            && self.slots.iter().all(Slot::is_over)
        {
            self.course = Course::Stopped;
            let took = now.saturating_duration_since(since);
            self.report(Report::AllStopped { took, killed });
            self.actions.push_back(Action::Exit);
        }
    }

    fn begin_stop(&mut self, deadline: Moment, now: Moment) {
        self.course = Course::Stopping { since: now, deadline, killed: 0 };
        self.report(Report::StopStarted {
            processes: self.pids().count(),
            timeout: deadline.saturating_duration_since(now),
        });
        self.fail_reload(ReloadFailure::Stopped, now);
        for slot in &mut self.slots {
            let own = slot.spec.stop_timeout.map(|own| now + own);
            let deadline = own.map_or(deadline, |own| own.min(deadline));
            slot.state = match slot.state {
                ChildState::Starting { process, .. }
                | ChildState::Ready { process, .. }
                | ChildState::Draining { process, .. } => {
                    let pressure = Pressure::Asked { deadline };
                    ChildState::Stopping { process, cause: StopCause::Shutdown, pressure }
                }
                ChildState::Stopping { process, pressure, .. } => {
                    ChildState::Stopping { process, cause: StopCause::Shutdown, pressure }
                }
                ChildState::Forking if fork_is_queued(&self.actions, slot.id) => {
                    ChildState::Stopped
                }
                // The shell is about to answer with a process, which is stopped then.
                ChildState::Forking => ChildState::Forking,
                ChildState::BackingOff { .. } | ChildState::Stopped => ChildState::Stopped,
                ChildState::GivenUp { reason } => ChildState::GivenUp { reason },
                ChildState::Vacant => ChildState::Vacant,
            };
        }
        // What has not been taken is not worth doing any more.
        self.actions.retain(|action| match action {
            Action::Fork { .. }
            | Action::AskDrain { .. }
            | Action::Cover { .. }
            | Action::Uncover { .. } => false,
            Action::AskStop { .. } | Action::Kill { .. } | Action::Report(_) | Action::Exit => true,
        });
        let pids: Vec<Pid> = self.pids().collect();
        self.actions.extend(pids.into_iter().map(|pid| Action::AskStop { pid }));
        self.hurry(deadline);
    }

    /// Has no process live on after `latest`.
    fn hurry(&mut self, latest: Moment) {
        for slot in &mut self.slots {
            if let ChildState::Stopping { pressure, .. } = &mut slot.state {
                *pressure = pressure.no_later_than(latest);
            }
            for leaving in &mut slot.leaving {
                leaving.pressure = leaving.pressure.no_later_than(latest);
            }
        }
    }
}
