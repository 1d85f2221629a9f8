//! Messages of channels on their way: from a client on one worker to subscribers on all of them, once each, in order, as
//! they were written. Owns what is delivered to whom; what is answered to a client stands in `delivery/replies.rs`, and
//! what becomes of a reader that does not read in `delivery/slow.rs`.

mod support;

#[path = "delivery/replies.rs"]
mod replies;
#[path = "delivery/slow.rs"]
mod slow;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use support::{Client, Mark, PATIENCE, Server, Setup, Signal, Swarm};

const WORKERS: u16 = 4;
const ROOM: &str = "chat.room.1";
/// For a hundred thousand deliveries in a debug build on a busy machine.
const STORM_PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_hundred_thousand_deliveries_none_lost_none_doubled_all_in_order() {
    const CLIENTS: usize = 200;
    const PUBLISHERS_OF_A_WORKER: usize = 5;
    const MESSAGES_OF_A_PUBLISHER: usize = 25;
    const MESSAGES: usize = WORKERS as usize * PUBLISHERS_OF_A_WORKER * MESSAGES_OF_A_PUBLISHER;
    const { assert!(CLIENTS * MESSAGES == 100_000) };

    let server = four_workers();
    let mut swarm = Swarm::connect(&server, CLIENTS);
    swarm.subscribe(ROOM);
    let publishers: Vec<usize> = (0..WORKERS)
        .flat_map(|slot| members_on(&swarm, slot).into_iter().take(PUBLISHERS_OF_A_WORKER))
        .collect();
    assert_eq!(publishers.len() * MESSAGES_OF_A_PUBLISHER, MESSAGES, "publishers on every worker");

    for number in 0..MESSAGES_OF_A_PUBLISHER {
        for publisher in &publishers {
            let stream = swarm.welcome(*publisher).id;
            swarm.send(*publisher, message(ROOM, &json!({"stream": stream, "number": number})));
        }
    }

    let all = CLIENTS * MESSAGES + MESSAGES;
    swarm.until("all deliveries and replies", STORM_PATIENCE, |swarm| swarm.received() >= all);
    swarm.expect_silence(Duration::from_millis(100));
    swarm.order(mark_of_its_sender).expect_whole(100_000);
    for member in 0..CLIENTS {
        let texts = swarm.texts(member);
        let deliveries = texts.iter().filter(|text| mark_of_its_sender(text).is_some()).count();
        assert_eq!(deliveries, MESSAGES, "deliveries to member {member}");
        let replies = texts.iter().filter(|text| *text == &success("message_sent", ROOM)).count();
        let sent = publishers.contains(&member).then_some(MESSAGES_OF_A_PUBLISHER);
        assert_eq!(replies, sent.unwrap_or(0), "replies to member {member}");
        assert_eq!(texts.len(), deliveries + replies, "other texts to member {member}");
    }
    let totals = &server.status()["totals"];
    for counter in ["dropped_outbox_full", "dropped_mailbox_full", "bad_packets", "slow_closed"] {
        assert_eq!(totals[counter], 0, "{counter}");
    }
    swarm.close();
}

