//! The HTTP interface of the real program: whichever worker takes a request, it reaches connections on every worker, and
//! its answer says what really happened. Who may not call and what is no call stands in `http_api/refusals.rs`; what
//! becomes of calls while workers sleep, die or are replaced in `http_api/trouble.rs`.

mod support;

#[path = "http_api/doors.rs"]
mod doors;
#[path = "http_api/refusals.rs"]
mod refusals;
#[path = "http_api/trouble.rs"]
mod trouble;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use doors::{Answer, Doors};
use serde_json::json;
use support::{Client, PATIENCE, Server, Setup, Swarm};
use tungstenite::Message;

const WORKERS: u16 = 4;
const ROOM: &str = "chat.room.1";
const MIB: usize = 1024 * 1024;

#[test]
fn a_push_reaches_every_worker_from_every_worker() {
    let (server, mut doors, mut clients) = a_door_and_a_client_for_each_worker();
    for door in doors.slots() {
        for client in &mut clients {
            let id = client.id();
            let delivered = json!({"success": true, "result": "delivered", "connection": id});
            let delivered = Answer { status: 200, fields: &delivered };
            let text = format!("from {door}: Grüße, \"世界\" 👋\n");
            doors.expect(door, "push", &json!({"connection": id, "text": text}), &delivered);
            client.expect_text(&text);
            for value in [json!(null), json!("text"), json!(1.5), json!({"a": [1, {}], "ü": null})]
            {
                doors.expect(door, "push", &json!({"connection": id, "json": value}), &delivered);
                client.expect_text(&value.to_string());
            }
            for bytes in [&b""[..], b"\0\xff\x80 not text", &[door as u8; 4]] {
                let body = json!({"connection": id, "binary_base64": BASE64.encode(bytes)});
                doors.expect(door, "push", &body, &delivered);
                assert_eq!(client.expect_any(PATIENCE), Message::binary(bytes.to_vec()));
            }
        }
    }
    let body = format!(r#"{{"connection":{},"json": {{"b":1.0,"b":1E9}} }}"#, clients[1].id());
    doors.call(0, "POST", "/api/push", body.as_bytes()).expect_status(200);
    clients[1].expect_text(r#"{"b":1.0,"b":1E9}"#);
    for client in &mut clients {
        client.expect_silence(Duration::from_millis(20));
    }
    assert_eq!(server.status()["totals"]["stale_commands"], 0);
}

#[test]
fn who_is_not_there_is_said_to_be_not_there() {
    let (server, mut doors, clients) = a_door_and_a_client_for_each_worker();
    let mut ids: Vec<u64> = clients.iter().map(Client::id).collect();
    for client in clients {
        client.close();
    }
    server.wait_until("the connections to be gone", PATIENCE, |status| {
        status["totals"]["websockets"] == 0
    });
    let last = *ids.last().expect("four of them");
    // Numbers that no connection has had: of a slot beyond those there are, of the future, and none at all.
    ids.extend([last | 1023, last + (1 << 40), 0, 1, 1023, 1 << 53, u64::MAX]);
    for door in doors.slots() {
        for id in &ids {
            let fields = json!({"success": false, "status": 404, "result": "no_such_connection", "connection": id});
            let not_there = Answer { status: 404, fields: &fields };
            doors.expect(door, "push", &json!({"connection": id, "text": "?"}), &not_there);
            doors.expect(door, "disconnect", &json!({"connection": id}), &not_there);
            let path = format!("/api/connections/{id}");
            let reply = doors.call(door, "GET", &path, b"").expect_status(404);
            assert_eq!(reply.json()["result"], "no_such_connection");
        }
    }
}

#[test]
fn a_connection_that_is_being_closed_takes_no_more() {
    let (server, mut doors, mut clients) = a_door_and_a_client_for_each_worker();
    for door in doors.slots() {
        for (slot, client) in (0..).zip(&mut clients) {
            // It does not read, so its answer to the close frame does not come.
            let id = client.id();
            let begun = Answer { status: 200, fields: &json!({"result": "delivered"}) };
            let closing = Answer { status: 409, fields: &json!({"result": "closing"}) };
            let body = json!({"connection": id, "code": 4000 + door, "reason": "Ü, bye"});
            doors.expect(door, "disconnect", &body, &begun);
            doors.expect(door, "push", &json!({"connection": id, "text": "late"}), &closing);
            doors.expect(door, "disconnect", &body, &closing);
            let known = doors.call(door, "GET", &format!("/api/connections/{id}"), b"");
            assert_eq!(known.expect_status(200).json()["state"], "closing");
            assert_eq!(client.expect_close(4000 + door as u16), "Ü, bye");
            *client = Client::connect_to_worker(&server, slot);
        }
    }
    let [first, second, ..] = clients.as_mut_slice() else { unreachable!("four of them") };
    doors.post(0, "disconnect", &json!({"connection": first.id()})).expect_status(200);
    assert_eq!(first.expect_close(1000), "");
    let longest = "x".repeat(123);
    let body = json!({"connection": second.id(), "code": 3000, "reason": longest});
    doors.post(0, "disconnect", &body).expect_status(200);
    assert_eq!(second.expect_close(3000), longest);
}

#[test]
fn a_full_outbox_is_an_answer() {
    let config = "[limits]\nmessage_bytes_max = \"64KiB\"\noutbox_bytes_max = \"256KiB\"\n";
    let full = Answer { status: 503, fields: &json!({"success": false, "result": "outbox_full"}) };
    let too_large =
        Answer { status: 413, fields: &json!({"success": false, "result": "too_large"}) };
    let closing = Answer { status: 409, fields: &json!({"result": "closing"}) };
    for policy in ["close", "drop_newest"] {
        let config = format!("{config}slow_client = \"{policy}\"\nclose_timeout = \"60s\"\n");
        let server = Server::start(Setup::default().workers(2).config_toml(&config));
        let mut doors = Doors::open(&server, 2);
        for door in doors.slots() {
            let mut witness = Client::connect_to_worker(&server, 0);
            // A message that would not fit into an empty outbox says nothing about its reader.
            let body = json!({"connection": witness.id(), "text": "x".repeat(300 * 1024)});
            doors.expect(door, "push", &body, &too_large);
            doors.post(door, "push", &json!({"connection": witness.id(), "text": "fits"}));
            witness.expect_text("fits");

            // A swarm that nothing turns does not read.
            let mut frozen = Swarm::connect(&server, 1);
            let id = frozen.welcome(0).id;
            let body = json!({"connection": id, "text": "x".repeat(60 * 1024)});
            let mut delivered = 0;
            while doors.post(door, "push", &body).status == 200 {
                delivered += 1;
                assert!(delivered < 1024, "an outbox without a bound: 60 MiB");
            }
            match policy {
                "close" => {
                    doors.expect(door, "push", &body, &closing);
                    frozen.until("its end", PATIENCE, |swarm| swarm.ends().count() == 1);
                    // What had not left yet is dropped for the close frame, which is why it is closed.
                    assert!(frozen.received() <= delivered, "more than was delivered");
                }
                _ => {
                    doors.expect(door, "push", &body, &full);
                    let counts =
                        Answer { status: 200, fields: &json!({"delivered": 1, "dropped": 1}) };
                    let text = "x".repeat(64 * 1024);
                    doors.expect(door, "broadcast", &json!({"text": text}), &counts);
                    witness.expect_text(&text);
                    frozen.until("all that was delivered", PATIENCE, |swarm| {
                        swarm.received() >= delivered
                    });
                    frozen.expect_silence(Duration::from_millis(50));
                    assert_eq!(frozen.received(), delivered, "what was refused does not arrive");
                    let ok = Answer { status: 200, fields: &json!({"result": "delivered"}) };
                    doors.expect(door, "push", &json!({"connection": id, "text": "back"}), &ok);
                    frozen.until("the last", PATIENCE, |swarm| swarm.received() == delivered + 1);
                    frozen.close();
                }
            }
            witness.close();
            server.wait_until("the clients to be gone", PATIENCE, |status| {
                status["totals"]["websockets"] == 0
            });
        }
    }
}

#[test]
fn a_broadcast_reaches_everybody_and_says_how_many() {
    let (server, mut doors, mut clients) = a_door_and_a_client_for_each_worker();
    clients.push(Client::connect_to_worker(&server, 0));
    for door in doors.slots() {
        let all =
            Answer { status: 200, fields: &json!({"success": true, "delivered": 5, "dropped": 0}) };
        doors.expect(door, "broadcast", &json!({"text": "to all"}), &all);
        doors.expect(door, "broadcast", &json!({"json": [door]}), &all);
        doors.expect(door, "broadcast", &json!({"binary_base64": "AP8="}), &all);
        // A number that is no connection's excludes nobody.
        doors.expect(door, "broadcast", &json!({"text": "0", "exclude": 0}), &all);
        for client in &mut clients {
            client.expect_text("to all");
            client.expect_text(&json!([door]).to_string());
            assert_eq!(client.expect_any(PATIENCE), Message::binary(vec![0, 255]));
            client.expect_text("0");
        }
        let but_one = Answer { status: 200, fields: &json!({"delivered": 4, "dropped": 0}) };
        for excluded in 0..clients.len() {
            let body = json!({"text": "to others", "exclude": clients[excluded].id()});
            doors.expect(door, "broadcast", &body, &but_one);
            for (number, client) in clients.iter_mut().enumerate() {
                if number != excluded {
                    client.expect_text("to others");
                }
            }
        }
    }
    for client in &mut clients {
        client.expect_silence(Duration::from_millis(20));
    }
}

#[test]
fn a_publication_reaches_the_subscribers_and_says_how_many() {
    let (server, mut doors, mut clients) = a_door_and_a_client_for_each_worker();
    for client in &mut clients[1..] {
        client.subscribe(ROOM);
    }
    let mut second = Client::connect_to_worker(&server, 1);
    second.subscribe(ROOM);
    clients.push(second);
    let (outsider, subscribers) = clients.split_first_mut().expect("five of them");
    for door in doors.slots() {
        let all =
            Answer { status: 200, fields: &json!({"success": true, "delivered": 4, "dropped": 0}) };
        // As a message of the channel: in its envelope, from nobody.
        for message in [json!("hello"), json!(null), json!({"deep": [[1.50], "ü"]})] {
            doors.expect(door, "publish", &json!({"channel": ROOM, "message": message}), &all);
            for client in &mut *subscribers {
                let mut delivery = client.expect_json(PATIENCE);
                let time = delivery["time"].take().as_f64().expect("a number");
                assert!((unix_seconds() - time).abs() < 60.0, "seconds since 1970: {time}");
                let envelope = json!({"action": "message", "channel": ROOM, "sender": null,
                    "message": message, "time": null});
                assert_eq!(delivery, envelope);
            }
        }
        // As it is.
        doors.expect(door, "publish", &json!({"channel": ROOM, "text": "raw"}), &all);
        doors.expect(door, "publish", &json!({"channel": ROOM, "json": {"raw": door}}), &all);
        doors.expect(door, "publish", &json!({"channel": ROOM, "binary_base64": "AQI="}), &all);
        for client in &mut *subscribers {
            client.expect_text("raw");
            client.expect_text(&json!({"raw": door}).to_string());
            assert_eq!(client.expect_any(PATIENCE), Message::binary(vec![1, 2]));
        }
        let but_one = Answer { status: 200, fields: &json!({"delivered": 3, "dropped": 0}) };
        for excluded in 0..subscribers.len() {
            let body =
                json!({"channel": ROOM, "text": "others", "exclude": subscribers[excluded].id()});
            doors.expect(door, "publish", &body, &but_one);
            for (number, client) in subscribers.iter_mut().enumerate() {
                if number != excluded {
                    client.expect_text("others");
                }
            }
        }
        let nobody = Answer { status: 200, fields: &json!({"delivered": 0, "dropped": 0}) };
        doors.expect(door, "publish", &json!({"channel": "empty.room", "text": "?"}), &nobody);
    }
    outsider.expect_silence(Duration::from_millis(20));
    for client in subscribers {
        client.expect_silence(Duration::from_millis(20));
    }
}

#[test]
fn what_is_known_of_a_connection() {
    let server = Server::start(Setup::default().workers(WORKERS.into()));
    let mut doors = Doors::open(&server, WORKERS);
    let before = unix_seconds();
    let target = "/any/path?room=1&token=s3cret-of-the-client";
    let headers = [("User-Agent", "a test"), ("X-Other", "not told")];
    let mut client = Client::open_with(server.addr(), target, &headers);
    let welcome = client.expect_json(PATIENCE);
    for channel in ["b.room", "a.room"] {
        client.subscribe(channel);
    }
    let id = welcome["connection_id"].as_u64().expect("an id");
    for door in doors.slots() {
        let reply = doors.call(door, "GET", &format!("/api/connections/{id}"), b"");
        let reply = reply.expect_status(200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(!reply.text().contains("s3cret"), "{}", reply.text());
        let known = reply.json();
        let expected = json!({
            "connection": id,
            "worker": welcome["worker"],
            "state": "open",
            "address": "127.0.0.1",
            "port": client.local_addr().port(),
            "user_agent": "a test",
            "subprotocol": null,
            "channels": ["a.room", "b.room"],
            "messages_in": 2,
            // The welcome and two replies.
            "messages_out": 3,
            "queued_bytes": 0,
        });
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&known[field], value, "field {field} of {known}");
        }
        let opened_at = known["opened_at"].as_f64().expect("seconds");
        assert!((before - 1.0..unix_seconds() + 1.0).contains(&opened_at), "{opened_at}");
        assert!(known["idle_ms"].as_u64().is_some_and(|idle_ms| idle_ms < 60_000), "{known}");
        let target = known["target"].as_str().expect("text");
        assert!(target.starts_with("/any/path?room=1&token="), "{target}");
        // HEAD is GET without the body (RFC 9110 section 9.3.2).
        let head = doors.call(door, "HEAD", &format!("/api/connections/{id}"), b"");
        assert_eq!(head.expect_status(200).header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_message_of_16_mib_arrives_whole() {
    let config = "[limits]\nbody_bytes_max = \"64MiB\"\nmessage_bytes_max = \"16MiB\"\n\
        outbox_bytes_max = \"64MiB\"\nbacklog_bytes_max = \"64MiB\"\nhandshake_timeout = \"60s\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let mut doors = Doors::open(&server, 2);
    let mut clients = [0, 1].map(|slot| Client::connect_to_worker(&server, slot));
    let bytes = noise(16 * MIB);
    let ok = Answer { status: 200, fields: &json!({"result": "delivered"}) };
    for (door, client) in [(0, 1), (1, 0)] {
        let client = &mut clients[client];
        let body = json!({"connection": client.id(), "binary_base64": BASE64.encode(&bytes)});
        doors.expect(door, "push", &body, &ok);
        let found = client.expect_any(PATIENCE);
        // Not by assert_eq, which would print them.
        assert!(found == Message::binary(bytes.clone()), "{} bytes came", found.len());
    }
    // To many: the kernel holds one copy for all workers.
    let text: String = bytes[..4 * MIB].iter().map(|byte| char::from(b' ' + byte % 90)).collect();
    let all = Answer { status: 200, fields: &json!({"delivered": 2, "dropped": 0}) };
    doors.expect(0, "broadcast", &json!({"text": text}), &all);
    for client in &mut clients {
        let found = client.expect_any(PATIENCE);
        assert!(found == Message::text(text.as_str()), "{} bytes of text came", found.len());
    }
}

// ----- what the tests of this program share -----

fn a_door_and_a_client_for_each_worker() -> (Server, Doors, Vec<Client>) {
    let server = Server::start(Setup::default().workers(WORKERS.into()));
    let doors = Doors::open(&server, WORKERS);
    let clients = (0..WORKERS).map(|slot| Client::connect_to_worker(&server, slot)).collect();
    (server, doors, clients)
}

fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs_f64()
}

/// Bytes without a pattern: a piece that is missing, doubled or out of its place shows. (xorshift64 of Marsaglia)
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
