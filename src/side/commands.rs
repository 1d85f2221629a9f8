//! A program's commands: what is asked of others for each, and what is answered. It reads no pipe and writes none.

use serde_json::value::RawValue;
use wsmaster_ipc::{
    Answer, AskTicket, ConnectionId, Outcome, PayloadKind, Slot,
    command::Group,
    handle::{Broadcast, Publication},
};
use wsmaster_protocol::{
    channels::{check_name, reply as channel_reply},
    plugin::{self, Audience, Command, EventKind, Level, Payload, Reply as Answered},
};
use wsmaster_workers::{
    Tally,
    asker::{Asked, Asker},
    asks::Reply,
};

use super::directory::Directory;

/// The longest channel name that a program publishes to, in bytes.
const CHANNEL_BYTES_MAX: usize = 255;

/// What is said of an answer to a question that is not open any more.
pub(super) const NO_SUCH_REQUEST: (&str, &str) =
    ("no_such_request", "nobody waits for an answer under this number");

/// A command that waits for others, and what its answer looks like.
#[derive(Debug)]
pub(super) struct Pending {
    /// The program's mark; without one nobody waits for the answer.
    id: Option<Box<RawValue>>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Outcome,
    Info,
    Exists,
    /// Of an answer to a question: whether somebody still waited for it.
    Settled,
}

/// What a line of a program brings about, beside what was sent to others.
#[derive(Debug, Default)]
pub(super) struct Effect {
    /// A line for the program.
    pub(super) answer: Option<Vec<u8>>,
    /// It says that it is ready.
    pub(super) ready: Option<Ready>,
    /// It answers the question with this number; its mark, if it wants to know what became of that.
    pub(super) settled: Option<(u64, plugin::Answer, Option<Box<RawValue>>)>,
    /// It wants this in the log.
    pub(super) log: Option<(Level, String)>,
    /// The line was no command.
    pub(super) invalid: bool,
}

/// What a program says of itself when it is ready, as far as it does.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// What it wants to be told of.
    pub(super) events: Option<Vec<EventKind>>,
    /// What it has handlers for.
    pub(super) handles: Option<Vec<EventKind>>,
}

