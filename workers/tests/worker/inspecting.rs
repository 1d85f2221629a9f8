//! Looking over a worker's connections and channels: each is seen once by whoever asks for one part after the other.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use wsmaster_workers::{
    inspect::{ChannelRow, ConnectionRow, InspectRequest, Page, Query},
    ipc::{
        Answer, Command, Handle, Request, mailbox::Mail, mailbox::Mailbox, shared_state::Counter,
        wire,
    },
};

use crate::support::{Server, WebSocket, eventually, limits, server::slot};

/// A process that asks: it has the place of a worker that is not there.
struct Requester {
    handle: Handle,
    mailbox: Mailbox,
}

impl Requester {
    /// A server with this many workers, and one who asks.
    fn beside(workers: u16) -> (Server, Self) {
        let mut server = Server::empty(workers + 1, limits());
        for number in 0..workers {
            server.start_worker(number);
        }
        let requester = Self { handle: server.handle(workers), mailbox: server.mailbox(workers) };
        (server, requester)
    }

    #[track_caller]
    fn part<R: DeserializeOwned>(
        &mut self,
        of: u16,
        what: &Query,
        from: u32,
        rows: u16,
    ) -> Page<R> {
        let question = InspectRequest { what: what.clone(), from, rows_max: rows };
        let json = serde_json::to_vec(&question).expect("JSON");
        let request = Request::Inspect { question: &json };
        self.handle.request(slot(of).address(), request, Some(1)).expect("its mailbox has room");
        let mut part = None;
        eventually("an answer", || {
            let Mail::Packet(packet) = self.mailbox.receive(false) else {
                return false;
            };
            for command in wire::decode(packet.bytes, packet.attachment.as_deref()) {
                let Ok(Command::Answer { answer: Answer::Info(json), .. }) = command else {
                    panic!("no answer: {command:?}")
                };
                part = Some(serde_json::from_slice(json).expect("a part"));
            }
            true
        });
        part.expect("it came")
    }

    /// All parts, one after the other, each of at most so many rows.
    #[track_caller]
    fn all<R: DeserializeOwned>(&mut self, of: u16, what: &Query, rows_max: u16) -> Vec<R> {
        let (mut rows, mut from) = (Vec::new(), Some(0));
        while let Some(place) = from {
            let part = self.part(of, what, place, rows_max);
            assert!(part.rows.len() <= usize::from(rows_max));
            assert!(part.next.is_none_or(|next| next > place), "it does not get on");
            rows.extend(part.rows);
            from = part.next;
        }
        rows
    }
}

fn connections(channel: Option<&str>, user: Option<&str>) -> Query {
    Query::Connections { channel: channel.map(str::to_owned), user: user.map(str::to_owned) }
}

#[test]
fn every_connection_is_in_exactly_one_part() {
    let (server, mut requester) = Requester::beside(2);
    let mut clients: Vec<WebSocket> = (0..40).map(|_| server.open(0)).collect();
    let mut ids: BTreeSet<u64> = clients.iter_mut().map(WebSocket::id).collect();
    // Holes, and somebody who is no WebSocket.
    for _ in 0..10 {
        let mut gone = clients.remove(3);
        ids.remove(&gone.id());
        gone.close();
    }
    let _other = server.connect(0);
    eventually("they are gone", || server.cell(0).read(Counter::WebSockets) == 30);
    for rows_max in [1, 7, 30, 64, u16::MAX] {
        let rows_max = rows_max.min(64);
        let rows: Vec<ConnectionRow> = requester.all(0, &connections(None, None), rows_max);
        let found: BTreeSet<u64> = rows.iter().map(|row| row.connection.as_u64()).collect();
        assert_eq!((rows.len(), &found), (30, &ids), "{rows_max} rows a part");
        assert!(rows.iter().all(|row| row.open && row.worker == slot(0)));
    }
    assert!(requester.all::<ConnectionRow>(1, &connections(None, None), 5).is_empty());
}

#[test]
fn a_channel_and_a_user_choose() {
    let (server, mut requester) = Requester::beside(1);
    let mut clients: Vec<WebSocket> = (0..10).map(|_| server.open(0)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("!user u{}", number % 2)), "kept");
        if number < 4 {
            assert_eq!(client.ask("!subscribe news"), "Ok(true)");
        }
    }
    for (what, count) in [
        (connections(Some("news"), None), 4),
        (connections(None, Some("u1")), 5),
        (connections(Some("news"), Some("u1")), 2),
        (connections(Some("nothing"), None), 0),
        (connections(None, Some("U1")), 0),
    ] {
        let rows: Vec<ConnectionRow> = requester.all(0, &what, 3);
        assert_eq!(rows.len(), count, "{what:?}");
    }
    let rows: Vec<ConnectionRow> = requester.all(0, &connections(Some("news"), Some("u1")), 64);
    let row = &rows[0];
    assert_eq!((row.user.as_deref(), row.path.as_str(), row.channels), (Some("u1"), "/", 1));
    assert!(row.messages_in >= 2 && row.peer.starts_with("127.0.0.1:"), "{row:?}");
}

#[test]
fn the_busiest_channel_comes_first_and_the_slowest_reader() {
    let (server, mut requester) = Requester::beside(1);
    let [mut loud, mut quiet] = [server.open(0), server.open(0)];
    assert_eq!(loud.ask("!subscribe loud"), "Ok(true)");
    assert_eq!(quiet.ask("!subscribe quiet"), "Ok(true)");
    for _ in 0..50 {
        quiet.send_text("!publish loud hello");
        loud.expect_text("hello");
    }
    loud.send_text("!publish quiet hello");
    quiet.expect_text("hello");
    let rows: Vec<ChannelRow> = requester.all(0, &Query::Channels, 64);
    let names: Vec<&str> = rows.iter().map(|row| row.channel.as_str()).collect();
    assert_eq!(names, ["loud", "quiet"]);
    assert_eq!(rows[0].subscribers, 1);
    assert!(rows[0].messages_per_s > rows[1].messages_per_s && rows[1].messages_per_s > 0.0);

    // Nobody reads slowly, so nobody is among the slowest.
    assert!(requester.all::<ConnectionRow>(0, &Query::Slowest, 64).is_empty());
    let mut silent = server.connect(0).upgrade();
    silent.send_text("!id");
    let id = asker_id(&mut silent);
    let text = "x".repeat(64 * 1024);
    eventually("its outbox fills", || {
        loud.send_text(&format!("!push {id} {text}"));
        let rows: Vec<ConnectionRow> = requester.all(0, &Query::Slowest, 64);
        rows.first().is_some_and(|row| row.connection.as_u64() == id && row.queued_bytes > 0)
    });
}

fn asker_id(client: &mut crate::support::Client) -> u64 {
    let crate::support::Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
    id.parse().expect("a number")
}

#[test]
fn what_is_not_understood_is_counted_and_not_answered() {
    let (server, mut requester) = Requester::beside(1);
    for question in
        [&b"{}"[..], b"", b"[1]", b"{\"what\":\"everything\",\"from\":0,\"rows_max\":1}"]
    {
        let request = Request::Inspect { question };
        requester.handle.request(slot(0).address(), request, Some(1)).expect("room");
    }
    server.eventually_counts(Counter::BadPackets, 4);
    let part: Page<ConnectionRow> = requester.part(0, &connections(None, None), u32::MAX, 0);
    assert_eq!((part.rows.len(), part.next), (0, None), "far behind the end");
}
