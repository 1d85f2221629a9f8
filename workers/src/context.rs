//! What an application may do: to the connection it is called for, to any other connection of the server, to channels.

use std::borrow::Cow;

use serde_json::Value;
use wsmaster_ipc::{
    ConnectionId, Handle, Outcome, PostError, Slot,
    board::Counter,
    command::Recipients,
    handle::{Posted, Publication},
};
use wsmaster_protocol::{close::CloseCode, http::Response};

use crate::{
    asks::{AskError, Reply, Tally},
    connection::Durable,
    core::{Completion, Core},
    handler::{Message, Responder},
    limits::Limits,
    topics::{Joined, Parted},
};

/// The application's hands. See the module.
#[derive(Debug)]
pub struct Context<'w> {
    core: &'w mut Core,
    current: Option<u32>,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The connection has as many subscriptions as it may have.
    #[error("the connection has as many subscriptions as it may have")]
    TooMany,
    /// The connection is closing or gone, or the call was not about a connection.
    #[error("the connection is closing")]
    Closing,
}

impl<'w> Context<'w> {
    pub(crate) fn new(core: &'w mut Core, current: Option<u32>) -> Self {
        Self { core, current }
    }

    // ----- the connection of this call -----

    /// The connection that this call is about, if it is about one.
    pub fn current(&self) -> Option<ConnectionId> {
        self.durable().map(|durable| durable.id)
    }

    /// Its facts.
    pub fn durable(&self) -> Option<&Durable> {
        self.core.registry.at(self.current?).map(|connection| &connection.durable)
    }

    /// Sends to it.
    #[inline]
    pub fn reply(&mut self, message: Message<'_>) -> Outcome {
        match self.current {
            Some(index) => self.core.send(index, message),
            None => Outcome::NoSuchConnection,
        }
    }

    /// Begins its close handshake.
    pub fn close(&mut self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        if let Some(index) = self.current {
            self.core.close_with(index, code, reason.into());
        }
    }

