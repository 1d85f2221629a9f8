//! A WebSocket client on tungstenite: an implementation that is not ours judges what our server does.

use std::net::{SocketAddr, TcpStream};

use tungstenite::{Error, Message};

use super::DEADLINE;

/// An open WebSocket.
pub(crate) struct WebSocket {
    inner: tungstenite::WebSocket<TcpStream>,
}

impl WebSocket {
    #[track_caller]
    pub(crate) fn open(to: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let (inner, _) = tungstenite::client(format!("ws://{to}{path}"), stream).expect("upgraded");
        Self { inner }
    }

    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.inner.send(Message::text(text)).expect("the server takes it");
    }

    #[track_caller]
    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.inner.send(Message::binary(bytes.to_vec())).expect("the server takes it");
    }

    /// The next message. Pings are answered on the way.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Message {
        loop {
            match self.inner.read().expect("a message") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    #[track_caller]
    pub(crate) fn next_text(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_text(&mut self, expected: &str) {
        assert_eq!(self.next_text(), expected);
    }

    #[track_caller]
    pub(crate) fn expect_binary(&mut self, expected: &[u8]) {
        match self.next() {
            Message::Binary(bytes) => assert!(bytes == expected, "other bytes came"),
            other => panic!("not binary: {other:?}"),
        }
    }

    /// Sends an order to the application and gives its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.send_text(order);
        self.next_text()
    }

    /// The id that the server knows this connection by.
    #[track_caller]
    pub(crate) fn id(&mut self) -> u64 {
        self.ask("!id").parse().expect("an id")
    }

    /// The server closes with this code, and the connection ends in good order. The reason.
    #[track_caller]
    pub(crate) fn expect_close(mut self, expected: u16) -> String {
        let Message::Close(Some(close)) = self.next() else { panic!("not a close frame") };
        assert_eq!(u16::from(close.code), expected, "{}", close.reason);
        self.expect_end();
        close.reason.to_string()
    }

    /// Closes, and waits for the server to do so too.
    #[track_caller]
    pub(crate) fn close(mut self) {
        self.inner.close(None).expect("open");
        loop {
            match self.inner.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return,
                Err(error) => panic!("not a good end: {error}"),
            }
        }
    }

    #[track_caller]
    fn expect_end(&mut self) {
        match self.inner.read() {
            Err(Error::ConnectionClosed) => {}
            other => panic!("not a good end: {other:?}"),
        }
    }
}
