//! What one read of a connection has brought, on a socket in the clear as on one with TLS.

/// What one read has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    /// So many bytes for the application; 0 when what came is not for it, but a handshake or a part of a record.
    Bytes(usize),
    /// The peer has ended its side.
    End,
    /// The peer does not keep to the protocol below ours. What it is told about that waits to be written, and nothing
    /// more can be understood.
    Refused,
}

impl Received {
    /// Of a read of the socket, where no bytes are the end (read(2)).
    #[inline]
    pub(crate) fn of(count: usize) -> Self {
        if count == 0 { Self::End } else { Self::Bytes(count) }
    }
}
