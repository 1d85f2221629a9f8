//! The vocabulary of the tests that run the real program: a server, its clients, its HTTP interface and its processes.
//!
//! Nothing here knows how the server works inside; it sees what any user of the machine sees. Nothing here sleeps for a
//! fixed time and believes: every wait is a condition with a deadline, and says what it waited for.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

mod api;
mod client;
mod eventually;
mod http;
mod order;
mod process;
mod program;
mod server;
mod setup;
mod swarm;

pub(crate) use api::Api;
pub(crate) use client::{Client, Closing, Welcome};
pub(crate) use eventually::{Deadline, PATIENCE, eventually, in_time};
pub(crate) use http::{KeepAlive, RawAnswer, Reply, raw, request};
pub(crate) use order::{Mark, Order};
pub(crate) use process::{
    Process, Signal, children_of, cmdline, cpu_ms, descendants_of, descriptors, is_alive,
    rss_bytes, signal, working_below,
};
pub(crate) use program::{Output, Running, begin, run, run_with_input};
pub(crate) use server::Server;
pub(crate) use setup::{App, Setup};
pub(crate) use swarm::{End, Swarm};
