//! Whether the worker leaves, and when each of its clients is told so.

use crate::drain_schedule::DrainSchedule;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// The worker takes nothing new any more.
    pub(crate) is_leaving: bool,
    /// The whole server stops: there will be no successor.
    pub(crate) is_stopping: bool,
    /// Which client is told when.
    pub(crate) schedule: DrainSchedule,
}
