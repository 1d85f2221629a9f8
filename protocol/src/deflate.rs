//! permessage-deflate (RFC 7692): messages that are compressed, each by itself or with what was said before.
//!
//! What two peers can agree on is an [`Agreement`]. The reading of offers is in `offer`, the two directions in [`Inflater`] and
//! [`Deflater`]; which frames may be compressed is the session's to know.
//!
//! The machines that compress belong to a worker and not to a connection: they begin anew with each message. What a
//! connection keeps, if it has agreed to context takeover at all, is a [`Window`]: the last plain bytes that were said, with
//! which the machine is primed before the next message. So a connection without context takeover costs nothing while it
//! is idle, one with it costs its windows, and either can be taken to another process between two messages.

mod agreement;
mod deflater;
mod format;
mod inflater;
mod offer;
mod window;

pub(crate) use self::format::grown_bytes_max;
pub use self::{
    agreement::Agreement,
    deflater::Deflater,
    inflater::{FINAL_BLOCKS_MAX, Inflated, Inflater},
    offer::{Answer, Malformed, Offer, Policy, first_offer},
    window::{Window, WindowBits},
};
