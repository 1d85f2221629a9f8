//! A WebSocket server that supervises itself.
//!
//! One master process forks workers that share a port; a message for any connection finds it, whichever worker owns it. A
//! worker that dies is replaced, and a reload replaces all of them one after the other.
//!
//! The command line (`wsmaster start -w 4`) serves the built-in channel application. An application of one's own
//! implements [`Handler`] and runs on the same server:
//!
//! ```no_run
//! use wsmaster::{Context, Handler, Message, Server};
//!
//! struct Shout;
//!
//! impl Handler for Shout {
//!     fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
//!         if let Message::Text(text) = message {
//!             context.reply(Message::Text(&text.to_uppercase()));
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), wsmaster::ServerError> {
//!     Server::builder().listen("127.0.0.1:9501").workers(4).handler(|_worker| Shout).run()
//! }
//! ```
//!
//! Blocking work, side processes, task processes and timers are shown in `docs/library.md`.
//!
//! - [`server`]: the builder above.
//! - [`apps`]: the applications that come with the server.
//! - [`config`], [`cli`]: the settings, the command line. [`cli::commands`]: what its words do.
//! - [`master`]: the process that forks, watches and replaces; [`supervisor`]: its decisions.
//! - [`side`]: processes that run beside the workers.
//! - [`logging`]: where words for the operator go.

mod apart;
pub mod apps;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod logging;
pub mod master;
mod missing;
mod programs;
pub mod server;
pub mod side;
mod status;
pub mod supervisor;
mod tls;
mod worker_info;

pub use server::{Builder, Server, ServerError};
pub use worker_info::WorkerInfo;
pub use wsmaster_ipc::{
    Address, ConnectionId, Handle, LeaveReason, LifeEvent, Outcome, PayloadKind, SendError, Slot,
    handle::Publication, sys::process::Ended,
};
pub use wsmaster_protocol as protocol;
pub use wsmaster_workers::{
    Closed, ClosedBy, ConnectionInfo, Context, DeliveryCount, Handler, HttpHead, HttpRequest,
    JobError, JobOrder, Limits, Message, RequestError, Responder, SubscribeError, TaskError,
    TimerId, USER_KEY, Undecided, Verdict,
};

/// Has the code of the documentation's page compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct LibraryPage;
