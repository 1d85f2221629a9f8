//! Real workers on real sockets, each in a thread of this process.
//!
//! A file is a promise of the worker's: what happens to messages, to slow readers, to HTTP requests, to those who wait, to
//! what other workers send, to jobs, at further listeners, when the worker leaves, when the application panics, and that everything is counted.

#[path = "../support/mod.rs"]
mod support;

mod accounting;
mod cluster;
mod deciding;
mod descriptors;
mod doors;
mod ends;
mod handshakes;
mod http;
mod inspecting;
mod jobs;
mod leaving;
mod messages;
mod panics;
mod pausing;
mod slow_readers;
mod timers;
mod tls;
mod waiting;