#[test]
fn each_channel_reaches_its_own_subscribers() {
    const CLIENTS: usize = 60;
    const CHANNELS: usize = 8;
    const ROUNDS: usize = 5;
    // Member 0 is in all channels, member 1 in the first only, member 6 in the first, second, third and sixth, ...
    let is_subscribed = |member: usize, channel: usize| member.is_multiple_of(channel + 1);
    let name = |channel: usize| format!("room.{channel}");

    let server = four_workers();
    let mut swarm = Swarm::connect(&server, CLIENTS);
    let mut subscriptions = 0;
    for channel in 0..CHANNELS {
        for member in (0..CLIENTS).filter(|member| is_subscribed(*member, channel)) {
            swarm.send(member, request("subscribe", &name(channel)));
            subscriptions += 1;
        }
    }
    swarm.until("all subscriptions", PATIENCE, |swarm| swarm.received() == subscriptions);
    swarm.clear_texts();

    // Every subscriber is a publisher too: all workers publish to all channels at the same time.
    let mut expected = vec![BTreeMap::<String, usize>::new(); CLIENTS];
    let mut all = 0;
    for _ in 0..ROUNDS {
        for channel in 0..CHANNELS {
            let members: Vec<_> =
                (0..CLIENTS).filter(|member| is_subscribed(*member, channel)).collect();
            for member in &members {
                swarm.send(*member, message(&name(channel), &json!(channel)));
                *expected[*member].entry("replies".to_owned()).or_default() += 1;
                all += 1;
            }
            for member in &members {
                *expected[*member].entry(name(channel)).or_default() += members.len();
                all += members.len();
            }
        }
    }
    swarm.until("all deliveries and replies", STORM_PATIENCE, |swarm| swarm.received() >= all);
    swarm.expect_silence(Duration::from_millis(100));
    for (member, expected) in expected.iter().enumerate() {
        let mut found = BTreeMap::<String, usize>::new();
        for text in swarm.texts(member) {
            let value: Value = serde_json::from_str(text).expect("the server sends JSON");
            let kind = match value.get("success") {
                Some(_) => "replies",
                None => value["channel"].as_str().expect("a delivery has a channel"),
            };
            *found.entry(kind.to_owned()).or_default() += 1;
        }
        assert_eq!(&found, expected, "member {member}");
    }
    swarm.close();
}

#[test]
fn the_sender_is_a_subscriber_like_any_other() {
    let server = Server::start(Setup::default());
    let mut alone = Client::connect(&server);
    alone.subscribe(ROOM);
    alone.publish(ROOM, &json!("to myself"));
    let heard = alone.expect_message(ROOM);
    assert_eq!((&heard["sender"], &heard["message"]), (&json!(alone.id()), &json!("to myself")));
    alone.expect_silence(Duration::from_millis(50));
}

#[test]
fn who_has_left_a_channel_hears_no_more_of_it() {
    let server = four_workers();
    let mut clients = one_on_each_worker(&server);
    for client in &mut clients {
        client.subscribe(ROOM);
        client.subscribe("other");
    }
    let [first, .., last] = clients.as_mut_slice() else { unreachable!("four of them") };
    first.publish(ROOM, &json!("before"));
    assert_eq!(last.expect_message(ROOM)["message"], "before");
    last.unsubscribe(ROOM);
    first.publish(ROOM, &json!("after"));
    // What one sender sends arrives in order: nothing of the room is behind this one.
    first.publish("other", &json!("barrier"));
    assert_eq!(last.expect_json(PATIENCE)["message"], "barrier");
    last.subscribe(ROOM);
    first.publish(ROOM, &json!("again"));
    assert_eq!(last.expect_json(PATIENCE)["message"], "again");
}

#[test]
fn a_worker_without_subscribers_is_left_in_peace() {
    const MESSAGES: u64 = 100;
    let server = four_workers();
    let mut clients = one_on_each_worker(&server);
    let (receiver, publisher) = (0, 1);
    clients[receiver].subscribe(ROOM);
    clients[publisher].subscribe(ROOM);
    let publish_and_count = |clients: &mut [Client], receives: bool| {
        let before = commands_in(&server);
        for number in 0..MESSAGES {
            clients[publisher].publish(ROOM, &json!(number));
            assert_eq!(clients[publisher].expect_message(ROOM)["message"], number);
            if receives {
                assert_eq!(clients[receiver].expect_message(ROOM)["message"], number);
            }
        }
        let after = commands_in(&server);
        after.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<_>>()
    };

    assert_eq!(publish_and_count(&mut clients, true), [MESSAGES, 0, 0, 0]);
    // The last subscriber of a worker goes: by saying so, ...
    clients[receiver].unsubscribe(ROOM);
    assert_eq!(publish_and_count(&mut clients, false), [0; 4]);
    clients[receiver].subscribe(ROOM);
    assert_eq!(publish_and_count(&mut clients, true), [MESSAGES, 0, 0, 0]);
    // ... by closing, ...
    std::mem::replace(&mut clients[receiver], Client::connect_to_worker(&server, 0)).close();
    assert_eq!(publish_and_count(&mut clients, false), [0; 4]);
    // ... or with its whole worker.
    clients[receiver].subscribe(ROOM);
    assert_eq!(publish_and_count(&mut clients, true), [MESSAGES, 0, 0, 0]);
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    assert_eq!(publish_and_count(&mut clients, false), [0; 4]);
}

