//! The processes of wsmaster and what they say to each other.
//!
//! This crate owns everything that crosses a process boundary, and the only `unsafe` and the only system calls of the
//! project (module [`sys`]). It knows nothing of HTTP, WebSocket frames, configuration or the command line.
//!
//! - [`id`]: who is who: slots, connection ids, mailbox addresses.
//! - [`command`] and [`wire`]: what one process may ask of another, and its bytes.
//! - [`event`]: what stands beside the line of an event for a side process.
//! - [`mailbox`] and [`inbox`]: the receiving end, with its accounting; [`mailbox_sender`]: the sending end with its bounded backlog.
//! - [`relay`]: what a successor passes on to the worker before it.
//! - [`counter`]: what a worker counts.
//! - [`shared_state`]: the shared memory: serial numbers, those counters, which worker has subscribers of which channel.
//! - [`task_slot`] and [`tasks`]: what a task process is at; the queues that it takes tasks from.
//! - [`side_status`]: what a side process shows of itself there.
//! - [`handle`]: push, broadcast, publish, disconnect from any process.
//! - [`life`]: what the master tells of the server's life.
//! - [`link`]: the private line between the master and one child.
//! - [`sys`]: fork, sockets, memory, signals, process titles.

pub mod command;
pub mod counter;
pub mod event;
pub mod handle;
pub mod id;
pub mod inbox;
mod layout;
pub mod life;
pub mod link;
pub mod mailbox;
pub mod mailbox_sender;
pub mod moment;
mod packet_queue;
pub mod relay;
mod serial_clock;
pub mod shared_state;
pub mod side_status;
pub mod sys;
pub mod task_slot;
pub mod tasks;
pub mod wire;

pub use command::{
    Answer, Command, Note, Outcome, Part, PayloadKind, ReplyTo, Request, Scope, TaskAnswer,
};
pub use event::{EventCode, EventHeader, LostConnections};
pub use handle::{Handle, SendError};
pub use id::{Address, ConnectionId, Slot};
pub use life::{LeaveReason, LifeEvent};
pub use moment::Moment;
pub use tasks::TaskQueues;
