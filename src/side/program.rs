//! The host of a program: the process between the server's mailboxes and a program's pipes.
//!
//! It turns events of the server into lines for the program and the program's lines into commands. Whatever the program does
//! (not read, not write, flood, or die) meets bounds here, and only its own events suffer.

mod child;
mod command_line;
mod commands;
mod connection_sync;
mod event_line;
mod event_pipe;
mod event_sequencer;
mod host;
mod known_connections;
mod line_queue;
mod line_reader;
mod line_splitter;
mod mail;
mod output;
mod pending_requests;
mod phase;
mod ready_check;
mod stale_events;
mod start;
mod ticker;
mod watchdog;

pub(crate) use child::mark_of;
pub(crate) use start::host;
