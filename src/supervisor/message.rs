//! What the supervisor is told and what it says: events in, actions and reports out.
//!
//! Owns the vocabulary only. The enums are closed: a shell matches them without a wildcard, so that a new word is a
//! compile error wherever it has no meaning yet.

use std::time::Duration;

use super::child::{
    ChildId, ChildSpec, DrainReason, ExitStatus, GiveUpReason, Phase, Pid, RecycleReason,
};

/// Something that happened to a child or was asked of the supervisor.
///
/// What is stale, doubled or about a pid nobody knows is ignored, since messages and deaths overtake each other and
/// pid 1 reaps orphans it never forked. The shell owes one thing: events in the order in which it learned them, so that
/// a death is told before a later fork is given the same pid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Action::Fork`] was done.
    Forked {
        /// The slot.
        child: ChildId,
        /// Its new process.
        pid: Pid,
    },
    /// [`Action::Fork`] could not be done. It is tried again whatever the restart policy, since nothing has run.
    ForkFailed {
        /// The slot.
        child: ChildId,
        /// What the kernel said.
        reason: String,
    },
    /// A process says it serves. For a program that cannot say it, the shell says it after `Forked`.
    Ready {
        /// The process.
        pid: Pid,
    },
    /// A process says it has stopped accepting and left its topics: its successor may start.
    Draining {
        /// The process.
        pid: Pid,
    },
    /// A process was reaped.
    Died {
        /// The process.
        pid: Pid,
        /// How it ended.
        how: ExitStatus,
    },
    /// A process is to be replaced, for instance because it has served its share of requests. Its turn comes when none of
    /// the others is being replaced.
    Recycle {
        /// The process.
        pid: Pid,
        /// Why.
        why: RecycleReason,
    },
    /// A vacant slot is given a child, which is started at once.
    Install {
        /// The slot.
        child: ChildId,
        /// What it is from now on.
        spec: ChildSpec,
    },
    /// A child is another one from now on: its process ends, if it has one, and a successor follows.
    Replace {
        /// The slot.
        child: ChildId,
        /// What it is from now on.
        spec: ChildSpec,
        /// Why.
        why: RecycleReason,
    },
    /// A child is not wanted any more: its process is asked to stop, and its slot is vacant after it.
    Remove {
        /// The slot.
        child: ChildId,
    },
    /// A slot that waits before its next start is tried at once: somebody says that the cause is gone.
    Retry {
        /// The slot.
        child: ChildId,
    },
    /// [`Action::Cover`] could not be done. It is tried again later, perhaps with another process.
    CoverFailed {
        /// The slot whose listener it is about.
        child: ChildId,
        /// Who was to serve it.
        by: Pid,
    },
    /// Replace every reloadable child, one after the other.
    Reload,
    /// End all children within [`Policy::stop_timeout`](super::Policy::stop_timeout) and then exit.
    Stop,
    /// End all children now.
    StopNow,
    /// Time has passed.
    Tick,
}

/// Something the shell has to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process for this slot and answer with [`Event::Forked`] or [`Event::ForkFailed`].
    Fork {
        /// The slot.
        child: ChildId,
        /// The number of reloads begun so far.
        generation: u64,
    },
    /// Ask the process to stop accepting, to answer [`Event::Draining`] and to end when it is done.
    AskDrain {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// Why.
        why: DrainReason,
    },
    /// Ask the process to close its connections and end.
    AskStop {
        /// The process.
        pid: Pid,
    },
    /// Send it a signal.
    Kill {
        /// The process.
        pid: Pid,
        /// Which.
        signal: KillSignal,
    },
    /// Have a process of another slot serve this slot's listener beside its own, or answer with [`Event::CoverFailed`]. It
    /// lets go of it by itself when it is asked to drain or to stop.
    Cover {
        /// The slot that is down.
        child: ChildId,
        /// The process.
        by: Pid,
    },
    /// Have the process let go of this slot's listener again.
    Uncover {
        /// The slot, which serves again.
        child: ChildId,
        /// The process.
        by: Pid,
    },
    /// Tell whoever listens.
    Report(Report),
    /// All children are gone after a stop. Said once, and last.
    Exit,
}

impl Action {
    /// The process it is done to.
    pub fn pid(&self) -> Option<Pid> {
        match *self {
            Self::AskDrain { pid, .. } | Self::AskStop { pid } | Self::Kill { pid, .. } => {
                Some(pid)
            }
            Self::Cover { by, .. } | Self::Uncover { by, .. } => Some(by),
            Self::Fork { .. } | Self::Report(_) | Self::Exit => None,
        }
    }
}

