//! A connection from its opening handshake to its end: lines of the input go out, messages come in.
//!
//! One turn: look at the clock; send what is there, as far as the socket takes it; print what has come, as far as the output
//! takes it; wait. A server that does not read stops the input, an output that is not read stops the server.

use std::{
    io::{self, Read},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, unix::SourceFd};
use signal_hook::{flag, low_level::pipe};
use tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
};
use wsmaster_ipc::sys::signal::number;

use super::{
    input::{self, Input},
    output::Output,
    transport::{Transport, plain},
};
use crate::cli::{ClientOptions, Exit};

/// The largest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the server may take to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The code of a close that is as it should be.
const NORMAL: u16 = 1000;
/// Messages printed before the input is looked at again.
const MESSAGES_PER_TURN_MAX: usize = 256;

/// What the poll watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Socket,
    Input,
    Signal,
}

impl Source {
    const fn token(self) -> Token {
        Token(self as usize)
    }
}

/// See the module.
pub(super) struct Session<'o> {
    socket: WebSocket<Transport>,
    output: &'o Output,
    binary: bool,
    /// Close after so many messages; `None` does not count them.
    messages_left: Option<u64>,
    /// The end of the input closes the connection.
    closes_at_end: bool,
    keepalive: Keepalive,
    poll: Poll,
    lines: Receiver<Input>,
    /// Kept here too: a waker that is dropped takes its last word with it.
    _waker: Arc<Waker>,
    input: InputState,
    interrupted: Arc<AtomicBool>,
    is_interrupted: bool,
    signals: UnixStream,
    /// The socket takes nothing more for now.
    is_full: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InputState {
    Open,
    Ended,
}

/// How far the connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Our close is sent, or on its way.
    Closing {
        deadline: Instant,
    },
    /// The server's close has come too, or first. What is left is the end of the connection, which is the server's to make
    /// (RFC 6455, 7.1.1).
    Closed {
        by_us: bool,
        code: Option<u16>,
        reason: String,
        deadline: Instant,
    },
}

/// Pings and their answers.
#[derive(Debug)]
struct Keepalive {
    every: Option<Duration>,
    next: Option<Instant>,
    /// The ping under way: its number, and when it was sent.
    sent: Option<(u64, Instant)>,
    count: u64,
}

/// Why a conversation is over.
enum Over {
    /// As it should be.
    Well,
    /// Not so.
    Badly(String),
    /// Not so, and it has been told.
    Told,
    /// Nobody reads the output any more.
    Unread,
}

