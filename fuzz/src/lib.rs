//! What must be true of every parser of wsmaster, whatever bytes it is given.
//!
//! Each module is one target: a function that takes any bytes, uses a parser as the server does and panics when a promise
//! of it is broken. `scripts/fuzz` lets a fuzzer look for such bytes; the ordinary tests replay the corpus that it found.
//! Nothing here opens a socket or reads a clock.

pub mod channels;
pub mod config;
pub mod cuts;
pub mod deflate;
pub mod frames;
pub mod handshake;
pub mod http;
pub mod plugin;
pub mod session;
pub mod wire;

/// A target: it returns for good bytes and bad, and panics when the parser breaks a promise.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("channels", channels::run),
    ("config", config::run),
    ("deflate", deflate::run),
    ("frames", frames::run),
    ("handshake", handshake::run),
    ("http", http::run),
    ("plugin", plugin::run),
    ("session", session::run),
    ("wire", wire::run),
];
