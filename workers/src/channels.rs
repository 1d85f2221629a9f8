//! Which connections of this worker have subscribed to which channel, and what the other workers have to know of it: each
//! worker shows in shared memory, as one bit for each hash of a channel's name, what it wants to have.

use rustc_hash::FxHashMap;
use wsmaster_ipc::{
    Slot,
    shared_state::{InterestBit, SharedState},
};

use crate::{
    channel_table::{ChannelTable, Joined, Parted},
    conn_index::ConnIndex,
};

/// The channels of a worker.
#[derive(Debug)]
pub(crate) struct Channels {
    slot: Slot,
    pub(crate) table: ChannelTable,
    /// How many channels with subscribers here share a bit.
    interest: FxHashMap<InterestBit, u32>,
}

impl Channels {
    /// None yet.
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, table: ChannelTable::default(), interest: FxHashMap::default() }
    }

    /// Subscribes a connection, unless it has `subscriptions_max` subscriptions already.
    pub(crate) fn subscribe(
        &mut self,
        connection: ConnIndex,
        channel: &str,
        subscriptions_max: usize,
        shared_state: &SharedState,
    ) -> Joined {
        let joined = self.table.subscribe(connection, channel, subscriptions_max);
        match joined {
            Joined::First => {
                let bit = shared_state.interest_bit(channel);
                *self.interest.entry(bit).or_insert(0) += 1;
                shared_state.set_interest(self.slot, bit, true);
            }
            Joined::More | Joined::Already | Joined::TooMany => {}
        }
        joined
    }

    /// Ends one subscription. `is_alone`: no other process of this slot has connections.
    pub(crate) fn unsubscribe(
        &mut self,
        connection: ConnIndex,
        channel: &str,
        is_alone: bool,
        shared_state: &SharedState,
    ) -> Parted {
        let parted = self.table.unsubscribe(connection, channel);
        match parted {
            Parted::Last => {
                lose_interest(&mut self.interest, shared_state, self.slot, channel, is_alone);
            }
            Parted::Less | Parted::Never => {}
        }
        parted
    }

    /// Ends all subscriptions of a connection. `is_alone`: as for [`Self::unsubscribe`].
    pub(crate) fn forget(
        &mut self,
        connection: ConnIndex,
        is_alone: bool,
        shared_state: &SharedState,
    ) {
        let Self { table, interest, slot } = self;
        table.forget(connection, |channel| {
            lose_interest(interest, shared_state, *slot, channel, is_alone);
        });
    }

    /// Shows what this worker alone is interested in: no other process of its slot has connections any more.
    pub(crate) fn show_own_interest(&self, shared_state: &SharedState) {
        shared_state.keep_interest(self.slot, self.interest.keys().copied());
    }
}

fn lose_interest(
    interest: &mut FxHashMap<InterestBit, u32>,
    shared_state: &SharedState,
    slot: Slot,
    channel: &str,
    is_alone: bool,
) {
    let bit = shared_state.interest_bit(channel);
    if let Some(count) = interest.get_mut(&bit) {
        *count -= 1;
        if *count == 0 {
            interest.remove(&bit);
            // Others in this slot may have subscribers: a bit too many costs a packet, one too few a message.
            if is_alone {
                shared_state.set_interest(slot, bit, false);
            }
        }
    }
}
