//! One WebSocket client that waits for what it is told to expect, and keeps for later what comes before it.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use tungstenite::{
    Error, Message, WebSocket,
    client::IntoClientRequest,
    http::HeaderName,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    eventually::{Deadline, PATIENCE},
    server::Server,
};

/// The first message of the channel server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Welcome {
    /// The connection's id.
    pub(crate) id: u64,
    /// The slot of the worker that it landed on.
    pub(crate) worker: u16,
}

impl Welcome {
    /// Reads it, if it is one.
    pub(crate) fn of(message: &Value) -> Option<Self> {
        if message["action"] != "welcome" {
            return None;
        }
        let id = message["connection_id"].as_u64()?;
        Some(Self { id, worker: u16::try_from(message["worker"].as_u64()?).ok()? })
    }
}

/// A client of the server.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    welcome: Option<Welcome>,
    /// Messages that came while another one was expected, oldest first.
    kept: VecDeque<Message>,
    /// What the server said at the end, once it has.
    end: Option<Closing>,
    /// Whether the connection is no more.
    is_over: bool,
}

/// What the server said at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// A close frame with this code and reason.
    Frame(u16, String),
    /// A close frame without a code.
    Bare,
    /// No close frame: the connection was cut, and this is what the socket says.
    Cut(String),
}

impl Client {
    /// Connects to the channel server and waits for its welcome.
    #[track_caller]
    pub(crate) fn connect(server: &Server) -> Self {
        let mut client = Self::open(server.addr(), "/");
        let welcome = client.expect_json(PATIENCE);
        client.welcome = Welcome::of(&welcome);
        assert!(client.welcome.is_some(), "expected a welcome, found {welcome}");
        client
    }

