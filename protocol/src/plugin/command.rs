//! Reading a program's commands.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Answer, Body, EventKind, HEADERS_BYTES_MAX, HEADERS_MAX, PROTOCOL};
use crate::{close, digits, http::Response};

/// One line of a program, understood.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The program's own mark on the command, as JSON: with it, an answer is wanted.
    pub id: Option<&'a RawValue>,
    /// What it wants.
    pub command: Command<'a>,
}

/// The connections that a broadcast is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Those of the program.
    Own,
    /// All of the server.
    All,
}

/// What a program can want.
#[derive(Debug, Clone)]
pub enum Command<'a> {
    /// It serves from now on; with `events`, only these.
    Ready {
        /// The events that it wants, of those that its configuration grants.
        events: Option<Vec<EventKind>>,
        /// What it has handlers for, whatever its configuration grants. Names that are no kinds of events are left out.
        handles: Option<Vec<EventKind>>,
    },
    /// A message for one connection.
    Push {
        /// The connection's number, not yet checked.
        connection: u64,
        /// The message.
        payload: Payload<'a>,
    },
    /// A message for many connections.
    Broadcast {
        /// Those of the program, or all.
        to: Option<Audience>,
        /// The message.
        payload: Payload<'a>,
        /// One that does not get it.
        exclude: Option<u64>,
    },
    /// A message for the subscribers of a channel.
    Publish {
        /// The channel, not yet checked.
        channel: Cow<'a, str>,
        /// The message; [`Payload::Message`] is put into the envelope of the channel application.
        payload: Payload<'a>,
        /// One that does not get it.
        exclude: Option<u64>,
    },
    /// Close a connection.
    Disconnect {
        /// The connection's number, not yet checked.
        connection: u64,
        /// A code that may be sent.
        code: u16,
        /// At most 123 bytes.
        reason: Cow<'a, str>,
    },
    /// What is known of a connection.
    Info {
        /// The connection's number, not yet checked.
        connection: u64,
    },
    /// Whether a connection exists.
    Exists {
        /// The connection's number, not yet checked.
        connection: u64,
    },
    /// A message for another process of the server.
    Send {
        /// Which one.
        to: Recipient<'a>,
        /// The message.
        payload: Payload<'a>,
    },
    /// The answer to a handshake or a request.
    Answer {
        /// The number that it had.
        request: u64,
        /// What the client gets: [`Answer::Accept`] or [`Answer::Respond`].
        answer: Answer,
    },
    /// A line for the log.
    Log {
        /// How grave.
        level: Level,
        /// The line.
        text: Cow<'a, str>,
    },
}

/// The bytes of a message, as they were given.
#[derive(Debug, Clone)]
pub enum Payload<'a> {
    /// Sent as text.
    Text(Cow<'a, str>),
    /// Sent as text, byte for byte as the JSON stood there.
    Json(&'a RawValue),
    /// Sent as binary.
    Binary(Vec<u8>),
    /// A message of the channel application, for [`Command::Publish`] alone.
    Message(&'a RawValue),
}

/// A process of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient<'a> {
    /// A side process, by its name.
    Process(Cow<'a, str>),
    /// A worker, by its slot.
    Worker(u16),
}

/// How grave a line for the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something happened.
    Info,
    /// Details.
    Debug,
    /// More details.
    Trace,
}

/// Why a line is no command: one sentence that names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct CommandError {
    /// The sentence.
    pub sentence: Cow<'static, str>,
    /// The `id` of the line, as JSON, if it could be read.
    pub id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(rename = "do", borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "connection")]
    connection: Option<u64>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    #[serde(borrow)]
    binary: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "exclude")]
    exclude: Option<u64>,
    to: Option<Audience>,
    #[serde(default, deserialize_with = "code")]
    code: Option<u16>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    process: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "worker")]
    worker: Option<u16>,
    #[serde(default, deserialize_with = "request")]
    request: Option<u64>,
    #[serde(default, deserialize_with = "status")]
    status: Option<u16>,
    #[serde(borrow)]
    headers: Option<BTreeMap<Cow<'a, str>, Values<'a>>>,
    #[serde(borrow)]
    subprotocol: Option<Cow<'a, str>>,
    level: Option<Level>,
    protocol: Option<u32>,
    events: Option<Vec<EventKind>>,
    #[serde(borrow)]
    handles: Option<Vec<Cow<'a, str>>>,
}

