//! The socket of one connection, whatever kind it is. Owns how bytes are read, written and ended on each kind; the loop
//! above knows only this type.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};
use wsmaster_ipc::sys::socket;

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, in the clear.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
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
            Self::Unix(stream) => registry.register(stream, token, interests),
        }
    }

    /// Has small writes leave at once (`TCP_NODELAY`), where the kernel could hold them back.
    ///
    /// # Errors
    /// The connection is broken already.
    pub(crate) fn send_at_once(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Has the end of this socket reach the peer as a reset. A unix socket has none: it just ends.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket::reset_on_close(stream),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Ends our side: the peer reads an end behind the last of our bytes.
    ///
    /// # Errors
    /// The connection is broken already.
    pub(crate) fn end_writing(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Whether a read that fills less than its buffer has emptied the socket (epoll(7), Q9).
    #[inline]
    pub(crate) fn short_read_is_empty(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => true,
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}
