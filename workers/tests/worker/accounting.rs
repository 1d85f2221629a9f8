//! Numbers that add up after everybody has left, and ids that are never given twice.

use std::{collections::HashSet, time::Duration};

use wsmaster_workers::{Limits, ipc::shared_state::Counter};

use crate::support::{Client, Frame, Server, client::close_frame, limits};

/// What nobody answers ends by then.
const SOON: Duration = Duration::from_millis(300);

fn gauges(server: &Server) -> [u64; 4] {
    use Counter::{Connections, OutboxBytes, Subscriptions, WebSockets};
    [Connections, WebSockets, Subscriptions, OutboxBytes].map(|gauge| server.count(gauge))
}

/// They leave in every way there is.
#[test]
fn gauges_return_to_zero_after_a_thousand_connections() {
    let server = Server::start(1, Limits { request_timeout: SOON, ..limits() });
    let mut opened = 0;
    for round in 0..20 {
        let mut clients: Vec<Client> = (0..50).map(|_| server.connect(0)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            match (number + round) % 6 {
                0 => client.send("GET /hel"),
                1 => client.get("/hello"),
                2 => client.get("/never"),
                _ => {
                    client.send(crate::support::client::handshake("/"));
                    client.expect_upgraded();
                    client.send_text("!subscribe news");
                    client.send_text("unread");
                    opened += 1;
                    if number % 2 == 0 {
                        client.send(close_frame(1000));
                    }
                }
            }
        }
    }
    server.eventually_counts(Counter::Accepted, 1000);
    server.eventually_counts(Counter::Connections, 0);
    crate::support::eventually("all gauges are zero", || gauges(&server) == [0; 4]);
    server.journal.expect_ends(opened);
    assert_eq!(server.count(Counter::HandlerPanics), 0);
}

/// What was meant for somebody who has left reaches nobody, though others sit in the same place.
#[test]
fn a_stale_id_never_reaches_a_newcomer() {
    let server = Server::start(2, limits());
    let mut pusher = server.open(1);
    let mut ids = HashSet::new();
    let mut previous: Option<String> = None;
    for _ in 0..10_000 {
        let mut client = server.connect(0).upgrade();
        client.send_text("!id");
        let Frame::Text(id) = client.expect_frame() else { panic!("not its id") };
        assert!(ids.insert(id.clone()), "{id} was given twice");
        if let Some(stale) = previous.replace(id) {
            pusher.send_text(&format!("!push {stale} stale"));
        }
        client.send(close_frame(1000));
        client.expect_close(1000);
        client.expect_eof();
    }
    crate::support::eventually("all of them were stale", || {
        server.count(Counter::StaleCommands) == 9_999
    });
}
