//! All connections of a run in one event loop.
//!
//! Owns the poll, the sockets and the one receive buffer. What is sent when, and what it means, is the [`Watcher`]'s.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::arguments::Server;
use crate::client::{Client, Fate, Watcher};
use crate::error::{LoadError, Result};
use crate::secure::Security;
use crate::socket::Socket;
use crate::upgrade;

/// Handshakes on their way at the same time: fewer than the shortest usual accept queue (128), so none is dropped and
/// sent again a second later.
const OPENING_MAX: usize = 100;

/// Bytes of the buffer that all connections read into.
const RECEIVE_BYTES: usize = 256 * 1024;

/// How long nothing may move before a run is given up.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a turn waits for events: the precision of a measurement's end when nothing arrives.
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// The connections.
#[derive(Debug)]
pub(crate) struct Fleet {
    address: SocketAddr,
    /// What TLS connections begin with; `None` is in the clear.
    security: Option<Security>,
    request: Vec<u8>,
    poll: Poll,
    events: Events,
    clients: Slab<Client>,
    buffer: Box<[u8]>,
    /// Connections whose handshake is not over.
    opening: usize,
    /// When something last happened on any connection.
    moved: Instant,
    awake: bool,
    /// Connections that were opened so far, and those of them whose TLS session was taken up.
    opened: u64,
    resumed: u64,
}

impl Fleet {
    /// A fleet without connections, for this server.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let address = server.addr;
        let security = if server.tls { Some(Security::new(address, server.resume)?) } else { None };
        let poll = Poll::new()
            .map_err(|source| LoadError::System { doing: "making an event loop", source })?;
        Ok(Self {
            address,
            security,
            request: upgrade::request(address),
            poll,
            events: Events::with_capacity(1024),
            clients: Slab::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            opening: 0,
            moved: Instant::now(),
            awake: false,
            opened: 0,
            resumed: 0,
        })
    }

    /// Never sleeps from now on. A load that sleeps until the next byte comes has to be woken by the server's writes, on the
    /// server's CPU time; clients on other machines cost it nothing of the kind.
    pub(crate) fn stay_awake(&mut self) {
        self.awake = true;
    }

    /// Opens connections until there are `count`, with ids from 0 on.
    pub(crate) fn open<W: Watcher>(&mut self, count: usize, watcher: &mut W) -> Result<()> {
        self.moved = Instant::now();
        while self.clients.len() < count || self.opening > 0 {
            while self.clients.len() < count && self.opening < OPENING_MAX {
                self.connect()?;
            }
            self.turn(watcher)?;
            self.check_progress(|| "connections to open".to_owned())?;
        }
        Ok(())
    }

    /// Begins one connection; its id.
    pub(crate) fn connect(&mut self) -> Result<usize> {
        let failed = |source| LoadError::System { doing: "connecting", source };
        let mut stream = TcpStream::connect(self.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let entry = self.clients.vacant_entry();
        let id = entry.key();
        self.poll
            .registry()
            .register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)
            .map_err(failed)?;
        let socket = match &self.security {
            None => Socket::Plain(stream),
            Some(security) => Socket::secure(stream, security.session()?),
        };
        entry.insert(Client::new(id, socket, self.request.clone()));
        self.opening += 1;
        Ok(id)
    }

    /// How many connections there are, those that are being opened or closed included.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Which share of all connections so far has taken up an earlier TLS session; `None` in the clear.
    pub(crate) fn resumed_share(&self) -> Option<f64> {
        self.security.as_ref().map(|_| self.resumed as f64 / self.opened.max(1) as f64)
    }

    /// Sends whole frames on one connection.
    pub(crate) fn send(&mut self, client: usize, bytes: &[u8]) -> Result<()> {
        match self.clients.get_mut(client) {
            Some(client) => client.send(bytes),
            None => Err(LoadError::Closed { client, code: None }),
        }
    }

    /// Waits a moment for events and hands all that arrived to `watcher`.
    pub(crate) fn turn<W: Watcher>(&mut self, watcher: &mut W) -> Result<()> {
        self.turn_for(TURN, watcher)
    }

    /// As [`Self::turn`], waiting no longer than `wait`.
    pub(crate) fn turn_for<W: Watcher>(&mut self, wait: Duration, watcher: &mut W) -> Result<()> {
        let wait = if self.awake { Duration::ZERO } else { wait };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(source) => return Err(LoadError::System { doing: "waiting for events", source }),
        }
        if !self.events.is_empty() {
            self.moved = Instant::now();
        }
        for event in &self.events {
            let id = event.token().0;
            let Some(client) = self.clients.get_mut(id) else { continue };
            match client.ready(event, &mut self.buffer, watcher)? {
                Fate::Stays => {}
                Fate::Opened => {
                    self.opening -= 1;
                    self.opened += 1;
                    self.resumed += u64::from(client.is_resumed());
                }
                Fate::Gone => drop(self.clients.remove(id)),
            }
        }
        Ok(())
    }

    /// Turns until `done` or for `wait`; whether it was done in time.
    pub(crate) fn turn_until<W: Watcher>(
        &mut self,
        wait: Duration,
        watcher: &mut W,
        done: impl Fn(&W) -> bool,
    ) -> Result<bool> {
        let end = Instant::now() + wait;
        while !done(watcher) {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.turn(watcher)?;
        }
        Ok(true)
    }

    /// # Errors
    /// [`LoadError::Stalled`] when nothing has arrived for [`STALL_TIMEOUT`].
    pub(crate) fn check_progress(&self, waiting_for: impl Fn() -> String) -> Result<()> {
        if self.moved.elapsed() < STALL_TIMEOUT {
            return Ok(());
        }
        Err(LoadError::Stalled { waiting_for: waiting_for(), after: STALL_TIMEOUT })
    }
}
