//! A program's commands: what is sent to others for each, and what is replied. It reads no pipe and writes none.

use std::borrow::Cow;

use serde_json::value::RawValue;
use wsmaster_ipc::{
    Answer, ConnectionId, Outcome, PayloadKind, ReplyTo, Request, Slot, command::Group,
    handle::Publication,
};
use wsmaster_protocol::{
    channels::{check_name, reply as channel_reply},
    plugin::{self, Audience, Command, EventKind, Level, Payload, Recipient, Reply as PluginReply},
};
use wsmaster_workers::{
    DeliveryCount,
    pending::Reply,
    requester::{Requested, Requester},
};

use crate::side::directory::Directory;

/// The longest channel name that a program publishes to, in bytes.
const CHANNEL_BYTES_MAX: usize = 255;

/// The reply to an answer to a request that no worker waits for any more.
pub(super) const NO_SUCH_REQUEST: (&str, &str) =
    ("no_such_request", "nobody waits for an answer under this number");

/// A command that waits for others, and what its reply looks like.
#[derive(Debug)]
pub(super) struct Pending {
    /// The program's mark; without one it wants no reply.
    id: Option<Box<RawValue>>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Outcome,
    Info,
    Exists,
    /// Of an answer to a request: whether a worker still waited for it.
    Answered,
}

/// What a line of a program brings about, beside what was sent to others.
#[derive(Debug)]
pub(super) enum Effect {
    /// Nothing yet, or nothing that the program wants to know.
    Nothing,
    /// A line for the program.
    Reply(Vec<u8>),
    /// It says that it is ready.
    Ready(Ready),
    /// It answers the request with this number; its mark, if it wants to know what became of that.
    Answer { request: u64, answer: plugin::Answer, id: Option<Box<RawValue>> },
    /// It wants this in the log, and maybe a reply.
    Log { level: Level, text: String, reply: Option<Vec<u8>> },
    /// The line was no command; a line for the program that says why.
    Invalid(Vec<u8>),
}

/// What a program says of itself when it is ready, as far as it does.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// The events that it wants.
    pub(super) events: Option<Vec<EventKind>>,
    /// What it has handlers for.
    pub(super) handles: Option<Vec<EventKind>>,
}

/// What commands are executed with.
pub(super) struct Executor<'h> {
    /// The group of the program's connections, if it is an application.
    pub(super) own: Option<Group>,
    pub(super) requester: &'h mut Requester<Pending>,
    pub(super) directory: &'h Directory,
    pub(super) now_ms: u64,
    pub(super) unix_ms: u64,
}

type Id<'a> = Option<&'a RawValue>;

