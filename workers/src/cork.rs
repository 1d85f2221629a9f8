//! Output of the connection that is being served, which gathers to leave in one write.

use crate::conn_index::ConnIndex;

/// Output of one connection is written during its service when so much has gathered.
const CORK_BYTES_MAX: usize = 64 * 1024;
/// A cork that grew beyond this is given back after its flush.
const CORK_KEPT_BYTES_MAX: usize = 256 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cork {
    bytes: Vec<u8>,
    of: Option<ConnIndex>,
    /// How much of a WebSocket's cork is HTTP still: up to the end of the answer that made it one.
    http_bytes: usize,
}

impl Cork {
    /// Gathers what is sent to this connection from now on, until [`Self::end`].
    pub(crate) fn begin(&mut self, index: ConnIndex) {
        debug_assert!(self.of.is_none() && self.bytes.is_empty());
        self.of = Some(index);
    }

    /// Gathers no more. What has gathered must have been taken.
    pub(crate) fn end(&mut self) {
        debug_assert!(self.bytes.is_empty());
        self.of = None;
    }

    /// The buffer, when it is this connection's.
    #[inline]
    pub(crate) fn of(&mut self, index: ConnIndex) -> Option<&mut Vec<u8>> {
        if self.of == Some(index) { Some(&mut self.bytes) } else { None }
    }

    /// Whether it gathers for this connection.
    #[inline]
    pub(crate) fn is_of(&self, index: ConnIndex) -> bool {
        self.of == Some(index)
    }

    /// Bytes that have gathered for a connection.
    #[inline]
    pub(crate) fn len_of(&self, index: ConnIndex) -> usize {
        if self.of == Some(index) { self.bytes.len() } else { 0 }
    }

    /// All that has gathered until now is HTTP, and what follows are frames.
    pub(crate) fn becomes_websocket(&mut self) {
        self.http_bytes = self.bytes.len();
    }

    /// What has gathered, with the length of what of it is HTTP where it has become a WebSocket meanwhile.
    pub(crate) fn parts(&self) -> (&[u8], usize) {
        (&self.bytes, self.http_bytes)
    }

    /// What has gathered has left, or waits elsewhere.
    pub(crate) fn clear(&mut self) {
        self.http_bytes = 0;
        self.bytes.clear();
        if self.bytes.capacity() > CORK_KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    /// Whether it has to be written before more of the connection's input is handled: it is much, or more than `room_bytes`,
    /// so that the connection is left unread if the socket does not take it.
    #[inline]
    pub(crate) fn is_full(&self, room_bytes: usize) -> bool {
        self.bytes.len() > CORK_BYTES_MAX.min(room_bytes)
    }
}