impl<'o> Session<'o> {
    /// Goes on behind the handshake. `rest` is what has come behind it.
    pub(super) fn begin(
        transport: Transport,
        rest: Vec<u8>,
        options: &ClientOptions,
        output: &'o Output,
    ) -> Result<Self, String> {
        let system = |error: io::Error| format!("the client cannot go on: {error}");
        transport.never_wait().map_err(system)?;
        let poll = Poll::new().map_err(system)?;
        let descriptor = transport.as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut SourceFd(&descriptor), Source::Socket.token(), both)
            .map_err(system)?;
        let waker = Arc::new(Waker::new(poll.registry(), Source::Input.token()).map_err(system)?);
        let (signals, interrupted) = watch_signals().map_err(system)?;
        let descriptor = signals.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Source::Signal.token(), Interest::READABLE)
            .map_err(system)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let messages_left = options.messages_max();
        let now = Instant::now();
        Ok(Self {
            socket: WebSocket::from_partially_read(transport, rest, Role::Client, Some(config)),
            output,
            binary: options.binary,
            messages_left,
            closes_at_end: messages_left.is_none() && !options.no_close_on_eof,
            keepalive: Keepalive {
                every: options.ping,
                next: (options.ping.is_some() || options.timing).then_some(now),
                sent: None,
                count: 0,
            },
            poll,
            lines: input::read(waker.clone()),
            _waker: waker,
            input: InputState::Open,
            interrupted,
            is_interrupted: false,
            signals,
            is_full: false,
            phase: Phase::Open,
        })
    }

    /// Talks until one side has closed.
    pub(super) fn run(mut self) -> Result<Exit, String> {
        let mut events = Events::with_capacity(16);
        loop {
            let over = match self.turn() {
                Ok(more) => {
                    let wait = if more { Some(Duration::ZERO) } else { self.patience() };
                    match self.poll.poll(&mut events, wait) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(format!("the client cannot go on: {error}")),
                    }
                    let socket = Source::Socket.token();
                    self.is_full &=
                        !events.iter().any(|event| event.token() == socket && event.is_writable());
                    continue;
                }
                Err(over) => over,
            };
            return match over {
                Over::Well => Ok(Exit::Done),
                Over::Told => Ok(Exit::Failed),
                Over::Badly(problem) => Err(problem),
                // `wsmaster client ... | head` has read enough.
                Over::Unread => {
                    let _ = self.close();
                    Ok(Exit::Done)
                }
            };
        }
    }

    /// Does what can be done now. Whether there is more.
    fn turn(&mut self) -> Result<bool, Over> {
        if self.interrupted.swap(false, Ordering::AcqRel) {
            let mut drain = [0; 64];
            while self.signals.read(&mut drain).is_ok_and(|count| count > 0) {}
            self.is_interrupted = true;
            self.close()?;
        }
        // A first ping leaves before a short input has closed the connection.
        self.look_at_the_clock(Instant::now())?;
        let more_lines = self.send_lines()?;
        let more_messages = self.receive()?;
        Ok(more_lines || more_messages)
    }

    /// When the next moment is due.
    fn patience(&self) -> Option<Duration> {
        let deadline = match self.phase {
            Phase::Open => self.keepalive.next,
            Phase::Closing { deadline } | Phase::Closed { deadline, .. } => Some(deadline),
        };
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    // ----- out -----

    fn send_lines(&mut self) -> Result<bool, Over> {
        self.flush()?;
        for _ in 0..MESSAGES_PER_TURN_MAX {
            if self.is_full || self.input == InputState::Ended || self.phase != Phase::Open {
                return Ok(false);
            }
            match self.lines.try_recv() {
                Ok(Input::Line(line)) => self.send_line(line)?,
                Ok(Input::End) | Err(TryRecvError::Disconnected) => {
                    self.input = InputState::Ended;
                    if self.closes_at_end {
                        self.close()?;
                    }
                }
                Ok(Input::Broken(problem)) => return Err(Over::Badly(problem)),
                Err(TryRecvError::Empty) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn send_line(&mut self, mut line: Vec<u8>) -> Result<(), Over> {
        let message = if self.binary {
            Message::binary(line)
        } else {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            match String::from_utf8(line) {
                Ok(text) => Message::text(text),
                Err(_) => {
                    let problem = "a line of the input is not UTF-8; --binary sends it as it is";
                    return Err(Over::Badly(problem.to_owned()));
                }
            }
        };
        self.write(message)
    }

    fn write(&mut self, message: Message) -> Result<(), Over> {
        let written = self.socket.write(message);
        self.check(written)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Over> {
        let flushed = self.socket.flush();
        self.check(flushed)
    }

    fn check(&mut self, sent: Result<(), Error>) -> Result<(), Over> {
        match sent {
            Ok(()) => Ok(()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_full = true;
                Ok(())
            }
            // The close handshake is over, or the connection: reading tells which.
            Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => Ok(()),
            Err(Error::Io(_)) => Ok(()),
            Err(error) => Err(Over::Badly(error.to_string())),
        }
    }

    /// Begins our close, if nobody has begun one.
    fn close(&mut self) -> Result<(), Over> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        self.phase = Phase::Closing { deadline: Instant::now() + CLOSE_PATIENCE };
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let closed = self.socket.close(Some(frame));
        self.check(closed)
    }

    // ----- in -----

    fn receive(&mut self) -> Result<bool, Over> {
        for _ in 0..MESSAGES_PER_TURN_MAX {
            match self.socket.read() {
                Ok(Message::Close(frame)) => self.note_close(frame),
                Ok(Message::Pong(payload)) => self.note_pong(&payload)?,
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => self.take(&message)?,
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(false);
                }
                Err(error) => return Err(self.ended(&error)),
            }
        }
        Ok(true)
    }

    fn take(&mut self, message: &Message) -> Result<(), Over> {
        if self.messages_left == Some(0) {
            return Ok(());
        }
        self.output.message(message).map_err(unread)?;
        if let Some(left) = &mut self.messages_left {
            *left -= 1;
            if *left == 0 {
                self.close()?;
            }
        }
        Ok(())
    }

    fn note_close(&mut self, frame: Option<CloseFrame>) {
        let (code, reason) = match frame {
            Some(frame) => (Some(frame.code.into()), frame.reason.to_string()),
            None => (None, String::new()),
        };
        let by_us = match self.phase {
            Phase::Open => false,
            // An answer repeats our code, or has none (RFC 6455, 5.5.1). Another one was on its way before ours came: the
            // server may not have taken what we have sent.
            Phase::Closing { .. } => matches!(code, None | Some(NORMAL)),
            Phase::Closed { .. } => return,
        };
        let deadline = Instant::now() + CLOSE_PATIENCE;
        self.phase = Phase::Closed { by_us, code, reason, deadline };
    }

    fn note_pong(&mut self, payload: &[u8]) -> Result<(), Over> {
        let Some((number, sent)) = self.keepalive.sent else { return Ok(()) };
        if payload != number.to_string().as_bytes() {
            return Ok(());
        }
        self.keepalive.sent = None;
        self.output.pong(sent.elapsed()).map_err(unread)
    }

    // ----- the clock, and the end -----

    fn look_at_the_clock(&mut self, now: Instant) -> Result<(), Over> {
        match self.phase {
            Phase::Open if self.keepalive.next.is_some_and(|next| next <= now) => self.ping(now),
            Phase::Open => Ok(()),
            Phase::Closing { deadline } if deadline <= now => Err(Over::Badly(format!(
                "the server has not answered the close within {} s",
                CLOSE_PATIENCE.as_secs()
            ))),
            Phase::Closed { deadline, .. } if deadline <= now => Err(self.finish()),
            Phase::Closing { .. } | Phase::Closed { .. } => Ok(()),
        }
    }

    fn ping(&mut self, now: Instant) -> Result<(), Over> {
        if let (Some(every), Some(_)) = (self.keepalive.every, self.keepalive.sent) {
            let seconds = every.as_secs_f64();
            return Err(Over::Badly(format!("a ping was not answered within {seconds} s")));
        }
        self.keepalive.count += 1;
        self.keepalive.sent = Some((self.keepalive.count, now));
        self.keepalive.next = self.keepalive.every.map(|every| now + every);
        self.write(Message::Ping(self.keepalive.count.to_string().into_bytes().into()))
    }

    /// What it means that nothing can be read any more.
    fn ended(&self, error: &Error) -> Over {
        match (&self.phase, error) {
            (Phase::Closed { .. }, _) => self.finish(),
            (_, Error::Capacity(_)) => {
                Over::Badly(format!("a message of more than {MESSAGE_BYTES_MAX} bytes came"))
            }
            (_, Error::Utf8(_)) => Over::Badly("the server sent text that is no UTF-8".to_owned()),
            (_, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
            | (_, Error::ConnectionClosed | Error::AlreadyClosed) => {
                Over::Badly("the server ended the connection without a close frame".to_owned())
            }
            (_, Error::Protocol(problem)) => {
                Over::Badly(format!("the server broke the protocol: {problem}"))
            }
            (_, Error::Io(error)) => Over::Badly(plain(error)),
            (_, error) => Over::Badly(error.to_string()),
        }
    }

    /// Both sides have said that they close.
    fn finish(&self) -> Over {
        let Phase::Closed { by_us, code, reason, .. } = &self.phase else { return Over::Well };
        let is_normal = *by_us || matches!(code, None | Some(NORMAL));
        if self.output.closed(*by_us, *code, reason, !is_normal).is_err() {
            return Over::Unread;
        }
        match self.messages_left {
            Some(left @ 1..) if !self.is_interrupted => {
                Over::Badly(format!("closed while {left} more messages were awaited"))
            }
            Some(_) | None if is_normal => Over::Well,
            Some(_) | None => Over::Told,
        }
    }
}

/// SIGINT closes the connection; a second one ends the program.
fn watch_signals() -> io::Result<(UnixStream, Arc<AtomicBool>)> {
    let (wake, waker) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    waker.set_nonblocking(true)?;
    let (raised, again) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    // In this order: the first one finds `again` unset.
    flag::register_conditional_default(number::INT, again.clone())?;
    flag::register(number::INT, again)?;
    flag::register(number::INT, raised.clone())?;
    pipe::register(number::INT, waker)?;
    Ok((wake, raised))
}

fn unread(error: io::Error) -> Over {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Over::Unread,
        _ => Over::Badly(format!("the output cannot be written: {error}")),
    }
}