/// Functions that read the number in a field of the same name.
macro_rules! numbers {
    ($($field:ident: $number:ty),*) => {$(
        fn $field<'de, D: Deserializer<'de>>(json: D) -> Result<Option<$number>, D::Error> {
            digits::optional(json, stringify!($field))
        }
    )*};
}

numbers!(connection: u64, exclude: u64, code: u16, worker: u16, request: u64, status: u16);

/// The value of a header, or the values of one that is sent several times.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(#[serde(borrow)] Vec<Cow<'a, str>>),
}

/// The `id` alone, of a line that is otherwise wrong.
#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

/// Reads one line, without its end.
///
/// # Errors
/// Not JSON, no known verb, a field missing, too many, or of the wrong type.
pub fn parse(line: &str) -> Result<Line<'_>, CommandError> {
    let id = || {
        let mark: Option<Mark<'_>> = serde_json::from_str(line).ok();
        mark.and_then(|mark| mark.id).map(|id| id.get().to_owned())
    };
    let refuse = |sentence: Cow<'static, str>| CommandError { sentence, id: id() };
    // serde would also take an array with the fields' values in their order.
    if !line.trim_start().starts_with('{') {
        return Err(CommandError { sentence: "a command is a JSON object".into(), id: None });
    }
    let fields: Fields<'_> =
        serde_json::from_str(line).map_err(|error| refuse(error.to_string().into()))?;
    let mark = fields.id;
    let command = fields.command().map_err(|sentence| refuse(sentence.into()))?;
    Ok(Line { id: mark, command })
}

/// Reads the fields of one command.
type Read = for<'a> fn(Fields<'a>) -> Result<Command<'a>, &'static str>;

/// The commands, and how each is read.
const COMMANDS: [(&str, Read); 12] = [
    ("ready", |fields| fields.ready()),
    ("push", |mut fields| {
        Ok(Command::Push { connection: fields.connection()?, payload: fields.payload(false)? })
    }),
    ("broadcast", |mut fields| {
        let payload = fields.payload(false)?;
        Ok(Command::Broadcast { to: fields.to, payload, exclude: fields.exclude })
    }),
    ("publish", |mut fields| {
        let payload = fields.payload(true)?;
        let channel = fields.channel.ok_or("the field \"channel\" is missing")?;
        Ok(Command::Publish { channel, payload, exclude: fields.exclude })
    }),
    ("disconnect", |fields| fields.disconnect()),
    ("info", |fields| Ok(Command::Info { connection: fields.connection()? })),
    ("exists", |fields| Ok(Command::Exists { connection: fields.connection()? })),
    ("send", |fields| fields.send()),
    ("accept", |fields| fields.accept()),
    ("respond", |fields| fields.respond(200)),
    ("reject", |fields| fields.respond(403)),
    ("log", |fields| {
        let text = fields.text.ok_or("the field \"text\" is missing")?;
        Ok(Command::Log { level: fields.level.unwrap_or(Level::Info), text })
    }),
];

impl<'a> Fields<'a> {
    fn command(self) -> Result<Command<'a>, &'static str> {
        match COMMANDS.iter().find(|(verb, _)| *verb == self.verb) {
            Some((_, read)) => read(self),
            None => Err("unknown command; known are ready, push, broadcast, publish, disconnect, \
                         info, exists, send, accept, reject, respond and log"),
        }
    }

