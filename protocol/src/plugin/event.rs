//! Writing the events that a program reads. Each function appends one line, its end included, whatever is in its texts and in
//! the JSON that it passes on.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{EventKind, PROTOCOL};
use crate::{
    http::{RequestHead, decode_path},
    one_line,
    peer::Peer,
};

/// The first line: what the program is to the server.
#[derive(Debug, Clone, Serialize)]
pub struct Hello<'a> {
    /// The server's name and version.
    pub server: &'a str,
    /// The name of the side process.
    pub name: &'a str,
    /// Which of its instances this one is.
    pub instance: u16,
    /// How many instances it has.
    pub instances: u16,
    /// How many workers the server has.
    pub workers: u16,
    /// The events that the configuration grants it.
    pub events: &'a [EventKind],
    /// How often a tick comes, in ms; 0 is never.
    pub tick_ms: u64,
    /// The longest line that it may write.
    pub line_bytes_max: usize,
}

/// Writes the first line.
pub fn hello(out: &mut Vec<u8>, hello: &Hello<'_>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        protocol: u32,
        #[serde(flatten)]
        hello: &'a Hello<'a>,
    }
    line(out, &Line { event: "hello", protocol: PROTOCOL, hello });
}

/// A WebSocket that has been opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// Its id.
    pub connection: u64,
    /// The worker that has it.
    pub worker: u16,
    /// The client's address.
    pub peer: Peer,
    /// The request that became it.
    pub head: Option<&'a RequestHead>,
    /// The subprotocol agreed on.
    pub subprotocol: Option<&'a str>,
    /// When, in ms since 1970.
    pub time_ms: u64,
    /// It was opened earlier, and the program has been started since.
    pub again: bool,
}

/// A request as the events have it. Of headers that were sent more than once, the values are joined by a comma (RFC 9110,
/// 5.3); bytes that are no UTF-8 are replaced.
#[derive(Serialize)]
struct Facts<'a> {
    worker: u16,
    address: Option<std::net::IpAddr>,
    port: Option<u16>,
    target: &'a str,
    path: std::borrow::Cow<'a, str>,
    query: &'a str,
    headers: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Facts<'a> {
    fn new(worker: u16, peer: Peer, head: Option<&'a RequestHead>) -> Self {
        let mut headers = serde_json::Map::new();
        for (name, value) in head.iter().flat_map(|head| head.headers()) {
            let value = String::from_utf8_lossy(value);
            match headers.get_mut(&name.to_ascii_lowercase()) {
                Some(serde_json::Value::String(known)) => {
                    known.push_str(", ");
                    known.push_str(&value);
                }
                Some(_) | None => {
                    headers.insert(name.to_ascii_lowercase(), value.into_owned().into());
                }
            }
        }
        let raw = head.map_or("", RequestHead::path);
        Self {
            worker,
            address: peer.address(),
            port: peer.port(),
            target: head.map_or("", RequestHead::target),
            // A path that cannot be decoded is shown as it came.
            path: decode_path(raw).map_or(raw.into(), Into::into),
            query: head.and_then(RequestHead::query).unwrap_or_default(),
            headers,
        }
    }
}

/// A client has become a WebSocket.
pub fn opened(out: &mut Vec<u8>, opened: &Opened<'_>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        #[serde(flatten)]
        facts: Facts<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        subprotocol: Option<&'a str>,
        time: f64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    }
    line(
        out,
        &Line {
            event: EventKind::Open,
            connection: opened.connection,
            facts: Facts::new(opened.worker, opened.peer, opened.head),
            subprotocol: opened.subprotocol,
            time: opened.time_ms as f64 / 1000.0,
            again: opened.again,
        },
    );
}

/// A request that a program is asked about.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The worker that has it.
    pub worker: u16,
    /// The client's address.
    pub peer: Peer,
    /// The request.
    pub head: &'a RequestHead,
    /// How long the answer is waited for, in ms.
    pub timeout_ms: u64,
}

/// The fields of a question: a client asks to become the WebSocket with this id. The host of the program makes a
/// line of it with [`question`].
pub fn handshake(out: &mut Vec<u8>, connection: u64, subprotocols: &[&str], asked: &Asked<'_>) {
    #[derive(Serialize)]
    struct Fields<'a> {
        connection: u64,
        #[serde(flatten)]
        facts: Facts<'a>,
        subprotocols: &'a [&'a str],
        timeout_ms: u64,
    }
    let facts = Facts::new(asked.worker, asked.peer, Some(asked.head));
    let timeout_ms = asked.timeout_ms;
    line(out, &Fields { connection, facts, subprotocols, timeout_ms });
}

/// The fields of a question, as of [`handshake`]: a client has sent an ordinary request. A body that is UTF-8 is sent as
/// text, any other as base64.
pub fn request(out: &mut Vec<u8>, body: &[u8], asked: &Asked<'_>) {
    #[derive(Serialize)]
    struct Fields<'a> {
        method: &'a str,
        #[serde(flatten)]
        facts: Facts<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<String>,
        timeout_ms: u64,
    }
    let text = std::str::from_utf8(body).ok();
    line(
        out,
        &Fields {
            method: asked.head.method(),
            facts: Facts::new(asked.worker, asked.peer, Some(asked.head)),
            text,
            binary: text.is_none().then(|| BASE64.encode(body)),
            timeout_ms: asked.timeout_ms,
        },
    );
}

/// The line of a question: the fields that [`handshake`] or [`request`] has written, with the number under which it is
/// answered.
pub fn question(out: &mut Vec<u8>, kind: EventKind, number: u64, fields: &[u8]) {
    let rest = fields.strip_prefix(b"{").unwrap_or(fields);
    out.extend_from_slice(b"{\"event\":\"");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b"\",\"request\":");
    out.extend_from_slice(number.to_string().as_bytes());
    out.push(b',');
    out.extend_from_slice(rest);
}

