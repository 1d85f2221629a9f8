//! Compressed messages (permessage-deflate) on the real program: what is agreed on, who gets what in which form, what it
//! costs, and what becomes of those who abuse it.

#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_input/random.rs"]
mod random;
mod support;
#[allow(dead_code, reason = "its other users need more of it")]
#[path = "bad_frames/wire.rs"]
mod wire;

use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use random::Random;
use serde_json::Value;
use support::{App, Client, Deadline, PATIENCE, Server, Setup, rss_bytes};
use tungstenite::Message;
use wire::{BINARY, CLOSE, CONTINUATION, FIN, Frame, PING, RSV1, TEXT, Wire, close, frame};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ON: &str = "[compression]\nenabled = true\n";
const BOTH: &str = "[compression]\nenabled = true\ncontext_takeover = \"both\"\n";

fn echo(config: &str) -> Server {
    Server::start(Setup::default().app(App::Echo).config_toml(config))
}

/// A message as an application sends it: it can be made shorter.
fn chatter(length: usize) -> Vec<u8> {
    let sentence =
        b"{\"action\":\"message\",\"channel\":\"chat.room.1\",\"message\":\"what was said\"}";
    sentence.iter().copied().cycle().take(length).collect()
}

/// The two directions of a connection of a client's, each with its context.
struct Deflate {
    out: Compress,
    into: Decompress,
}

impl Deflate {
    fn new() -> Self {
        Self::with_window(15)
    }

    /// What it says refers no farther back than this.
    fn with_window(bits: u8) -> Self {
        let out = Compress::new_with_window_bits(Compression::new(6), false, bits);
        Self { out, into: Decompress::new_with_window_bits(false, 15) }
    }

    fn compress(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 100);
        self.out.compress_vec(plain, &mut out, FlushCompress::Sync).expect("a live compressor");
        out.truncate(out.len() - 4);
        out
    }

    #[track_caller]
    fn decompress(&mut self, compressed: &[u8]) -> Vec<u8> {
        let whole = [compressed, &[0, 0, 0xff, 0xff]].concat();
        let mut out = Vec::with_capacity(4 << 20);
        let taken_before = self.into.total_in();
        self.into.decompress_vec(&whole, &mut out, FlushDecompress::None).expect("deflate data");
        assert_eq!(self.into.total_in() - taken_before, whole.len() as u64, "it was cut off");
        out
    }
}

/// A compressed message in one frame.
fn compressed(first: u8, plain: &[u8]) -> Vec<u8> {
    frame(FIN | RSV1 | first, &Deflate::new().compress(plain))
}

/// Waits for the next data frame.
#[track_caller]
fn next(wire: &mut Wire) -> Frame {
    let count = 1 + wire.frames.iter().position(|frame| frame.first & 0x0f <= BINARY).unwrap_or(0);
    assert!(wire.read_until(PATIENCE, |frames| frames.len() >= count), "nothing came");
    wire.frames.remove(0)
}

