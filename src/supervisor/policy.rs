//! The numbers by which children are restarted, replaced and stopped.
//!
//! Owns the defaults and what each number means. It decides nothing: the decisions are in the machine that reads it.

use std::time::Duration;

use wsmaster_ipc::Moment;

/// What becomes of a child that died without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RestartPolicy {
    /// It is started again, however it ended. The supervisor never gives up on it.
    #[default]
    Always,
    /// It is started again unless it exited with code 0.
    OnFailure,
    /// It runs once.
    Never,
}

/// The numbers of the supervisor. `Default` gives those in the documentation of each field.
///
/// Two floors hold whatever is set here: no timer is shorter than 1 ms, and no back-off is shorter than 10 ms, so that a
/// configuration of zeros cannot turn the master into a busy loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The delay before the second restart (the first is at once); each further one doubles it. 100 ms.
    pub backoff_min: Duration,
    /// The longest delay before a restart, jitter aside. 30 s.
    pub backoff_max: Duration,
    /// How far a delay may be from its nominal value, either way, so that children which died of one cause do not come
    /// back in one herd. 20 percent, 100 at most.
    pub backoff_jitter_percent: u32,
    /// A slot that has been up this long without a failure starts its back-off from the beginning. 60 s.
    pub stable_after: Duration,
    /// With more failures than this within [`restarts_window`](Self::restarts_window) a slot waits `backoff_max` before
    /// each restart. 10.
    pub restarts_max: u32,
    /// The time over which `restarts_max` counts. 60 s.
    pub restarts_window: Duration,
    /// A child that has not said ready this long after its fork is killed. 10 s.
    pub ready_timeout: Duration,
    /// A child that has not answered [`AskDrain`](super::Action::AskDrain) in this time is killed. 5 s.
    pub drain_timeout: Duration,
    /// How long a replaced process may finish with its connections beside its successor. 30 s.
    pub leave_timeout: Duration,
    /// How long the children have to end after [`Stop`](super::Event::Stop). 30 s.
    pub stop_timeout: Duration,
    /// The time between the terminating and the killing signal. 2 s.
    pub kill_grace: Duration,
    /// A child may be replaced at its own wish no sooner than this after it became ready, which bounds the forks of a
    /// worker that asks after every request. 1 s.
    pub recycle_after: Duration,
    /// A slot that listens and has been without a process that serves for this long is covered by another one. 1 s: longer
    /// than any successor takes that comes at all, so that a reload and a single death move no listener, and as long as a
    /// client's kernel waits before it repeats a SYN (RFC 6298, section 2).
    pub cover_after: Duration,
    /// Between two children that are recycled there is at least this time, so that those which reach a limit together do
    /// not go together. Children that a reload does not touch are not meant. 1 s.
    pub recycle_gap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            backoff_jitter_percent: 20,
            stable_after: Duration::from_secs(60),
            restarts_max: 10,
            restarts_window: Duration::from_secs(60),
            ready_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            leave_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(30),
            kill_grace: Duration::from_secs(2),
            recycle_after: Duration::from_secs(1),
            cover_after: Duration::from_secs(1),
            recycle_gap: Duration::from_secs(1),
        }
    }
}

/// `timeout` from `now`, never in the past of the next instant and never out of the clock's range.
pub(super) fn deadline(now: Moment, timeout: Duration) -> Moment {
    now + timeout.clamp(TIMER_MIN, TIMER_MAX)
}

/// A timer of zero would be due again within the turn that armed it.
const TIMER_MIN: Duration = Duration::from_millis(1);

/// Ten years: an `Moment` holds it on every platform, and nobody waits longer.
const TIMER_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