/// A client has subscribed to a channel ([`EventKind::Subscribe`]) or ended that ([`EventKind::Unsubscribe`]).
pub fn channel(out: &mut Vec<u8>, event: EventKind, connection: u64, channel: &str) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        channel: &'a str,
    }
    line(out, &Line { event, connection, channel });
}

/// A client has sent a message to a channel.
pub fn published(out: &mut Vec<u8>, connection: u64, channel: &str, message: &RawValue) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        channel: &'a str,
        message: &'a RawValue,
    }
    line(out, &Line { event: EventKind::Publish, connection, channel, message });
}

/// The server as a whole has started or stops.
pub fn server(out: &mut Vec<u8>, event: EventKind) {
    bare(out, event);
}

/// A client has sent a message: text, or bytes that are sent as base64.
pub fn message(out: &mut Vec<u8>, connection: u64, message: Result<&str, &[u8]>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<String>,
    }
    let binary = message.err().map(|bytes| BASE64.encode(bytes));
    line(out, &Line { event: EventKind::Message, connection, text: message.ok(), binary });
}

/// Which side ended a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The client.
    Peer,
    /// The server.
    Server,
    /// Neither: the connection broke.
    Lost,
}

/// A WebSocket is over.
pub fn closed(out: &mut Vec<u8>, connection: u64, code: Option<u16>, reason: &str, by: ClosedBy) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        code: Option<u16>,
        reason: &'a str,
        by: ClosedBy,
    }
    line(out, &Line { event: EventKind::Close, connection, code, reason, by });
}

/// What happened to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It serves.
    WorkerStart,
    /// It has ended as it was asked to.
    WorkerStop {
        /// Why it was asked to, in a stable word.
        reason: &'a str,
    },
    /// It has died.
    WorkerError {
        /// How, for people.
        how: &'a str,
        /// The code that it exited with.
        exit_code: Option<i32>,
        /// The number of the signal that ended it.
        signal: Option<i32>,
    },
}

impl Fate<'_> {
    /// The kind of event that tells of it.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::WorkerStart => EventKind::WorkerStart,
            Self::WorkerStop { .. } => EventKind::WorkerStop,
            Self::WorkerError { .. } => EventKind::WorkerError,
        }
    }
}

/// Something happened to a worker.
pub fn worker(out: &mut Vec<u8>, worker: u16, pid: u32, fate: Fate<'_>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        worker: u16,
        pid: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        how: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    }
    let event = fate.kind();
    let bare = Line { event, worker, pid, reason: None, how: None, exit_code: None, signal: None };
    let told = match fate {
        Fate::WorkerStart => bare,
        Fate::WorkerStop { reason } => Line { reason: Some(reason), ..bare },
        Fate::WorkerError { how, exit_code, signal } => {
            Line { how: Some(how), exit_code, signal, ..bare }
        }
    };
    line(out, &told);
}

/// A reload begins.
pub fn reload_start(out: &mut Vec<u8>) {
    bare(out, EventKind::ReloadStart);
}

/// A reload is over: `complete` if all workers have been replaced.
pub fn reload_end(out: &mut Vec<u8>, complete: bool) {
    #[derive(Serialize)]
    struct Line {
        event: EventKind,
        complete: bool,
    }
    line(out, &Line { event: EventKind::ReloadEnd, complete });
}

/// Time has passed.
pub fn tick(out: &mut Vec<u8>, number: u64) {
    #[derive(Serialize)]
    struct Line {
        event: &'static str,
        number: u64,
    }
    line(out, &Line { event: "tick", number });
}

/// Another process has sent a message.
pub fn from_process(out: &mut Vec<u8>, from: &str, message: Result<&str, &[u8]>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        from: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<String>,
    }
    let binary = message.err().map(|bytes| BASE64.encode(bytes));
    line(out, &Line { event: "process", from, text: message.ok(), binary });
}

/// So many events were dropped before this line, because the program did not read.
pub fn dropped(out: &mut Vec<u8>, count: u64) {
    #[derive(Serialize)]
    struct Line {
        event: &'static str,
        count: u64,
    }
    line(out, &Line { event: "dropped", count });
}

/// The program has this long to finish.
pub fn stop(out: &mut Vec<u8>, timeout_ms: u64) {
    #[derive(Serialize)]
    struct Line {
        event: &'static str,
        timeout_ms: u64,
    }
    line(out, &Line { event: "stop", timeout_ms });
}

/// What became of a command.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reply<'a> {
    /// Whether it was done.
    pub success: bool,
    /// What happened, in a stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a str>,
    /// Why it was not done, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// Connections that took a message for many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<u64>,
    /// Connections that should have had it and were too slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Whether a connection exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// What is known of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
}

/// The answer to a command, with the mark that it had.
pub fn reply(out: &mut Vec<u8>, id: Option<&RawValue>, reply: &Reply<'_>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        id: Option<&'a RawValue>,
        #[serde(flatten)]
        reply: &'a Reply<'a>,
    }
    line(out, &Line { event: "reply", id, reply });
}

/// Writes an event that has nothing to tell but that it happened.
fn bare(out: &mut Vec<u8>, event: EventKind) {
    #[derive(Serialize)]
    struct Line {
        event: EventKind,
    }
    line(out, &Line { event });
}

pub(super) fn line(out: &mut Vec<u8>, line: &impl Serialize) {
    // Writing JSON into memory cannot fail for these types.
    let written = one_line::append(out, line);
    debug_assert!(written.is_ok(), "an event that cannot be written");
}
