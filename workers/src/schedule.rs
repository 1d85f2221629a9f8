//! When connections are looked at again: timeouts, and the lists that one turn of the loop leaves to its end or to the next.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{conn_index::ConnIndex, wheel::Wheel};

/// What was on its way to a client when it was pinged: a slow reader lives, and its pong can only come when the ping has
/// reached it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct UnreachedPing {
    /// Bytes that it had taken at the last look.
    pub(crate) taken: u64,
    /// Bytes that it will have taken when it has the ping.
    pub(crate) end: u64,
}

/// Lists of connections by what is to be done with them. A connection's own flags say whether it is on one.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When something may be overdue at a connection.
    pub(crate) wheel: Wheel,
    /// Those that have work left and are served again in the next turn.
    pub(crate) ready: VecDeque<ConnIndex>,
    /// Those whose outbox is flushed at the end of the turn.
    pub(crate) dirty: Vec<ConnIndex>,
    /// Those to be removed when nothing works on them.
    pub(crate) closed: Vec<ConnIndex>,
    /// What was before the ping of those that have not answered it, if anything was.
    pub(crate) unreached_pings: FxHashMap<ConnIndex, UnreachedPing>,
}

impl Schedule {
    /// Nothing is to be done yet.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            wheel: Wheel::new(now_ms),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            closed: Vec::new(),
            unreached_pings: FxHashMap::default(),
        }
    }

    /// Forgets a connection that is gone. The lists of ready and dirty ones may name it still: its place is empty then, or
    /// its successor there is looked at once in vain.
    pub(crate) fn forget(&mut self, index: ConnIndex) {
        self.wheel.cancel(index);
        self.unreached_pings.remove(&index);
    }
}