    fn connection(&self) -> Result<u64, &'static str> {
        self.connection.ok_or("the field \"connection\" is missing")
    }

    fn request(&self) -> Result<u64, &'static str> {
        self.request.ok_or("the field \"request\" is missing")
    }

    fn ready(self) -> Result<Command<'a>, &'static str> {
        match self.protocol {
            None | Some(PROTOCOL) => {}
            Some(_) => return Err("the server speaks protocol 1"),
        }
        let kinds = |names: Vec<Cow<'_, str>>| {
            names.iter().filter_map(|name| EventKind::of_name(name)).collect()
        };
        Ok(Command::Ready { events: self.events, handles: self.handles.map(kinds) })
    }

    fn disconnect(self) -> Result<Command<'a>, &'static str> {
        let code = self.code.unwrap_or(1000);
        if !close::is_sendable(code.into()) {
            return Err("the field \"code\" is no code that may be sent (RFC 6455, 7.4)");
        }
        let connection = self.connection();
        let reason = self.reason.unwrap_or_default();
        if reason.len() > crate::frame::CLOSE_REASON_BYTES_MAX {
            return Err("the field \"reason\" is longer than 123 bytes");
        }
        Ok(Command::Disconnect { connection: connection?, code, reason })
    }

    fn send(mut self) -> Result<Command<'a>, &'static str> {
        let payload = self.payload(false)?;
        let to = match (self.process, self.worker) {
            (Some(name), None) => Recipient::Process(name),
            (None, Some(slot)) => Recipient::Worker(slot),
            (None, None) | (Some(_), Some(_)) => {
                return Err("expected exactly one of \"process\" and \"worker\"");
            }
        };
        Ok(Command::Send { to, payload })
    }

    fn accept(mut self) -> Result<Command<'a>, &'static str> {
        let (request, headers) = (self.request()?, self.headers()?);
        let subprotocol = self.subprotocol.map(Cow::into_owned);
        Ok(Command::Answer { request, answer: Answer::Accept { subprotocol, headers } })
    }

    fn respond(mut self, status_default: u16) -> Result<Command<'a>, &'static str> {
        let request = self.request()?;
        let status = self.status.unwrap_or(status_default);
        if !(200..=599).contains(&status) {
            return Err("the field \"status\" is not a number from 200 to 599");
        }
        let is_bare = self.text.is_none() && self.json.is_none() && self.binary.is_none();
        let body = if is_bare { Body::default() } else { Body::of(&self.payload(false)?) };
        let answer = Answer::Respond { status, headers: self.headers()?, body };
        Ok(Command::Answer { request, answer })
    }

    fn headers(&mut self) -> Result<Vec<(String, String)>, &'static str> {
        let mut headers = Vec::new();
        for (name, values) in self.headers.take().unwrap_or_default() {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Many(values) => values,
            };
            headers.extend(values.into_iter().map(|value| (name.to_string(), value.into_owned())));
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if headers.len() > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
            return Err("the field \"headers\" has more than 64 headers or 16 KiB");
        }
        if headers.iter().any(|(name, value)| !Response::takes_header(name, value)) {
            return Err(
                "the field \"headers\" has one that is no header, or that the server writes",
            );
        }
        Ok(headers)
    }

    fn payload(&mut self, enveloped: bool) -> Result<Payload<'a>, &'static str> {
        let message = self.message.take().filter(|_| enveloped);
        match (self.text.take(), self.json.take(), self.binary.take(), message) {
            (Some(text), None, None, None) => Ok(Payload::Text(text)),
            (None, Some(json), None, None) => Ok(Payload::Json(json)),
            (None, None, Some(encoded), None) => BASE64
                .decode(encoded.as_bytes())
                .map(Payload::Binary)
                .map_err(|_| "the field \"binary\" is not base64"),
            (None, None, None, Some(message)) => Ok(Payload::Message(message)),
            _ if enveloped => {
                Err("expected exactly one of \"message\", \"text\", \"json\" and \"binary\"")
            }
            _ => Err("expected exactly one of \"text\", \"json\" and \"binary\""),
        }
    }
}
