//! What must be true of every parser of wsmaster, whatever bytes it is given.
//!
//! Each module is one target: a function that takes any bytes, uses a parser as the server does and panics when a promise
//! of it is broken. `scripts/fuzz` lets a fuzzer look for such bytes; the ordinary tests replay the corpus that it found.
//! Which parser has which target stands in the README beside this crate.
//! Nothing here opens a socket or reads a clock.

pub mod answer;
pub mod api;
pub mod certificate;
pub mod channels;
pub mod config;
pub mod cuts;
pub mod deflate;
pub mod forwarded;
pub mod frames;
pub mod handshake;
pub mod http;
pub mod origins;
pub mod plugin;
pub mod preface;
pub mod session;
pub mod subprotocols;
pub mod suspended;
pub mod wire;

/// A target: it returns for good bytes and bad, and panics when the parser breaks a promise.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", answer::run),
    ("api", api::run),
    ("certificate", certificate::run),
    ("channels", channels::run),
    ("config", config::run),
    ("deflate", deflate::run),
    ("forwarded", forwarded::run),
    ("frames", frames::run),
    ("handshake", handshake::run),
    ("http", http::run),
    ("origins", origins::run),
    ("plugin", plugin::run),
    ("preface", preface::run),
    ("session", session::run),
    ("subprotocols", subprotocols::run),
    ("suspended", suspended::run),
    ("wire", wire::run),
];
