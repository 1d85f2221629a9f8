//! `wsmaster client`: a WebSocket client for a terminal and for pipes. It connects; what becomes of the connection is
//! [`session`]'s.

mod address;
mod handshake;
mod input;
mod output;
mod session;
mod tls;
mod tls_errors;
mod transport;
mod trust;

use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use tungstenite::handshake::client::generate_key;

use self::{
    address::{Address, Scheme},
    handshake::{Answer, BODY_BYTES_MAX},
    output::Output,
    session::Session,
    transport::{Transport, plain},
};
use super::out::complain;
use crate::cli::{ClientOptions, Exit};

/// What a server that refuses has left for the rest of its explanation.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn client(options: &ClientOptions) -> Exit {
    let address = match Address::parse(&options.url) {
        Ok(address) => address,
        Err(problem) => {
            complain!("{}: {problem}", options.url);
            return Exit::Usage;
        }
    };
    let tls = match security(&address, options) {
        Ok(tls) => tls,
        Err(problem) => {
            complain!("{problem}");
            return Exit::Usage;
        }
    };
    let output = Output::new(options.json, options.timing);
    if options.insecure {
        output.unchecked(&address.authority);
    }
    let talked = connect(&address, tls, options, &output)
        .and_then(|(transport, rest)| Session::begin(transport, rest, options, &output))
        .and_then(Session::run);
    match talked {
        Ok(exit) => exit,
        Err(problem) => {
            output.failed(&problem);
            Exit::Failed
        }
    }
}

/// What TLS is to begin with, if the address asks for it.
fn security(
    address: &Address,
    options: &ClientOptions,
) -> Result<Option<Arc<ClientConfig>>, String> {
    match (address.scheme, options.first_about_tls()) {
        (Scheme::Wss, _) => trust::configure(options).map(Some),
        (Scheme::Ws, None) => Ok(None),
        (Scheme::Ws, Some(option)) => {
            Err(format!("{option} is about TLS, which ws:// is without; write wss://"))
        }
    }
}

/// Connects and shakes hands. The connection, and what has come behind the handshake.
fn connect(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
    options: &ClientOptions,
    output: &Output,
) -> Result<(Transport, Vec<u8>), String> {
    let deadline = Instant::now() + options.connect_timeout;
    let (mut transport, took) = Transport::connect(address, tls, deadline)?;
    let begun = Instant::now();
    let key = generate_key();
    let request = handshake::request(address, options, &key);
    let during =
        |error: std::io::Error| format!("handshake with {}: {}", address.authority, plain(&error));
    transport.write_all(request.as_bytes()).map_err(during)?;
    let mut bytes = Vec::new();
    let answer = loop {
        receive(&mut transport, &mut bytes, deadline).map_err(during)?;
        let read = handshake::read(&bytes);
        if let Some(answer) = read.map_err(|problem| format!("{}: {problem}", address.authority))? {
            break answer;
        }
    };
    let rest = bytes.split_off(answer.length);
    if answer.status != 101 {
        let body = body(&mut transport, &answer, rest);
        return Err(format!("the server refuses: {}", answer.refusal(&body)));
    }
    let subprotocol = answer
        .check(&key, &options.subprotocols)
        .map_err(|problem| format!("{}: {problem}", address.authority))?;
    // An output that nobody reads is found out by the first message.
    let _ = output.opened(&options.url, subprotocol.as_deref(), took, begun.elapsed());
    Ok((transport, rest))
}

/// Reads once, and no longer than until the deadline. The end is an error.
fn receive(
    transport: &mut Transport,
    bytes: &mut Vec<u8>,
    deadline: Instant,
) -> std::io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    transport.wait_at_most(left)?;
    let mut buffer = [0; 4096];
    match transport.read(&mut buffer)? {
        0 => Err(std::io::Error::other("the server closed the connection without an answer")),
        count => {
            bytes.extend_from_slice(&buffer[..count]);
            Ok(())
        }
    }
}

/// As much of the explanation of a refusal as comes soon and is worth showing.
fn body(transport: &mut Transport, answer: &Answer, mut body: Vec<u8>) -> Vec<u8> {
    let deadline = Instant::now() + BODY_PATIENCE;
    let wanted = answer.body_bytes().unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    while body.len() < wanted && receive(transport, &mut body, deadline).is_ok() {}
    body.truncate(wanted);
    body
}
