//! One open WebSocket connection, seen from the server (RFC 6455), as a machine without a socket.
//!
//! Owns the order of frames, the messages in pieces, the limits, the text check and the close handshake. Bytes come in as
//! a slice that belongs to the caller, bytes for the peer are appended to the caller's buffer. It never holds an input
//! that is complete: a message that lies whole in the slice is handed out where it lies.
//!
//! ```text
//! Open ───── close() ────▶ CloseSent ── the peer's close frame, or its fault ──▶ Closed
//!   └──── the peer's close frame (answered), or its fault (told) ──────────────────▲
//! ```

mod assembly;
mod event;
mod extension;
mod limits;

use std::{borrow::Cow, ops::Range};

use serde::{Deserialize, Serialize};

use self::{
    assembly::{Assembly, Complete, OpenFrame, PartialMessage, Reading, Target},
    extension::Contexts,
};
pub use self::{
    event::{Event, Step},
    extension::Extension,
    limits::SessionLimits,
};
pub use crate::error::SessionError;
use crate::{
    close::{CloseCode, is_sendable, parse_close},
    deflate::{Agreement, Inflated, Inflater},
    frame::{
        CONTROL_BYTES_MAX, ClientHeader, ControlKind, Expected, FrameKind, MessageKind,
        SHORT_HEADER_BYTES, encode_close, encode_pong, short_message,
    },
    mask::{rotate, unmask},
};

/// How far the connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Messages go both ways.
    Open,
    /// We have sent a close frame and wait for the peer's; whatever else it sends is thrown away.
    CloseSent,
    /// Nothing is read or written any more; what is left is to close the socket.
    Closed,
}

