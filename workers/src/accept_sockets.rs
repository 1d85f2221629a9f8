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

use crate::{accept_state::AcceptState, stream::Stream, token::Source};

/// A listener, and whether to accept from it now.
#[derive(Debug)]
pub(crate) struct AcceptSocket {
    listening: ListenSocket,
    pub(crate) state: AcceptState,
    /// Whose socket it is.
    of: Slot,
    /// The number of the listener.
    pub(crate) listener: u16,
    /// It is let go of as soon as nothing waits in it.
    pub(crate) is_retired: bool,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(TcpListener),
    /// All workers are woken for each connection, and one of them gets it.
    Unix(UnixListener),
}

impl AcceptSocket {
    pub(crate) fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.listening {
            ListenSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Stream::Tcp(stream), Peer::from(peer)))
            }
            ListenSocket::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                // Older kernels have no urgent bytes there, and say so.
                let _ = keep_urgent_bytes(&stream);
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// All sockets of a worker, by their number in events. A number is used again: an event of a socket that is gone costs its
/// successor one vain accept.
#[derive(Debug)]
pub(crate) struct AcceptSockets {
    sending: Sending,
    sockets: Vec<Option<AcceptSocket>>,
    /// Where the next turn begins, so that no socket is always the last.
    first: usize,
}

impl AcceptSockets {
    /// None yet. Connections will send as `sending` says.
    pub(crate) fn new(sending: Sending) -> Self {
        Self { sending, sockets: Vec::new(), first: 0 }
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
        self.close_where(registry, |socket| socket.of == of && socket.listener == listener);
        let number = self.sockets.iter().position(Option::is_none).unwrap_or(self.sockets.len());
        let token = Source::Listener(number as u32).token();
        socket.set_sending(self.sending)?;
        socket.keep_urgent_bytes()?;
        let listening = match socket {
            Listener::Tcp(socket) => {
                let mut socket = TcpListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                ListenSocket::Tcp(socket)
            }
            Listener::Unix(socket) => {
                let mut socket = UnixListener::from_std(socket);
                registry.register(&mut socket, token, Interest::READABLE)?;
                ListenSocket::Unix(socket)
            }
        };
        let socket = Some(AcceptSocket {
            listening,
            state: AcceptState::Open,
            of,
            listener,
            is_retired: false,
        });
        match self.sockets.get_mut(number) {
            Some(place) => *place = socket,
            None => self.sockets.push(socket),
        }
        Ok(())
    }

    /// Lets go of the listeners of a slot. What waits in them is for whoever else has them.
    pub(crate) fn close(&mut self, registry: &Registry, of: Slot) {
        self.close_where(registry, |socket| socket.of == of);
    }

    /// Lets go of one socket, in which nothing waits.
    pub(crate) fn close_at(&mut self, registry: &Registry, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number).and_then(Option::take) {
            forget(registry, socket);
        }
    }

    /// Has the sockets of a listener closed when nothing waits in them any more, and looks into them at once.
    pub(crate) fn retire(&mut self, listener: u16) {
        for socket in self.sockets.iter_mut().flatten().filter(|socket| socket.listener == listener)
        {
            socket.is_retired = true;
            socket.state.arrived();
        }
    }

    /// Lets go of all listeners.
    pub(crate) fn close_all(&mut self, registry: &Registry) {
        self.close_where(registry, |_| true);
    }

    fn close_where(&mut self, registry: &Registry, is_meant: impl Fn(&AcceptSocket) -> bool) {
        for place in &mut self.sockets {
            if let Some(socket) = place.take_if(|socket| is_meant(socket)) {
                forget(registry, socket);
            }
        }
    }

    /// A socket, unless it has been closed meanwhile.
    pub(crate) fn at_mut(&mut self, number: usize) -> Option<&mut AcceptSocket> {
        self.sockets.get_mut(number)?.as_mut()
    }

    /// The kernel told of a new connection.
    pub(crate) fn arrived(&mut self, number: u32) {
        if let Some(socket) = self.at_mut(number as usize) {
            socket.state.arrived();
        }
    }

    /// There is no room for anybody: none accepts until `until_ms`.
    pub(crate) fn pause(&mut self, until_ms: u64) {
        for socket in self.sockets.iter_mut().flatten() {
            socket.state.pause(until_ms);
        }
    }

    /// Whether some socket may be accepted from now.
    pub(crate) fn wants_turn(&mut self, now_ms: u64) -> bool {
        self.sockets.iter_mut().flatten().any(|socket| socket.state.may_accept(now_ms))
    }

    /// The sockets to accept from in this turn, one after the other, and how many connections to take from each so that all
    /// together are about `budget`, and at least one.
    pub(crate) fn turn(
        &mut self,
        now_ms: u64,
        budget: usize,
    ) -> (impl Iterator<Item = usize> + use<>, usize) {
        let mut open = 0;
        for socket in self.sockets.iter_mut().flatten() {
            open += usize::from(socket.state.may_accept(now_ms));
        }
        let count = self.sockets.len();
        let first = self.first;
        self.first = if first + 1 < count { first + 1 } else { 0 };
        let numbers = (0..count).map(move |step| (first + step) % count.max(1));
        // With nothing open there is nothing to go through.
        (numbers.take(if open == 0 { 0 } else { count }), (budget / open.max(1)).max(1))
    }

    /// When the loop has to look again without being told, in ms of its clock.
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.sockets.iter().flatten().filter_map(|socket| socket.state.wake_at_ms()).min()
    }
}

