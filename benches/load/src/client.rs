//! One connection of the load: connects, upgrades, reads, writes. Decides nothing about messages; a [`Watcher`] does.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::event::Event;

use crate::error::{LoadError, Result};
use crate::frame::{self, Opcode};
use crate::reader::{Incoming, Part, Reader};
use crate::socket::Socket;
use crate::upgrade;

/// Most bytes that wait for a server that does not read.
const UNSENT_BYTES_MAX: usize = 64 << 20;

/// The events of a connection, and where a scenario may answer them.
pub(crate) trait Watcher {
    /// The connection is open.
    fn opened(&mut self, _client: &mut Client) -> Result<()> {
        Ok(())
    }

    /// A stretch of a message arrived.
    fn data(&mut self, client: usize, part: Part<'_>) -> Result<()>;

    /// A ping was answered.
    fn pong(&mut self, _client: usize) {}

    /// All that had arrived for this connection has been handed out: the place to send the next.
    fn drained(&mut self, _client: &mut Client) -> Result<()> {
        Ok(())
    }

    /// The closing handshake that [`Client::close`] began is over and the socket is gone.
    fn gone(&mut self, _client: usize) {}
}

/// What becomes of a connection after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// As [`Self::Stays`], and it is open since this event.
    Opened,
    /// It was closed in good order; forget it.
    Gone,
}

/// A connection and what is unfinished on it.
#[derive(Debug)]
pub(crate) struct Client {
    id: usize,
    socket: Socket,
    state: State,
    reader: Reader,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Connecting {
        request: Vec<u8>,
    },
    /// Waiting for the end of the response's head.
    Upgrading {
        head: Vec<u8>,
    },
    Open,
    /// Our close frame is out.
    Closing,
    /// Both close frames are out; the server ends the TCP connection (RFC 6455 section 7.1.1).
    Closed,
}

impl Client {
    pub(crate) fn new(id: usize, socket: Socket, request: Vec<u8>) -> Self {
        Self {
            id,
            socket,
            state: State::Connecting { request },
            reader: Reader::new(),
            unsent: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// Writes `bytes`, whole frames, or keeps what does not fit into the socket.
    ///
    /// # Errors
    /// The socket broke, or too much waits already.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut bytes = bytes;
        if self.unsent.is_empty() {
            let written = write_some(&mut self.socket, bytes).map_err(|e| self.broken(e))?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        if self.unsent.len() + bytes.len() > UNSENT_BYTES_MAX {
            return Err(LoadError::Unsent { client: self.id, bytes_max: UNSENT_BYTES_MAX });
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Begins the closing handshake with code 1000.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.send(&frame::single(Opcode::Close, &1000_u16.to_be_bytes(), self.id as u32))?;
        self.state = State::Closing;
        Ok(())
    }

    /// Does what `event` allows. `buffer` is what all connections read into.
    pub(crate) fn ready<W: Watcher>(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        watcher: &mut W,
    ) -> Result<Fate> {
        if event.is_writable() {
            self.writable()?;
        }
        if !(event.is_readable() || event.is_read_closed() || event.is_error()) {
            return Ok(Fate::Stays);
        }
        let was_open = self.is_open();
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return self.ended(None, watcher),
                Ok(length) => {
                    self.take(buffer.get(..length).unwrap_or_default(), watcher)?;
                    // Less than asked for was there, so the socket is empty and tells when it no longer is. An end
                    // that was told already is not told again.
                    if length < buffer.len() && !event.is_read_closed() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.ended(Some(error), watcher),
            }
        }
        watcher.drained(self)?;
        Ok(if !was_open && self.is_open() { Fate::Opened } else { Fate::Stays })
    }

    /// Whether TLS has taken up the session of an earlier connection.
    pub(crate) fn is_resumed(&self) -> bool {
        self.socket.is_resumed()
    }

    fn is_open(&self) -> bool {
        match self.state {
            State::Connecting { .. } | State::Upgrading { .. } => false,
            State::Open | State::Closing | State::Closed => true,
        }
    }

    fn writable(&mut self) -> Result<()> {
        if let State::Connecting { request } = &mut self.state {
            let request = std::mem::take(request);
            if let Some(error) = self.socket.take_error() {
                return Err(self.broken(error));
            }
            self.state = State::Upgrading { head: Vec::new() };
            return self.send(&request);
        }
        self.socket.flush().map_err(|e| self.broken(e))?;
        if !self.unsent.is_empty() {
            let written = write_some(&mut self.socket, &self.unsent).map_err(|e| self.broken(e))?;
            self.unsent.drain(..written);
        }
        Ok(())
    }

    /// Takes bytes that arrived.
    fn take<W: Watcher>(&mut self, bytes: &[u8], watcher: &mut W) -> Result<()> {
        let State::Upgrading { head } = &mut self.state else {
            return self.frames(bytes, watcher);
        };
        head.extend_from_slice(bytes);
        let Some(length) = upgrade::head_length(head) else {
            if head.len() > upgrade::HEAD_BYTES_MAX {
                let reason = format!("a head longer than {} bytes", upgrade::HEAD_BYTES_MAX);
                return Err(LoadError::Upgrade { client: self.id, reason });
            }
            return Ok(());
        };
        let rest = head.split_off(length);
        upgrade::check(head).map_err(|reason| LoadError::Upgrade { client: self.id, reason })?;
        self.state = State::Open;
        watcher.opened(self)?;
        self.frames(&rest, watcher)
    }

    fn frames<W: Watcher>(&mut self, bytes: &[u8], watcher: &mut W) -> Result<()> {
        let client = self.id;
        let mut input = bytes;
        while let Some(incoming) =
            self.reader.next(&mut input).map_err(|source| LoadError::Frame { client, source })?
        {
            match incoming {
                Incoming::Data(part) => watcher.data(client, part)?,
                Incoming::Ping(payload) => {
                    self.send(&frame::single(Opcode::Pong, payload.as_slice(), client as u32))?;
                }
                Incoming::Pong => watcher.pong(client),
                Incoming::Close(code) => match self.state {
                    State::Closing => self.state = State::Closed,
                    State::Connecting { .. }
                    | State::Upgrading { .. }
                    | State::Open
                    | State::Closed => return Err(LoadError::Closed { client, code }),
                },
            }
        }
        Ok(())
    }

    fn ended<W: Watcher>(&self, error: Option<io::Error>, watcher: &mut W) -> Result<Fate> {
        match (&self.state, error) {
            (State::Closed, _) => {
                watcher.gone(self.id);
                Ok(Fate::Gone)
            }
            (_, Some(error)) => Err(self.broken(error)),
            (_, None) => Err(LoadError::Closed { client: self.id, code: None }),
        }
    }

    fn broken(&self, source: io::Error) -> LoadError {
        LoadError::Connection { client: self.id, source }
    }
}

/// Writes until the socket takes no more; the number of bytes it took.
fn write_some(socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match socket.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
