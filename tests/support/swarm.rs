//! Thousands of clients on the test's own thread. They act when the test lets them: [`Swarm::until`] turns the loop.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde_json::{Value, json};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{
        CloseFrame, Role, WebSocketConfig,
        frame::coding::{CloseCode, OpCode},
    },
};

use super::{
    client::Welcome,
    eventually::Deadline,
    order::{Mark, Order},
    server::Server,
};

/// Handshakes under way at one time: far less than a worker's listener holds.
const HANDSHAKES_MAX: usize = 256;

/// How long all members together may take to connect, subscribe or close.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events of one turn.
const EVENTS_MAX: usize = 1024;

/// Many clients. A member is called by its number, from 0.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    received: usize,
}

#[derive(Debug)]
struct Member {
    link: Link,
    welcome: Option<Welcome>,
    texts: Vec<String>,
}

/// The life of a member's connection.
#[derive(Debug)]
enum Link {
    /// The request is sent; so much of the answer has come.
    Shaking { stream: TcpStream, answer: Vec<u8> },
    /// A WebSocket. `said` is what the server's close frame says, once it has come.
    Open { socket: Box<WebSocket<TcpStream>>, said: Option<(u16, String)> },
    /// No more.
    Over(End),
}

/// How a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The server sent a close frame with this code (1005 for none) and reason.
    Closed(u16, String),
    /// The connection broke or ended without a close frame.
    Lost(String),
}

impl Swarm {
    /// Connects so many clients to the channel server and waits for all welcomes.
    #[track_caller]
    pub(crate) fn connect(server: &Server, clients: usize) -> Self {
        let mut swarm = Self::open(server.addr(), clients);
        swarm.until("all welcomes", PATIENCE, |swarm| {
            swarm.members.iter().all(|member| member.welcome.is_some())
        });
        swarm
    }

