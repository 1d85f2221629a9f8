//! The echo server one would write with mio and tungstenite alone: one thread, the defaults of both.
//!
//! The measure that `scripts/bench` holds wsmaster against. It uses nothing of wsmaster and is not tuned beyond what
//! their documentation says: reads until there is nothing left, buffers the replies, flushes once.
//!
//! `cargo run --release --example plain_echo -- 127.0.0.1:9001`

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
            if let Some(connection) = connections.get_mut(key)
                && serve(connection).is_err()
            {
                connections.remove(key);
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

/// Does all that can be done now; an error ends the connection.
fn serve(connection: &mut Connection) -> tungstenite::Result<()> {
    if let Connection::Handshaking(rest) = connection
        && let Some(rest) = rest.take()
    {
        *connection = settle(rest.handshake())?;
    }
    let Connection::Open(socket) = connection else { return Ok(()) };
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                unless_blocked(socket.write(message))?;
            }
            Ok(_) => {}
            Err(error) => {
                unless_blocked(Err(error))?;
                return unless_blocked(socket.flush());
            }
        }
    }
}

/// What would block stays in the socket's buffer and goes out when it is writable again.
fn unless_blocked(result: tungstenite::Result<()>) -> tungstenite::Result<()> {
    match result {
        Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}
