//! Who is subscribed to what, and what the other workers have to know of it.

use rustc_hash::FxHashMap;
use wsmaster_ipc::{Handle, Slot, board::InterestBit};

use super::Core;
use crate::topics::{Joined, Parted};

impl Core {
    pub(crate) fn subscribe(&mut self, index: u32, channel: &str) -> Joined {
        let joined = self.topics.subscribe(index, channel, self.limits.subscriptions_max);
        match joined {
            Joined::First => {
                let bit = self.asker.handle().board().interest_bit(channel);
                *self.interest.entry(bit).or_insert(0) += 1;
                self.asker.handle().board().set_interest(self.slot, bit, true);
            }
            Joined::More | Joined::Already | Joined::TooMany => {}
        }
        joined
    }

    pub(crate) fn unsubscribe(&mut self, index: u32, channel: &str) -> Parted {
        let parted = self.topics.unsubscribe(index, channel);
        match parted {
            Parted::Last => {
                let is_alone = !self.lineage.is_shared();
                lose_interest(
                    &mut self.interest,
                    self.asker.handle(),
                    self.slot,
                    channel,
                    is_alone,
                );
            }
            Parted::Less | Parted::Never => {}
        }
        parted
    }

    pub(super) fn leave_channels(&mut self, index: u32) {
        let is_alone = !self.lineage.is_shared();
        let Self { topics, interest, asker, slot, .. } = self;
        topics.forget(index, |channel| {
            lose_interest(interest, asker.handle(), *slot, channel, is_alone);
        });
    }

    /// Shows what this worker alone is interested in: nobody else is in its slot any more.
    pub(super) fn show_own_interest(&self) {
        let board = self.asker.handle().board();
        board.keep_interest(self.slot, self.interest.keys().copied());
    }
}

fn lose_interest(
    interest: &mut FxHashMap<InterestBit, u32>,
    handle: &Handle,
    slot: Slot,
    channel: &str,
    is_alone: bool,
) {
    let bit = handle.board().interest_bit(channel);
    if let Some(count) = interest.get_mut(&bit) {
        *count -= 1;
        if *count == 0 {
            interest.remove(&bit);
            // Others in this slot may have subscribers: a bit too many costs a packet, one too few a message.
            if is_alone {
                handle.board().set_interest(slot, bit, false);
            }
        }
    }
}
