//! What a client says to a connection that moves, as bytes.

use proptest::prelude::*;
use wsmaster_protocol::deflate::{Deflater, WindowBits};

/// What the client says, in order.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// A request without a body.
    Get,
    /// A request with a body of a length.
    Post(usize),
    /// A request with a body in chunks of this size.
    PostChunks(usize),
    /// It becomes a WebSocket; whether with compression.
    Upgrade(bool),
    /// A message of so many bytes, in frames of so many.
    Text(usize, usize),
    /// A message of so many bytes.
    Binary(usize),
    /// A compressed message of so many bytes, where that was agreed on.
    Compressed(usize),
    /// A command for the application below.
    Command(&'static str),
    Ping,
    Close,
    /// A frame that breaks the protocol.
    Broken,
}

pub(super) fn words() -> impl Strategy<Value = Vec<Word>> {
    let request = prop_oneof![
        Just(Word::Get),
        prop_oneof![1..50_usize, Just(3000)].prop_map(Word::Post),
        prop_oneof![1..50_usize, Just(3000)].prop_map(Word::PostChunks),
    ];
    let message = prop_oneof![
        4 => (1..300_usize, 1..80_usize).prop_map(|(length, size)| Word::Text(length, size)),
        1 => Just(Word::Text(30_000, 20_000)),
        3 => prop_oneof![0..300_usize, Just(60_000)].prop_map(Word::Binary),
        4 => prop_oneof![1..300_usize, Just(20_000)].prop_map(Word::Compressed),
        4 => prop::sample::select(vec!["subscribe", "unsubscribe", "keep", "pause"])
            .prop_map(Word::Command),
        2 => Just(Word::Ping),
        1 => prop_oneof![Just(Word::Close), Just(Word::Broken)],
    ];
    let requests = prop::collection::vec(request, 0..3);
    let messages = prop::collection::vec(message, 0..25);
    (requests, any::<bool>(), messages).prop_map(|(mut words, deflate, messages)| {
        words.push(Word::Upgrade(deflate));
        words.extend(messages);
        words
    })
}

/// A frame of a client. The mask key is one that changes every byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x3a, 0x51, 0xc7, 0x0d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The bytes of what a client says. Before it is a WebSocket it speaks HTTP, and after that frames.
pub(super) fn bytes_of(words: &[Word]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut open, mut deflates) = (false, false);
    let (mut deflater, mut context) = (Deflater::new(6), Vec::new());
    for word in words {
        match (word, open) {
            (Word::Get, false) => bytes.extend(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
            (Word::Post(length), false) => {
                let head =
                    format!("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
                bytes.extend(head.into_bytes());
                bytes.extend(vec![b'b'; *length]);
            }
            (Word::PostChunks(size), false) => {
                let head = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = format!("{size:x};x=y\r\n{}\r\n", "c".repeat(*size));
                let end = "0\r\nTrailer: t\r\n\r\n";
                bytes.extend(format!("{head}{chunk}{chunk}{end}").into_bytes());
            }
            (Word::Upgrade(deflate), false) => {
                (open, deflates) = (true, *deflate);
                let offer =
                    if *deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
                let head = format!(
                    "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\
                     {offer}\r\n"
                );
                bytes.extend(head.into_bytes());
            }
            (Word::Text(length, size), true) => {
                let text: String =
                    ('a'..='z').chain(['ß', '€', '😀']).cycle().take(*length).collect();
                let pieces: Vec<&[u8]> = text.as_bytes().chunks((*size).max(1)).collect();
                for (at, piece) in pieces.iter().enumerate() {
                    let is_last = at + 1 == pieces.len();
                    let first = u8::from(at == 0) | if is_last { 0x80 } else { 0 };
                    bytes.extend(frame(first, piece));
                }
            }
            (Word::Binary(length), true) => bytes.extend(frame(0x82, &vec![9; *length])),
            (Word::Compressed(length), true) if deflates => {
                let text = "to and fro ".repeat(length / 11 + 1);
                let bits = WindowBits::MAX;
                let payload = deflater.deflate(text.as_bytes(), bits, &context).map(<[u8]>::to_vec);
                if let Some(payload) = payload {
                    bytes.extend(frame(0xc1, &payload));
                    context.extend(text.as_bytes());
                    let surplus = context.len().saturating_sub(bits.bytes());
                    context.drain(..surplus);
                }
            }
            (Word::Command(command), true) => bytes.extend(frame(0x81, command.as_bytes())),
            (Word::Ping, true) => bytes.extend(frame(0x89, b"are you there?")),
            (Word::Close, true) => bytes.extend(frame(0x88, &[0x03, 0xe8])),
            (Word::Broken, true) => bytes.extend(frame(0x83, b"")),
            (_, _) => {}
        }
    }
    bytes
}
