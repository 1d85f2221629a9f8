//! What became of numbered messages on their way.

use std::{
    collections::{BTreeSet, HashMap},
    ops::AddAssign,
};

/// Where a message stands in what was sent: the test's own stream, and its number there, counted by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) stream: u64,
    pub(crate) number: u64,
}

/// How many messages came how. Each stream is counted from the first number that came, so what is lost before that or at
/// the end shows only in the sum.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Order {
    /// Each the successor of the one before it, or the first.
    pub(crate) in_order: u64,
    /// Came right, but after a gap.
    pub(crate) after_a_gap: u64,
    /// Never came, though a later one did.
    pub(crate) lost: u64,
    /// Came again.
    pub(crate) doubled: u64,
    /// Came after a later one.
    pub(crate) reordered: u64,
}

impl Order {
    /// That of what one receiver got.
    pub(crate) fn of(marks: impl IntoIterator<Item = Mark>) -> Self {
        let mut order = Self::default();
        let mut streams = HashMap::<u64, Stream>::new();
        for mark in marks {
            streams.entry(mark.stream).or_default().take(mark.number, &mut order);
        }
        order.lost = streams.values().map(|stream| stream.missing.len() as u64).sum();
        order
    }

    /// Fails the test unless so many messages came, each once and in order.
    #[track_caller]
    pub(crate) fn expect_whole(self, messages: u64) {
        assert_eq!(self, Self { in_order: messages, ..Self::default() });
    }
}

impl AddAssign for Order {
    fn add_assign(&mut self, other: Self) {
        let Self { in_order, after_a_gap, lost, doubled, reordered } = other;
        self.in_order += in_order;
        self.after_a_gap += after_a_gap;
        self.lost += lost;
        self.doubled += doubled;
        self.reordered += reordered;
    }
}

/// One stream as one receiver sees it.
#[derive(Default)]
struct Stream {
    next: Option<u64>,
    missing: BTreeSet<u64>,
}

impl Stream {
    fn take(&mut self, number: u64, order: &mut Order) {
        match self.next {
            Some(next) if number < next && self.missing.remove(&number) => order.reordered += 1,
            Some(next) if number < next => order.doubled += 1,
            Some(next) if number > next => {
                self.missing.extend(next..number);
                order.after_a_gap += 1;
                self.next = Some(number + 1);
            }
            Some(_) | None => {
                order.in_order += 1;
                self.next = Some(number + 1);
            }
        }
    }
}