    /// Connects so many clients and waits for all handshakes.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, clients: usize) -> Self {
        // The usual limit is 1,024. Where it cannot be raised enough, connecting says so.
        let _ = wsmaster_ipc::sys::resource::raise_descriptor_limit();
        let poll = Poll::new().expect("epoll");
        let events = Events::with_capacity(EVENTS_MAX);
        let mut swarm = Self { poll, events, members: Vec::with_capacity(clients), received: 0 };
        let deadline = Deadline::after(PATIENCE);
        while swarm.members.len() < clients || swarm.shaking() > 0 {
            while swarm.members.len() < clients && swarm.shaking_lately() < HANDSHAKES_MAX {
                swarm.join(addr).expect("the server accepts");
            }
            swarm.turn(deadline.left());
            assert!(!deadline.has_passed(), "{} handshakes are not done", swarm.shaking());
        }
        let lost = swarm.ends().next();
        assert_eq!(lost, None, "the handshake of a member, and how it ended");
        swarm
    }

    /// Members, with those whose connections are over.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Members whose connections are open.
    pub(crate) fn open_count(&self) -> usize {
        let is_open = |member: &&Member| matches!(member.link, Link::Open { said: None, .. });
        self.members.iter().filter(is_open).count()
    }

    /// The members whose connections are over, and how they ended.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (usize, &End)> {
        self.members.iter().enumerate().filter_map(|(number, member)| match &member.link {
            Link::Over(end) => Some((number, end)),
            Link::Shaking { .. } | Link::Open { .. } => None,
        })
    }

    /// What the server said to a member.
    #[track_caller]
    pub(crate) fn welcome(&self, member: usize) -> Welcome {
        self.members[member].welcome.expect("connected with Swarm::connect")
    }

    /// The texts that a member got and the test has not taken, without the welcome.
    #[track_caller]
    pub(crate) fn texts(&self, member: usize) -> &[String] {
        &self.members[member].texts
    }

    /// Takes the texts that a member got.
    #[track_caller]
    pub(crate) fn take_texts(&mut self, member: usize) -> Vec<String> {
        let texts = std::mem::take(&mut self.members[member].texts);
        self.received -= texts.len();
        texts
    }

    /// Forgets the texts of all members.
    pub(crate) fn clear_texts(&mut self) {
        for member in &mut self.members {
            member.texts.clear();
        }
        self.received = 0;
    }

    /// The number of texts of all members together that the test has not taken.
    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// Sends a text. What the socket does not take is sent in later turns.
    #[track_caller]
    pub(crate) fn send(&mut self, member: usize, text: impl Into<String>) {
        let is_sent = self.try_send(member, text);
        assert!(is_sent, "member {member} is not connected: {:?}", self.members[member].link);
    }

    /// Sends a text, unless the connection is over.
    #[track_caller]
    pub(crate) fn try_send(&mut self, member: usize, text: impl Into<String>) -> bool {
        let Link::Open { socket, said: None } = &mut self.members[member].link else {
            return false;
        };
        match socket.send(Message::text(text.into())) {
            Ok(()) => true,
            Err(error) => is_patience(&error),
        }
    }

    /// Sends to each member that is connected the text that is made for it.
    pub(crate) fn send_all(&mut self, mut text: impl FnMut(usize) -> String) {
        for member in 0..self.members.len() {
            self.try_send(member, text(member));
        }
    }

    /// Subscribes all members and waits for all answers.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, channel: &str) {
        let request = json!({"action": "subscribe", "data": {"channel": channel}}).to_string();
        self.send_all(|_| request.clone());
        let mut answered = vec![false; self.members.len()];
        let deadline = Deadline::after(PATIENCE);
        while !answered.iter().all(|answered| *answered) {
            for (member, answered) in self.members.iter_mut().zip(&mut answered) {
                if *answered {
                    continue;
                }
                if let Some(at) = member.texts.iter().position(|text| is_subscribed(text, channel))
                {
                    member.texts.remove(at);
                    self.received -= 1;
                    *answered = true;
                }
            }
            let missing = answered.iter().position(|answered| !answered);
            if let Some(missing) = missing {
                let member = &self.members[missing];
                assert!(!deadline.has_passed(), "member {missing} has no answer: {member:?}");
                self.turn(deadline.left());
            }
        }
    }

    /// Turns until it is as wanted. `what` completes "waited for ...".
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&Self) -> bool,
    ) {
        let deadline = Deadline::after(within);
        while !wanted(self) {
            assert!(
                !deadline.has_passed(),
                "waited {within:?} for {what}: {} texts, {} of {} open, first end: {:?}",
                self.received,
                self.open_count(),
                self.len(),
                self.ends().next()
            );
            self.turn(deadline.left());
        }
    }

    /// Turns for this long, whatever comes.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let deadline = Deadline::after(time);
        while !deadline.has_passed() {
            self.turn(deadline.left());
        }
    }

    /// Turns until each member has so many texts, and fails when one has more.
    #[track_caller]
    pub(crate) fn expect_each(&mut self, texts: usize, within: Duration) {
        let all = texts * self.len();
        self.until(&format!("{texts} texts for each"), within, |swarm| swarm.received >= all);
        let uneven = self.members.iter().position(|member| member.texts.len() != texts);
        if let Some(uneven) = uneven {
            panic!("member {uneven} has {} texts, not {texts}", self.members[uneven].texts.len());
        }
    }

    /// Fails when a member gets a text within this time or its connection ends.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        let (received, open) = (self.received, self.open_count());
        self.run_for(time);
        assert_eq!((self.received, self.open_count()), (received, open), "texts and open members");
    }

    /// Compares what each member got with the order in which it was sent. `mark` reads a text's place in that order, or
    /// `None` for a text that has none.
    pub(crate) fn order(&self, mark: impl Fn(&str) -> Option<Mark>) -> Order {
        let mut order = Order::default();
        for member in &self.members {
            order += Order::of(member.texts.iter().filter_map(|text| mark(text)));
        }
        order
    }

    /// Closes all connections with code 1000 and waits for all answers.
    #[track_caller]
    pub(crate) fn close(mut self) {
        for member in &mut self.members {
            if let Link::Open { socket, .. } = &mut member.link {
                // What is wrong with a connection is seen below, as its end.
                let _ =
                    socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
            }
        }
        self.until("all answers to close", PATIENCE, |swarm| swarm.ends().count() == swarm.len());
        let other = self.ends().find(|(_, end)| **end != End::Closed(1000, String::new()));
        assert_eq!(other, None, "a member's answer to a close with 1000");
    }

    /// One turn: waits for the first event and handles all that are there.
    fn turn(&mut self, within: Duration) {
        // Short waits keep a condition current that does not depend on the members.
        let wait = within.min(Duration::from_millis(10));
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            let before = member.texts.len();
            member.serve();
            self.received += member.texts.len() - before;
        }
    }

    fn join(&mut self, addr: SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::from_std({
            let stream = std::net::TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            stream
        });
        // A fixed key is as good as any: nothing between the two ends could mistake its answer.
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        // The buffer of a fresh socket is empty, so it takes the request whole.
        stream.write_all(request.as_bytes())?;
        let token = Token(self.members.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token, interest)?;
        let link = Link::Shaking { stream, answer: Vec::new() };
        self.members.push(Member { link, welcome: None, texts: Vec::new() });
        Ok(())
    }

    fn shaking(&self) -> usize {
        self.members.iter().filter(|member| member.is_shaking()).count()
    }

    /// Handshakes under way among the last members, which are all that matter while joining.
    fn shaking_lately(&self) -> usize {
        self.members.iter().rev().take(HANDSHAKES_MAX).filter(|member| member.is_shaking()).count()
    }
}

