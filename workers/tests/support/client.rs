//! A client that writes bytes and reads exactly what came: HTTP answers and WebSocket frames, without a library that could
//! hide what the server did.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::DEADLINE;

/// A connection and what has been read ahead from it.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
    pause: Duration,
}

/// One frame of the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const CONTINUES: u8 = 0x00;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PONG: u8 = 0x8a;

const HANDSHAKE: &str = "Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A client's frame with this first byte. The mask key is zero, so the payload can be read in a dump.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        medium @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes())
}

/// The head of a request to become a WebSocket.
pub(crate) fn handshake(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}\r\n")
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, ahead: Vec::new(), pause: Duration::ZERO }
    }

    /// Reads 64 KiB every 10 ms from now on: slow, and steady.
    pub(crate) fn read_slowly(&mut self) {
        self.pause = Duration::from_millis(10);
    }

    /// Becomes a WebSocket.
    #[track_caller]
    pub(crate) fn upgrade(mut self) -> Self {
        self.send(handshake("/"));
        self.expect_upgraded();
        self
    }

    #[track_caller]
    pub(crate) fn expect_upgraded(&mut self) {
        let answer = self.expect_answer_to("GET");
        assert_eq!(answer.status, 101, "{answer:?}");
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(frame(TEXT, text.as_bytes()));
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Ends this side; what the server says can still be read.
    #[track_caller]
    pub(crate) fn end_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Writes until the server has taken nothing for a while. How many whole copies of `unit` it took, and how many bytes
    /// of one more.
    #[track_caller]
    pub(crate) fn send_until_full(&mut self, unit: &[u8]) -> (usize, usize) {
        let patience = Duration::from_millis(300);
        self.stream.set_nonblocking(true).expect("a mode");
        let (mut units, mut at) = (0, 0);
        let mut progress = Instant::now();
        let begin = progress;
        while progress.elapsed() < patience {
            assert!(begin.elapsed() < DEADLINE, "the server takes everything, for ever");
            match self.stream.write(&unit[at..]) {
                Ok(count) => {
                    progress = Instant::now();
                    at += count;
                    if at == unit.len() {
                        (units, at) = (units + 1, 0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("the server does not take it: {error}"),
            }
        }
        self.stream.set_nonblocking(false).expect("a mode");
        (units, at)
    }

    // ----- what the server says -----

    #[track_caller]
    pub(crate) fn expect_answer(&mut self) -> Answer {
        self.expect_answer_to("GET")
    }

    /// The next answer; one to HEAD has no body.
    #[track_caller]
    pub(crate) fn expect_answer_to(&mut self, method: &str) -> Answer {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_ahead();
        };
        let head = String::from_utf8(self.take(end)).expect("a head is text");
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        if method != "HEAD" {
            let length = answer.header("content-length").map_or(0, |value| value.parse().unwrap());
            answer.body = String::from_utf8(self.take(length)).expect("a body is text");
        }
        answer
    }

    #[track_caller]
    pub(crate) fn expect_frame(&mut self) -> Frame {
        let head = self.take(2);
        let (first, second) = (head[0], head[1]);
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let length = match second {
            126 => u64::from(u16::from_be_bytes(self.take(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.take(8).try_into().unwrap()),
            short => u64::from(short),
        };
        assert!(length < 1 << 30, "not a frame");
        let payload = self.take(length as usize);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        match first {
            0x81 => Frame::Text(text(payload)),
            0x82 => Frame::Binary(payload),
            0x89 => Frame::Ping(payload),
            0x8a => Frame::Pong(payload),
            0x88 if payload.is_empty() => Frame::Close(None, String::new()),
            0x88 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                Frame::Close(Some(code), text(payload[2..].to_vec()))
            }
            _ => panic!("not a frame: {first:#x} {second:#x}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_text(&mut self, expected: &str) {
        assert_eq!(self.expect_frame(), Frame::Text(expected.to_owned()));
    }

    /// The close frame comes next, with this code. Its reason.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, expected: u16) -> String {
        match self.expect_frame() {
            Frame::Close(code, reason) => {
                assert_eq!(code, Some(expected), "{reason}");
                reason
            }
            other => panic!("{other:?} instead of a close frame"),
        }
    }

    /// The server has said all and ended its side in good order.
    #[track_caller]
    pub(crate) fn expect_eof(&mut self) {
        assert_eq!(self.ahead, b"", "more came");
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Ok(_) => panic!("more came: {:?}", byte[0] as char),
            Err(error) => panic!("not a good end: {error}"),
        }
    }

    /// The server has cut the connection off: with a reset, or with an end.
    #[track_caller]
    pub(crate) fn expect_cut(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("neither an end nor a reset: {error}"),
        }
    }

    /// Everything up to the end.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut all).expect("a good end");
        all
    }

    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            self.read_ahead();
        }
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }

    #[track_caller]
    fn read_ahead(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        std::thread::sleep(self.pause);
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                let start = &self.ahead[..self.ahead.len().min(200)];
                let (count, start) = (self.ahead.len(), String::from_utf8_lossy(start));
                panic!("the server ended after {count} bytes of something: {start:?}");
            }
            Ok(count) => self.ahead.extend_from_slice(&buffer[..count]),
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}
