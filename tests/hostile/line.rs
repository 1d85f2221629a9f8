//! One connection that never waits: what the socket does not take is kept, and what has come is read when somebody asks.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::wire::{Frame, take_frames};

/// Where a connection stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// No answer to a request has come to its end.
    Asking,
    /// A WebSocket. Whether messages may be compressed.
    Upgraded { deflates: bool },
    /// The server has ended it.
    Over(End),
}

/// How the server ended a connection: by what it said last.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum End {
    /// A close frame with this code.
    Closed(u16),
    /// An answer in HTTP with this status.
    Answered(u16),
    /// Nothing.
    Cut,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    said: Option<End>,
    state: State,
}

impl Line {
    /// Begins to connect. The poll will tell of it.
    pub(crate) fn connect(addr: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (unsent, unread) = (Vec::new(), Vec::new());
        Ok(Self { stream, unsent, unread, said: None, state: State::Asking })
    }

    /// Asks for a WebSocket.
    pub(crate) fn upgrade(&mut self) {
        self.upgrade_with("");
    }

    /// As [`Self::upgrade`], with an offer of compression.
    pub(crate) fn upgrade_compressed(&mut self) {
        self.upgrade_with("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    }

    /// Sends bytes, now or as soon as the socket takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    /// Whether all that was sent has left.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Whether it is a WebSocket.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Upgraded { .. })
    }

    /// Whether the server has agreed to compression.
    pub(crate) fn deflates(&self) -> bool {
        self.state == State::Upgraded { deflates: true }
    }

    /// How it ended, once it has.
    pub(crate) fn end(&self) -> Option<&End> {
        match &self.state {
            State::Over(end) => Some(end),
            State::Asking | State::Upgraded { .. } => None,
        }
    }

    /// Writes what waits. That the connection is over is told by the next read, after the server's last words.
    pub(crate) fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if is_patience(error.kind()) => return,
                Err(_) => self.unsent.clear(),
            }
        }
    }

    /// Reads what has come, and returns the frames in it.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while self.end().is_none() {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.state = State::Over(self.said.take().unwrap_or(End::Cut)),
                Ok(length) => {
                    self.unread.extend_from_slice(&buffer[..length]);
                    self.take_answer();
                    if let State::Upgraded { deflates } = self.state {
                        let found = take_frames(&mut self.unread, deflates);
                        frames.extend(found.expect("a server's frames"));
                    }
                }
                Err(error) if is_patience(error.kind()) => break,
                Err(_) => self.state = State::Over(self.said.take().unwrap_or(End::Cut)),
            }
            if let Some(code) = frames.iter().find_map(Frame::close_code) {
                self.said = Some(End::Closed(code));
            }
        }
        frames
    }

    fn upgrade_with(&mut self, header: &str) {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {header}\r\n"
        );
        self.send(request.as_bytes());
    }

    /// Takes the answer to the request off the front of what has come, once it is whole.
    fn take_answer(&mut self) {
        if self.state != State::Asking || self.said.is_some() {
            return;
        }
        let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return;
        };
        let head: Vec<u8> = self.unread.drain(..at + 4).collect();
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if status == 101 {
            self.state = State::Upgraded { deflates: head.contains("permessage-deflate") };
        } else {
            self.said = Some(End::Answered(status));
        }
    }
}

/// Whether the socket says no more than "later". A connection that is still being made says it in a way of its own.
fn is_patience(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}