/// Carries out one line of a program. `own`: the group of its connections, if it is an application.
pub(super) fn carry_out(
    line: &str,
    own: Option<Group>,
    asker: &mut Asker<Pending>,
    directory: &Directory,
    now_ms: u64,
    unix_ms: u64,
) -> Effect {
    let parsed = match plugin::parse(line) {
        Ok(parsed) => parsed,
        Err(error) => {
            let id = error.id.as_deref().and_then(|id| serde_json::from_str(id).ok());
            let answer = refused("invalid", &error.sentence);
            return Effect { answer: Some(write(id, &answer)), invalid: true, ..Effect::default() };
        }
    };
    let id = parsed.id;
    let (shape, asked) = match parsed.command {
        Command::Ready { events, handles } => {
            return Effect { ready: Some(Ready { events, handles }), ..Effect::default() };
        }
        Command::Answer { request, answer } => {
            return Effect {
                settled: Some((request, answer, id.map(ToOwned::to_owned))),
                ..Effect::default()
            };
        }
        Command::Log { level, text } => {
            return Effect {
                answer: id.map(|id| write(Some(id), &done())),
                log: Some((level, text.into_owned())),
                ..Effect::default()
            };
        }
        Command::Send { to, payload } => {
            let (kind, bytes) = bytes(&payload);
            let sent = match directory.find(&to) {
                Some(address) => asker
                    .handle()
                    .send_to_process(address, kind, bytes)
                    .map_err(|error| ("mailbox_full", error.to_string())),
                None => Err(("no_such_process", "no process has this name".to_owned())),
            };
            let answer = match &sent {
                Ok(()) => done(),
                Err((result, error)) => refused(result, error),
            };
            return Effect { answer: id.map(|id| write(Some(id), &answer)), ..Effect::default() };
        }
        Command::Push { connection, payload } => {
            let Ok(to) = ConnectionId::try_from(connection) else {
                return answer_now(id, Shape::Outcome, Reply::One(Outcome::NoSuchConnection));
            };
            let (kind, bytes) = bytes(&payload);
            if id.is_none() {
                // A refusal is counted by the handle, and the program did not want to know.
                let _ = asker.handle().push(to, kind, bytes);
                return Effect::default();
            }
            let pending = pending(id, Shape::Outcome);
            (Shape::Outcome, asker.push(to, kind, bytes, now_ms, pending))
        }
        Command::Disconnect { connection, code, reason } => {
            let Ok(to) = ConnectionId::try_from(connection) else {
                return answer_now(id, Shape::Outcome, Reply::One(Outcome::NoSuchConnection));
            };
            let pending = pending(id, Shape::Outcome);
            (Shape::Outcome, asker.disconnect(to, code, &reason, now_ms, pending))
        }
        Command::Info { connection } => match ConnectionId::try_from(connection) {
            Ok(of) => (Shape::Info, asker.info(of, now_ms, pending(id, Shape::Info))),
            Err(_) => return answer_now(id, Shape::Info, Reply::One(Outcome::NoSuchConnection)),
        },
        Command::Exists { connection } => match ConnectionId::try_from(connection) {
            Ok(of) => (Shape::Exists, asker.info(of, now_ms, pending(id, Shape::Exists))),
            Err(_) => return answer_now(id, Shape::Exists, Reply::One(Outcome::NoSuchConnection)),
        },
        Command::Broadcast { to, payload, exclude } => {
            let group = match (to, own) {
                (Some(Audience::Own) | None, Some(own)) => Some(own),
                (Some(Audience::Own), None) => {
                    let error = "a program that is no application has no connections of its own";
                    let answer = id.map(|id| write(Some(id), &refused("invalid", error)));
                    return Effect { answer, ..Effect::default() };
                }
                // Who listens to all has nobody else that it could mean.
                (None, None) | (Some(Audience::All), _) => None,
            };
            let workers: Vec<Slot> = asker.handle().workers().collect();
            let exclude = exclude.and_then(|id| ConnectionId::try_from(id).ok());
            let pending = pending(id, Shape::Outcome);
            let (kind, payload) = bytes(&payload);
            let broadcast = Broadcast { group, kind, payload, exclude };
            let tally = Tally::default();
            (Shape::Outcome, asker.broadcast(&workers, &broadcast, tally, now_ms, pending))
        }
        Command::Publish { channel, payload, exclude } => {
            if let Err(code) = check_name(&channel, CHANNEL_BYTES_MAX) {
                let answer = refused("invalid", code.sentence());
                return Effect {
                    answer: id.map(|id| write(Some(id), &answer)),
                    ..Effect::default()
                };
            }
            let mut envelope = Vec::new();
            let (kind, payload) = match &payload {
                Payload::Message(message) => {
                    channel_reply::delivery(&mut envelope, &channel, None, message, unix_ms);
                    (PayloadKind::Text, envelope.as_slice())
                }
                Payload::Text(_) | Payload::Json(_) | Payload::Binary(_) => bytes(&payload),
            };
            let workers: Vec<Slot> = asker.handle().subscribed(&channel).collect();
            let publication = Publication {
                channel: &channel,
                kind,
                payload,
                exclude: exclude.and_then(|id| ConnectionId::try_from(id).ok()),
                only: &[],
            };
            let pending = pending(id, Shape::Outcome);
            let tally = Tally::default();
            (Shape::Outcome, asker.publish(&workers, &publication, tally, now_ms, pending))
        }
    };
    match asked {
        Asked::Waiting => Effect::default(),
        Asked::Known(_, reply) => answer_now(id, shape, reply),
    }
}

/// Passes a program's answer to a question on, and hands out the line for the program, if it wants one and it is known by
/// now. A program that wants none is not answered by the worker either.
pub(super) fn settle(
    asker: &mut Asker<Pending>,
    asked: AskTicket,
    said: &[u8],
    id: Option<&RawValue>,
    now_ms: u64,
) -> Option<Vec<u8>> {
    let said = Answer::Info(said);
    let Some(id) = id else {
        let handle = asker.handle();
        let (from, request) = (handle.own_address(), asked.request);
        let answer = wsmaster_ipc::Command::Answer { from, request, answer: said, ticket: None };
        // A full mailbox is counted, and the asker's deadline tells it.
        let _ = handle.send(asked.reply_to, &answer);
        return None;
    };
    match asker.answer(asked, said, now_ms, pending(Some(id), Shape::Settled)) {
        Asked::Waiting => None,
        Asked::Known(pending, reply) => answer(&pending, reply),
    }
}

