//! How far a worker is in its life, and what it says of that to the master.

use wsmaster_ipc::{
    LeaveReason,
    link::{ChildLink, ToMaster},
};
use wsmaster_protocol::close::CloseCode;

use crate::limits::Limits;

/// How far the worker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// It serves.
    Serving,
    /// It serves, and has asked the master for a successor.
    Recycling,
    /// It takes nothing new, and is gone when its connections are, or at this moment of the loop's clock.
    Leaving { deadline_ms: u64, reason: LeaveReason, parting: Parting },
    /// The master is dead.
    Orphaned,
}

/// What a worker that leaves tells its clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parting {
    /// To come back, with this code, within this time.
    ComeBack { code: CloseCode, spread_ms: u64 },
    /// That the server goes away, within this time.
    GoneAway { spread_ms: u64 },
}

/// The life of a worker.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) life: Life,
    /// The line to the master.
    pub(crate) link: ChildLink,
    quota: MessageQuota,
}

impl Lifecycle {
    /// Of a worker that serves.
    pub(crate) fn new(link: ChildLink, limits: &Limits, random: &mut fastrand::Rng) -> Self {
        Self { life: Life::Serving, link, quota: MessageQuota::new(limits, random) }
    }

    /// A message of a client is handled.
    #[inline]
    pub(crate) fn count_message(&mut self) {
        self.quota.messages += 1;
        if self.quota.messages == self.quota.messages_max {
            self.ask_for_a_successor(LeaveReason::Share);
        }
    }

    /// Asks the master for a successor, once.
    pub(crate) fn ask_for_a_successor(&mut self, reason: LeaveReason) {
        match self.life {
            Life::Serving => {
                self.link.send(&ToMaster::Recycle { reason });
                self.life = Life::Recycling;
            }
            Life::Recycling | Life::Leaving { .. } | Life::Orphaned => {}
        }
    }
}

/// How many messages of clients a worker handles before it asks for a successor.
#[derive(Clone, Copy, Debug)]
struct MessageQuota {
    /// Messages that were handled.
    messages: u64,
    /// Zero is any number.
    messages_max: u64,
}

impl MessageQuota {
    /// The configured number and a part of the spread, so that workers that were started together do not ask for their
    /// successors together.
    fn new(limits: &Limits, random: &mut fastrand::Rng) -> Self {
        let messages_max = match limits.requests_max {
            0 => 0,
            most => most.saturating_add(random.u64(0..=limits.requests_spread)),
        };
        Self { messages: 0, messages_max }
    }
}
