//! The socket of one connection, whatever kind it is. Owns how bytes are read, written and ended on each kind; the loop
//! above knows only this type.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{Interest, Registry, Token, net::TcpStream};

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, in the clear.
    Tcp(TcpStream),
}

impl Stream {
    /// Asks the poll for the events of this socket.
    ///
    /// # Errors
    /// The kernel is out of memory or watches (epoll_ctl(2)).
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interests),
        }
    }

    /// Ends our side: the peer reads an end behind the last of our bytes.
    ///
    /// # Errors
    /// The connection is broken already.
    pub(crate) fn end_writing(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Whether a read that fills less than its buffer has emptied the socket (epoll(7), Q9).
    #[inline]
    pub(crate) fn short_read_is_empty(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
        }
    }
}