    /// Connects until the welcome is that of the worker in `slot`: the kernel chooses who gets a connection.
    #[track_caller]
    pub(crate) fn connect_to_worker(server: &Server, slot: u16) -> Self {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let client = Self::connect(server);
            if client.worker() == slot {
                return client;
            }
            client.close();
            assert!(!deadline.has_passed(), "no connection came to worker {slot}");
        }
    }

    /// Connects and expects nothing: for applications that do not welcome.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, path: &str) -> Self {
        Self::open_with(addr, path, &[])
    }

    /// As [`Self::open`], with more headers.
    #[track_caller]
    pub(crate) fn open_with(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        match Self::try_open(addr, path, headers) {
            Ok(client) => client,
            Err(error) => panic!("no WebSocket at {addr}{path}: {error}"),
        }
    }

    /// As [`Self::open_with`], when the server may refuse.
    ///
    /// # Errors
    /// What the socket says, or the answer of the server as [`Error::Http`].
    pub(crate) fn try_open(
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let mut request = format!("ws://{addr}{path}").into_client_request()?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, value.parse()?);
        }
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                let kept = VecDeque::new();
                Ok(Self { socket, welcome: None, kept, end: None, is_over: false })
            }
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(tungstenite::HandshakeError::Interrupted(_)) => {
                Err(std::io::Error::from(ErrorKind::TimedOut).into())
            }
        }
    }

    /// The welcome.
    #[track_caller]
    pub(crate) fn welcome(&self) -> Welcome {
        self.welcome.expect("opened with connect or connect_to_worker")
    }

    /// Its id.
    #[track_caller]
    pub(crate) fn id(&self) -> u64 {
        self.welcome().id
    }

    /// The slot of the worker it is connected to.
    #[track_caller]
    pub(crate) fn worker(&self) -> u16 {
        self.welcome().worker
    }

    /// The address of its own end.
    #[track_caller]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.socket.get_ref().local_addr().expect("connected")
    }

    /// Its socket, for what only a socket can do.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// Sends any message.
    #[track_caller]
    pub(crate) fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the connection is open");
    }

    /// Sends a text.
    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// Sends a JSON value as a text.
    #[track_caller]
    pub(crate) fn send_json(&mut self, value: &Value) {
        self.send_text(&value.to_string());
    }

    /// Subscribes to a channel and waits for the answer.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, channel: &str) {
        self.ask("subscribe", channel);
    }

    /// Unsubscribes from a channel and waits for the answer.
    #[track_caller]
    pub(crate) fn unsubscribe(&mut self, channel: &str) {
        self.ask("unsubscribe", channel);
    }

    /// Sends a message to a channel and waits for the answer.
    #[track_caller]
    pub(crate) fn publish(&mut self, channel: &str, message: &Value) {
        self.send_json(
            &json!({"action": "message", "data": {"channel": channel, "message": message}}),
        );
        self.expect_success("message", channel);
    }

    /// The next message of any kind.
    #[track_caller]
    pub(crate) fn expect_any(&mut self, within: Duration) -> Message {
        if let Some(message) = self.kept.pop_front() {
            return message;
        }
        match self.receive(Deadline::after(within)) {
            Some(message) => message,
            None => panic!("no message within {within:?}; the end: {:?}", self.end),
        }
    }

    /// The next message, unless the connection ends before one comes.
    pub(crate) fn next_if_any(&mut self, within: Duration) -> Option<Message> {
        self.kept.pop_front().or_else(|| self.receive(Deadline::after(within)))
    }

    /// The next message, which must be this text.
    #[track_caller]
    pub(crate) fn expect_text(&mut self, text: &str) {
        assert_eq!(self.expect_any(PATIENCE), Message::text(text));
    }

    /// The next message, which must be JSON in a text.
    #[track_caller]
    pub(crate) fn expect_json(&mut self, within: Duration) -> Value {
        let message = self.expect_any(within);
        json_of(&message).unwrap_or_else(|| panic!("expected JSON in a text, found {message:?}"))
    }

    /// The next JSON message that is as wanted. Those before it are kept for later.
    #[track_caller]
    pub(crate) fn expect_matching(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut matching = |message: &Message| json_of(message).filter(|value| wanted(value));
        for (at, message) in self.kept.iter().enumerate() {
            if let Some(value) = matching(message) {
                self.kept.remove(at);
                return value;
            }
        }
        let deadline = Deadline::after(within);
        while let Some(message) = self.receive(deadline) {
            if let Some(value) = matching(&message) {
                return value;
            }
            self.kept.push_back(message);
        }
        panic!("no {what} within {within:?}; the end: {:?}; kept: {:?}", self.end, self.kept)
    }

    /// The next reply with this `action` that is no delivery: `success` of a request, `pong`, or `error`.
    #[track_caller]
    pub(crate) fn expect_reply(&mut self, action: &str) -> Value {
        self.expect_matching(&format!("reply {action:?}"), PATIENCE, |value| {
            value["action"] == action && !is_delivery(value)
        })
    }

    /// The next error reply, which must have this code.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, code: &str) -> Value {
        let error = self.expect_reply("error");
        assert_eq!(error["code"], code, "{error}");
        error
    }

    /// The next delivery of this channel. The message itself is in its field `message`.
    #[track_caller]
    pub(crate) fn expect_message(&mut self, channel: &str) -> Value {
        self.expect_matching(&format!("message of channel {channel:?}"), PATIENCE, |value| {
            is_delivery(value) && value["channel"] == channel
        })
    }

    /// Fails when a message comes within this time, or when one came before that nothing expected, or when the
    /// connection ends.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self, within: Duration) {
        assert!(self.kept.is_empty(), "expected silence, found {:?}", self.kept);
        if let Some(message) = self.receive(Deadline::after(within)) {
            panic!("expected silence, found {message:?}");
        }
        assert_eq!(self.end, None, "expected silence, the connection has ended");
    }

    /// Fails unless a message that is sent now is answered: the connection and its worker are alive. Only for the
    /// channel server.
    #[track_caller]
    pub(crate) fn expect_alive(&mut self) {
        self.send_json(&json!({"action": "ping"}));
        self.expect_reply("pong");
    }

    /// Waits for the server's close frame, which must have this code, and for the end of the connection. Returns the
    /// reason. Messages before it are kept.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        match self.expect_end(PATIENCE) {
            Closing::Frame(found, reason) if found == code => reason,
            other => panic!("expected close code {code}, found {other:?}"),
        }
    }

    /// Waits for the end of the connection, however it comes. Messages before it are kept.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, within: Duration) -> Closing {
        let deadline = Deadline::after(within);
        while let Some(message) = self.receive(deadline) {
            self.kept.push_back(message);
        }
        match &self.end {
            Some(end) if self.is_over => end.clone(),
            said => panic!("the connection is still open after {within:?}; close frame: {said:?}"),
        }
    }

    /// Closes with code 1000 and waits until the server has answered and ended the connection.
    #[track_caller]
    pub(crate) fn close(mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(goodbye)).expect("the connection is open");
        let end = self.expect_end(PATIENCE);
        assert_eq!(end, Closing::Frame(1000, String::new()), "the answer to a close with 1000");
    }

    #[track_caller]
    fn ask(&mut self, action: &str, channel: &str) {
        self.send_json(&json!({"action": action, "data": {"channel": channel}}));
        self.expect_success(action, channel);
    }

    #[track_caller]
    fn expect_success(&mut self, action: &str, channel: &str) {
        let is_answer = |value: &Value| {
            let is_its = match value["action"].as_str() {
                Some("error") => value["request_action"] == action,
                Some("message_sent") => action == "message",
                other => other == Some(action) && !is_delivery(value),
            };
            is_its && value["channel"] == channel
        };
        let reply = self.expect_matching(&format!("answer to {action}"), PATIENCE, is_answer);
        assert_eq!(reply["success"], true, "{reply}");
    }

    /// The next text or binary message. `None` when the time is up or the connection has ended, which `end` then tells.
    fn receive(&mut self, deadline: Deadline) -> Option<Message> {
        while !self.is_over {
            let left = deadline.left();
            if left.is_zero() {
                return None;
            }
            self.socket.get_ref().set_read_timeout(Some(left)).expect("not zero");
            match self.socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Some(message),
                Ok(Message::Close(Some(frame))) => {
                    self.end = Some(Closing::Frame(frame.code.into(), frame.reason.to_string()));
                }
                Ok(Message::Close(None)) => self.end = Some(Closing::Bare),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if is_timeout(error.kind()) => return None,
                Err(error) => {
                    self.end.get_or_insert_with(|| Closing::Cut(error.to_string()));
                    self.is_over = true;
                    // As a client does. A server may otherwise wait for our end before it forgets us.
                    let _ = self.stream().shutdown(Shutdown::Both);
                }
            }
        }
        None
    }
}

/// Whether a message of the server is a delivery of a channel and not the answer to a request.
fn is_delivery(value: &Value) -> bool {
    value["action"] == "message"
}

fn json_of(message: &Message) -> Option<Value> {
    match message {
        Message::Text(text) => serde_json::from_str(text).ok(),
        Message::Binary(_)
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Close(_)
        | Message::Frame(_) => None,
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
