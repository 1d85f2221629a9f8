//! The event loop of a wsmaster worker.
//!
//! A [`Worker`] owns the sockets of its connections and turns what arrives on them into calls of one [`Handler`]: the
//! application. It knows nothing of configuration files, of processes other than its own, or of what a message means.
//!
//! - [`worker`]: the loop and the written order of one turn.
//! - [`handler`] and [`context`]: what an application is told and what it may do.
//! - [`limits`]: every bound.
//! - [`asker`]: questions to other processes. [`survey`]: questions of those who look at the server.
//! - [`jobs`]: blocking work, on threads.
//! - [`tls`]: connections that are encrypted.
//! - pure parts: [`admission`], [`outbox`], [`pace`], [`complaints`], [`topics`], [`frequency`], [`farewells`], [`wheel`], [`patience`],
//!   [`asks`], [`gate`], [`lineage`], [`tasks`], [`timers`], [`token`].

pub mod admission;
pub mod asker;
pub mod asks;
mod close_reason;
pub mod complaints;
mod connection;
pub mod context;
mod core;
mod doors;
mod exchange;
pub mod farewells;
pub mod frequency;
pub mod gate;
pub mod handler;
mod handshakes;
pub mod jobs;
pub mod limits;
pub mod lineage;
mod listening;
pub mod moment;
pub mod outbox;
pub mod pace;
pub mod patience;
mod registry;
mod stream;
pub mod survey;
pub mod tasks;
mod threads;
pub mod timers;
pub mod tls;
pub mod token;
pub mod topics;
pub mod wheel;
pub mod worker;

pub use asks::{AskError, Tally};
pub use connection::{Durable, USER_KEY};
pub use context::{Context, SubscribeError};
pub use handler::{
    Closed, ClosedBy, Handler, HttpHead, HttpRequest, Message, Responder, Undecided, Verdict,
};
pub use handshakes::HandshakeRules;
pub use jobs::{JobError, JobOrder};
pub use limits::{CompressionLimits, Limits, RatePolicy, SlowClient};
pub use listening::{ListenerRules, Listening, Proxies};
pub use tasks::TaskError;
pub use timers::TimerId;
pub use worker::{Seat, Worker};
pub use wsmaster_ipc as ipc;
pub use wsmaster_protocol as protocol;
