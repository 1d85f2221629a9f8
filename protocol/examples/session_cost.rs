//! What a session costs: five million echoes of 20 bytes, without sockets.
//!
//! `cargo run --release -p wsmaster-protocol --example session_cost [MESSAGES]`, under `perf stat` or callgrind if you like.

use std::{hint::black_box, time::Instant};

use wsmaster_protocol::{
    deflate::Inflater,
    frame::{MessageKind, encode_message},
    mask::unmask,
    session::{Event, Session, SessionLimits},
};

/// How many messages the peer sends between two reads of ours.
const MESSAGES_PER_READ: usize = 16;

fn main() {
    let messages: usize = std::env::args()
        .nth(1)
        .map_or(5_000_000, |count| count.parse().expect("a number of messages"));
    let limits =
        SessionLimits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20, fragments_max: 1024 };
    let arrived = client_frame(b"twenty bytes of text").repeat(MESSAGES_PER_READ);
    let (mut session, mut inflater) = (Session::new(), Inflater::new());
    let mut input = arrived.clone();
    let mut out = Vec::with_capacity(4096);
    let mut echoed = 0;

    let started = Instant::now();
    while echoed < messages {
        input.copy_from_slice(&arrived);
        out.clear();
        let mut at = 0;
        while at < input.len() {
            let step =
                session.receive(&mut input[at..], black_box(&limits), &mut inflater, &mut out);
            match step.event {
                Some(Event::Text(text)) => {
                    encode_message(MessageKind::Text, text.as_bytes(), &mut out);
                    echoed += 1;
                }
                other => panic!("expected a text, got {other:?}"),
            }
            at += step.consumed;
        }
        black_box(&out);
    }
    let took = started.elapsed();
    println!("{:.1} ns per echo", took.as_nanos() as f64 / echoed as f64);
}

/// A masked text frame with at most 125 bytes.
fn client_frame(payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&key);
    let start = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[start..], key, 0);
    frame
}
