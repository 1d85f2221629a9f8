//! The event loop of a wsmaster worker.
//!
//! A [`Worker`] owns the sockets of its connections and turns what arrives on them into calls of one [`Handler`]: the
//! application. It knows nothing of configuration files, of processes other than its own, or of what a message means.
//!
//! - [`worker`]: the loop and the written order of one turn.
//! - [`handler`] and [`context`]: what an application is told and what it may do.
//! - [`limits`]: every bound.
//! - [`requester`]: questions to other processes. [`inspect`]: questions of those who look at the server.
//! - [`jobs`]: blocking work, on threads.
//! - [`tls`]: connections that are encrypted.
//! - parts: the connection (`connection`) acts on itself and on what it is lent (`effects`), which is made of
//!   parts that know nothing of each other.

mod accept_sockets;
mod accept_state;
mod admission;
mod admit;
mod callback_id;
mod channel_table;
mod channels;
mod close_reason;
mod compressor;
mod conn_index;
mod connection;
mod connections;
pub mod context;
mod cork;
mod delivery;
mod drain;
mod drain_schedule;
mod effects;
mod events;
mod frequency;
pub mod handler;
mod handshakes;
mod http1;
mod ids;
pub mod inspect;
pub mod jobs;
mod lifecycle;
pub mod limits;
mod lineage;
mod listening;
mod log_limiter;
mod outbox;
pub mod pending;
mod rate_limiter;
mod received;
pub mod requester;
mod requests;
mod schedule;
mod shared_frames;
mod slot_peers;
mod state;
mod stats;
mod stream;
mod tasks;
mod threads;
mod timeouts;
pub mod timers;
pub mod tls;
mod token;
mod vocabulary;
mod wheel;
pub mod worker;

pub use connection::{ConnectionInfo, USER_KEY};
pub use context::{Context, SubscribeError};
pub use handler::{
    Closed, ClosedBy, Handler, HttpHead, HttpRequest, Message, Responder, Undecided, Verdict,
};
pub use handshakes::HandshakeRules;
pub use jobs::{JobError, JobOrder};
pub use limits::{CompressionLimits, Limits, RatePolicy, SlowClient};
pub use listening::{ListenerRules, Listening, Proxies};
pub use pending::{DeliveryCount, RequestError};
pub use tasks::TaskError;
pub use timers::TimerId;
pub use worker::{Worker, WorkerSetup};
pub use wsmaster_ipc as ipc;
pub use wsmaster_protocol as protocol;
