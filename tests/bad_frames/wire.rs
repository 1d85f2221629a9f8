//! Frames as bytes, and a client that sends any bytes at all and reads what comes to its end.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The bit of a frame that begins a compressed message.
pub(crate) const RSV1: u8 = 0x40;

/// A mask that leaves no byte as it is.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// How the length of a frame is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Length {
    /// In 7 bits.
    Short(u8),
    /// In 16 bits.
    Medium(u16),
    /// In 64 bits.
    Long(u64),
}

impl Length {
    /// The shortest form, which is the only one allowed (RFC 6455, 5.2).
    pub(crate) fn of(length: usize) -> Self {
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..126), _) => Self::Short(length),
            (_, Ok(length)) => Self::Medium(length),
            (_, Err(_)) => Self::Long(length as u64),
        }
    }
}

/// The header of a masked frame, which may promise anything. `first`: opcode, FIN and reserved bits.
pub(crate) fn header(first: u8, length: Length) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        Length::Short(length) => bytes.push(0x80 | length),
        Length::Medium(length) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        Length::Long(length) => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&KEY);
    bytes
}

/// Bytes as they stand at the front of a masked payload.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// A masked frame with its length in this form.
pub(crate) fn frame_with(first: u8, length: Length, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, length);
    bytes.extend_from_slice(&masked(payload));
    bytes
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, Length::of(payload.len()), payload)
}

/// A client's close frame.
pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// A frame that the server has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Opcode, FIN and reserved bits.
    pub(crate) first: u8,
    /// The payload.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(first: u8, payload: &[u8]) -> Self {
        Self { first, payload: payload.to_vec() }
    }

    /// The code of a close frame; 1005 when it has none (RFC 6455, 7.1.5). `None` for another frame.
    pub(crate) fn close_code(&self) -> Option<u16> {
        if self.first != FIN | CLOSE {
            return None;
        }
        let code = self.payload.first_chunk::<2>();
        Some(code.map_or(1005, |code| u16::from_be_bytes(*code)))
    }
}

/// Takes the frames at the front of the bytes of a server. What is left is not a whole frame. `compression`: messages may
/// be compressed.
///
/// # Errors
/// A frame that no server may send.
pub(crate) fn take_frames(bytes: &mut Vec<u8>, compression: bool) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some([first, second, rest @ ..]) = bytes.get(at..) {
        if second & 0x80 != 0 {
            return Err("a masked frame".to_owned());
        }
        let (header, length) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, rest) => match rest.first_chunk::<8>() {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => break,
            },
            (126, _) => break,
            (length, _) => (2, u64::from(length)),
        };
        let length = usize::try_from(length).map_err(|_| "a huge frame".to_owned())?;
        let Some(payload) = bytes.get(at + header..at + header + length) else { break };
        let frame = Frame::new(*first, payload);
        let is_control = first & CLOSE != 0;
        let may_be_set = if compression && !is_control { RSV1 } else { 0 };
        if first & 0x70 & !may_be_set != 0
            || is_control && (first & FIN == 0 || payload.len() > 125)
        {
            return Err(format!("a frame against the rules: {frame:?}"));
        }
        if payload.len() < 126 && header != 2 || payload.len() <= 0xffff && header == 10 {
            return Err("a length that is not in its shortest form".to_owned());
        }
        frames.push(frame);
        at += header + length;
    }
    bytes.drain(..at);
    Ok(frames)
}

/// How the server's side of a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// With an end of its stream, after all that it had sent.
    Orderly,
    /// With a reset or another error, which may have swallowed what it had sent.
    Broken(ErrorKind),
}

/// A client that has upgraded and follows no further rule.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The head of the answer to its request.
    pub(crate) head: String,
    /// What was received, in order.
    pub(crate) frames: Vec<Frame>,
    end: Option<End>,
}

impl Wire {
    /// Connects and upgrades.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr) -> Self {
        Self::open_with(addr, &[])
    }

    /// As [`Self::open`], with bytes that follow the request in the same write.
    #[track_caller]
    pub(crate) fn open_with(addr: SocketAddr, behind: &[u8]) -> Self {
        Self::upgrade(addr, "", behind)
    }

    /// As [`Self::open`], with an offer of extensions.
    #[track_caller]
    pub(crate) fn offer(addr: SocketAddr, extensions: &str) -> Self {
        Self::upgrade(addr, &format!("Sec-WebSocket-Extensions: {extensions}\r\n"), b"")
    }

    #[track_caller]
    fn upgrade(addr: SocketAddr, headers: &str, behind: &[u8]) -> Self {
        let stream = TcpStream::connect(addr).expect("the server accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut wire =
            Self { stream, unread: Vec::new(), head: String::new(), frames: Vec::new(), end: None };
        let request = format!("{HANDSHAKE}{headers}\r\n");
        wire.send(&[request.as_bytes(), behind].concat());
        let deadline = Instant::now() + crate::support::PATIENCE;
        let head_len = loop {
            if let Some(at) = wire.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(wire.end.is_none() && Instant::now() < deadline, "no answer: {wire:?}");
            wire.read_once(Duration::from_millis(100));
        };
        let head: Vec<u8> = wire.unread.drain(..head_len).collect();
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        wire.head = String::from_utf8(head).expect("the head is text");
        wire.take();
        wire
    }

    /// What the server has agreed to, the value of its header.
    pub(crate) fn agreed(&self) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "))
    }

    /// Sends bytes. Whether the connection took them all; that it did not is no failure yet: the server's words are still
    /// to be read.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.set_write_timeout(Some(crate::support::PATIENCE)).expect("not zero");
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends as much of the bytes as the sockets take at once, and how much that was.
    pub(crate) fn send_some(&mut self, bytes: &[u8], within: Duration) -> usize {
        self.stream.set_write_timeout(Some(within)).expect("not zero");
        self.stream.write(bytes).unwrap_or(0)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads for this long, or until the end.
    #[track_caller]
    pub(crate) fn read_for(&mut self, time: Duration) {
        self.read_until(time, |_| false);
    }

    /// Reads until the end of the server's side. `None` when it does not come.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self, within: Duration) -> Option<End> {
        self.read_until(within, |_| false);
        self.end
    }

    /// Reads until it is as wanted, or the end has come. Whether it is as wanted.
    #[track_caller]
    pub(crate) fn read_until(
        &mut self,
        within: Duration,
        wanted: impl Fn(&[Frame]) -> bool,
    ) -> bool {
        let deadline = Instant::now() + within;
        while self.end.is_none() && !wanted(&self.frames) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.read_once(left);
            self.take();
        }
        wanted(&self.frames)
    }

    /// The bytes that are not a whole frame.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    #[track_caller]
    fn take(&mut self) {
        let compression = self.agreed().is_some();
        match take_frames(&mut self.unread, compression) {
            Ok(frames) => self.frames.extend(frames),
            Err(problem) => panic!("{problem}, after {:?}", self.frames),
        }
    }

    fn read_once(&mut self, within: Duration) {
        let within = within.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(within)).expect("not zero");
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.end = Some(End::Orderly),
            Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                kind => self.end = Some(End::Broken(kind)),
            },
        }
    }
}