fn total(server: &Server, counter: &str) -> u64 {
    let status = server.status();
    status["totals"][counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {status}"))
}

#[test]
fn it_is_agreed_to_when_it_is_on_and_offered() {
    let off = echo("");
    assert_eq!(Wire::offer(off.addr(), OFFER).agreed(), None);
    let on = echo(ON);
    assert_eq!(Wire::open(on.addr()).agreed(), None, "a client that offers nothing");
    let little_kept = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
    assert_eq!(Wire::offer(on.addr(), OFFER).agreed(), Some(little_kept));
    let offer = "permessage-deflate; client_no_context_takeover";
    let kept_by_none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(Wire::offer(on.addr(), offer).agreed(), Some(kept_by_none));
    assert_eq!(Wire::offer(on.addr(), "permessage-deflate; x=y").agreed(), None);
    let narrow = format!("{BOTH}window_bits = 10\n");
    let agreed = "permessage-deflate; client_max_window_bits=10";
    assert_eq!(Wire::offer(echo(&narrow).addr(), OFFER).agreed(), Some(agreed));
}

#[test]
fn messages_go_both_ways_in_every_form() {
    for config in [ON, BOTH] {
        let server = echo(config);
        let mut wire = Wire::offer(server.addr(), OFFER);
        let mut deflate = Deflate::new();
        let (mut first_bytes, mut last_bytes) = (0, 0);
        for round in 0..4 {
            let plain = chatter(2000);
            let payload = if config == ON {
                Deflate::new().compress(&plain)
            } else {
                deflate.compress(&plain)
            };
            let (start, end) = payload.split_at(payload.len() / 2);
            wire.send(&frame(RSV1 | TEXT, start));
            wire.send(&[frame(FIN | PING, b""), frame(FIN | CONTINUATION, end)].concat());
            assert!(wire.read_until(PATIENCE, |frames| frames.len() == 2));
            let echoed = wire.frames.remove(1);
            wire.frames.clear();
            assert_eq!(echoed.first, FIN | RSV1 | TEXT);
            let mut alone = Deflate::new();
            let decoder = if config == ON { &mut alone } else { &mut deflate };
            assert_eq!(decoder.decompress(&echoed.payload), plain, "round {round}");
            last_bytes = echoed.payload.len();
            first_bytes = if round == 0 { last_bytes } else { first_bytes };
        }
        match config {
            ON => assert_eq!(first_bytes, last_bytes, "each message stands alone"),
            _ => assert!(2 * last_bytes < first_bytes, "{first_bytes}, then {last_bytes} bytes"),
        }
        // Short ones, and those that would not become shorter, are sent as they are.
        let noise = Random::seeded(1).bytes(3000);
        for plain in [&b"short"[..], &noise] {
            wire.send(&frame(FIN | BINARY, plain));
            assert_eq!(next(&mut wire), Frame::new(FIN | BINARY, plain));
        }
        wire.send(&close(1000, b""));
        assert!(wire.read_to_end(PATIENCE).is_some());
        assert_eq!(total(&server, "messages_decompressed"), 4);
        assert_eq!(total(&server, "messages_compressed"), 4);
        assert!(total(&server, "compression_saved_bytes") > 4 * 1000);
        assert_eq!(total(&server, "protocol_errors"), 0);
    }
}

/// One compression for all who have the same window, whatever their number.
#[test]
fn a_message_to_many_is_compressed_once() {
    let server = Server::start(Setup::default().app(App::Broadcast).config_toml(ON));
    let mut speaker = Client::open(server.addr(), "/");
    let narrow = "permessage-deflate; server_max_window_bits=10";
    let smallest = "permessage-deflate; server_max_window_bits=8";
    let mut listeners: Vec<(Option<&str>, Wire)> =
        [Some(OFFER), Some(narrow), Some(smallest), None]
            .into_iter()
            .cycle()
            .take(40)
            .map(|offer| match offer {
                Some(offer) => (Some(offer), Wire::offer(server.addr(), offer)),
                None => (None, Wire::open(server.addr())),
            })
            .collect();
    let said = String::from_utf8(chatter(4000)).expect("ASCII");
    speaker.send_text(&said);
    speaker.expect_text(&said);
    for (offer, wire) in &mut listeners {
        let heard = next(wire);
        match offer {
            // What is longer than a window of 256 bytes is sent as it is.
            None | Some("permessage-deflate; server_max_window_bits=8") => {
                assert_eq!(heard, Frame::new(FIN | TEXT, said.as_bytes()));
            }
            Some(_) => {
                assert_eq!(heard.first, FIN | RSV1 | TEXT);
                assert_eq!(Deflate::new().decompress(&heard.payload), said.as_bytes());
            }
        }
    }
    assert_eq!(total(&server, "messages_compressed"), 20);
    // With 32 KiB, with 1 KiB, and the one that was not even begun for 256 bytes.
    assert_eq!(total(&server, "compressions"), 3);
}

/// The memory of contexts is promised at the handshake, and given back at the end.
#[test]
fn contexts_are_kept_as_long_as_there_is_room() {
    let config = format!("{BOTH}context_bytes_max = \"130KiB\"\n");
    let server = echo(&config);
    let open = || Wire::offer(server.addr(), OFFER);
    let keeps = |wire: &Wire| !wire.agreed().expect("agreed").contains("context_takeover");
    let mut kept = [open(), open()];
    assert!(kept.iter().all(keeps));
    // The next two find 1 KiB each for what they say, and then there is room for those only who need none.
    let little_kept = "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
    let narrow = [open(), open()];
    assert!(narrow.iter().all(|wire| wire.agreed() == Some(little_kept)));
    assert_eq!(total(&server, "context_bytes"), 130 * 1024);
    assert_eq!(open().agreed(), None);
    let undemanding = "permessage-deflate; client_no_context_takeover";
    assert!(Wire::offer(server.addr(), undemanding).agreed().is_some());
    assert_eq!(total(&server, "compression_declined"), 1);
    drop(narrow);
    server.wait_until("the little room to be given back", PATIENCE, |status| {
        status["totals"]["context_bytes"] == 2 * 64 * 1024
    });
    let [first, second] = &mut kept;
    first.send(&close(1000, b""));
    assert!(first.read_to_end(PATIENCE).is_some());
    first.finish_sending();
    server.wait_until("the room to be given back", PATIENCE, |status| {
        status["totals"]["context_bytes"] == 64 * 1024
    });
    assert!(keeps(&open()));
    second.finish_sending();
    server.wait_until("all room to be given back", PATIENCE, |status| {
        status["totals"]["context_bytes"] == 0
    });
}

/// Tornado reads no parameter without a value, Mojolicious obeys none: with the answer to what they have not offered they do
/// as they did before.
#[test]
fn a_client_that_has_offered_nothing_keeps_its_context() {
    let server = echo(ON);
    for (offer, window) in [("permessage-deflate", 15), (OFFER, 10)] {
        let mut wire = Wire::offer(server.addr(), offer);
        let agreed = wire.agreed().expect("agreed");
        assert!(!agreed.contains("client_no_context_takeover"), "{agreed}");
        assert_eq!(agreed.contains("client_max_window_bits=10"), window == 10, "{agreed}");
        let mut deflate = Deflate::with_window(window);
        let (mut first_bytes, mut last_bytes) = (0, 0);
        for round in 0..5 {
            let plain = chatter(300 + round);
            let payload = deflate.compress(&plain);
            last_bytes = payload.len();
            first_bytes = if round == 0 { last_bytes } else { first_bytes };
            wire.send(&frame(FIN | RSV1 | TEXT, &payload));
            let echoed = next(&mut wire);
            assert_eq!(echoed.first, FIN | RSV1 | TEXT, "{offer}, round {round}");
            assert_eq!(Deflate::new().decompress(&echoed.payload), plain);
        }
        assert!(2 * last_bytes < first_bytes, "{first_bytes}, then {last_bytes}: no context");
    }
    assert_eq!(total(&server, "protocol_errors"), 0);
}

/// Clients that offer no `server_max_window_bits` fail at an answer with it (nhooyr 1.8); the server keeps to its window
/// without a word.
#[test]
fn a_smaller_window_of_the_servers_is_not_spoken_of_unasked() {
    let server = echo(&format!("{ON}window_bits = 9\n"));
    let offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let mut wire = Wire::offer(server.addr(), offer);
    assert_eq!(wire.agreed(), Some(offer));
    // The second half is the first once more, farther back than 512 bytes.
    let noise = Random::seeded(3).bytes(2000);
    wire.send(&frame(FIN | BINARY, &[&noise[..], &noise].concat()));
    let echoed = next(&mut wire);
    assert!(echoed.payload.len() > 3900, "{} bytes: it looked back too far", echoed.payload.len());
}

/// Who has agreed to forget and does not is told so, and so is the operator.
#[test]
fn a_context_that_should_have_been_forgotten_is_named() {
    let server = echo(ON);
    let mut wire = Wire::offer(server.addr(), "permessage-deflate; client_no_context_takeover");
    let mut deflate = Deflate::new();
    for _ in 0..2 {
        wire.send(&frame(FIN | RSV1 | TEXT, &deflate.compress(&chatter(300))));
    }
    assert!(wire.read_to_end(PATIENCE).is_some());
    let last = wire.frames.last().expect("a close frame");
    assert_eq!(last.close_code(), Some(1007));
    let reason = String::from_utf8_lossy(&last.payload[2..]).into_owned();
    assert!(reason.contains("client_no_context_takeover"), "{reason}");
}

#[test]
fn what_breaks_the_rules_is_told_with_its_code() {
    let bomb = Deflate::new().compress(&vec![b'0'; 64 << 20]);
    let table: [(&str, Vec<u8>, u16); 7] = [
        ("a compressed ping", vec![FIN | RSV1 | PING, 0x80, 0, 0, 0, 0], 1002),
        ("a compressed close", vec![FIN | RSV1 | CLOSE, 0x80, 0, 0, 0, 0], 1002),
        (
            "a continuation that says it is compressed",
            [frame(RSV1 | TEXT, b"\xf2"), frame(FIN | RSV1 | CONTINUATION, b"\x48")].concat(),
            1002,
        ),
        ("no deflate data", frame(FIN | RSV1 | TEXT, b"\xff\xff\xff"), 1007),
        ("cut off", frame(FIN | RSV1 | TEXT, b"\xf2\x48\xcd"), 1007),
        ("no UTF-8", compressed(TEXT, &[&chatter(100_000)[..], b"\xff"].concat()), 1007),
        ("a bomb", frame(FIN | RSV1 | TEXT, &bomb), 1009),
    ];
    for config in [ON, BOTH] {
        let server = echo(config);
        let worker = server.worker_pid(0);
        for (name, bytes, code) in &table {
            let mut wire = Wire::offer(server.addr(), OFFER);
            wire.send(bytes);
            assert!(wire.read_to_end(PATIENCE).is_some(), "{name}");
            let codes: Vec<_> = wire.frames.iter().map(Frame::close_code).collect();
            assert_eq!(codes, [Some(*code)], "{name}");
        }
        assert_eq!(total(&server, "protocol_errors"), table.len() as u64);
        assert_eq!(server.worker_pid(0), worker);
    }
    // Without an agreement the bit means nothing.
    let server = echo(ON);
    let mut wire = Wire::open(server.addr());
    wire.send(&compressed(TEXT, b"not agreed on"));
    assert!(wire.read_to_end(PATIENCE).is_some());
    assert_eq!(wire.frames.first().and_then(Frame::close_code), Some(1002));
}

/// A thousand to one: 100 bombs are 6 MiB on the wire and 6 GiB without the bound.
#[test]
fn bombs_cost_no_memory() {
    const GROWTH_BYTES_MAX: u64 = 8 << 20;
    let server = echo(ON);
    let worker = server.worker_pid(0);
    let bomb = frame(FIN | RSV1 | BINARY, &Deflate::new().compress(&vec![0; 64 << 20]));
    assert!(bomb.len() < 100_000);
    let mut witness = Client::open(server.addr(), "/");
    witness.send_text("before");
    witness.expect_text("before");
    let before = rss_bytes(worker);
    let mut wires: Vec<Wire> = (0..100).map(|_| Wire::offer(server.addr(), OFFER)).collect();
    for wire in &mut wires {
        wire.send(&bomb);
    }
    witness.send(Message::text("still there?"));
    witness.expect_text("still there?");
    for wire in &mut wires {
        assert!(wire.read_to_end(PATIENCE).is_some());
        assert_eq!(wire.frames.first().and_then(Frame::close_code), Some(1009));
    }
    let grown = rss_bytes(worker).saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "the worker has grown by {grown} bytes");
}

