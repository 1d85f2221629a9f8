//! Side processes: programs and closures that run beside the workers, watched by the same supervisor.
//!
//! A side process reaches every connection as a worker does: it has a mailbox, and a way to all others. It owns no
//! connection and accepts none.
//!
//! - [`Process`]: a closure of a Rust program, with a [`ProcessContext`] for its hands.
//! - `program`: a program in any language, which reads events and writes commands (`docs/plugins.md`).
//! - [`TaskHandler`]: what a task process does for the workers; [`Task`].
//! - `directory`: who is called what, and has which mailbox.

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
