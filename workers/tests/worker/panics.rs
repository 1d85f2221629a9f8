//! A panic in the application costs the connection it happened on, and nothing else.

use wsmaster_workers::{ClosedBy, ipc::PayloadKind, ipc::shared_state::Counter};

use crate::support::{Server, client, eventually, limits, server::slot};

#[test]
fn a_panic_costs_one_connection() {
    let server = Server::start(1, limits());
    let mut other = server.open(0);

    let mut message = server.connect(0).upgrade();
    message.send_text("!panic");
    message.send_text("nobody hears this");
    message.expect_close(1011);
    message.send(client::close_frame(1011));
    message.expect_eof();

    let mut open = server.connect(0);
    open.send(client::handshake("/open-panic"));
    open.expect_upgraded();
    open.expect_close(1011);

    let mut handshake = server.connect(0);
    handshake.send(client::handshake("/handshake-panic"));
    assert_eq!(handshake.expect_answer().status, 500);
    handshake.expect_eof();

    let mut request = server.connect(0);
    request.get("/panic");
    assert_eq!(request.expect_answer().status, 500);
    request.get("/late-panic");
    assert_eq!(request.expect_answer().body, "before");
    request.get("/hello");
    assert_eq!(request.expect_answer().body, "hello");

    let mut closing = server.open(0);
    closing.send_text("!panic-at-close");
    closing.close();

    server.eventually_counts(Counter::HandlerPanics, 6);
    other.send_text("unharmed");
    other.expect_text("unharmed");
    let ends = server.journal.expect_ends(3);
    let failed = ends.iter().filter(|end| **end == (ClosedBy::Server, Some(1011))).count();
    assert_eq!(failed, 2);
}

#[test]
fn a_panic_over_a_message_of_another_process_is_passed_over() {
    let server = Server::start(1, limits());
    let handle = server.handle(0);
    let to = slot(0).address();
    handle.send_to_process(to, PayloadKind::Text, b"panic").unwrap();
    handle.send_to_process(to, PayloadKind::Text, b"fine").unwrap();
    let told = crate::support::Told::Process("fine".to_owned());
    eventually("the next one is heard", || server.journal.read().contains(&told));
    assert_eq!(server.count(Counter::HandlerPanics), 1);
}
