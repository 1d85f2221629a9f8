//! tungstenite's client as the witness: it understands us, and we understand it.
#![allow(dead_code, reason = "the shared vocabulary has more words than this file uses")]

mod session_support;

use std::io::{self, Cursor, Read, Write};

use session_support::*;
use tungstenite::{
    Bytes, Message,
    protocol::{CloseFrame, Role, WebSocket},
};
use wsmaster_protocol::{
    close::CloseCode,
    frame::{MessageKind, encode_close, encode_message, encode_ping, encode_pong, header_len},
    session::Event,
};

const SIZES: [usize; 8] = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];

/// What a client would write for these messages.
fn written_by_client(messages: &[Message]) -> Vec<u8> {
    let mut client = WebSocket::from_raw_socket(Wire::default(), Role::Client, None);
    for message in messages {
        client.send(message.clone()).expect("an open client takes a message");
    }
    client.get_ref().written.clone()
}

#[test]
fn what_the_client_writes_is_understood() {
    let mut messages = Vec::new();
    let mut expected = Vec::new();
    for size in SIZES {
        let text = "z".repeat(size);
        let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
        messages.push(Message::text(text.clone()));
        messages.push(Message::binary(bytes.clone()));
        expected.push(Event::Text(text.into()));
        expected.push(Event::Binary(bytes.into()));
    }
    messages.push(Message::Ping(Bytes::from_static(b"are you there")));
    expected.push(Event::Ping(b"are you there".into()));
    messages.push(Message::Pong(Bytes::from_static(b"here")));
    expected.push(Event::Pong(b"here".into()));
    messages.push(Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "bye".into() })));
    expected.push(Event::Close { code: Some(CloseCode::Away), reason: "bye".to_owned() });

    let written = written_by_client(&messages);
    for read_bytes in [written.len(), 64 * 1024, 1460] {
        let reads: Vec<&[u8]> = written.chunks(read_bytes).collect();
        let (events, out) = run(&reads, &WIDE);
        assert!(events == expected, "reads of {read_bytes} bytes");
        assert_eq!(out, b"\x8a\x0dare you there\x88\x02\x03\xe9");
    }
}

#[test]
fn the_client_understands_what_we_write() {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for size in SIZES {
        let text = "é".repeat(size / 2);
        let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let before = wire.len();
        encode_message(MessageKind::Text, text.as_bytes(), &mut wire);
        assert_eq!(wire.len() - before, header_len(text.len()) + text.len());
        encode_message(MessageKind::Binary, &bytes, &mut wire);
        expected.push(Message::text(text));
        expected.push(Message::binary(bytes));
    }
    encode_ping(b"ping", &mut wire);
    expected.push(Message::Ping(Bytes::from_static(b"ping")));
    encode_pong(&[b'p'; 125], &mut wire);
    expected.push(Message::Pong(Bytes::from(vec![b'p'; 125])));
    encode_close(Some(CloseCode::Restart), "back soon", &mut wire);
    let close = CloseFrame { code: CloseCode::Restart, reason: "back soon".into() };
    expected.push(Message::Close(Some(close)));

    let socket = Wire { to_read: Cursor::new(wire), written: Vec::new() };
    let mut client = WebSocket::from_raw_socket(socket, Role::Client, None);
    for message in expected {
        let read = client.read().expect("a well-formed frame");
        assert!(read == message, "a message of {} bytes", message.len());
    }
}

/// The two directions of a socket in memory.
#[derive(Default)]
struct Wire {
    to_read: Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.to_read.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