/// Ends our watch before our descriptor: the socket lives on in others, and closing would not end it (epoll(7), Q6).
fn forget(registry: &Registry, mut socket: AcceptSocket) {
    let _ = match &mut socket.listening {
        ListenSocket::Tcp(socket) => registry.deregister(socket),
        ListenSocket::Unix(socket) => registry.deregister(socket),
    };
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    fn sockets() -> AcceptSockets {
        AcceptSockets::new(Sending { at_once: true, unsent_bytes_max: None })
    }

    fn socket() -> Listener {
        let address = "127.0.0.1:0".parse().unwrap();
        Listener::Tcp(wsmaster_ipc::sys::socket::listeners(address, 16, 1).unwrap().remove(0))
    }

    #[test]
    fn every_door_has_its_turn_and_its_share() {
        let poll = Poll::new().unwrap();
        let mut sockets = sockets();
        assert_eq!(sockets.wake_at_ms(), None);
        assert_eq!(sockets.turn(0, 64).0.count(), 0);
        for slot in 0..3 {
            sockets.open(poll.registry(), Slot::new(slot).unwrap(), 0, socket()).unwrap();
        }
        assert_eq!(sockets.wake_at_ms(), Some(0));
        let mut firsts = Vec::new();
        for _ in 0..4 {
            let (numbers, share) = sockets.turn(0, 64);
            let numbers: Vec<_> = numbers.collect();
            assert_eq!((numbers.len(), share), (3, 21));
            firsts.push(numbers[0]);
        }
        assert_eq!(firsts, [0, 1, 2, 0]);
        sockets.at_mut(1).unwrap().state.emptied();
        assert_eq!(sockets.turn(0, 64).1, 32);
        assert_eq!(sockets.turn(0, 1).1, 1, "each has at least one");
    }

    #[test]
    fn a_door_that_is_closed_makes_room_and_its_late_events_hurt_nobody() {
        let poll = Poll::new().unwrap();
        let mut sockets = sockets();
        let slot = |number| Slot::new(number).unwrap();
        sockets.open(poll.registry(), slot(0), 0, socket()).unwrap();
        sockets.open(poll.registry(), slot(7), 0, socket()).unwrap();
        sockets.close(poll.registry(), slot(7));
        sockets.arrived(1);
        sockets.arrived(9);
        assert!(sockets.at_mut(1).is_none());
        sockets.open(poll.registry(), slot(8), 5, socket()).unwrap();
        assert_eq!(sockets.at_mut(1).map(|socket| socket.of), Some(slot(8)));
        sockets.retire(5);
        assert!(sockets.at_mut(1).is_some_and(|socket| socket.is_retired));
        assert!(!sockets.at_mut(0).is_some_and(|socket| socket.is_retired));
        sockets.pause(500);
        assert_eq!(sockets.wake_at_ms(), Some(500));
        sockets.close_all(poll.registry());
        assert_eq!(sockets.wake_at_ms(), None);
    }
}
