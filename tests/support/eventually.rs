//! Waiting: the only place of the tests that sleeps.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen. Only a failing test ever waits that long, so it is generous: a loaded
/// machine must not fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two looks at a condition.
const STEP: Duration = Duration::from_millis(5);

/// A point in time after which waiting ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline `within` from now.
    pub(crate) fn after(within: Duration) -> Self {
        Self { at: Instant::now() + within }
    }

    /// The time left; zero once it has passed.
    pub(crate) fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }
}

/// Looks every 5 ms until `look` finds something, and returns it. A test fails when it has found nothing `within` the
/// given time; `what` completes the sentence "waited for ...".
#[track_caller]
pub(crate) fn eventually<T>(
    what: impl Display,
    within: Duration,
    look: impl FnMut() -> Option<T>,
) -> T {
    match in_time(within, look) {
        Some(found) => found,
        None => panic!("waited {within:?} for {what}"),
    }
}

/// As [`eventually`], where finding nothing is not the test's failure: `None`. It looks at least once.
pub(crate) fn in_time<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(within);
    loop {
        let found = look();
        if found.is_some() || deadline.has_passed() {
            return found;
        }
        thread::sleep(STEP.min(deadline.left()));
    }
}
