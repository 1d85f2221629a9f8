//! The texts the server sends. Each function appends one complete JSON object to `out` and nothing else, so a caller
//! can reuse one buffer; none of them fails or allocates beyond the growth of `out`.

use std::io::Write as _;

use serde_json::value::RawValue;

use super::action::ActionName;
use super::error::ProtocolError;
use super::id::RequestId;

/// Characters of a text of the client's that an error reply repeats. Enough to recognise it, and no more: the reply to
/// a refused request must not be an echo of any size.
const ECHO_CHARS_MAX: usize = 64;

/// The first message on a connection: who it is and where it landed.
///
/// `heartbeat_interval_s` is the time in seconds after which a client that sends nothing is asked with [`ping`]; 0 is
/// never.
pub fn welcome(
    out: &mut Vec<u8>,
    connection_id: u64,
    heartbeat_interval_s: u32,
    authenticated: bool,
    worker: u16,
) {
    out.extend_from_slice(b"{\"action\":\"welcome\",\"heartbeat_interval\":");
    push_number(out, heartbeat_interval_s.into());
    out.extend_from_slice(b",\"connection_id\":");
    push_number(out, connection_id);
    out.extend_from_slice(if authenticated {
        b",\"authenticated\":true,\"worker\":".as_slice()
    } else {
        b",\"authenticated\":false,\"worker\":"
    });
    push_number(out, worker.into());
    out.push(b'}');
}

/// The request was carried out; see [`ActionName::in_answer`].
pub fn success(out: &mut Vec<u8>, action: ActionName, channel: &str, id: Option<RequestId<'_>>) {
    out.extend_from_slice(b"{\"success\":true,\"action\":\"");
    out.extend_from_slice(action.in_answer().as_bytes());
    out.extend_from_slice(b"\",\"channel\":");
    push_string(out, channel);
    push_id(out, id);
    out.push(b'}');
}

/// The request was refused, or what was received is none.
///
/// What it repeats of the client's text is cut to 64 characters.
pub fn error(out: &mut Vec<u8>, error: &ProtocolError<'_>) {
    out.extend_from_slice(b"{\"success\":false,\"action\":\"error\",\"code\":\"");
    out.extend_from_slice(error.code.as_str().as_bytes());
    out.extend_from_slice(b"\",\"error\":");
    push_string(out, &error.sentence);
    if let Some(action) = &error.request_action {
        out.extend_from_slice(b",\"request_action\":");
        push_string(out, cut(action));
    }
    if let Some(channel) = &error.channel {
        out.extend_from_slice(b",\"channel\":");
        push_string(out, cut(channel));
    }
    if let Some(seconds) = error.retry_after_s {
        out.extend_from_slice(b",\"retry_after\":");
        push_number(out, seconds.into());
    }
    push_id(out, error.id);
    out.push(b'}');
}

/// A message of a channel, as each of its receivers gets it: encode once, send to all.
///
/// `sender` is the connection it came from; without one (published by a process or over HTTP) it is `null`.
/// `message` is passed on byte for byte. `time_ms` is Unix time in milliseconds; in the text `time` is in seconds
/// with three decimals, so that a client that expects whole Unix seconds reads the same instant.
pub fn delivery(
    out: &mut Vec<u8>,
    channel: &str,
    sender: Option<u64>,
    message: &RawValue,
    time_ms: u64,
) {
    let message = message.get().as_bytes();
    // The other parts are short; one growth of `out` instead of several.
    out.reserve(message.len() + channel.len() + 100);
    out.extend_from_slice(b"{\"action\":\"message\",\"channel\":");
    push_string(out, channel);
    out.extend_from_slice(b",\"sender\":");
    match sender {
        Some(id) => push_number(out, id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"message\":");
    out.extend_from_slice(message);
    out.extend_from_slice(b",\"time\":");
    push_number(out, time_ms / 1000);
    let ms = time_ms % 1000;
    let digit = |n: u64| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b'.', digit(ms / 100), digit(ms / 10), digit(ms)]);
    out.push(b'}');
}

/// Asks the client whether it is there; it answers with the action `pong`. For clients that cannot see the pings of
/// RFC 6455, which is all those in browsers.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"action\":\"ping\"}");
}

/// Answers the action `ping`.
pub fn pong(out: &mut Vec<u8>, id: Option<RequestId<'_>>) {
    out.extend_from_slice(b"{\"action\":\"pong\"");
    push_id(out, id);
    out.push(b'}');
}

fn push_id(out: &mut Vec<u8>, id: Option<RequestId<'_>>) {
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    write!(out, "{number}").expect("writing to a Vec cannot fail");
}

/// The first [`ECHO_CHARS_MAX`] characters of `text`.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// `text` as a JSON string (RFC 8259 section 7). Names of channels never need an escape; the sentences and what an
/// error repeats may.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some(control) => {
                let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit & 15)];
                let control = control as u8;
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(control >> 4), hex(control)]);
            }
            None => break,
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}
