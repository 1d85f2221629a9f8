//! The broadcast server one would write with mio and tungstenite alone: what one client says, all hear, itself too.
//!
//! The measure that `scripts/bench` holds the fan-out of wsmaster against. It uses nothing of wsmaster. As tungstenite
//! has it, every connection encodes its own copy of the frame; what one client sent in one go leaves each socket in one
//! write.
//!
//! `cargo run --release --example plain_broadcast -- 127.0.0.1:9001`

use std::error::Error;
use std::io::{self, ErrorKind};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::{Message, WebSocket};

const LISTENER: Token = Token(usize::MAX);

type Handshake = ServerHandshake<TcpStream, NoCallback>;

enum Connection {
    /// `None` only while the handshake is being moved on.
    Handshaking(Option<MidHandshake<Handshake>>),
    Open(WebSocket<TcpStream>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = Slab::new();
    let mut said = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept_all(&listener, &poll, &mut connections)?;
                continue;
            }
            let key = event.token().0;
            let Some(connection) = connections.get_mut(key) else { continue };
            let outcome = serve(connection, &mut said);
            if outcome.is_err() {
                connections.remove(key);
            }
            if !said.is_empty() {
                send_to_all(&mut connections, &said);
                said.clear();
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Connection>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), interest)?;
        if let Ok(connection) = settle(tungstenite::accept(stream)) {
            entry.insert(connection);
        }
    }
}

fn settle(
    result: Result<WebSocket<TcpStream>, HandshakeError<Handshake>>,
) -> tungstenite::Result<Connection> {
    match result {
        Ok(socket) => Ok(Connection::Open(socket)),
        Err(HandshakeError::Interrupted(rest)) => Ok(Connection::Handshaking(Some(rest))),
        Err(HandshakeError::Failure(error)) => Err(error),
    }
}

/// Adds what the client says to `said`; an error ends the connection.
fn serve(connection: &mut Connection, said: &mut Vec<Message>) -> tungstenite::Result<()> {
    if let Connection::Handshaking(rest) = connection
        && let Some(rest) = rest.take()
    {
        *connection = settle(rest.handshake())?;
    }
    let Connection::Open(socket) = connection else { return Ok(()) };
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => said.push(message),
            Ok(_) => {}
            Err(error) => {
                unless_blocked(Err(error))?;
                return unless_blocked(socket.flush());
            }
        }
    }
}

fn send_to_all(connections: &mut Slab<Connection>, said: &[Message]) {
    connections.retain(|_, connection| match connection {
        Connection::Handshaking(_) => true,
        Connection::Open(socket) => said
            .iter()
            .try_for_each(|message| unless_blocked(socket.write(message.clone())))
            .and_then(|()| unless_blocked(socket.flush()))
            .is_ok(),
    });
}

/// What would block stays in the socket's buffer and goes out when it is writable again.
fn unless_blocked(result: tungstenite::Result<()>) -> tungstenite::Result<()> {
    match result {
        Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}