    /// Subscribes it to a channel. `false` when it was subscribed already.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub fn subscribe(&mut self, channel: &str) -> Result<bool, SubscribeError> {
        let index = self.open_current().ok_or(SubscribeError::Closing)?;
        match self.core.subscribe(index, channel) {
            Joined::First | Joined::More => Ok(true),
            Joined::Already => Ok(false),
            Joined::TooMany => Err(SubscribeError::TooMany),
        }
    }

    /// Ends its subscription. `false` when there was none.
    pub fn unsubscribe(&mut self, channel: &str) -> bool {
        let Some(index) = self.current else { return false };
        match self.core.unsubscribe(index, channel) {
            Parted::Last | Parted::Less => true,
            Parted::Never => false,
        }
    }

    /// Whether it is subscribed to a channel.
    pub fn is_subscribed(&self, channel: &str) -> bool {
        self.current.is_some_and(|index| self.core.topics.is_subscribed(index, channel))
    }

    /// A value that the application has kept with it.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.durable()?.context.as_ref()?.get(key)
    }

    /// Keeps a value with it, for as long as it lives.
    pub fn keep(&mut self, key: &str, value: Value) {
        let Some(connection) = self.current.and_then(|index| self.core.registry.at_mut(index))
        else {
            return;
        };
        connection.durable.context.get_or_insert_default().insert(key.to_owned(), value);
    }

    // ----- any connection -----

    /// Sends to one connection of the server, wherever it is.
    ///
    /// # Errors
    /// The mailbox of its owner is full.
    pub fn push(&mut self, id: ConnectionId, message: Message<'_>) -> Result<(), PostError> {
        if id.slot() == self.core.slot {
            self.core.push_here(id, message);
            return Ok(());
        }
        let result = self.core.loop_handle.push(id, message.kind(), message.payload());
        self.count_refusal(result)
    }

    /// As [`Self::push`], and tells later what became of it.
    pub fn push_ack(
        &mut self,
        id: ConnectionId,
        message: Message<'_>,
        done: impl FnOnce(&mut Context<'_>, Result<Outcome, AskError>) + 'static,
    ) {
        let done = one(done);
        if id.slot() == self.core.slot {
            let outcome = self.core.push_here(id, message);
            self.core.finished.push_back((done, Reply::One(outcome)));
            return;
        }
        self.ask_one(id.slot(), done, |handle, request| {
            handle.push_ack(id, message.kind(), message.payload(), request)
        });
    }

    /// Closes one connection of the server with a close code and a reason of at most 123 bytes, and tells later what became
    /// of it.
    pub fn disconnect_ack(
        &mut self,
        id: ConnectionId,
        code: u16,
        reason: &str,
        done: impl FnOnce(&mut Context<'_>, Result<Outcome, AskError>) + 'static,
    ) {
        let done = one(done);
        if id.slot() == self.core.slot {
            let outcome = self.core.disconnect_here(id, code, reason);
            self.core.finished.push_back((done, Reply::One(outcome)));
            return;
        }
        self.ask_one(id.slot(), done, |handle, request| {
            handle.disconnect(id, code, reason, Some(request))
        });
    }

    /// Tells what is known of a connection, as a JSON object; `None` when there is no such connection.
    pub fn info(
        &mut self,
        id: ConnectionId,
        done: impl FnOnce(&mut Context<'_>, Result<Option<Vec<u8>>, AskError>) + 'static,
    ) {
        let done: Completion = Box::new(move |context, reply| {
            let result = match reply {
                Reply::Info(json) => Ok(Some(json)),
                Reply::One(_) => Ok(None),
                Reply::Unanswered => Err(AskError::Unanswered),
                Reply::MailboxFull => Err(AskError::MailboxFull),
                Reply::Busy | Reply::Many(_) => Err(AskError::Busy),
            };
            done(context, result);
        });
        if id.slot() == self.core.slot {
            let reply = match self.core.describe(id) {
                Some(json) => Reply::Info(json),
                None => Reply::One(Outcome::NoSuchConnection),
            };
            self.core.finished.push_back((done, reply));
            return;
        }
        self.ask_one(id.slot(), done, |handle, request| handle.info(id, request));
    }

    // ----- many connections -----

    /// Sends to every WebSocket of the server. Whether every worker's mailbox took it; what did not is counted.
    pub fn broadcast(&mut self, message: Message<'_>, exclude: Option<ConnectionId>) -> bool {
        self.core.broadcast_here(message, exclude);
        let others = self.others();
        let (kind, payload) = (message.kind(), message.payload());
        let posted =
            self.core.loop_handle.broadcast(others.into_iter(), kind, payload, exclude, None);
        self.all_posted(posted)
    }

    /// As [`Self::broadcast`], and tells later how many connections it reached.
    pub fn broadcast_ack(
        &mut self,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
        done: impl FnOnce(&mut Context<'_>, Result<Tally, AskError>) + 'static,
    ) {
        let tally = self.core.broadcast_here(message, exclude);
        let others = self.others();
        self.ask_many(&others, tally, several(done), |handle, request| {
            let (kind, payload) = (message.kind(), message.payload());
            handle.broadcast(others.iter().copied(), kind, payload, exclude, Some(request))
        });
    }

    /// Sends to the subscribers of a channel on all workers. Whether every mailbox took it; what did not is counted.
    pub fn publish(&mut self, publication: &Publication<'_>) -> bool {
        self.publish_here(publication);
        let others = self.other_subscribed(publication.channel);
        if others.is_empty() {
            return true;
        }
        let posted = self.core.loop_handle.publish(others.into_iter(), publication, None);
        self.all_posted(posted)
    }

    /// As [`Self::publish`], and tells later how many connections it reached.
    pub fn publish_ack(
        &mut self,
        publication: &Publication<'_>,
        done: impl FnOnce(&mut Context<'_>, Result<Tally, AskError>) + 'static,
    ) {
        let tally = self.publish_here(publication);
        let others = self.other_subscribed(publication.channel);
        self.ask_many(&others, tally, several(done), |handle, request| {
            handle.publish(others.iter().copied(), publication, Some(request))
        });
    }

    // ----- HTTP -----

    /// Answers a request.
    pub fn respond(&mut self, responder: Responder, response: &Response) {
        self.core.respond(responder, response);
    }

    // ----- the worker -----

    /// The slot of this worker.
    pub fn slot(&self) -> Slot {
        self.core.slot
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// A way to all connections that other threads can have too. Its commands leave at once.
    pub fn handle(&self) -> &Handle {
        &self.core.handle
    }

    /// Milliseconds since 1970, by the wall clock.
    pub fn unix_ms(&self) -> u64 {
        Core::unix_ms()
    }

    /// Whether the worker takes new connections: not while it leaves.
    pub fn is_serving(&self) -> bool {
        !self.core.leaving
    }

    fn open_current(&self) -> Option<u32> {
        self.current.filter(|index| {
            self.core.registry.at(*index).is_some_and(|connection| connection.can_send())
        })
    }

    fn publish_here(&mut self, publication: &Publication<'_>) -> Tally {
        let message = Message::from_parts(publication.kind, publication.payload);
        let only = Recipients::to_bytes(publication.only);
        let only = Recipients::from_bytes(&only);
        self.core.publish_here(publication.channel, message, publication.exclude, only)
    }

    fn others(&self) -> Vec<Slot> {
        let own = self.core.slot;
        self.core.loop_handle.workers().filter(|slot| *slot != own).collect()
    }

    fn other_subscribed(&self, channel: &str) -> Vec<Slot> {
        let own = self.core.slot;
        self.core.loop_handle.subscribed(channel).filter(|slot| *slot != own).collect()
    }

    fn ask_one(
        &mut self,
        to: Slot,
        done: Completion,
        post: impl FnOnce(&Handle, u64) -> Result<(), PostError>,
    ) {
        if to.number() >= self.core.loop_handle.board().slots() {
            self.core.finished.push_back((done, Reply::One(Outcome::NoSuchConnection)));
            return;
        }
        if !self.core.asks.has_room() {
            self.core.finished.push_back((done, Reply::Busy));
            return;
        }
        let result = post(&self.core.loop_handle, self.core.asks.next_request());
        match self.count_refusal(result) {
            Ok(()) => {
                let deadline_ms = self.ask_deadline_ms();
                self.core.asks.await_one(to, deadline_ms, done);
            }
            Err(_) => self.core.finished.push_back((done, Reply::MailboxFull)),
        }
    }

    fn ask_many(
        &mut self,
        to: &[Slot],
        mut tally: Tally,
        done: Completion,
        post: impl FnOnce(&Handle, u64) -> Result<Vec<Posted>, PostError>,
    ) {
        if to.is_empty() {
            self.core.finished.push_back((done, Reply::Many(tally)));
            return;
        }
        if !self.core.asks.has_room() {
            self.core.finished.push_back((done, Reply::Busy));
            return;
        }
        let Ok(posted) = post(&self.core.loop_handle, self.core.asks.next_request()) else {
            tally.unanswered.extend(to);
            self.core.finished.push_back((done, Reply::Many(tally)));
            return;
        };
        let mut waiting = Vec::with_capacity(posted.len());
        for Posted { to, result } in posted {
            match self.count_refusal(result) {
                Ok(()) => waiting.push(to),
                Err(_) => tally.unanswered.push(to),
            }
        }
        if waiting.is_empty() {
            self.core.finished.push_back((done, Reply::Many(tally)));
            return;
        }
        let deadline_ms = self.ask_deadline_ms();
        self.core.asks.await_many(waiting, tally, deadline_ms, done);
    }

    fn ask_deadline_ms(&self) -> u64 {
        self.core.now_ms + self.core.limits.ask_timeout.as_millis() as u64
    }

    fn all_posted(&self, posted: Result<Vec<Posted>, PostError>) -> bool {
        match posted {
            Ok(posted) => {
                let refused = posted.iter().filter(|one| one.result.is_err()).count();
                self.core.cell.add(Counter::DroppedMailboxFull, refused as u64);
                refused == 0
            }
            Err(error) => self.count_refusal(Err(error)).is_ok(),
        }
    }

    fn count_refusal(&self, result: Result<(), PostError>) -> Result<(), PostError> {
        if result.is_err() {
            self.core.cell.add(Counter::DroppedMailboxFull, 1);
        }
        result
    }
}

fn one(done: impl FnOnce(&mut Context<'_>, Result<Outcome, AskError>) + 'static) -> Completion {
    Box::new(move |context, reply| {
        let result = match reply {
            Reply::One(outcome) => Ok(outcome),
            Reply::MailboxFull => Err(AskError::MailboxFull),
            Reply::Unanswered => Err(AskError::Unanswered),
            Reply::Busy | Reply::Many(_) | Reply::Info(_) => Err(AskError::Busy),
        };
        done(context, result);
    })
}

fn several(done: impl FnOnce(&mut Context<'_>, Result<Tally, AskError>) + 'static) -> Completion {
    Box::new(move |context, reply| {
        let result = match reply {
            Reply::Many(tally) => Ok(tally),
            Reply::MailboxFull => Err(AskError::MailboxFull),
            Reply::Unanswered => Err(AskError::Unanswered),
            Reply::Busy | Reply::One(_) | Reply::Info(_) => Err(AskError::Busy),
        };
        done(context, result);
    })
}
