//! What carries the bytes of one connection: TCP as it is, or TLS on it.
//!
//! Both behave as a socket of the kernel does: a read fills as much of the buffer as there is, a write takes what fits, and
//! `WouldBlock` says that the poll will tell.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::{ClientConnection, HandshakeKind};

/// The stream of one connection, in the clear or through TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A session and its socket.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: TcpStream,
    session: ClientConnection,
}

impl Socket {
    /// TLS on a connection on which nothing has been said.
    pub(crate) fn secure(stream: TcpStream, session: ClientConnection) -> Self {
        Self::Tls(Box::new(Tls { stream, session }))
    }

    /// What went wrong with connecting, if something did.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.stream,
        };
        stream.take_error().ok().flatten()
    }

    /// Whether TLS has taken up the session of an earlier connection.
    pub(crate) fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => match tls.session.handshake_kind() {
                Some(HandshakeKind::Resumed) => true,
                Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                    false
                }
            },
        }
    }
}

impl Tls {
    /// Writes what is encrypted. Whether all of it has left.
    fn push(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads from the socket once and decrypts.
    fn take(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut self.stream)?;
        let judged = self.session.process_new_packets();
        // The handshake goes on, or the server is told what is wrong.
        self.push()?;
        judged.map(|_| ()).map_err(io::Error::other)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.session.reader().read(room) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
            match self.take() {
                Err(error) if filled == 0 || error.kind() != ErrorKind::WouldBlock => {
                    return Err(error);
                }
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(filled)
    }

    /// Takes nothing more before what was taken last has left.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.push()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(bytes)?;
        self.push()?;
        // Before the handshake is over it takes as much as it can keep.
        if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Writes what was taken before; what does not fit leaves later.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.push().map(|_| ()),
        }
    }
}
