//! What a child is: its name in the table, the process that runs it, and the states of its life.
//!
//! Owns the types and what can be read off them. Which state follows which is decided elsewhere.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use wsmaster_ipc::Moment;

use super::policy::RestartPolicy;

/// A slot of the table: the position of its [`ChildSpec`] in the list given to the supervisor. It outlives processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ChildId(pub u16);

/// A process id as the kernel gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Pid(pub u32);

/// A child to be kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec {
    /// For people: `worker 3`, `hub`. The supervisor compares it with nothing.
    pub name: String,
    /// What happens when it dies unasked.
    pub restart: RestartPolicy,
    /// Whether a reload replaces it.
    pub reloadable: bool,
    /// Whether it serves a listener, which the process of another slot that listens can serve as well while this one is down.
    pub listens: bool,
    /// How long it may take to stop, where that is less than what all have.
    pub stop_timeout: Option<Duration>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled {
        /// The number of the signal.
        signal: i32,
        /// Whether the kernel wrote a core file.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// Whether the process says of itself that all went well: exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled { signal, core_dumped: false } => write!(f, "signal {signal}"),
            Self::Signaled { signal, core_dumped: true } => {
                write!(f, "signal {signal} (core dumped)")
            }
        }
    }
}

/// A process the supervisor answers for, from its fork to its death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: Pid,
    /// The [`generation`](super::Supervisor::generation) it was forked in.
    pub generation: u64,
    /// When it was forked.
    pub forked_at: Moment,
}

/// The state of a slot. At most one process is the slot's current one; those it was replaced by leave beside it
/// (see [`Leaving`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// A fork is asked for and not answered yet.
    Forking,
    /// It runs and has not said ready.
    Starting {
        /// The process.
        process: Process,
        /// When it is given up as hung.
        deadline: Moment,
    },
    /// It serves.
    Ready {
        /// The process.
        process: Process,
        /// When it said so.
        since: Moment,
        /// That it is to be replaced, if so.
        wish: Option<Wish>,
    },
    /// It is asked to stop accepting, so that its successor may start.
    Draining {
        /// The process.
        process: Process,
        /// When the answer is overdue.
        deadline: Moment,
    },
    /// It is to end, and nothing takes its place before it has.
    Stopping {
        /// The process.
        process: Process,
        /// Why, which says what follows.
        cause: StopCause,
        /// How hard it is being told.
        pressure: Pressure,
    },
    /// Nothing runs until the time has come.
    BackingOff {
        /// When the next fork is due.
        until: Moment,
        /// How many failures in a row led here, 1 or more.
        attempt: u32,
        /// Whether it failed more often than the policy allows, and therefore waits the longest delay.
        too_often: bool,
    },
    /// Nothing runs and nothing will: its restart policy says so.
    GivenUp {
        /// What led to it.
        reason: GiveUpReason,
    },
    /// Nothing runs and nothing will: the supervisor is stopping.
    Stopped,
    /// Nobody has this slot: it is there for a child that may come later.
    Vacant,
}

impl ChildState {
    /// The slot's current process, if there is one.
    pub fn process(&self) -> Option<Process> {
        match *self {
            Self::Starting { process, .. }
            | Self::Ready { process, .. }
            | Self::Draining { process, .. }
            | Self::Stopping { process, .. } => Some(process),
            Self::Forking
            | Self::BackingOff { .. }
            | Self::GivenUp { .. }
            | Self::Stopped
            | Self::Vacant => None,
        }
    }

    /// The state without its data.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Forking => Phase::Forking,
            Self::Starting { .. } => Phase::Starting,
            Self::Ready { .. } => Phase::Ready,
            Self::Draining { .. } => Phase::Draining,
            Self::Stopping { .. } => Phase::Stopping,
            Self::BackingOff { .. } => Phase::BackingOff,
            Self::GivenUp { .. } => Phase::GivenUp,
            Self::Stopped => Phase::Stopped,
            Self::Vacant => Phase::Vacant,
        }
    }
}

