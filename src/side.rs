//! Side processes: programs and closures that run beside the workers, under the same supervisor.
//!
//! A side process reaches every connection as a worker does: it has a mailbox, and a way to all other mailboxes. It owns no
//! connection and accepts none.
//!
//! - [`Process`]: a closure of a Rust program, which gets a [`ProcessContext`].
//! - `program`: a program in any language, which reads events and writes commands (`docs/plugins.md`).
//! - [`TaskHandler`]: what a task process does for the workers; [`Task`].
//! - `process_loop`: what these three stand on; `event_loop`: its poll.
//! - `directory`: the names, mailboxes and subscriptions of all side processes; `changes`: what a reload does to them.

mod changes;
mod context;
mod directory;
mod event_header;
mod event_loop;
mod process;
mod process_loop;
mod program;
mod tasks;

pub(crate) use changes::Changes;
pub use context::{Ended, ProcessContext, ProcessMessage, Wait};
pub(crate) use directory::{Body, Directory, Installed, Instances, SideProcess};
pub(crate) use event_header::event_header;
pub use process::Process;
pub(crate) use process_loop::SideSetup;
pub(crate) use program::{host, mark_of};
pub use tasks::{Task, TaskHandler, TaskInfo, TaskResult};
pub(crate) use tasks::{TaskMaker, serve_tasks};