impl Executor<'_> {
    /// Executes one line of a program.
    pub(super) fn execute(&mut self, line: &str) -> Effect {
        let plugin::Line { id, command } = match plugin::parse(line) {
            Ok(parsed) => parsed,
            Err(error) => {
                let id = error.id.as_deref().and_then(|id| serde_json::from_str(id).ok());
                return Effect::Invalid(write(id, &refused("invalid", &error.sentence)));
            }
        };
        match command {
            Command::Ready { events, handles } => Effect::Ready(Ready { events, handles }),
            Command::Answer { request, answer } => {
                Effect::Answer { request, answer, id: id.map(ToOwned::to_owned) }
            }
            Command::Log { level, text } => {
                let reply = id.map(|id| write(Some(id), &done()));
                Effect::Log { level, text: text.into_owned(), reply }
            }
            Command::Send { to, payload } => self.send(id, &to, &payload),
            Command::Push { connection, payload } => self.push(id, connection, &payload),
            Command::Disconnect { connection, code, reason } => {
                self.one(id, Shape::Outcome, connection, |id| Request::Disconnect {
                    id,
                    code,
                    reason: &reason,
                })
            }
            Command::Info { connection } => self.info(id, Shape::Info, connection),
            Command::Exists { connection } => self.info(id, Shape::Exists, connection),
            Command::Broadcast { to, payload, exclude } => {
                self.broadcast(id, to, &payload, exclude)
            }
            Command::Publish { channel, payload, exclude } => {
                self.publish(id, &channel, &payload, exclude)
            }
        }
    }

    fn send(&mut self, id: Id<'_>, to: &Recipient<'_>, payload: &Payload<'_>) -> Effect {
        let (kind, bytes) = bytes(payload);
        let Some(address) = self.directory.find(to) else {
            return reply_now(id, &refused("no_such_process", "no process has this name"));
        };
        match self.requester.handle().send_to_process(address, kind, bytes) {
            Ok(()) => reply_now(id, &done()),
            Err(error) => reply_now(id, &refused("mailbox_full", &error.to_string())),
        }
    }

    fn push(&mut self, id: Id<'_>, connection: u64, payload: &Payload<'_>) -> Effect {
        let (kind, bytes) = bytes(payload);
        if id.is_some() {
            return self.one(id, Shape::Outcome, connection, |id| Request::Push {
                id,
                kind,
                payload: bytes,
            });
        }
        if let Ok(to) = ConnectionId::try_from(connection) {
            // A refusal is counted by the handle, and the program did not want to know.
            let _ = self.requester.handle().push(to, kind, bytes);
        }
        Effect::Nothing
    }

    fn info(&mut self, id: Id<'_>, shape: Shape, connection: u64) -> Effect {
        self.one(id, shape, connection, |id| Request::Info { id })
    }

    fn broadcast(
        &mut self,
        id: Id<'_>,
        to: Option<Audience>,
        payload: &Payload<'_>,
        exclude: Option<u64>,
    ) -> Effect {
        let group = match (to, self.own) {
            (Some(Audience::Own) | None, Some(own)) => Some(own),
            (Some(Audience::Own), None) => {
                let error = "a program that is no application has no connections of its own";
                return reply_now(id, &refused("invalid", error));
            }
            // A program without connections of its own can only mean all.
            (None, None) | (Some(Audience::All), _) => None,
        };
        let workers: Vec<Slot> = self.requester.handle().workers().collect();
        let (kind, payload) = bytes(payload);
        let broadcast = Request::Broadcast { group, kind, payload, exclude: excluded(exclude) };
        let (tally, pending) = (DeliveryCount::default(), pending(id, Shape::Outcome));
        known(self.requester.request_each(&workers, broadcast, tally, self.now_ms, pending))
    }

    fn publish(
        &mut self,
        id: Id<'_>,
        channel: &str,
        payload: &Payload<'_>,
        exclude: Option<u64>,
    ) -> Effect {
        if let Err(code) = check_name(channel, CHANNEL_BYTES_MAX) {
            return reply_now(id, &refused("invalid", code.sentence()));
        }
        let (kind, payload) = match payload {
            Payload::Message(message) => {
                let mut envelope = Vec::new();
                channel_reply::delivery(&mut envelope, channel, None, message, self.unix_ms);
                (PayloadKind::Text, Cow::Owned(envelope))
            }
            Payload::Text(_) | Payload::Json(_) | Payload::Binary(_) => {
                let (kind, bytes) = bytes(payload);
                (kind, Cow::Borrowed(bytes))
            }
        };
        let workers: Vec<Slot> = self.requester.handle().subscribed(channel).collect();
        let (payload, exclude) = (&*payload, excluded(exclude));
        let publication = Publication { channel, kind, payload, exclude, only: &[] };
        let (tally, pending) = (DeliveryCount::default(), pending(id, Shape::Outcome));
        known(self.requester.publish(&workers, &publication, tally, self.now_ms, pending))
    }

    /// Asks the worker of one connection.
    fn one<'r>(
        &mut self,
        id: Id<'_>,
        shape: Shape,
        connection: u64,
        request: impl FnOnce(ConnectionId) -> Request<'r>,
    ) -> Effect {
        let pending = pending(id, shape);
        known(match ConnectionId::try_from(connection) {
            Ok(to) => self.requester.request(request(to), self.now_ms, pending),
            Err(_) => Requested::Known(pending, Reply::One(Outcome::NoSuchConnection)),
        })
    }
}

/// Passes the answer to a request on to the worker that waits for it, and hands out the line for the program, if it wants one
/// and it is known by now. A program that wants none is not answered by the worker either.
pub(super) fn answer(
    requester: &mut Requester<Pending>,
    ticket: ReplyTo,
    said: &plugin::Answer,
    id: Id<'_>,
    now_ms: u64,
) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    said.encode(&mut bytes);
    let said = Answer::Info(&bytes);
    if id.is_none() {
        // A full mailbox is counted, and the requester's deadline reports it.
        let _ = requester.handle().answer(ticket, said);
        return None;
    }
    match requester.answer(ticket, said, now_ms, pending(id, Shape::Answered)) {
        Requested::Waiting => None,
        Requested::Known(pending, answered) => reply(&pending, &answered),
    }
}

/// The line for a program whose answer to a request is refused here, if it wants one.
pub(super) fn refusal(id: Id<'_>, result: &str, error: &str) -> Option<Vec<u8>> {
    Some(write(Some(id?), &refused(result, error)))
}

