//! One TLS connection on one TCP socket: what arrives is decrypted, what is written is encrypted, and nothing is kept of
//! either beyond a record that is not complete and what the socket does not take.
//!
//! Input is read into the buffer that all connections of the worker share, behind the room that its plaintext takes, and
//! decrypted there. Nothing that was decrypted stays inside: a socket that was read empty is empty for the loop too.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use mio::net::TcpStream;
use rustls::{
    HandshakeKind, ProtocolVersion,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use serde::{Deserialize, Serialize};

use super::{backlog::Backlog, refusal, x509};
use crate::received::Received;

/// The most plaintext of one record (RFC 8446, 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Input that waits for its rest: a record, or the records of a handshake message that is not complete. A ClientHello or
/// a chain of certificates that is longer is refused.
const PARTIAL_BYTES_MAX: usize = 32 * 1024;
/// Plaintext that is encrypted for one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// What the shared buffer of the worker must hold at least.
const RECEIVE_BYTES_MIN: usize = RECORD_BYTES_MAX + PARTIAL_BYTES_MAX + 8 * 1024;

/// What a handshake has brought out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The version of TLS: `1.2` or `1.3`.
    pub version: Box<str>,
    /// Whether an earlier session was taken up.
    pub resumed: bool,
    /// The subject of the certificate that the client has shown and that a known authority has signed, as RFC 4514 writes
    /// it: `CN=sensor 7,O=Example`.
    pub client: Option<Box<str>>,
}

/// Buffers that all connections of a worker use, one after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Pieces that leave together.
    plain: Vec<u8>,
    /// What they are encrypted into: room, of which the front is used.
    sealed: Vec<u8>,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing has been answered yet: the handshake has cost nothing so far.
    Hello,
    /// Our flight is on its way, and the client's is awaited.
    Handshake,
    /// Messages may go both ways.
    Open,
    /// The peer has said that nothing more follows (close_notify); we may still have something to say.
    Ended,
    /// Nothing more is understood: what comes is thrown away, and only what waits for the socket leaves.
    Deaf,
}

/// What is to be told at the next look, behind the plaintext that came before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    /// Nothing more follows.
    Ended,
    /// The session is given up.
    Failed,
}

impl From<News> for Received {
    fn from(news: News) -> Self {
        match news {
            News::Ended => Self::End,
            News::Failed => Self::Refused,
        }
    }
}

