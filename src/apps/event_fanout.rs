//! Sends events of connections to the side processes that have asked for them. A process whose mailbox is full misses them,
//! which is counted; no connection ever waits for one.

use std::rc::Rc;

use serde_json::value::RawValue;
use wsmaster_protocol::plugin::{self, EventKind, Opened};
use wsmaster_workers::{Closed, ClosedBy, Context, Message, ipc::ConnectionId};

use crate::side::{Directory, Instances, event_header};

/// See the module.
#[derive(Debug)]
pub(super) struct EventFanout {
    directory: Rc<Directory>,
    /// The events that some side process has asked for.
    wanted: Vec<EventKind>,
    /// `message` is one of them.
    has_messages: bool,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
}

/// What connections and their application bring about.
const KINDS: [EventKind; 6] = [
    EventKind::Open,
    EventKind::Message,
    EventKind::Close,
    EventKind::Subscribe,
    EventKind::Unsubscribe,
    EventKind::Publish,
];

impl EventFanout {
    pub(super) fn new(directory: Rc<Directory>) -> Self {
        let is_wanted = |kind: &EventKind| directory.subscribers(*kind).next().is_some();
        let wanted: Vec<EventKind> = KINDS.into_iter().filter(is_wanted).collect();
        Self {
            has_messages: wanted.contains(&EventKind::Message),
            wanted,
            directory,
            line: Vec::new(),
        }
    }

    /// Whether a side process reads what clients send, beside the application.
    pub(super) fn has_message_subscribers(&self) -> bool {
        self.has_messages
    }

    /// `owner`: the side process that the connection belongs to, which is sent the event anyway.
    pub(super) fn on_open(&mut self, context: &mut Context<'_>, owner: Option<Instances>) {
        let worker = context.slot().number();
        let Some(connection) = context.connection().filter(|_| self.wants(EventKind::Open)) else {
            return;
        };
        let id = connection.id;
        let opened = Opened {
            connection: id.as_u64(),
            worker,
            peer: connection.peer,
            head: connection.head.as_ref(),
            subprotocol: connection.subprotocol.as_deref(),
            time_ms: connection.opened_unix_ms,
            again: false,
        };
        plugin::opened(&mut self.line, &opened);
        self.send(context, EventKind::Open, id, owner);
    }

    #[inline]
    pub(super) fn on_message(
        &mut self,
        context: &mut Context<'_>,
        message: Message<'_>,
        owner: Option<Instances>,
    ) {
        if !self.has_messages {
            return;
        }
        let Some(id) = context.current() else { return };
        write_message(&mut self.line, id, message);
        self.send(context, EventKind::Message, id, owner);
    }

    pub(super) fn on_close(
        &mut self,
        context: &mut Context<'_>,
        closed: &Closed,
        owner: Option<Instances>,
    ) {
        if !self.wants(EventKind::Close) {
            return;
        }
        write_closed(&mut self.line, closed);
        self.send(context, EventKind::Close, closed.id, owner);
    }

    /// The client of this call has subscribed, or ended its subscription.
    pub(super) fn on_channel(&mut self, context: &mut Context<'_>, kind: EventKind, channel: &str) {
        let Some(id) = context.current().filter(|_| self.wants(kind)) else { return };
        plugin::channel(&mut self.line, kind, id.as_u64(), channel);
        self.send(context, kind, id, None);
    }

    /// The client of this call has sent a message to a channel.
    pub(super) fn on_publish(
        &mut self,
        context: &mut Context<'_>,
        channel: &str,
        message: &RawValue,
    ) {
        let Some(id) = context.current().filter(|_| self.wants(EventKind::Publish)) else { return };
        plugin::published(&mut self.line, id.as_u64(), channel, message);
        self.send(context, EventKind::Publish, id, None);
    }

    fn wants(&self, kind: EventKind) -> bool {
        self.wanted.contains(&kind)
    }

    fn send(
        &mut self,
        context: &mut Context<'_>,
        kind: EventKind,
        id: ConnectionId,
        owner: Option<Instances>,
    ) {
        let header = event_header(kind, Some(id));
        for subscriber in self.directory.subscribers(kind).filter(|one| Some(*one) != owner) {
            // A full mailbox is counted by the worker.
            let _ = context.notify(subscriber.of_connection(id), header, &self.line);
        }
        self.line.clear();
    }
}

/// Writes the line of a message.
pub(super) fn write_message(line: &mut Vec<u8>, id: ConnectionId, message: Message<'_>) {
    plugin::message(line, id.as_u64(), message.text());
}

/// Writes the line of an end.
pub(super) fn write_closed(line: &mut Vec<u8>, closed: &Closed) {
    let by = match closed.by {
        ClosedBy::Peer => plugin::ClosedBy::Peer,
        ClosedBy::Server => plugin::ClosedBy::Server,
        ClosedBy::Lost => plugin::ClosedBy::Lost,
    };
    let code = closed.code.map(u16::from);
    plugin::closed(line, closed.id.as_u64(), code, &closed.reason, by);
}