#[test]
fn recipients_choose_among_the_subscribers_of_all_workers() {
    let server = four_workers();
    let mut clients = one_on_each_worker(&server);
    clients.push(Client::connect_to_worker(&server, 0));
    clients.push(Client::connect_to_worker(&server, 1));
    for client in &mut clients {
        client.subscribe(ROOM);
    }
    let mut outsider = Client::connect(&server);
    outsider.subscribe("elsewhere");
    let ids: Vec<u64> = clients.iter().map(Client::id).collect();
    let (outside, never) = (outsider.id(), 1_u64 << 52 | 2);

    // (the recipients that client 0 names, the clients that are meant)
    let table: [(Value, &[usize]); 11] = [
        (json!([]), &[]),
        (json!([ids[0]]), &[0]),
        (json!([ids[2]]), &[2]),
        (json!([ids[1], ids[3]]), &[1, 3]),
        (json!([ids[3], ids[1], ids[3]]), &[1, 3]),
        // Two of one worker, of which one is meant.
        (json!([ids[4]]), &[4]),
        (json!([ids[5], ids[0]]), &[0, 5]),
        (json!(ids), &[0, 1, 2, 3, 4, 5]),
        (json!(null), &[0, 1, 2, 3, 4, 5]),
        (json!([never, 0, u64::MAX, ids[2]]), &[2]),
        // Not a subscriber: the channel is what is sent to, not the connection.
        (json!([outside, never]), &[]),
    ];
    for (recipients, meant) in table {
        let data = json!({"channel": ROOM, "message": "for some", "recipients": recipients});
        clients[0].send_json(&json!({"action": "message", "data": data}));
        clients[0].publish(ROOM, &json!("for all"));
        for (number, client) in clients.iter_mut().enumerate() {
            let found = heard_until(client, "for all");
            let expected = usize::from(meant.contains(&number));
            assert_eq!(found, expected, "client {number}, recipients {recipients}");
        }
    }
    // `publish` has waited for one reply of each pair.
    for _ in 0..11 {
        assert_eq!(clients[0].expect_reply("message_sent")["success"], true);
    }
    outsider.expect_silence(Duration::from_millis(50));
}

#[test]
fn messages_pass_as_they_were_written() {
    let deep = "[".repeat(64) + &"]".repeat(64);
    // Larger than a packet between two workers.
    let large = format!("\"{}\"", "Grüße \\u0041 ".repeat(16_000));
    let values = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "0.10",
        "1E+2",
        "1e400",
        "12345678901234567890123456789.000000000000000000001",
        "9007199254740993",
        "\"\"",
        r#""plain""#,
        r#""Grüße, 世界, 👋🏽, e\u0301""#,
        r#""\u00e9\/\b\f\n\r\t\"\\ \ud83d\ude00""#,
        r#""\ud800 half a pair""#,
        "\"\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{fffd}\u{10ffff}\"",
        r#""</script><!--""#,
        "{}",
        "[]",
        r#"{"b":1,"a":2,"b":3}"#,
        "[ 1 ,\t{ \"a\" :\n[ ] } ]",
        r#"{"action":"message","success":false,"channel":"x","sender":1,"time":0}"#,
        r#"[[1,[2,[3,[4,{"five":{"six":[null]}}]]]]]"#,
        deep.as_str(),
        large.as_str(),
    ];
    let server = Server::start(Setup::default().workers(2));
    let mut sender = Client::connect_to_worker(&server, 0);
    let mut receivers =
        [Client::connect_to_worker(&server, 0), Client::connect_to_worker(&server, 1)];
    sender.subscribe(ROOM);
    for receiver in &mut receivers {
        receiver.subscribe(ROOM);
    }
    let start =
        format!(r#"{{"action":"message","channel":"{ROOM}","sender":{},"message":"#, sender.id());
    for value in values {
        // The fields in another order than usual, and spaces around the value, which are not part of it.
        sender.send_text(&format!(
            r#"{{"data":{{"message": {value} ,"channel":"{ROOM}"}},"action":"message"}}"#
        ));
        for client in receivers.iter_mut().chain([&mut sender]) {
            let found = client.expect_any(PATIENCE).to_string();
            let rest = found.strip_prefix(&start).and_then(|rest| rest.strip_prefix(value));
            let time = rest.and_then(|rest| rest.strip_prefix(",\"time\":")?.strip_suffix('}'));
            let time = time.unwrap_or_else(|| panic!("{value:.200} came as {found:.200}"));
            assert!(is_unix_time(time), "{time}");
        }
        sender.expect_text(&success("message_sent", ROOM));
    }
}