/// Small on the wire and just within the bound: 50 such messages are one read, and many turns.
#[test]
fn decompression_is_shared_out_over_turns() {
    const MESSAGES: u64 = 50;
    const BYTES: usize = 250_000;
    let server = Server::start(Setup::default().config_toml(ON));
    let mut wire = Wire::offer(server.addr(), OFFER);
    let flood = compressed(TEXT, &vec![b' '; BYTES]).repeat(MESSAGES as usize);
    assert!(flood.len() < 64 * 1024, "{} bytes", flood.len());
    let turns = total(&server, "turns");
    wire.send(&flood);
    server.wait_until("all to be handled", PATIENCE, |status| {
        status["totals"]["messages_decompressed"] == MESSAGES
    });
    let turns = total(&server, "turns") - turns;
    // A turn ends with the message that passes 1 MiB: the fifth.
    assert!(turns >= MESSAGES / 5, "{turns} turns for {MESSAGES} messages");
}

/// What a client was told before, in a program that takes its time to read, is still what it is told with.
#[test]
fn contexts_follow_the_order_of_what_is_sent() {
    let config = format!(
        "{BOTH}level = 6\n[limits]\noutbox_bytes_max = \"512KiB\"\nslow_client = \"drop_newest\"\n"
    );
    let server = Server::start(Setup::default().app(App::Broadcast).config_toml(&config));
    let mut speaker = Client::open(server.addr(), "/");
    let mut slow = Wire::offer(server.addr(), OFFER);
    let mut sent = Vec::new();
    let dropped = |server: &Server| total(server, "dropped_outbox_full");
    // Each begins as the one before it has ended, has noise, so that it stays long, and something that makes it shorter.
    let mut random = Random::seeded(7);
    let mut end = Vec::new();
    let mut say = |sent: &mut Vec<Vec<u8>>| {
        let begin = std::mem::replace(&mut end, random.bytes(300));
        let said = [begin, random.bytes(100_000), chatter(2000), end.clone()].concat();
        speaker.send(Message::binary(said.clone()));
        assert!(speaker.expect_any(PATIENCE) == Message::binary(said.clone()));
        sent.push(said);
    };
    while dropped(&server) == 0 {
        assert!(sent.len() < 1000, "nothing had to be dropped");
        say(&mut sent);
    }
    // It reads, and hears more.
    let deadline = Deadline::after(PATIENCE);
    while total(&server, "outbox_bytes") > 0 {
        slow.read_for(Duration::from_millis(10));
        assert!(!deadline.has_passed(), "it cannot be written what waits");
    }
    let lost = dropped(&server);
    for _ in 0..5 {
        say(&mut sent);
    }
    assert_eq!(dropped(&server), lost);
    slow.send(&close(1000, b""));
    assert!(slow.read_to_end(PATIENCE).is_some());
    let mut deflate = Deflate::new();
    let mut expected = sent.iter();
    let mut heard_last = &Vec::new();
    for heard in slow.frames.iter().filter(|frame| frame.first == FIN | RSV1 | BINARY) {
        let plain = deflate.decompress(&heard.payload);
        // Those that were dropped are missing, and the others are whole and in order.
        let said = expected.find(|said| **said == plain);
        heard_last = said.expect("a message that somebody has sent");
    }
    assert!(Some(heard_last) == sent.last());
}

