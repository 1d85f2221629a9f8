//! Further listeners: served beside the worker's own, let go of when they are not its business any more.

use std::{net::TcpListener, time::Duration};

use wsmaster_workers::{
    Limits, ListenerRules,
    ipc::{
        link::{ToChild, ToMaster},
        shared_state::Counter,
        sys::socket::listeners,
    },
};

use crate::support::{Client, Server, eventually};

const OTHER_SLOT: u16 = 9;

fn listener() -> TcpListener {
    listeners("127.0.0.1:0".parse().expect("an address"), 64, 1).expect("a listener").remove(0)
}

fn cover(slot: u16, rules: &ListenerRules) -> ToChild {
    ToChild::Cover { slot, rules: serde_json::to_value(rules).expect("plain data") }
}

#[track_caller]
fn expect_served(client: &mut Client) {
    client.get("/hello");
    assert_eq!(client.expect_answer_to("GET").status, 200);
}

#[test]
fn what_waits_at_the_listener_of_another_slot_is_served_until_it_is_let_go_of() {
    let server = Server::start(1, Limits::default());
    let other = listener();
    let address = other.local_addr().expect("an address");
    let mut waits = Client::connect(address);
    server.say_with(0, &cover(OTHER_SLOT, &ListenerRules::new(0, "main")), &other);
    expect_served(&mut waits);
    expect_served(&mut Client::connect(address));
    expect_served(&mut server.connect(0));

    server.say(0, &ToChild::Uncover { slot: OTHER_SLOT });
    // Its own is served on, and whoever comes to the other one waits for somebody else.
    let accepted = server.count(Counter::Accepted);
    let _left = Client::connect(address);
    expect_served(&mut server.connect(0));
    expect_served(&mut server.connect(0));
    assert_eq!(server.count(Counter::Accepted), accepted + 2);
    other.set_nonblocking(false).expect("a socket");
    other.accept().expect("it is still there");
    // Served on by whoever served them first.
    expect_served(&mut waits);
}

#[test]
fn a_retired_listener_is_emptied_and_let_go_of() {
    let server = Server::start(
        1,
        Limits { handshake_timeout: Duration::from_secs(60), ..Limits::default() },
    );
    let old = listener();
    let address = old.local_addr().expect("an address");
    let mut crowd: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    server.say_with(0, &cover(0, &ListenerRules::new(7, "old")), &old);
    server.say(0, &ToChild::Retire { listener: 7 });
    drop(old);
    for client in &mut crowd {
        expect_served(client);
    }
    eventually("the listener is closed", || std::net::TcpStream::connect(address).is_err());
    expect_served(&mut server.connect(0));
}

#[test]
fn what_is_no_listener_is_refused_and_harms_nobody() {
    let server = Server::start(1, Limits::default());
    let file = std::fs::File::open("/dev/null").expect("it is there");
    server.say_with(0, &cover(OTHER_SLOT, &ListenerRules::new(1, "no socket")), &file);
    server.expect_said(0, &ToMaster::CannotCover { slot: OTHER_SLOT });
    let unclear = ToChild::Cover { slot: OTHER_SLOT, rules: "no rules".into() };
    server.say_with(0, &unclear, listener());
    server.expect_said(0, &ToMaster::CannotCover { slot: OTHER_SLOT });
    server.say(0, &cover(OTHER_SLOT, &ListenerRules::new(1, "nothing came")));
    server.expect_said(0, &ToMaster::CannotCover { slot: OTHER_SLOT });
    expect_served(&mut server.connect(0));
}