#[test]
fn the_successor_of_a_worker_takes_part() {
    let server = four_workers();
    let mut witness = Client::connect_to_worker(&server, 1);
    witness.subscribe(ROOM);
    let killed = server.kill_worker(0, Signal::Kill);
    server.wait_replaced(0, killed);
    let mut newcomer = Client::connect_to_worker(&server, 0);
    newcomer.subscribe(ROOM);
    witness.publish(ROOM, &json!("welcome back"));
    assert_eq!(newcomer.expect_message(ROOM)["message"], "welcome back");
    newcomer.publish(ROOM, &json!("thanks"));
    assert_eq!(heard_until(&mut witness, "thanks"), 1, "its own message before");
}

// ----- what the tests of this program share -----

fn four_workers() -> Server {
    Server::start(Setup::default().workers(WORKERS.into()))
}

/// One client on each of the four workers, in the order of their slots.
#[track_caller]
fn one_on_each_worker(server: &Server) -> Vec<Client> {
    (0..WORKERS).map(|slot| Client::connect_to_worker(server, slot)).collect()
}

fn members_on(swarm: &Swarm, slot: u16) -> Vec<usize> {
    (0..swarm.len()).filter(|member| swarm.welcome(*member).worker == slot).collect()
}

fn request(action: &str, channel: &str) -> String {
    json!({"action": action, "data": {"channel": channel}}).to_string()
}

fn message(channel: &str, message: &Value) -> String {
    json!({"action": "message", "data": {"channel": channel, "message": message}}).to_string()
}

fn success(action: &str, channel: &str) -> String {
    format!(r#"{{"success":true,"action":"{action}","channel":"{channel}"}}"#)
}

/// The mark in a delivery whose message is `{"stream":ID,"number":..}`, sent by the connection ID.
fn mark_of_its_sender(text: &str) -> Option<Mark> {
    let delivery: Value = serde_json::from_str(text).ok()?;
    let stream = delivery["sender"].as_u64()?;
    let message = &delivery["message"];
    (message["stream"] == stream).then_some(())?;
    Some(Mark { stream, number: message["number"].as_u64()? })
}

/// Commands that each worker has taken from its mailbox, in the order of their slots.
#[track_caller]
fn commands_in(server: &Server) -> Vec<u64> {
    let status = server.status();
    let workers = status["workers"].as_array().expect("a list");
    workers.iter().map(|worker| worker["commands_in"].as_u64().expect("a count")).collect()
}

/// How many deliveries came before the one with this message.
#[track_caller]
fn heard_until(client: &mut Client, last: &str) -> usize {
    let mut before = 0;
    while client.expect_message(ROOM)["message"] != last {
        before += 1;
    }
    before
}

/// Seconds since 1970 with three decimals, of this year or a later one.
fn is_unix_time(text: &str) -> bool {
    let has_three_decimals = text.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 3);
    has_three_decimals && text.parse::<f64>().is_ok_and(|time| time > 1_750_000_000.0)
}
