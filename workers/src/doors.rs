//! The listeners that a worker accepts from: its slot's own, and those of slots that are down (see
//! [`ToChild::Cover`](wsmaster_ipc::link::ToChild::Cover)). Owns their registration, the state of accepting on each, and how a
//! turn's budget is shared among them. It accepts nothing itself.

use std::{io, net::TcpListener};

use mio::{Interest, Registry};
use wsmaster_ipc::Slot;

use crate::{gate::Gate, token::Source};

/// A listener, and whether to accept from it now.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listener: mio::net::TcpListener,
    pub(crate) gate: Gate,
    /// Whose listener it is.
    of: Slot,
}

/// All doors of a worker, by their number in events. A number is used again: an event of a door that is gone costs its
/// successor one vain accept.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    doors: Vec<Option<Door>>,
    /// Where the next turn begins, so that no door is always the last.
    first: usize,
}

impl Doors {
    /// Begins to accept from the listener of a slot; what waits in it already will be found.
    ///
    /// # Errors
    /// Out of watches or memory (epoll_ctl(2)).
    pub(crate) fn open(
        &mut self,
        registry: &Registry,
        of: Slot,
        listener: TcpListener,
    ) -> io::Result<()> {
        let mut listener = mio::net::TcpListener::from_std(listener);
        let number = self.doors.iter().position(Option::is_none).unwrap_or(self.doors.len());
        let token = Source::Listener(number as u32).token();
        registry.register(&mut listener, token, Interest::READABLE)?;
        let door = Some(Door { listener, gate: Gate::Open, of });
        match self.doors.get_mut(number) {
            Some(place) => *place = door,
            None => self.doors.push(door),
        }
        Ok(())
    }

    /// Lets go of the listeners of a slot. What waits in them is for whoever else has them.
    pub(crate) fn close(&mut self, registry: &Registry, of: Slot) {
        self.close_where(registry, |door| door.of == of);
    }

    /// Lets go of all listeners.
    pub(crate) fn close_all(&mut self, registry: &Registry) {
        self.close_where(registry, |_| true);
    }

    fn close_where(&mut self, registry: &Registry, is_meant: impl Fn(&Door) -> bool) {
        for place in &mut self.doors {
            if let Some(mut door) = place.take_if(|door| is_meant(door)) {
                // The socket lives on in the master, so closing our descriptor of it would not end our watch (epoll(7), Q6).
                let _ = registry.deregister(&mut door.listener);
            }
        }
    }

    /// A door, unless it has been closed meanwhile.
    pub(crate) fn at_mut(&mut self, number: usize) -> Option<&mut Door> {
        self.doors.get_mut(number)?.as_mut()
    }

    /// The kernel told of a new connection.
    pub(crate) fn arrived(&mut self, number: u32) {
        if let Some(door) = self.at_mut(number as usize) {
            door.gate.arrived();
        }
    }

    /// There is no room for anybody: none accepts until `until_ms`.
    pub(crate) fn pause(&mut self, until_ms: u64) {
        for door in self.doors.iter_mut().flatten() {
            door.gate.pause(until_ms);
        }
    }

    /// The doors to accept from in this turn, one after the other, and how many connections to take from each so that all
    /// together are about `budget`, and at least one.
    pub(crate) fn turn(
        &mut self,
        now_ms: u64,
        budget: usize,
    ) -> (impl Iterator<Item = usize> + use<>, usize) {
        let mut open = 0;
        for door in self.doors.iter_mut().flatten() {
            open += usize::from(door.gate.may_accept(now_ms));
        }
        let count = self.doors.len();
        let first = self.first;
        self.first = if first + 1 < count { first + 1 } else { 0 };
        let numbers = (0..count).map(move |step| (first + step) % count.max(1));
        // With nothing open there is nothing to go through.
        (numbers.take(if open == 0 { 0 } else { count }), (budget / open.max(1)).max(1))
    }

    /// When the loop has to look again without being told, in ms of its clock.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.doors.iter().flatten().filter_map(|door| door.gate.wake_at_ms()).min()
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    fn listener() -> TcpListener {
        wsmaster_ipc::sys::socket::listeners("127.0.0.1:0".parse().unwrap(), 16, 1)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn every_door_has_its_turn_and_its_share() {
        let poll = Poll::new().unwrap();
        let mut doors = Doors::default();
        assert_eq!(doors.wake_at_ms(), None);
        assert_eq!(doors.turn(0, 64).0.count(), 0);
        for slot in 0..3 {
            doors.open(poll.registry(), Slot::new(slot).unwrap(), listener()).unwrap();
        }
        assert_eq!(doors.wake_at_ms(), Some(0));
        let mut firsts = Vec::new();
        for _ in 0..4 {
            let (numbers, share) = doors.turn(0, 64);
            let numbers: Vec<_> = numbers.collect();
            assert_eq!((numbers.len(), share), (3, 21));
            firsts.push(numbers[0]);
        }
        assert_eq!(firsts, [0, 1, 2, 0]);
        doors.at_mut(1).unwrap().gate.emptied();
        assert_eq!(doors.turn(0, 64).1, 32);
        assert_eq!(doors.turn(0, 1).1, 1, "each has at least one");
    }

    #[test]
    fn a_door_that_is_closed_makes_room_and_its_late_events_hurt_nobody() {
        let poll = Poll::new().unwrap();
        let mut doors = Doors::default();
        let slot = |number| Slot::new(number).unwrap();
        doors.open(poll.registry(), slot(0), listener()).unwrap();
        doors.open(poll.registry(), slot(7), listener()).unwrap();
        doors.close(poll.registry(), slot(7));
        doors.arrived(1);
        doors.arrived(9);
        assert!(doors.at_mut(1).is_none());
        doors.open(poll.registry(), slot(8), listener()).unwrap();
        assert_eq!(doors.at_mut(1).map(|door| door.of), Some(slot(8)));
        doors.pause(500);
        assert_eq!(doors.wake_at_ms(), Some(500));
        doors.close_all(poll.registry());
        assert_eq!(doors.wake_at_ms(), None);
    }
}