/// The line for a program whose answer to a question is refused here, if it wants one.
pub(super) fn unsettled(
    id: Option<&RawValue>,
    result: &'static str,
    error: &'static str,
) -> Option<Vec<u8>> {
    Some(write(Some(id?), &refused(result, error)))
}

/// The line for a program whose command has been answered; `None` when it does not want one.
pub(super) fn answer(pending: &Pending, reply: Reply) -> Option<Vec<u8>> {
    answer_line(pending.id.as_deref(), pending.shape, reply)
}

fn answer_now(id: Option<&RawValue>, shape: Shape, reply: Reply) -> Effect {
    Effect { answer: answer_line(id, shape, reply), ..Effect::default() }
}

fn answer_line(id: Option<&RawValue>, shape: Shape, reply: Reply) -> Option<Vec<u8>> {
    let id = id?;
    let known = match (&reply, shape) {
        (Reply::Info(_), Shape::Exists) => Some(true),
        (Reply::One(Outcome::NoSuchConnection), Shape::Exists) => Some(false),
        _ => None,
    };
    if let Some(exists) = known {
        let answer = Answered { success: true, exists: Some(exists), ..Answered::default() };
        return Some(write(Some(id), &answer));
    }
    Some(match reply {
        Reply::One(Outcome::Delivered) if shape == Shape::Settled => write(Some(id), &done()),
        Reply::One(Outcome::NoSuchConnection) if shape == Shape::Settled => {
            write(Some(id), &refused(NO_SUCH_REQUEST.0, NO_SUCH_REQUEST.1))
        }
        Reply::MailboxFull if shape == Shape::Settled => {
            let error = "the worker does not keep up, or the answer is too large";
            write(Some(id), &refused("mailbox_full", error))
        }
        Reply::One(Outcome::Delivered) => {
            let answer =
                Answered { success: true, result: Some("delivered"), ..Answered::default() };
            write(Some(id), &answer)
        }
        Reply::One(Outcome::NoSuchConnection) => {
            write(Some(id), &refused("no_such_connection", "no connection has this id"))
        }
        Reply::One(Outcome::Closing) => {
            write(Some(id), &refused("closing", "the connection is being closed"))
        }
        Reply::One(Outcome::OutboxFull) => {
            write(Some(id), &refused("outbox_full", "the client reads too slowly"))
        }
        Reply::One(Outcome::TooLarge) => {
            let sentence = "the message is larger than limits.outbox_bytes_max";
            write(Some(id), &refused("too_large", sentence))
        }
        Reply::Many(tally) if tally.unanswered.is_empty() => {
            let answer = Answered {
                success: true,
                delivered: Some(tally.delivered),
                dropped: Some(tally.dropped),
                ..Answered::default()
            };
            write(Some(id), &answer)
        }
        Reply::Many(tally) => {
            let answer = Answered {
                delivered: Some(tally.delivered),
                dropped: Some(tally.dropped),
                ..refused("unanswered", "some workers did not answer in time")
            };
            write(Some(id), &answer)
        }
        Reply::Info(json) => {
            let info: Option<&RawValue> = serde_json::from_slice(&json).ok();
            write(Some(id), &Answered { success: true, info, ..Answered::default() })
        }
        // No order of a program is a task.
        Reply::Unanswered | Reply::Task(_) => {
            write(Some(id), &refused("unanswered", "the worker did not answer in time"))
        }
        Reply::MailboxFull | Reply::One(Outcome::MailboxFull) => {
            write(Some(id), &refused("mailbox_full", "the worker does not keep up"))
        }
        Reply::NoRoom => write(
            Some(id),
            &refused("no_room", "the worker has no descriptor left for a message of this size"),
        ),
        Reply::Busy => write(Some(id), &refused("busy", "too many commands wait for answers")),
    })
}

fn pending(id: Option<&RawValue>, shape: Shape) -> Pending {
    Pending { id: id.map(ToOwned::to_owned), shape }
}

fn done() -> Answered<'static> {
    Answered { success: true, ..Answered::default() }
}

fn refused<'a>(result: &'a str, error: &'a str) -> Answered<'a> {
    Answered { result: Some(result), error: Some(error), ..Answered::default() }
}

fn write(id: Option<&RawValue>, answer: &Answered<'_>) -> Vec<u8> {
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