/// A signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillSignal {
    /// SIGTERM: it may still clean up.
    Term,
    /// SIGKILL.
    Kill,
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A process was forked.
    Started {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// Its generation.
        generation: u64,
    },
    /// A fork failed. [`Report::BackingOff`] or another start follows.
    ForkFailed {
        /// The slot.
        child: ChildId,
        /// What the kernel said.
        reason: String,
    },
    /// A process serves.
    Ready {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// Its generation.
        generation: u64,
        /// The time since its fork.
        took: Duration,
    },
    /// A process has stopped accepting and leaves; its successor is next.
    Leaving {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
    },
    /// A process was to be replaced and now is.
    Recycling {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// Why.
        why: RecycleReason,
    },
    /// A process did not do in time what it had to, and is sent a signal.
    Overdue {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// What it did not do.
        what: Overdue,
        /// What it is sent.
        signal: KillSignal,
    },
    /// A process ended.
    Died {
        /// The slot.
        child: ChildId,
        /// The process.
        pid: Pid,
        /// How.
        how: ExitStatus,
        /// The phase it was in: `Draining`, `Stopping` and `Leaving` were asked for, the others were not.
        phase: Phase,
        /// The time since its fork.
        uptime: Duration,
    },
    /// A slot waits before its next start.
    BackingOff {
        /// The slot.
        child: ChildId,
        /// How long.
        delay: Duration,
        /// Failures in a row, 1 or more.
        attempt: u32,
        /// That it failed more often than it may, and therefore waits the longest delay.
        too_often: Option<TooOften>,
    },
    /// The last process of a child that was removed has ended.
    Removed {
        /// The slot, which is vacant.
        child: ChildId,
    },
    /// A child is not started again.
    GivenUp {
        /// The slot.
        child: ChildId,
        /// Why.
        reason: GiveUpReason,
    },
    /// A slot has been down for long, and the process of another one serves its listener now.
    Covered {
        /// The slot that is down.
        child: ChildId,
        /// The slot whose process serves both.
        by: ChildId,
    },
    /// A slot that was covered serves its own listener again.
    Uncovered {
        /// The slot.
        child: ChildId,
    },
    /// A reload begins.
    ReloadStarted {
        /// The generation it brings.
        generation: u64,
        /// How many children it goes through.
        children: usize,
    },
    /// A reload was asked for while one runs. One is run after it, however often this is said.
    ReloadQueued,
    /// A reload has gone through all its children.
    ReloadFinished {
        /// The generation it brought.
        generation: u64,
        /// How many children run it now; the others had given up.
        replaced: usize,
        /// From start to end.
        took: Duration,
    },
    /// A reload has stopped. The children it did not come to go on as they were.
    ReloadFailed {
        /// The generation it was to bring.
        generation: u64,
        /// Why.
        reason: ReloadFailure,
    },
    /// A stop begins.
    StopStarted {
        /// How many processes have to end.
        processes: usize,
        /// How long they have before they are killed.
        timeout: Duration,
    },
    /// All children have ended after a stop.
    AllStopped {
        /// From the stop to the last death.
        took: Duration,
        /// How many did not end by themselves.
        killed: usize,
    },
}

/// The limit that a slot has passed: more than so many failures within that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften {
    /// [`Policy::restarts_max`](super::Policy::restarts_max).
    pub restarts_max: u32,
    /// [`Policy::restarts_window`](super::Policy::restarts_window).
    pub window: Duration,
}

/// What a process did not do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overdue {
    /// Say ready.
    Ready,
    /// Answer the request to drain.
    Drain,
    /// Finish after it was replaced.
    Leave,
    /// Make room: it stopped accepting unasked while as many processes of its slot were leaving as may.
    MakeRoom,
    /// End when the supervisor stopped.
    Stop,
    /// End after the terminating signal.
    Terminate,
}

/// Why a reload has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReloadFailure {
    /// The successor in this slot could not be forked.
    ForkFailed(ChildId),
    /// The successor in this slot ended, or stopped accepting, before it was ready.
    DiedBeforeReady(ChildId),
    /// The successor in this slot did not say ready in time.
    NotReady(ChildId),
    /// The supervisor was told to stop.
    Stopped,
}