/// One WebSocket connection, after the handshake.
///
/// It can be serialised at any moment, in the middle of a frame too, and goes on in another process where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    phase: Phase,
    extension: Extension,
    /// What has come of a header, frame or message that is not complete.
    assembly: Option<Box<Assembly>>,
    /// What messages may refer to; only with context takeover, and not before the first compressed message.
    contexts: Option<Box<Contexts>>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session that has just been upgraded, without extensions.
    pub fn new() -> Self {
        Self::with(Extension::None)
    }

    /// A session that has just been upgraded, with what the handshake has agreed on.
    pub fn with(extension: Extension) -> Self {
        Self { phase: Phase::Open, extension, assembly: None, contexts: None }
    }

    /// Takes bytes from the front of `input` and stops after the first event; call it again with the rest.
    ///
    /// The input is unmasked in place, and the event may borrow from it or from the inflater, which is used if a compressed
    /// message is complete, and can be the same for all sessions. Answers to the peer (pongs, close frames) are
    /// appended to `out`. Bytes that make no event yet are copied into the session, so that the caller's buffer is free
    /// after the call.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &SessionLimits,
        inflater: &'a mut Inflater,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        if self.assembly.is_none()
            && self.phase == Phase::Open
            && let Some((kind, key, payload_len)) = short_message(input)
            && limits.check_message(payload_len as u64, 0).is_ok()
        {
            let payload = SHORT_HEADER_BYTES..SHORT_HEADER_BYTES + payload_len;
            return self.whole_message(kind, key, payload, input, out);
        }
        self.receive_any(input, limits, inflater, out)
    }

    /// Starts the close handshake; `false` when a close frame had been sent before, which must stay the only one.
    ///
    /// A `code` that may not stand in a frame (1005, 1006, 1015, unassigned ones) sends a close frame without a code.
    /// The reason is cut to [`CLOSE_REASON_BYTES_MAX`](crate::frame::CLOSE_REASON_BYTES_MAX). What had come of an
    /// incomplete message is thrown away.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) -> bool {
        match self.phase {
            Phase::Open => {
                encode_close(Some(code).filter(|code| is_sendable(*code)), reason, out);
                self.phase = Phase::CloseSent;
                self.contexts = None;
                if let Some(assembly) = &mut self.assembly {
                    assembly.discard_data();
                }
                self.drop_empty_assembly();
                true
            }
            Phase::CloseSent | Phase::Closed => false,
        }
    }

    /// How far the connection is in its life.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether messages and pings may still be sent.
    #[inline]
    pub fn can_send(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the peer is in the middle of a frame or message.
    #[inline]
    pub fn is_receiving(&self) -> bool {
        self.assembly.is_some()
    }

    /// What was negotiated.
    #[inline]
    pub fn extension(&self) -> Extension {
        self.extension
    }

    /// The plain bytes that the next compressed message to the peer may refer to, the oldest first. None without context
    /// takeover, or before the first.
    pub fn sent_context(&self) -> &[u8] {
        self.contexts.as_deref().map_or(&[], |contexts| contexts.sent.bytes())
    }

    /// A compressed message has been put behind everything else that the peer will get. Of messages that were sent as they
    /// are the session need not know.
    pub fn sent_compressed(&mut self, plain: &[u8]) {
        if let Some(Agreement { server_takeover: true, server_window, .. }) = self.agreement() {
            self.contexts.get_or_insert_default().sent.slide(plain, server_window);
        }
    }

    /// The bytes on the heap of what is [being received](Self::is_receiving).
    #[inline]
    pub fn unfinished_bytes(&self) -> usize {
        self.assembly.as_deref().map_or(0, Assembly::pinned_bytes)
    }

    /// The bytes on the heap: of what is [being received](Self::is_receiving), and of contexts.
    pub fn pinned_bytes(&self) -> usize {
        let contexts = self.contexts.as_deref().map_or(0, Contexts::memory_bytes);
        self.unfinished_bytes() + contexts
    }

    fn agreement(&self) -> Option<Agreement> {
        match self.extension {
            Extension::Deflate(agreement) => Some(agreement),
            Extension::None => None,
        }
    }

    /// The way of everything else: pieces, control frames, faults, and what comes after a close frame.
    #[inline(never)]
    fn receive_any<'a>(
        &mut self,
        input: &'a mut [u8],
        limits: &SessionLimits,
        inflater: &'a mut Inflater,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        let input_len = input.len();
        let mut at = 0;
        loop {
            if self.phase == Phase::Closed {
                return Step::nothing_more(input_len);
            }
            if !self.is_in_payload() {
                let header = match self.take_header(&input[at..], limits) {
                    Ok(Some((header, taken))) => {
                        at += taken;
                        header
                    }
                    Ok(None) => return Step::nothing_more(input_len),
                    Err(error) => return self.fail(error, input_len, out),
                };
                match (header.end_within(at, input_len), header.kind) {
                    (Some(end), FrameKind::Control(kind)) if self.listens_to(kind) => {
                        let payload = &mut input[at..end];
                        unmask(payload, header.key, 0);
                        self.drop_empty_assembly();
                        return self.control(kind, Cow::Borrowed(payload), end, input_len, out);
                    }
                    (Some(end), FrameKind::Message(kind)) if header.is_final && self.can_send() => {
                        self.drop_empty_assembly();
                        if header.is_compressed {
                            let payload = &mut input[at..end];
                            unmask(payload, header.key, 0);
                            let result = self.inflate(kind, payload, limits, inflater);
                            return self.told(result, end, input_len, out);
                        }
                        return self.whole_message(kind, header.key, at..end, input, out);
                    }
                    (
                        _,
                        FrameKind::Control(_) | FrameKind::Message(_) | FrameKind::Continuation,
                    ) => self.begin_frame(&header),
                }
            }
            match self.take_payload(&mut input[at..], limits) {
                Ok((taken, Taken::Unfinished)) => {
                    debug_assert_eq!(at + taken, input_len, "stopped in mid-frame before the end");
                    return Step::nothing_more(input_len);
                }
                Ok((taken, Taken::Nothing)) => at += taken,
                Ok((taken, Taken::Message(event))) => {
                    return Step { consumed: at + taken, event: Some(event) };
                }
                Ok((taken, Taken::Compressed(kind, payload))) => {
                    let result = self.inflate(kind, &payload, limits, inflater);
                    return self.told(result, at + taken, input_len, out);
                }
                Ok((taken, Taken::Control(kind, payload))) => {
                    let consumed = at + taken;
                    return self.control(kind, Cow::Owned(payload), consumed, input_len, out);
                }
                Err(error) => return self.fail(error, input_len, out),
            }
        }
    }

    /// Hands out a message where it lies in the input.
    #[inline]
    fn whole_message<'a>(
        &mut self,
        kind: MessageKind,
        key: [u8; 4],
        payload: Range<usize>,
        input: &'a mut [u8],
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        let (input_len, consumed) = (input.len(), payload.end);
        let payload = &mut input[payload];
        unmask(payload, key, 0);
        let event = match kind {
            MessageKind::Binary => Event::Binary(Cow::Borrowed(payload)),
            MessageKind::Text => match str::from_utf8(payload) {
                Ok(text) => Event::Text(Cow::Borrowed(text)),
                Err(_) => return self.fail(SessionError::InvalidText, input_len, out),
            },
        };
        Step { consumed, event: Some(event) }
    }

    /// Decompresses a message that is complete and unmasked.
    fn inflate<'a>(
        &mut self,
        kind: MessageKind,
        compressed: &[u8],
        limits: &SessionLimits,
        inflater: &'a mut Inflater,
    ) -> Result<Event<'a>, SessionError> {
        let window = self.contexts.as_deref().map_or(&[][..], |contexts| contexts.received.bytes());
        let message = inflater
            .inflate(kind, compressed, window, limits.message_bytes_max)
            .map_err(|error| self.suspect(error))?;
        if let Some(Agreement { client_takeover: true, client_window, .. }) = self.agreement() {
            let contexts = self.contexts.get_or_insert_default();
            contexts.received.slide(message.bytes(), client_window);
        }
        Ok(match message {
            Inflated::Text(text) => Event::Text(Cow::Borrowed(text)),
            Inflated::Binary(bytes) => Event::Binary(Cow::Borrowed(bytes)),
        })
    }

    /// What a client that refers too far back is suspected of.
    fn suspect(&self, error: SessionError) -> SessionError {
        match self.agreement() {
            Some(Agreement { client_takeover: false, .. })
                if error == SessionError::BeyondWindow =>
            {
                SessionError::ForgottenContext
            }
            Some(_) | None => error,
        }
    }

    fn told<'a>(
        &mut self,
        result: Result<Event<'a>, SessionError>,
        consumed: usize,
        input_len: usize,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        match result {
            Ok(event) => Step { consumed, event: Some(event) },
            Err(error) => self.fail(error, input_len, out),
        }
    }

    /// Acts on a control frame that is complete and unmasked. Only called for those the session [listens to](Self::listens_to).
    fn control<'a>(
        &mut self,
        kind: ControlKind,
        payload: Cow<'a, [u8]>,
        consumed: usize,
        input_len: usize,
        out: &mut Vec<u8>,
    ) -> Step<'a> {
        match kind {
            ControlKind::Ping => {
                encode_pong(&payload, out);
                Step { consumed, event: Some(Event::Ping(payload)) }
            }
            ControlKind::Pong => Step { consumed, event: Some(Event::Pong(payload)) },
            ControlKind::Close => match parse_close(&payload) {
                Ok(said) => {
                    let (code, reason) = said.unzip();
                    if self.phase == Phase::Open {
                        encode_close(code, "", out);
                    }
                    self.end();
                    let reason = reason.unwrap_or_default().to_owned();
                    // What follows a close frame means nothing (section 5.5.1), so it counts as consumed.
                    Step { consumed: input_len, event: Some(Event::Close { code, reason }) }
                }
                // The answer to our close frame ends the connection whatever it says. Some libraries answer each close with
                // a code that may not stand in a frame (1005), which is of no consequence to anybody.
                Err(_) if self.phase == Phase::CloseSent => {
                    self.end();
                    let event = Event::Close { code: None, reason: String::new() };
                    Step { consumed: input_len, event: Some(event) }
                }
                Err(error) => self.fail(error, input_len, out),
            },
        }
    }

    /// Ends the session for a fault of the peer's.
    #[cold]
    fn fail<'a>(&mut self, error: SessionError, input_len: usize, out: &mut Vec<u8>) -> Step<'a> {
        if self.phase == Phase::Open {
            encode_close(Some(error.close_code()), &error.to_string(), out);
        }
        self.end();
        Step { consumed: input_len, event: Some(Event::Failed(error)) }
    }

    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.assembly = None;
        self.contexts = None;
    }

    /// Takes a header and checks it against the limits; `None` when its rest has not arrived. With it goes how many bytes
    /// of `input` it took, which is less than its length when some came before.
    fn take_header(
        &mut self,
        input: &[u8],
        limits: &SessionLimits,
    ) -> Result<Option<(ClientHeader, usize)>, SessionError> {
        let message = self.assembly.as_ref().and_then(|assembly| assembly.message.as_ref());
        let expected = match (self.phase, message) {
            (Phase::Open, None) => Expected::Message,
            (Phase::Open, Some(_)) => Expected::Continuation,
            (Phase::CloseSent | Phase::Closed, _) => Expected::Any,
        };
        let mut bytes = self.assembly.as_ref().map(|a| a.header_bytes()).unwrap_or_default();
        let held = bytes.as_slice().len();
        // A header whole in the input is read where it lies, one that began in an earlier read from the copy.
        let joined = if held == 0 {
            input
        } else {
            bytes.fill_from(input);
            bytes.as_slice()
        };
        let Some(header) = ClientHeader::parse(joined, &self.extension, expected)? else {
            if held == 0 {
                bytes.fill_from(input);
            }
            if !bytes.as_slice().is_empty() {
                self.assembly.get_or_insert_default().reading = Reading::Header(bytes);
            }
            return Ok(None);
        };
        if self.phase == Phase::Open {
            limits.check(&header, message)?;
        }
        if let Some(assembly) = &mut self.assembly {
            assembly.reading = Reading::default();
        }
        Ok(Some((header, header.header_len.saturating_sub(held))))
    }

    /// Prepares for a payload that does not go out as it lies.
    fn begin_frame(&mut self, header: &ClientHeader) {
        let target = match header.kind {
            FrameKind::Control(kind) if self.listens_to(kind) => {
                Target::Control { kind, payload: Vec::new() }
            }
            FrameKind::Message(_) | FrameKind::Continuation if self.phase == Phase::Open => {
                Target::Message { is_final: header.is_final }
            }
            FrameKind::Control(_) | FrameKind::Message(_) | FrameKind::Continuation => {
                Target::Nowhere
            }
        };
        let assembly = self.assembly.get_or_insert_default();
        if matches!(target, Target::Message { .. }) {
            match header.kind {
                FrameKind::Message(kind) => {
                    assembly.message = Some(PartialMessage::new(kind, header.is_compressed));
                }
                FrameKind::Continuation | FrameKind::Control(_) => {}
            }
            if let Some(message) = &mut assembly.message {
                message.fragments += 1;
            }
        }
        assembly.reading = Reading::Payload(OpenFrame {
            target,
            key: header.key,
            missing_bytes: header.payload_len,
        });
    }

    /// Takes what has arrived of the open frame's payload.
    fn take_payload(
        &mut self,
        input: &mut [u8],
        limits: &SessionLimits,
    ) -> Result<(usize, Taken), SessionError> {
        let Some(assembly) = &mut self.assembly else { return Ok((0, Taken::Nothing)) };
        let Assembly { reading: Reading::Payload(frame), message } = assembly.as_mut() else {
            return Ok((0, Taken::Nothing));
        };
        let taken = usize::try_from(frame.missing_bytes).unwrap_or(usize::MAX).min(input.len());
        frame.missing_bytes -= taken as u64;
        let chunk = &mut input[..taken];
        match &mut frame.target {
            Target::Nowhere => {}
            Target::Control { kind: _, payload } => {
                // Its header said so, but a resumed session has only our predecessor's word for it.
                if payload.len() + chunk.len() > CONTROL_BYTES_MAX {
                    return Err(SessionError::LongControl);
                }
                unmask(chunk, frame.key, 0);
                payload.extend_from_slice(chunk);
            }
            Target::Message { is_final } => {
                unmask(chunk, frame.key, 0);
                if let Some(message) = message {
                    limits.check_arrived(message, chunk.len())?;
                    message.append(chunk, is_final.then_some(frame.missing_bytes))?;
                }
            }
        }
        frame.key = rotate(frame.key, taken);
        if frame.missing_bytes > 0 {
            return Ok((taken, Taken::Unfinished));
        }
        let done = match std::mem::take(&mut assembly.reading) {
            Reading::Payload(OpenFrame { target: Target::Control { kind, payload }, .. }) => {
                Taken::Control(kind, payload)
            }
            Reading::Payload(OpenFrame { target: Target::Message { is_final: true }, .. }) => {
                match assembly.message.take() {
                    Some(message) => match message.finish()? {
                        Complete::Plain(event) => Taken::Message(event),
                        Complete::Compressed(kind, bytes) => Taken::Compressed(kind, bytes),
                    },
                    None => Taken::Nothing,
                }
            }
            Reading::Payload(_) | Reading::Header(_) => Taken::Nothing,
        };
        self.drop_empty_assembly();
        Ok((taken, done))
    }

    fn is_in_payload(&self) -> bool {
        matches!(
            self.assembly.as_deref(),
            Some(Assembly { reading: Reading::Payload(_), message: _ })
        )
    }

    /// Once our close frame is sent, only the peer's is of interest.
    fn listens_to(&self, kind: ControlKind) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::CloseSent => kind == ControlKind::Close,
            Phase::Closed => false,
        }
    }

    /// An idle session holds nothing on the heap.
    fn drop_empty_assembly(&mut self) {
        if self.assembly.as_deref().is_some_and(Assembly::is_empty) {
            self.assembly = None;
        }
    }
}

/// What [`Session::take_payload`] found at the end of the bytes it took.
enum Taken {
    /// More of the frame is to come.
    Unfinished,
    /// The end of a frame that makes no event.
    Nothing,
    /// The end of a message.
    Message(Event<'static>),
    /// The end of a compressed message.
    Compressed(MessageKind, Vec<u8>),
    /// The end of a control frame.
    Control(ControlKind, Vec<u8>),
}
