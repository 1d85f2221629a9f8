//! Who of this worker's connections has subscribed to which channel. Pure: connections are indexes, channels are names.
//!
//! Subscribing and unsubscribing cost the same however many subscribers a channel has: each side of a subscription knows
//! its place on the other.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::{conn_index::ConnIndex, frequency::Frequency};

/// Channels and their subscribers.
#[derive(Debug, Default)]
pub(crate) struct ChannelTable {
    by_name: HashMap<Arc<str>, u32>,
    channels: Slab<Channel>,
    subscriptions: Vec<Vec<Subscription>>,
    count: usize,
}

#[derive(Debug)]
struct Channel {
    name: Arc<str>,
    members: Vec<Member>,
    /// Of messages.
    frequency: Frequency,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    connection: ConnIndex,
    /// Where this subscription stands in the connection's list.
    place: u32,
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    channel: u32,
    /// Where the connection stands in the channel's list.
    place: u32,
}

/// What is to be seen of a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelView<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many connections are subscribed to it.
    pub subscribers: usize,
    /// How many messages have come for it.
    pub frequency: Frequency,
}

/// What a subscription changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Joined {
    /// The channel has its first subscriber here.
    First,
    /// It has one more.
    More,
    /// The connection was subscribed already.
    Already,
    /// The connection has as many subscriptions as it may have.
    TooMany,
}

/// What an unsubscription changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parted {
    /// The channel has no subscriber here any more.
    Last,
    /// It has one less.
    Less,
    /// The connection was not subscribed.
    Never,
}

