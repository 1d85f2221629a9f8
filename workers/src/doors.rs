//! The sockets that a worker accepts from: its slot's own, those that all slots share, and those of slots that are down (see
//! [`ToChild::Cover`](wsmaster_ipc::link::ToChild::Cover)). Owns their registration, the state of accepting on each, and how a
//! turn's budget is shared among them. It accepts nothing itself.

use std::io;

use mio::{
    Interest, Registry,
    net::{TcpListener, UnixListener},
};
use wsmaster_ipc::{
    Slot,
    sys::listener::{Listener, Sending, keep_urgent_bytes},
};
use wsmaster_protocol::peer::Peer;

use crate::{gate::Gate, stream::Stream, token::Source};

/// A listener, and whether to accept from it now.
#[derive(Debug)]
pub(crate) struct Door {
    ear: Ear,
    pub(crate) gate: Gate,
    /// Whose socket it is.
    of: Slot,
    /// The number of the listener.
    pub(crate) listener: u16,
    /// It is let go of as soon as nothing waits in it.
    pub(crate) is_retired: bool,
}

#[derive(Debug)]
enum Ear {
    Tcp(TcpListener),
    /// All workers are woken for each connection, and one of them gets it.
    Unix(UnixListener),
}

impl Door {
    pub(crate) fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.ear {
            Ear::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Stream::Tcp(stream), Peer::from(peer)))
            }
            Ear::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                // Older kernels have no urgent bytes there, and say so.
                let _ = keep_urgent_bytes(&stream);
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// All doors of a worker, by their number in events. A number is used again: an event of a door that is gone costs its
/// successor one vain accept.
#[derive(Debug)]
pub(crate) struct Doors {
    sending: Sending,
    doors: Vec<Option<Door>>,
    /// Where the next turn begins, so that no door is always the last.
    first: usize,
}

impl Doors {
    /// None yet. Connections will send as `sending` says.
    pub(crate) fn new(sending: Sending) -> Self {
        Self { sending, doors: Vec::new(), first: 0 }
    }

    /// Begins to accept from the socket of a slot for the listener with this number; what waits in it already will be found.
    ///
    /// # Errors
    /// Out of watches or memory (epoll_ctl(2)), or no socket that can be set (setsockopt(2)).
    pub(crate) fn open(
        &mut self,
        registry: &Registry,
        of: Slot,
        listener: u16,
        socket: Listener,
    ) -> io::Result<()> {
        // Whatever was known of this one: the latest word counts.
        self.close_where(registry, |door| door.of == of && door.listener == listener);
        let number = self.doors.iter().position(Option::is_none).unwrap_or(self.doors.len());
        let token = Source::Listener(number as u32).token();
        socket.set_sending(self.sending)?;
        socket.keep_urgent_bytes()?;
        let ear = match socket {
            Listener::Tcp(socket) => {
                let mut socket = TcpListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                Ear::Tcp(socket)
            }
            Listener::Unix(socket) => {
                let mut socket = UnixListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                Ear::Unix(socket)
            }
        };
        let door = Some(Door { ear, gate: Gate::Open, of, listener, is_retired: false });
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

    /// Lets go of one door, in which nothing waits.
    pub(crate) fn close_at(&mut self, registry: &Registry, number: usize) {
        if let Some(door) = self.doors.get_mut(number).and_then(Option::take) {
            forget(registry, door);
        }
    }

    /// Has the doors of a listener closed when nothing waits in them any more, and looks into them at once.
    pub(crate) fn retire(&mut self, listener: u16) {
        for door in self.doors.iter_mut().flatten().filter(|door| door.listener == listener) {
            door.is_retired = true;
            door.gate.arrived();
        }
    }

    /// Lets go of all listeners.
    pub(crate) fn close_all(&mut self, registry: &Registry) {
        self.close_where(registry, |_| true);
    }

    fn close_where(&mut self, registry: &Registry, is_meant: impl Fn(&Door) -> bool) {
        for place in &mut self.doors {
            if let Some(door) = place.take_if(|door| is_meant(door)) {
                forget(registry, door);
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

    /// Whether some door may be accepted from now.
    pub(crate) fn wants_turn(&mut self, now_ms: u64) -> bool {
        self.doors.iter_mut().flatten().any(|door| door.gate.may_accept(now_ms))
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

/// Ends our watch before our descriptor: the socket lives on in others, and closing would not end it (epoll(7), Q6).
fn forget(registry: &Registry, mut door: Door) {
    let _ = match &mut door.ear {
        Ear::Tcp(socket) => registry.deregister(socket),
        Ear::Unix(socket) => registry.deregister(socket),
    };
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    fn doors() -> Doors {
        Doors::new(Sending { at_once: true, unsent_bytes_max: None })
    }

    fn socket() -> Listener {
        let address = "127.0.0.1:0".parse().unwrap();
        Listener::Tcp(wsmaster_ipc::sys::socket::listeners(address, 16, 1).unwrap().remove(0))
    }

    #[test]
    fn every_door_has_its_turn_and_its_share() {
        let poll = Poll::new().unwrap();
        let mut doors = doors();
        assert_eq!(doors.wake_at_ms(), None);
        assert_eq!(doors.turn(0, 64).0.count(), 0);
        for slot in 0..3 {
            doors.open(poll.registry(), Slot::new(slot).unwrap(), 0, socket()).unwrap();
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
        let mut doors = doors();
        let slot = |number| Slot::new(number).unwrap();
        doors.open(poll.registry(), slot(0), 0, socket()).unwrap();
        doors.open(poll.registry(), slot(7), 0, socket()).unwrap();
        doors.close(poll.registry(), slot(7));
        doors.arrived(1);
        doors.arrived(9);
        assert!(doors.at_mut(1).is_none());
        doors.open(poll.registry(), slot(8), 5, socket()).unwrap();
        assert_eq!(doors.at_mut(1).map(|door| door.of), Some(slot(8)));
        doors.retire(5);
        assert!(doors.at_mut(1).is_some_and(|door| door.is_retired));
        assert!(!doors.at_mut(0).is_some_and(|door| door.is_retired));
        doors.pause(500);
        assert_eq!(doors.wake_at_ms(), Some(500));
        doors.close_all(poll.registry());
        assert_eq!(doors.wake_at_ms(), None);
    }
}
