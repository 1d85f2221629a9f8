//! How many clients of each kind: few enough for any machine, or as many as the limits are made for.

use std::time::Duration;

/// Set to 1 by `scripts/hostile`, which builds the program as it is shipped.
const VARIABLE: &str = "HOSTILE_FULL";

/// The sizes of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Whether the times are what is asked for, so that clients and server need CPUs of their own.
    pub(crate) measured: bool,
    /// Good clients beside the bad ones.
    pub(crate) good: usize,
    /// Handshakes that never end.
    pub(crate) slow: usize,
    /// Clients that do not read.
    pub(crate) non_readers: usize,
    /// The time between two messages of 32 KiB for those who do not read. What the kernel keeps for each (more than 4 MiB) and
    /// then its outbox must be full before the attack is over, and the fan-out itself must leave the machine room.
    pub(crate) shouts: Duration,
    /// Floods and bombs of each kind.
    pub(crate) floods: usize,
    /// Good clients beside the frozen reader.
    pub(crate) readers: usize,
    /// How long the quiet before is measured, and then the attack.
    pub(crate) quiet: Duration,
    pub(crate) attack: Duration,
    /// How long a worker has no descriptors.
    pub(crate) drought: Duration,
}

impl Sizes {
    /// Those that were asked for.
    pub(crate) fn asked_for() -> Self {
        if std::env::var(VARIABLE).is_ok_and(|value| value == "1") {
            Self {
                measured: true,
                good: 1000,
                slow: 1000,
                non_readers: 1000,
                shouts: Duration::from_millis(150),
                floods: 100,
                readers: 10_000,
                quiet: Duration::from_secs(10),
                attack: Duration::from_secs(40),
                drought: Duration::from_secs(10),
            }
        } else {
            Self {
                measured: false,
                good: 100,
                slow: 100,
                non_readers: 50,
                shouts: Duration::from_millis(20),
                floods: 10,
                readers: 1000,
                quiet: Duration::from_secs(1),
                attack: Duration::from_secs(6),
                drought: Duration::from_secs(3),
            }
        }
    }
}