impl Member {
    fn is_shaking(&self) -> bool {
        matches!(self.link, Link::Shaking { .. })
    }

    /// Reads and writes what the socket has and takes.
    fn serve(&mut self) {
        let taken = std::mem::replace(&mut self.link, Link::Over(End::Lost(String::new())));
        self.link = match taken {
            Link::Shaking { stream, answer } => match shake(stream, answer) {
                open @ Link::Open { .. } => self.receive(open),
                other @ (Link::Shaking { .. } | Link::Over(_)) => other,
            },
            open @ Link::Open { .. } => self.receive(open),
            over @ Link::Over(_) => over,
        };
    }

    fn receive(&mut self, link: Link) -> Link {
        let Link::Open { mut socket, mut said } = link else { return link };
        // What is wrong with the connection is told by the read as well, after all that came before it.
        let _ = socket.flush();
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => self.take(text.as_str()),
                Ok(Message::Close(frame)) => {
                    said = Some(frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    }));
                }
                Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
                ) => {}
                Err(error) if is_patience(&error) => return Link::Open { socket, said },
                Err(error) => {
                    return Link::Over(match said {
                        Some((code, reason)) => End::Closed(code, reason),
                        None => End::Lost(error.to_string()),
                    });
                }
            }
        }
    }

    fn take(&mut self, text: &str) {
        if self.welcome.is_none() && text.starts_with("{\"action\":\"welcome\"") {
            let message = serde_json::from_str::<Value>(text).unwrap_or_default();
            self.welcome = Welcome::of(&message);
        } else {
            self.texts.push(text.to_owned());
        }
    }
}

/// Reads the answer to the request, up to its end and as far beyond as it came.
fn shake(mut stream: TcpStream, mut answer: Vec<u8>) -> Link {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Link::Over(End::Lost(String::from_utf8_lossy(&answer).into_owned())),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Link::Shaking { stream, answer };
            }
            Err(error) => return Link::Over(End::Lost(error.to_string())),
        }
        if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            if !answer.starts_with(b"HTTP/1.1 101 ") {
                return Link::Over(End::Lost(String::from_utf8_lossy(&answer).into_owned()));
            }
            let rest = answer.split_off(end + 4);
            // The codec keeps and clears its buffer for each read: a small one makes thousands of members quick.
            let config = WebSocketConfig::default().read_buffer_size(4096);
            let socket = WebSocket::from_partially_read(stream, rest, Role::Client, Some(config));
            return Link::Open { socket: Box::new(socket), said: None };
        }
    }
}

fn is_subscribed(text: &str, channel: &str) -> bool {
    text.contains("\"subscribe\"")
        && serde_json::from_str::<Value>(text).is_ok_and(|reply| {
            reply["success"] == true
                && reply["action"] == "subscribe"
                && reply["channel"] == channel
        })
}

/// Whether the socket says no more than "later".
fn is_patience(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