/// See the module.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: UnbufferedServerConnection,
    phase: Phase,
    news: Option<News>,
    /// The client was let in and nobody has asked for the facts yet.
    is_new: bool,
    /// The last read took all that the kernel had.
    drained: bool,
    /// close_notify is among what waits, or has left.
    closing: bool,
    partial: Vec<u8>,
    /// What the socket did not take.
    unsent: Backlog,
    scratch: Rc<RefCell<Scratch>>,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("socket", &self.socket)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl TlsStream {
    pub(super) fn new(
        socket: TcpStream,
        session: UnbufferedServerConnection,
        scratch: Rc<RefCell<Scratch>>,
        unsent: Backlog,
    ) -> Self {
        Self {
            socket,
            session,
            phase: Phase::Hello,
            news: None,
            is_new: false,
            drained: false,
            closing: false,
            partial: Vec::new(),
            unsent,
            scratch,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Whether the client's first words may be waiting, whose answer costs a signature.
    pub(crate) fn awaits_hello(&self) -> bool {
        self.phase == Phase::Hello
    }

    /// Whether nothing of the application can be said or heard yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Hello | Phase::Handshake)
    }

    /// What the handshake has brought out, once.
    pub(crate) fn take_peer_info(&mut self) -> Option<PeerInfo> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let version = match self.session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let resumed = matches!(self.session.handshake_kind(), Some(HandshakeKind::Resumed));
        let certificates = self.session.peer_certificates();
        // A certificate whose subject is empty, or too long to be shown, is one all the same.
        let client = certificates
            .and_then(<[_]>::first)
            .map(|own| x509::subject(own).unwrap_or_default().into_boxed_str());
        Some(PeerInfo { version: version.into(), resumed, client })
    }

    /// Encrypted bytes that wait for the socket.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// Bytes of a record that has not come wholly.
    pub(crate) fn partial_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Bytes on the heap for this connection alone, but for those inside rustls's state, which are not told.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.partial.capacity() + self.unsent.memory_bytes()
    }

    /// Whether nothing is left to be read before the kernel tells of more.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained && self.news.is_none()
    }

    // ----- input -----

    /// Reads once, and puts what it means to the front of the buffer. What the session has to answer is kept for
    /// [`Self::flush`].
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if let Some(news) = self.news.take() {
            return Ok(news.into());
        }
        debug_assert!(buffer.len() >= RECEIVE_BYTES_MIN);
        let held = self.partial.len();
        let start = RECORD_BYTES_MAX;
        let room = buffer.get_mut(start + held..).ok_or(io::ErrorKind::OutOfMemory)?;
        let count = self.socket.read(room)?;
        self.drained = count < room.len();
        if count == 0 {
            return Ok(Received::End);
        }
        match self.phase {
            Phase::Deaf | Phase::Ended => return Ok(Received::Bytes(0)),
            Phase::Hello if held == 0 && refusal::is_http(room) => {
                self.unsent.append(|unsent| unsent.extend_from_slice(&refusal::answer()));
                self.phase = Phase::Deaf;
                return Ok(Received::Refused);
            }
            Phase::Hello | Phase::Handshake | Phase::Open => {}
        }
        buffer[start..start + held].copy_from_slice(&self.partial);
        self.partial = Vec::new();
        let end = start + held + count;
        // What the peer sent may end its connection and never the worker, should it find a hole in what reads it.
        let decrypt = AssertUnwindSafe(|| self.decrypt(buffer, start, end));
        let plain = catch_unwind(decrypt).unwrap_or_else(|_| {
            self.fail();
            0
        });
        match plain {
            0 => Ok(self.news.take().map_or(Received::Bytes(0), Received::from)),
            plain => Ok(Received::Bytes(plain)),
        }
    }

    /// Decrypts what lies between `at` and `end`. How much plaintext is at the front of the buffer now: at most as much as
    /// was consumed, and one record's in advance, so it never reaches what is still encrypted.
    fn decrypt(&mut self, buffer: &mut [u8], mut at: usize, end: usize) -> usize {
        let mut plain = 0;
        loop {
            let (front, incoming) = buffer.split_at_mut(at);
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(&mut incoming[..end - at]);
            let done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut fits = true;
                    while let Some(Ok(record)) = traffic.next_record() {
                        let length = record.payload.len();
                        discard += record.discard;
                        match front.get_mut(plain..plain + length) {
                            Some(place) => place.copy_from_slice(record.payload),
                            None => fits = false,
                        }
                        plain += length;
                    }
                    if !fits {
                        self.fail();
                        return 0;
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.unsent, |room| data.encode(room).map_err(Short::from));
                    if self.phase == Phase::Hello {
                        self.phase = Phase::Handshake;
                    }
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.end();
                    return plain;
                }
                Ok(
                    ConnectionState::BlockedHandshake
                    | ConnectionState::WriteTraffic(_)
                    | ConnectionState::Closed,
                ) => true,
                // Early data is refused in the handshake; and a state that is new to us means nothing good.
                Ok(_) => {
                    self.fail();
                    return plain;
                }
                Err(error) => {
                    log::debug!("a TLS connection is given up: {error}");
                    self.queue_alert(&mut buffer[at + discard..end]);
                    self.fail();
                    return plain;
                }
            };
            at += discard;
            if done {
                break;
            }
        }
        if matches!(self.phase, Phase::Hello | Phase::Handshake) && !self.session.is_handshaking() {
            self.phase = Phase::Open;
            self.is_new = true;
        }
        match end - at {
            0 => {}
            rest if rest > PARTIAL_BYTES_MAX => {
                log::debug!(
                    "a TLS connection is given up: a handshake message of more than 32 KiB"
                );
                self.fail();
            }
            _ => self.partial = buffer[at..end].to_vec(),
        }
        plain
    }

    /// Puts the alert that tells the peer what is wrong to what waits for the socket.
    fn queue_alert(&mut self, rest: &mut [u8]) {
        while let Ok(state) = self.session.process_tls_records(rest).state {
            match state {
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.unsent, |room| data.encode(room).map_err(Short::from));
                }
                _ => return,
            }
        }
    }

    /// What follows the peer's end is nobody's.
    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.news = Some(News::Ended);
    }

    fn fail(&mut self) {
        self.phase = Phase::Deaf;
        self.news = Some(News::Failed);
        self.partial = Vec::new();
    }

    // ----- output -----

    /// Writes what waits. Whether all of it has left.
    pub(crate) fn push(&mut self) -> io::Result<bool> {
        self.unsent.push(&mut self.socket)
    }

    /// Throws away what waits: nobody will read it.
    pub(crate) fn give_up(&mut self) {
        self.unsent.clear();
        self.phase = Phase::Deaf;
    }

    /// Takes plaintext, encrypts it and writes. What the socket does not take at once is kept, and nothing more is taken
    /// before it has left.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.phase == Phase::Deaf {
            // Nobody can read it any more.
            return Ok(bytes.len());
        }
        if !self.push()? || self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        let scratch = self.scratch.clone();
        let room = &mut scratch.borrow_mut().sealed;
        let length = self.seal(bytes, room)?;
        let sealed = &room[..length];
        let mut left = 0;
        while left < sealed.len() {
            match self.socket.write(&sealed[left..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => left += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if left < sealed.len() {
            self.unsent.append(|unsent| unsent.extend_from_slice(&sealed[left..]));
        }
        Ok(bytes.len())
    }

    /// As [`Self::write`], for pieces that are to leave together.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let scratch = self.scratch.clone();
        let mut plain = std::mem::take(&mut scratch.borrow_mut().plain);
        plain.clear();
        for slice in slices {
            let room = WRITE_BYTES_MAX - plain.len();
            plain.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let result = self.write(&plain);
        scratch.borrow_mut().plain = plain;
        result
    }

    /// Says that nothing more follows (close_notify, RFC 8446, 6.1), and ends our side of the socket when that has left.
    /// Whether it is done.
    pub(crate) fn end_writing(&mut self) -> io::Result<bool> {
        let may_say = matches!(self.phase, Phase::Open | Phase::Ended);
        if may_say
            && !std::mem::replace(&mut self.closing, true)
            && let Ok(ConnectionState::WriteTraffic(mut traffic)) =
                self.session.process_tls_records(&mut self.partial).state
        {
            append(&mut self.unsent, |room| traffic.queue_close_notify(room).map_err(Short::from));
        }
        if !self.push()? {
            return Ok(false);
        }
        self.socket.shutdown(Shutdown::Write)?;
        Ok(true)
    }

    /// Encrypts into `room`, behind what the session has to say itself. How much of the room is used.
    fn seal(&mut self, bytes: &[u8], room: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        loop {
            // The session must always see what it has not done with: it may have looked at the front of it.
            let put = match self.session.process_tls_records(&mut self.partial).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let put =
                        fill(room, used, |room| traffic.encrypt(bytes, room).map_err(Short::from));
                    let exhausted = || io::Error::other("the keys of the session are used up");
                    return put.map(|count| used + count).ok_or_else(exhausted);
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    fill(room, used, |room| data.encode(room).map_err(Short::from))
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
                Err(error) => return Err(io::Error::other(error)),
            };
            used += put.unwrap_or_default();
        }
    }
}

/// Why something was not put into the room that was offered.
enum Short {
    /// It needs so many bytes.
    Needs(usize),
    /// No room would do.
    Never,
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::Needs(size.required_size),
            EncodeError::AlreadyEncoded => Self::Never,
        }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Needs(size.required_size),
            EncryptError::EncryptExhausted => Self::Never,
        }
    }
}

/// Lets `put` write into the room from `used` on, which grows when it is too small. How much it wrote.
fn fill(
    room: &mut Vec<u8>,
    used: usize,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Option<usize> {
    for _ in 0..2 {
        match put(room.get_mut(used..)?) {
            Ok(count) => return Some(count),
            Err(Short::Needs(needed)) => room.resize(used + needed, 0),
            Err(Short::Never) => return None,
        }
    }
    None
}

/// Lets `put` write behind what waits.
fn append(unsent: &mut Backlog, put: impl FnMut(&mut [u8]) -> Result<usize, Short>) {
    unsent.append(|bytes| {
        let before = bytes.len();
        let count = fill(bytes, before, put).unwrap_or_default();
        bytes.truncate(before + count);
    });
}
