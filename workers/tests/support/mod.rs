//! The vocabulary of the worker tests: a [`Server`] of real workers in threads, an application that does as it is told
//! ([`app`]), and clients that expect ([`client`], [`websocket`]). Every wait has the same deadline; a test names what it
//! waits for and never how long.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod websocket;

use std::{
    thread,
    time::{Duration, Instant},
};

pub(crate) use app::{App, Journal, Told};
pub(crate) use client::{Client, Frame, frame};
pub(crate) use server::Server;
pub(crate) use websocket::WebSocket;

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something is true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Limits for tests that are not about time: nothing pings, nothing is late.
pub(crate) fn limits() -> wsmaster_workers::Limits {
    wsmaster_workers::Limits { ping_interval: None, ..Default::default() }
}