#[test]
fn a_listener_can_do_without() {
    let near = "[[listener]]\nname = \"near\"\naddress = \"127.0.0.1:0\"\ncompression = false\n";
    let server = echo(&format!("{ON}{near}"));
    let address =
        server.status()["listeners"][1]["address"].as_str().and_then(|it| it.parse().ok());
    assert_eq!(Wire::offer(address.expect("an address"), OFFER).agreed(), None);
    assert!(Wire::offer(server.addr(), OFFER).agreed().is_some());
}

#[test]
fn a_reload_turns_it_on() {
    let server = echo("");
    assert_eq!(Wire::offer(server.addr(), OFFER).agreed(), None);
    server.rewrite_config(ON);
    let reloaded = server.reload();
    assert!(Wire::offer(server.addr(), OFFER).agreed().is_some(), "{reloaded}");
}

/// What is known of a connection says whether its messages are compressed.
#[test]
fn the_api_says_who_has_agreed() {
    let server = Server::start(Setup::default().config_toml(ON));
    let api = support::Api::of(&server);
    let plain = Client::connect(&server);
    let body = api.connection(plain.id());
    assert_eq!(body.json()["compressed"], Value::Bool(false));
    let mut wire = Wire::offer(server.addr(), OFFER);
    let welcome: Value = serde_json::from_slice(&next(&mut wire).payload).expect("a welcome");
    let id = welcome["connection_id"].as_u64().expect("an id");
    assert_eq!(api.connection(id).json()["compressed"], Value::Bool(true));
}
