//! A small HTTP/1.1 client that sends exactly what it is told.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::eventually::{Deadline, PATIENCE};

/// Headers of a reply.
const HEADERS_MAX: usize = 64;

/// A reply, whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: u16,
    /// Names as they were sent, with their values, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// What came after the head.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)),
        }
    }

    /// Fails the test unless the status is this one, with the body in the message.
    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut headers = headers.to_vec();
    headers.push(("Connection", "close"));
    KeepAlive::open(addr).request(method, path, &headers, body)
}

/// What came back for raw bytes.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    /// All that was received.
    pub(crate) bytes: Vec<u8>,
    /// Whether the server ended the connection, cleanly or not; otherwise the time was up.
    pub(crate) closed: bool,
}

/// Sends these bytes on a connection of their own and collects what comes until the server closes or the time is up.
#[track_caller]
pub(crate) fn raw(addr: SocketAddr, bytes: &[u8], within: Duration) -> RawAnswer {
    let mut connection = KeepAlive::open(addr);
    connection.send_raw(bytes);
    let closed = connection.receive_until_closed(within);
    RawAnswer { bytes: connection.unread, closed }
}

/// A connection for any number of requests, pipelined or not.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl KeepAlive {
    /// Connects.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("the server accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self { stream, unread: Vec::new() }
    }

    /// Sends a request and waits for its reply.
    #[track_caller]
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.send(method, path, headers, body);
        self.receive(method)
    }

    /// Sends a request and does not wait.
    #[track_caller]
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let host = self.stream.peer_addr().expect("connected");
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes);
    }

    /// Sends any bytes. A server that has closed already is no failure: what it said before is still to be read.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will be sent.
    #[track_caller]
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// The next reply; `method` is that of its request, since a reply to HEAD has no body whatever it declares.
    /// Interim replies (100 to 199 but 101, RFC 9110 section 15.2) are passed over.
    #[track_caller]
    pub(crate) fn receive(&mut self, method: &str) -> Reply {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let mut reply = loop {
                if let Some(reply) = self.take_head() {
                    break reply;
                }
                let more = self.receive_some(deadline);
                assert!(more, "no whole head: {:?}", String::from_utf8_lossy(&self.unread));
            };
            if (100..200).contains(&reply.status) && reply.status != 101 {
                continue;
            }
            reply.body = self.take_body(method, &reply, deadline);
            return reply;
        }
    }

    /// Waits for the server to end the connection. Whether it did.
    pub(crate) fn receive_until_closed(&mut self, within: Duration) -> bool {
        let deadline = Deadline::after(within);
        while self.receive_some(deadline) {}
        !deadline.has_passed()
    }

    /// What was received and is not part of a reply that was taken.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    fn take_head(&mut self) -> Option<Reply> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(&self.unread).expect("the server speaks HTTP") {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return None,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let reply = Reply {
            status: head.code.unwrap_or_default(),
            headers: head.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
            body: Vec::new(),
        };
        self.unread.drain(..length);
        Some(reply)
    }

    #[track_caller]
    fn take_body(&mut self, method: &str, reply: &Reply, deadline: Deadline) -> Vec<u8> {
        if method == "HEAD" || matches!(reply.status, 101 | 204 | 304) {
            return Vec::new();
        }
        let Some(declared) = reply.header("Content-Length") else {
            while self.receive_some(deadline) {}
            return std::mem::take(&mut self.unread);
        };
        let length = declared.parse::<usize>().expect("a number of bytes");
        while self.unread.len() < length {
            let more = self.receive_some(deadline);
            assert!(more, "{} bytes of a body of {length}", self.unread.len());
        }
        self.unread.drain(..length).collect()
    }

    /// One read. False when nothing more comes: the connection has ended or the time is up.
    fn receive_some(&mut self, deadline: Deadline) -> bool {
        let left = deadline.left();
        if left.is_zero() {
            return false;
        }
        self.stream.set_read_timeout(Some(left)).expect("not zero");
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }
}
