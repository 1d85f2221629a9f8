//! The place of a connection in its worker's table.

/// A place in the table of connections of one worker. It is used again when its connection is gone: what outlives a turn of
/// the loop keeps a [`Key`](crate::token::Key), which tells the tenants of a place apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnIndex(pub u32);

impl ConnIndex {
    /// As an index into a table.
    #[inline]
    pub(crate) fn as_usize(self) -> usize {
        self.0 as usize
    }
}