/// A state's name, for status pages and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A fork is asked for.
    Forking,
    /// Forked, not ready.
    Starting,
    /// Serving.
    Ready,
    /// Asked to stop accepting.
    Draining,
    /// Asked to end.
    Stopping,
    /// Replaced, finishing beside its successor. A process is in this phase, never a slot.
    Leaving,
    /// Waiting for its next start.
    BackingOff,
    /// Not started again.
    GivenUp,
    /// Ended with the supervisor.
    Stopped,
    /// Nobody's.
    Vacant,
}

/// That a process which serves is to be replaced, when its turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Not before.
    pub at: Moment,
    /// Why.
    pub why: RecycleReason,
}

/// Why one process is replaced while the others stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecycleReason {
    /// It has done its share of work.
    Share,
    /// It holds so many bytes of memory, more than it may.
    Memory(u64),
    /// Somebody asked for it.
    Asked,
    /// What it runs has changed.
    Changed,
}

/// Why a process is asked to make way for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainReason {
    /// All are replaced.
    Reload,
    /// It alone is.
    Recycle(RecycleReason),
}

/// Why a slot's current process has to end before anything else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// It did not become ready in time. Its death counts as a failure.
    NotReady,
    /// It did not answer the request to drain in time. Its successor follows at once.
    NotDraining,
    /// It stopped accepting unasked when no further process could leave. Its death counts as a failure.
    NoRoom,
    /// It is not wanted any more. Its slot is vacant after it.
    Removed,
    /// The supervisor is stopping.
    Shutdown,
}

/// How hard a process is being told to end, and when that is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// It knows, and has until the deadline.
    Asked {
        /// When it is killed.
        deadline: Moment,
    },
    /// It was sent the terminating signal.
    Terminated {
        /// When it is killed.
        deadline: Moment,
    },
    /// It was sent the killing signal. There is nothing harder, so there is no timer.
    Killed,
}

impl Pressure {
    /// When it is raised, if it can be.
    pub fn deadline(self) -> Option<Moment> {
        match self {
            Self::Asked { deadline } | Self::Terminated { deadline } => Some(deadline),
            Self::Killed => None,
        }
    }

    /// The same, to be raised no later than `latest`.
    pub(super) fn no_later_than(self, latest: Moment) -> Self {
        match self {
            Self::Asked { deadline } => Self::Asked { deadline: deadline.min(latest) },
            Self::Terminated { deadline } => Self::Terminated { deadline: deadline.min(latest) },
            Self::Killed => Self::Killed,
        }
    }
}

/// A process that was replaced: it accepts nothing any more and finishes beside its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The process.
    pub process: Process,
    /// How long it may take.
    pub pressure: Pressure,
}

/// Why a child is not started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUpReason {
    /// [`RestartPolicy::OnFailure`], and it ended well.
    Finished,
    /// [`RestartPolicy::Never`], and it ended this way.
    RanOnce(ExitStatus),
}

/// A slot as a status page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChildView<'a> {
    /// The slot.
    pub id: ChildId,
    /// The name from its [`ChildSpec`].
    pub name: &'a str,
    /// The state's name.
    pub state: Phase,
    /// The current process.
    pub pid: Option<Pid>,
    /// The generation of the current process, or of the last one.
    pub generation: u64,
    /// Milliseconds since the current process was forked.
    pub uptime_ms: Option<u64>,
    /// Milliseconds until the next start, while backing off.
    pub retry_in_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether it waits the longest delay because it failed more often than the policy allows.
    pub too_often: bool,
    /// Starts that followed a failure, since the supervisor began.
    pub restarts: u64,
    /// Starts that replaced a process on purpose (reload, recycle), since the supervisor began.
    pub replacements: u64,
    /// Processes that were replaced and have not ended, oldest first.
    pub leaving: Vec<Pid>,
    /// How the last process of this slot ended, a leaving one included.
    pub last_exit: Option<ExitStatus>,
    /// The slot whose process serves this one's listener while this one is down.
    pub covered_by: Option<ChildId>,
}

/// Whole milliseconds, at most `u64::MAX`.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
