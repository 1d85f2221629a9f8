//! The socket of one connection, whatever kind it is. Owns how bytes are read, written and ended on each kind; the loop
//! above knows only this type.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    os::fd::{AsFd, OwnedFd},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};
use wsmaster_ipc::sys::{
    delivery::{self, Delivery},
    socket::{self, Family},
};

use crate::{
    received::Received,
    tls::{PeerInfo, TlsStream},
};

/// A connected, non-blocking socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, in the clear.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS on TCP.
    Tls(Box<TlsStream>),
}

/// A socket that was a connection's in another process.
impl TryFrom<OwnedFd> for Stream {
    type Error = io::Error;

    fn try_from(socket: OwnedFd) -> io::Result<Self> {
        Ok(match socket::family(&socket)? {
            Family::Inet => Self::Tcp(TcpStream::from_std(socket.into())),
            Family::Unix => Self::Unix(UnixStream::from_std(socket.into())),
        })
    }
}

impl Stream {
    /// Asks the poll for the events of this socket.
    ///
    /// # Errors
    /// The kernel is out of memory or watches (epoll_ctl(2)).
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // Of urgent bytes too: a read ends before one, however much is behind it (tcp(7)).
        let interests = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interests),
            Self::Unix(stream) => registry.register(stream, token, interests),
            Self::Tls(stream) => registry.register(stream.socket_mut(), token, interests),
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
            Self::Tls(stream) => socket::reset_on_close(stream.socket()),
        }
    }

    /// Copies the front of what the peer has sent, below TLS, and leaves it where it is. How many bytes; `None` when nothing
    /// has come.
    ///
    /// # Errors
    /// The connection is broken, or its end is all that has come.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Tcp(stream) => socket::peek(stream.as_fd(), buffer),
            Self::Unix(stream) => socket::peek(stream.as_fd(), buffer),
            Self::Tls(stream) => socket::peek(stream.socket().as_fd(), buffer),
        }
    }

    /// Takes as many bytes as `buffer` has, below TLS, which [`Self::peek`] has seen. TLS must not have begun.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn skip(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.read_exact(buffer),
            Self::Unix(stream) => stream.read_exact(buffer),
            Self::Tls(stream) => stream.socket_mut().read_exact(buffer),
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection is broken, or nothing is there (`WouldBlock`).
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Tcp(stream) => stream.read(buffer).map(Received::of),
            Self::Unix(stream) => stream.read(buffer).map(Received::of),
            Self::Tls(stream) => stream.receive(buffer),
        }
    }

    /// Writes once. How many bytes it took.
    ///
    /// # Errors
    /// The connection is broken, or there is no room now (`WouldBlock`).
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// As [`Self::write`], from several slices.
    ///
    /// # Errors
    /// As above.
    #[inline]
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tls(stream) => stream.write_vectored(slices),
        }
    }

    /// Bytes that were written and that the peer's kernel has not taken.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn left_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Tcp(stream) => delivery::left_bytes(stream.as_fd()),
            Self::Unix(stream) => delivery::left_bytes(stream.as_fd()),
            Self::Tls(stream) => delivery::left_bytes(stream.socket().as_fd()),
        }
    }

    /// How far what was written has come.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn delivery(&self) -> io::Result<Delivery> {
        match self {
            Self::Tcp(stream) => delivery::of_tcp(stream),
            Self::Unix(stream) => delivery::of_unix(stream),
            Self::Tls(stream) => delivery::of_tcp(stream.socket()),
        }
    }

    /// Writes what was taken already and has not left yet.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn push(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream) => stream.push().map(|_| ()),
        }
    }

    /// Bytes that were taken and have not left yet.
    #[inline]
    pub(crate) fn unsent_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(stream) => stream.unsent_bytes(),
        }
    }

    /// Throws away what was taken and has not left: nothing can leave any more.
    pub(crate) fn give_up(&mut self) {
        match self {
            Self::Tcp(_) | Self::Unix(_) => {}
            Self::Tls(stream) => stream.give_up(),
        }
    }

    /// Ends our side: the peer reads an end behind the last of our bytes. Whether it is done; if not, it is called again
    /// when what has to leave before has left.
    ///
    /// # Errors
    /// The connection is broken already.
    pub(crate) fn end_writing(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write).map(|()| true),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write).map(|()| true),
            Self::Tls(stream) => stream.end_writing(),
        }
    }

    /// Whether a read that fills less than its buffer has emptied the socket (epoll(7), Q9).
    #[inline]
    pub(crate) fn short_read_is_empty(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => true,
            Self::Tls(stream) => stream.is_drained(),
        }
    }

    /// Whether the first words of the peer may wait whose answer costs much.
    #[inline]
    pub(crate) fn awaits_hello(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.awaits_hello(),
        }
    }

    /// Whether nothing of the application can be said or heard yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.is_handshaking(),
        }
    }

    /// What a handshake has brought out that is over since the last call.
    #[inline]
    pub(crate) fn take_peer_info(&mut self) -> Option<PeerInfo> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => stream.take_peer_info(),
        }
    }

    /// Bytes on the heap that came and are not yet enough to be understood.
    #[inline]
    pub(crate) fn partial_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(stream) => stream.partial_bytes(),
        }
    }

    /// Bytes on the heap for this socket alone.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(stream) => stream.memory_bytes(),
        }
    }
}
