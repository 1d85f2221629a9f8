//! Writing the events that a program reads. Each function appends one line, its end included.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{EventKind, PROTOCOL};
use crate::{http::RequestHead, peer::Peer};

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
    /// What the configuration grants it to be told.
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
    /// When, in ms since 1970.
    pub time_ms: u64,
}

/// A client has become a WebSocket. Of headers that were sent more than once, the values are joined by a comma (RFC 9110,
/// 5.3); bytes that are no UTF-8 are replaced.
pub fn opened(out: &mut Vec<u8>, opened: &Opened<'_>) {
    #[derive(Serialize)]
    struct Line<'a> {
        event: EventKind,
        connection: u64,
        worker: u16,
        address: Option<std::net::IpAddr>,
        port: Option<u16>,
        target: &'a str,
        headers: serde_json::Map<String, serde_json::Value>,
        time: f64,
    }
    let mut headers = serde_json::Map::new();
    for (name, value) in opened.head.iter().flat_map(|head| head.headers()) {
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
    line(
        out,
        &Line {
            event: EventKind::Open,
            connection: opened.connection,
            worker: opened.worker,
            address: opened.peer.address(),
            port: opened.peer.port(),
            target: opened.head.map_or("", RequestHead::target),
            headers,
            time: opened.time_ms as f64 / 1000.0,
        },
    );
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

/// Who ended a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The client.
    Peer,
    /// The server.
    Server,
    /// Nobody: the connection broke.
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
    /// It has ended as it was told to.
    WorkerStop {
        /// Why it was told to, in a stable word.
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
    #[derive(Serialize)]
    struct Line {
        event: EventKind,
    }
    line(out, &Line { event: EventKind::ReloadStart });
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

fn line(out: &mut Vec<u8>, line: &impl Serialize) {
    let before = out.len();
    // Writing JSON into memory cannot fail for these types; were it to, no half line may stay behind.
    if serde_json::to_writer(&mut *out, line).is_err() {
        debug_assert!(false, "an event that cannot be written");
        out.truncate(before);
        return;
    }
    out.push(b'\n');
}
