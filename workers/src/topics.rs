//! Who of this worker's connections has subscribed to which channel. Pure: connections are indexes, channels are names.
//!
//! Subscribing and unsubscribing cost the same however many subscribers a channel has: each side of a subscription knows
//! its place on the other.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::frequency::Frequency;

/// Channels and their subscribers.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: HashMap<Arc<str>, u32>,
    topics: Slab<Topic>,
    subscriptions: Vec<Vec<Subscription>>,
    count: usize,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    members: Vec<Member>,
    /// Of messages.
    frequency: Frequency,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    connection: u32,
    /// Where this subscription stands in the connection's list.
    place: u32,
}

#[derive(Clone, Copy, Debug)]
struct Subscription {
    topic: u32,
    /// Where the connection stands in the topic's list.
    place: u32,
}

/// What is to be seen of a channel.
#[derive(Clone, Copy, Debug)]
pub struct TopicView<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many connections are subscribed to it.
    pub subscribers: usize,
    /// How many messages have come for it.
    pub frequency: Frequency,
}

/// What a subscription changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
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
pub enum Parted {
    /// The channel has no subscriber here any more.
    Last,
    /// It has one less.
    Less,
    /// The connection was not subscribed.
    Never,
}

impl Topics {
    /// Subscribes a connection, unless it has `subscriptions_max` subscriptions already.
    pub fn subscribe(&mut self, connection: u32, name: &str, subscriptions_max: usize) -> Joined {
        if self.subscriptions.len() <= connection as usize {
            self.subscriptions.resize_with(connection as usize + 1, Vec::new);
        }
        let list = &mut self.subscriptions[connection as usize];
        let known = self.by_name.get(name).copied();
        if known.is_some_and(|topic| list.iter().any(|entry| entry.topic == topic)) {
            return Joined::Already;
        }
        if list.len() >= subscriptions_max {
            return Joined::TooMany;
        }
        let topic = known.unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            let topic = self.topics.insert(Topic {
                name: name.clone(),
                members: Vec::new(),
                frequency: Frequency::default(),
            }) as u32;
            self.by_name.insert(name, topic);
            topic
        });
        let members = &mut self.topics[topic as usize].members;
        let entry = Subscription { topic, place: members.len() as u32 };
        members.push(Member { connection, place: list.len() as u32 });
        list.push(entry);
        self.count += 1;
        if members.len() == 1 { Joined::First } else { Joined::More }
    }

    /// Ends one subscription.
    pub fn unsubscribe(&mut self, connection: u32, name: &str) -> Parted {
        let place = self
            .by_name
            .get(name)
            .and_then(|topic| self.list(connection).iter().position(|entry| entry.topic == *topic));
        match place {
            Some(place) => self.part(connection, place).0,
            None => Parted::Never,
        }
    }

    /// Ends all subscriptions of a connection, and calls `emptied` with each channel that has no subscriber any more.
    pub fn forget(&mut self, connection: u32, mut emptied: impl FnMut(&str)) {
        while let Some(last) = self.list(connection).len().checked_sub(1) {
            if let (Parted::Last, name) = self.part(connection, last) {
                emptied(&name);
            }
        }
        if let Some(list) = self.subscriptions.get_mut(connection as usize) {
            *list = Vec::new();
        }
    }

    /// Whether a connection is subscribed to a channel.
    pub fn is_subscribed(&self, connection: u32, name: &str) -> bool {
        self.by_name
            .get(name)
            .is_some_and(|topic| self.list(connection).iter().any(|entry| entry.topic == *topic))
    }

    /// Notes a message for a channel, and tells the connections that are subscribed to it.
    pub fn publish(
        &mut self,
        name: &str,
        now_ms: u64,
    ) -> impl ExactSizeIterator<Item = u32> + use<'_> {
        let members = match self.by_name.get(name) {
            Some(topic) => {
                let topic = &mut self.topics[*topic as usize];
                topic.frequency.note(now_ms);
                topic.members.as_slice()
            }
            None => &[],
        };
        members.iter().map(|member| member.connection)
    }

    /// The channels of a connection, in no order.
    pub fn of_connection(&self, connection: u32) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.list(connection).iter().map(|entry| &*self.topics[entry.topic as usize].name)
    }

    /// How many places for channels there are, in use or not.
    pub fn places(&self) -> u32 {
        self.topics.capacity() as u32
    }

    /// The channel at a place.
    pub fn at(&self, place: u32) -> Option<TopicView<'_>> {
        let topic = self.topics.get(place as usize)?;
        Some(TopicView {
            name: &topic.name,
            subscribers: topic.members.len(),
            frequency: topic.frequency,
        })
    }

    /// How many subscriptions there are in all.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn list(&self, connection: u32) -> &[Subscription] {
        self.subscriptions.get(connection as usize).map_or(&[], Vec::as_slice)
    }

    fn part(&mut self, connection: u32, place: usize) -> (Parted, Arc<str>) {
        let list = &mut self.subscriptions[connection as usize];
        let gone = list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            self.topics[moved.topic as usize].members[moved.place as usize].place = place as u32;
        }
        let topic = &mut self.topics[gone.topic as usize];
        topic.members.swap_remove(gone.place as usize);
        if let Some(moved) = topic.members.get(gone.place as usize) {
            self.subscriptions[moved.connection as usize][moved.place as usize].place = gone.place;
        }
        self.count -= 1;
        let name = topic.name.clone();
        if topic.members.is_empty() {
            self.topics.remove(gone.topic as usize);
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
            let mut topics = Topics::default();
            let mut table: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
            for (connection, name, what) in steps {
                let name = format!("chat.{name}");
                match what {
                    0 => {
                        let mut emptied = BTreeSet::new();
                        topics.forget(connection, |name| { emptied.insert(name.to_owned()); });
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
                        prop_assert_eq!(topics.unsubscribe(connection, &name), expected);
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
                        prop_assert_eq!(topics.subscribe(connection, &name, 4), expected);
                    }
                }
                table.retain(|_, set| !set.is_empty());
                prop_assert_eq!(topics.len(), table.values().map(BTreeSet::len).sum::<usize>());
                for (name, set) in &table {
                    let found: BTreeSet<u32> = topics.publish(name, 0).collect();
                    prop_assert_eq!(&found, set);
                    for connection in set {
                        prop_assert!(topics.is_subscribed(*connection, name));
                        prop_assert!(topics.of_connection(*connection).any(|channel| channel == name));
                    }
                }
            }
        }
    }
}
