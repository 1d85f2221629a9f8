//! What the client says: messages to the standard output, everything else to the standard error; or all of it as JSON, one
//! object a line, to the standard output.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tungstenite::Message;
use wsmaster_protocol::one_line;

use super::transport::Took;
use crate::{cli::commands::out::complain, logging::escape};

/// See the module.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    timing: bool,
    /// The standard output is a terminal, which must not be commanded by what a server sends.
    to_terminal: bool,
    /// A person types.
    interactive: bool,
}

impl Output {
    pub(super) fn new(json: bool, timing: bool) -> Self {
        let to_terminal = io::stdout().is_terminal();
        let interactive = to_terminal && io::stdin().is_terminal();
        Self { json, timing, to_terminal, interactive }
    }

    /// The connection is open.
    pub(super) fn opened(
        &self,
        url: &str,
        subprotocol: Option<&str>,
        took: Took,
        handshake: Duration,
    ) -> io::Result<()> {
        if self.json {
            return print_json(&json!({
                "event": "open",
                "url": url,
                "subprotocol": subprotocol,
                "resolve_ms": ms(took.resolve),
                "connect_ms": ms(took.connect),
                "tls": took.tls.map(|tls| tls.version),
                "tls_ms": took.tls.map(|tls| ms(tls.handshake)),
                "handshake_ms": ms(handshake),
            }));
        }
        if self.interactive {
            let chosen = subprotocol.map(|name| format!(" ({name})")).unwrap_or_default();
            complain!("connected to {url}{chosen}; lines are sent, Ctrl-D closes");
        }
        if self.timing {
            let tls =
                took.tls.map(|tls| format!("TLS {} in {} ms, ", tls.version, ms(tls.handshake)));
            complain!(
                "resolved in {} ms, connected in {} ms, {}handshake in {} ms",
                ms(took.resolve),
                ms(took.connect),
                tls.unwrap_or_default(),
                ms(handshake)
            );
        }
        Ok(())
    }

    /// Nobody looks whose the server's certificate is. To the standard error in every form: it is not about what happens.
    pub(super) fn unchecked(&self, authority: &str) {
        complain!("--insecure: the certificate of {authority} is not checked");
    }

    /// A message has come.
    pub(super) fn message(&self, message: &Message) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match message {
            Message::Text(text) if self.json => {
                print_json(&json!({"event": "message", "text": text.as_str()}))?;
            }
            Message::Text(text) if self.to_terminal => {
                let sign = if self.interactive { "< " } else { "" };
                for line in text.as_str().split('\n') {
                    writeln!(out, "{sign}{}", escape(line))?;
                }
            }
            Message::Text(text) => {
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")?;
            }
            Message::Binary(bytes) if self.json => {
                print_json(&json!({"event": "message", "base64": STANDARD.encode(bytes)}))?;
            }
            Message::Binary(bytes) if self.to_terminal => {
                let begin: Vec<String> =
                    bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
                let more = if bytes.len() > 32 { " ..." } else { "" };
                writeln!(out, "< binary, {} bytes: {}{more}", bytes.len(), begin.join(" "))?;
            }
            Message::Binary(bytes) => out.write_all(bytes)?,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
        out.flush()
    }

    /// A ping was answered.
    pub(super) fn pong(&self, round_trip: Duration) -> io::Result<()> {
        if self.json {
            return print_json(&json!({"event": "pong", "round_trip_ms": ms(round_trip)}));
        }
        if self.timing {
            complain!("round trip {} ms", ms(round_trip));
        }
        Ok(())
    }

    /// The connection is closed. `worth_a_line`: somebody should know even if nobody asked.
    pub(super) fn closed(
        &self,
        by_us: bool,
        code: Option<u16>,
        reason: &str,
        worth_a_line: bool,
    ) -> io::Result<()> {
        if self.json {
            let by = if by_us { "client" } else { "server" };
            let close = json!({"event": "close", "by": by, "code": code, "reason": reason});
            return print_json(&close);
        }
        if worth_a_line || self.interactive {
            let who = if by_us { "this side" } else { "the server" };
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            let reason = escape(reason);
            let between = if reason.is_empty() { "" } else { ", " };
            complain!("closed by {who}: {code}{between}{reason}");
        }
        Ok(())
    }

    /// Something went wrong.
    pub(super) fn failed(&self, problem: &str) {
        if self.json {
            // There is nobody to tell when this cannot be written.
            let _ = print_json(&json!({"event": "error", "error": problem}));
        } else {
            complain!("{problem}");
        }
    }
}

fn print_json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(one_line::line(value)?.as_bytes())?;
    out.flush()
}

/// Milliseconds with two digits behind the point.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
