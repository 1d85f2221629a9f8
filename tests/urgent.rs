//! Bytes that a client sends as urgent (tcp(7), `MSG_OOB`): for a WebSocket they are bytes like the others, in their place.

mod support;

use std::process::Command;

use support::{App, Server, Setup};

/// Sends 300 messages, each with one byte that is urgent, and waits for the echo of each.
const CLIENT: &str = r#"
import os, socket, struct, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
head = b""
while not head.endswith(b"\r\n\r\n"):
    head += peer.recv(1)
def take(count):
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        assert part, "the server has closed"
        data += part
    return data
for number in range(300):
    payload = bytes([number % 251]) * 100 + b"the end"
    frame = b"\x82" + bytes([0x80 | len(payload)]) + b"\0\0\0\0" + payload
    at = number % len(frame)
    if number % 2:
        peer.send(frame[:at + 1], socket.MSG_OOB)
    else:
        if at:
            peer.sendall(frame[:at])
        peer.send(frame[at:at + 1], socket.MSG_OOB)
    if frame[at + 1:]:
        peer.sendall(frame[at + 1:])
    echo = take(2 + len(payload))
    assert echo[2:] == payload, (number, at, echo)
print("echoed")
"#;

#[test]
fn an_urgent_byte_is_one_of_its_message_and_delays_nothing() {
    let server = Server::start(Setup::default().app(App::Echo).workers(1));
    let port = server.addr().port().to_string();
    let client = Command::new("python3").args(["-c", CLIENT, &port]).output();
    let output = client.expect("python3 is needed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{server}");
    let totals = &server.status()["totals"];
    assert_eq!(totals["messages_in"], 300);
    assert_eq!(totals["protocol_errors"], 0);
}
