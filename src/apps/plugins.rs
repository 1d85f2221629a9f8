//! Words for the side processes that want to know what happens to connections. A process whose mailbox is full misses them,
//! which is counted; no connection ever waits for one.

use std::rc::Rc;

use wsmaster_protocol::plugin::{self, EventKind, Opened};
use wsmaster_workers::{Closed, ClosedBy, Context, Message, ipc::ConnectionId};

use crate::side::Directory;

/// See the module.
#[derive(Debug)]
pub(super) struct Plugins {
    directory: Rc<Directory>,
    on_open: bool,
    on_message: bool,
    on_close: bool,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
}

impl Plugins {
    pub(super) fn new(directory: Rc<Directory>) -> Self {
        let wanted = |kind| directory.listeners(kind).next().is_some();
        Self {
            on_open: wanted(EventKind::Open),
            on_message: wanted(EventKind::Message),
            on_close: wanted(EventKind::Close),
            directory,
            line: Vec::new(),
        }
    }

    pub(super) fn on_open(&mut self, context: &mut Context<'_>) {
        let worker = context.slot().number();
        let Some(durable) = context.durable().filter(|_| self.on_open) else { return };
        let id = durable.id;
        let opened = Opened {
            connection: id.as_u64(),
            worker,
            peer: durable.peer,
            head: durable.head.as_ref(),
            time_ms: durable.opened_unix_ms,
        };
        plugin::opened(&mut self.line, &opened);
        self.send(context, EventKind::Open, id);
    }

    #[inline]
    pub(super) fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        if !self.on_message {
            return;
        }
        let Some(id) = context.current() else { return };
        let text = match message {
            Message::Text(text) => Ok(text),
            Message::Binary(bytes) => Err(bytes),
        };
        plugin::message(&mut self.line, id.as_u64(), text);
        self.send(context, EventKind::Message, id);
    }

    pub(super) fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        if !self.on_close {
            return;
        }
        let by = match closed.by {
            ClosedBy::Peer => plugin::ClosedBy::Peer,
            ClosedBy::Server => plugin::ClosedBy::Server,
            ClosedBy::Lost => plugin::ClosedBy::Lost,
        };
        let code = closed.code.map(u16::from);
        plugin::closed(&mut self.line, closed.id.as_u64(), code, &closed.reason, by);
        self.send(context, EventKind::Close, closed.id);
    }

    fn send(&mut self, context: &mut Context<'_>, kind: EventKind, id: ConnectionId) {
        for listener in self.directory.listeners(kind) {
            // Full is counted by the worker, and the process learns of what it misses by its own count.
            let _ = context.notify(listener.of_connection(id), &self.line);
        }
        self.line.clear();
    }
}
