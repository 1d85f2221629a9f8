//! What stands for a callback of the application where it waits: the callback itself acts on all that a worker is, so it is
//! kept above all parts of it.

/// One callback that is kept in the table of the loop until it is called, once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CallbackId(pub(crate) usize);