impl ChannelTable {
    /// Subscribes a connection, unless it has `subscriptions_max` subscriptions already.
    pub(crate) fn subscribe(
        &mut self,
        connection: ConnIndex,
        name: &str,
        subscriptions_max: usize,
    ) -> Joined {
        if self.subscriptions.len() <= connection.as_usize() {
            self.subscriptions.resize_with(connection.as_usize() + 1, Vec::new);
        }
        let list = &mut self.subscriptions[connection.as_usize()];
        let known = self.by_name.get(name).copied();
        if known.is_some_and(|channel| list.iter().any(|entry| entry.channel == channel)) {
            return Joined::Already;
        }
        if list.len() >= subscriptions_max {
            return Joined::TooMany;
        }
        let channel = known.unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let channel = self.channels.insert(Channel {
                name: name.clone(),
                members: Vec::new(),
                frequency: Frequency::default(),
            }) as u32;
            self.by_name.insert(name, channel);
            channel
        });
        let members = &mut self.channels[channel as usize].members;
        let entry = Subscription { channel, place: members.len() as u32 };
        members.push(Member { connection, place: list.len() as u32 });
        list.push(entry);
        self.count += 1;
        if members.len() == 1 { Joined::First } else { Joined::More }
    }

    /// Ends one subscription.
    pub(crate) fn unsubscribe(&mut self, connection: ConnIndex, name: &str) -> Parted {
        let place = self.by_name.get(name).and_then(|channel| {
            self.list(connection).iter().position(|entry| entry.channel == *channel)
        });
        match place {
            Some(place) => self.part(connection, place).0,
            None => Parted::Never,
        }
    }

    /// Ends all subscriptions of a connection, and calls `emptied` with each channel that has no subscriber any more.
    pub(crate) fn forget(&mut self, connection: ConnIndex, mut emptied: impl FnMut(&str)) {
        while let Some(last) = self.list(connection).len().checked_sub(1) {
            if let (Parted::Last, name) = self.part(connection, last) {
                emptied(&name);
            }
        }
        if let Some(list) = self.subscriptions.get_mut(connection.as_usize()) {
            *list = Vec::new();
        }
    }

    /// Whether a connection is subscribed to a channel.
    pub(crate) fn is_subscribed(&self, connection: ConnIndex, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|channel| {
            self.list(connection).iter().any(|entry| entry.channel == *channel)
        })
    }

    /// Notes a message for a channel, and tells the connections that are subscribed to it.
    pub(crate) fn publish(
        &mut self,
        name: &str,
        now_ms: u64,
    ) -> impl ExactSizeIterator<Item = ConnIndex> + use<'_> {
        let members = match self.by_name.get(name) {
            Some(channel) => {
                let channel = &mut self.channels[*channel as usize];
                channel.frequency.note(now_ms);
                channel.members.as_slice()
            }
            None => &[],
        };
        members.iter().map(|member| member.connection)
    }

    /// The channels of a connection, in no order.
    pub(crate) fn of_connection(
        &self,
        connection: ConnIndex,
    ) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.list(connection).iter().map(|entry| &*self.channels[entry.channel as usize].name)
    }

    /// How many places for channels there are, in use or not.
    pub(crate) fn places(&self) -> u32 {
        self.channels.capacity() as u32
    }

    /// The channel at a place.
    pub(crate) fn at(&self, place: u32) -> Option<ChannelView<'_>> {
        let channel = self.channels.get(place as usize)?;
        Some(ChannelView {
            name: &channel.name,
            subscribers: channel.members.len(),
            frequency: channel.frequency,
        })
    }

    /// How many subscriptions there are in all.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn list(&self, connection: ConnIndex) -> &[Subscription] {
        self.subscriptions.get(connection.as_usize()).map_or(&[], Vec::as_slice)
    }

    fn part(&mut self, connection: ConnIndex, place: usize) -> (Parted, Arc<str>) {
        let list = &mut self.subscriptions[connection.as_usize()];
        let gone = list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            self.channels[moved.channel as usize].members[moved.place as usize].place =
                place as u32;
        }
        let channel = &mut self.channels[gone.channel as usize];
        channel.members.swap_remove(gone.place as usize);
        if let Some(moved) = channel.members.get(gone.place as usize) {
            self.subscriptions[moved.connection.as_usize()][moved.place as usize].place =
                gone.place;
        }
        self.count -= 1;
        let name = channel.name.clone();
        if channel.members.is_empty() {
            self.channels.remove(gone.channel as usize);
            self.by_name.remove(&name);
            return (Parted::Last, name);
        }
        (Parted::Less, name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map from name to a set.
        #[test]
        fn it_agrees_with_a_plain_table(
            steps in proptest::collection::vec((0..12_u32, 0..8_u8, 0..5_u8), 1..300),
        ) {
            let mut channels = ChannelTable::default();
            let mut table: BTreeMap<String, BTreeSet<ConnIndex>> = BTreeMap::new();
            for (connection, name, what) in steps {
                let connection = ConnIndex(connection);
                let name = format!("chat.{name}");
                match what {
                    0 => {
                        let mut emptied = BTreeSet::new();
                        channels.forget(connection, |name| { emptied.insert(name.to_owned()); });
                        let mut expected = BTreeSet::new();
                        for (name, set) in &mut table {
                            if set.remove(&connection) && set.is_empty() { expected.insert(name.clone()); }
                        }
                        prop_assert_eq!(emptied, expected);
                    }
                    1 => {
                        let set = table.entry(name.clone()).or_default();
                        let expected = match (set.remove(&connection), set.is_empty()) {
                            (false, _) => Parted::Never,
                            (true, true) => Parted::Last,
                            (true, false) => Parted::Less,
                        };
                        prop_assert_eq!(channels.unsubscribe(connection, &name), expected);
                    }
                    _ => {
                        let held = table.values().filter(|set| set.contains(&connection)).count();
                        let set = table.entry(name.clone()).or_default();
                        let expected = match (set.contains(&connection), held >= 4, set.is_empty()) {
                            (true, ..) => Joined::Already,
                            (_, true, _) => Joined::TooMany,
                            (.., true) => Joined::First,
                            (.., false) => Joined::More,
                        };
                        if matches!(expected, Joined::First | Joined::More) { set.insert(connection); }
                        prop_assert_eq!(channels.subscribe(connection, &name, 4), expected);
                    }
                }
                table.retain(|_, set| !set.is_empty());
                prop_assert_eq!(channels.len(), table.values().map(BTreeSet::len).sum::<usize>());
                for (name, set) in &table {
                    let found: BTreeSet<ConnIndex> = channels.publish(name, 0).collect();
                    prop_assert_eq!(&found, set);
                    for connection in set {
                        prop_assert!(channels.is_subscribed(*connection, name));
                        prop_assert!(channels.of_connection(*connection).any(|channel| channel == name));
                    }
                }
            }
        }
    }
}