/// The line for a program whose command has been answered; `None` when it does not want one.
pub(super) fn reply(pending: &Pending, reply: &Reply) -> Option<Vec<u8>> {
    let id = pending.id.as_deref()?;
    Some(write(Some(id), &reply_to(pending.shape, reply)))
}

fn reply_to(shape: Shape, reply: &Reply) -> PluginReply<'_> {
    match (shape, reply) {
        (Shape::Exists, Reply::Info(_)) => PluginReply { exists: Some(true), ..done() },
        (Shape::Exists, Reply::One(Outcome::NoSuchConnection)) => {
            PluginReply { exists: Some(false), ..done() }
        }
        (Shape::Answered, Reply::One(Outcome::Delivered)) => done(),
        (Shape::Answered, Reply::One(Outcome::NoSuchConnection)) => {
            refused(NO_SUCH_REQUEST.0, NO_SUCH_REQUEST.1)
        }
        (Shape::Answered, Reply::MailboxFull) => {
            refused("mailbox_full", "the worker does not keep up, or the answer is too large")
        }
        (_, Reply::One(outcome)) => outcome_reply(*outcome),
        (_, Reply::Many(tally)) => tally_reply(tally),
        (_, Reply::Info(json)) => PluginReply { info: serde_json::from_slice(json).ok(), ..done() },
        // No command of a program is a task.
        (_, Reply::Unanswered | Reply::Task(_)) => {
            refused("unanswered", "the worker did not answer in time")
        }
        (_, Reply::MailboxFull) => refused("mailbox_full", "the worker does not keep up"),
        (_, Reply::NoRoom) => {
            refused("no_room", "the worker has no descriptor left for a message of this size")
        }
        (_, Reply::Busy) => refused("busy", "too many commands wait for answers"),
    }
}

fn outcome_reply(outcome: Outcome) -> PluginReply<'static> {
    match outcome {
        Outcome::Delivered => PluginReply { result: Some("delivered"), ..done() },
        Outcome::NoSuchConnection => refused("no_such_connection", "no connection has this id"),
        Outcome::Closing => refused("closing", "the connection is being closed"),
        Outcome::OutboxFull => refused("outbox_full", "the client reads too slowly"),
        Outcome::TooLarge => {
            refused("too_large", "the message is larger than limits.outbox_bytes_max")
        }
        Outcome::MailboxFull => refused("mailbox_full", "the worker does not keep up"),
    }
}

fn tally_reply(tally: &DeliveryCount) -> PluginReply<'static> {
    let reply = if tally.unanswered.is_empty() {
        done()
    } else {
        refused("unanswered", "some workers did not answer in time")
    };
    PluginReply { delivered: Some(tally.delivered), dropped: Some(tally.dropped), ..reply }
}

/// What is said to the program now: nothing yet, or nothing at all when it wants no reply.
fn known(asked: Requested<Pending>) -> Effect {
    match asked {
        Requested::Waiting => Effect::Nothing,
        Requested::Known(pending, answered) => {
            reply(&pending, &answered).map_or(Effect::Nothing, Effect::Reply)
        }
    }
}

fn reply_now(id: Id<'_>, reply: &PluginReply<'_>) -> Effect {
    id.map_or(Effect::Nothing, |id| Effect::Reply(write(Some(id), reply)))
}

fn pending(id: Id<'_>, shape: Shape) -> Pending {
    Pending { id: id.map(ToOwned::to_owned), shape }
}

fn excluded(number: Option<u64>) -> Option<ConnectionId> {
    number.and_then(|id| ConnectionId::try_from(id).ok())
}

fn done() -> PluginReply<'static> {
    PluginReply { success: true, ..PluginReply::default() }
}

fn refused<'a>(result: &'a str, error: &'a str) -> PluginReply<'a> {
    PluginReply { result: Some(result), error: Some(error), ..PluginReply::default() }
}

fn write(id: Id<'_>, answer: &PluginReply<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    plugin::reply(&mut line, id, answer);
    line
}

fn bytes<'a>(payload: &'a Payload<'_>) -> (PayloadKind, &'a [u8]) {
    match payload {
        Payload::Text(text) => (PayloadKind::Text, text.as_bytes()),
        Payload::Json(json) | Payload::Message(json) => (PayloadKind::Text, json.get().as_bytes()),
        Payload::Binary(bytes) => (PayloadKind::Binary, bytes),
    }
}
