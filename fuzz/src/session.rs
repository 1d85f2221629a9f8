//! A life of a session in steps: frames from the peer, good and bad, and our own end in between. It says at most one
//! close frame and nothing behind it, and messages come out as they were put in.

use wsmaster_protocol::{
    close::CloseCode,
    deflate::Inflater,
    session::{Event, Phase, Session},
};

use crate::frames::{LIMITS, check_frames};

/// See the module. Each step is one byte that says what happens and one that says how much of it.
pub fn run(data: &[u8]) {
    let (mut session, mut inflater) = (Session::new(), Inflater::new());
    let mut said = Vec::new();
    let mut model = Model::default();
    let mut steps = data.chunks_exact(2);
    for step in &mut steps {
        if session.phase() == Phase::Closed {
            break;
        }
        let [what, much] = [step[0], step[1]];
        if what & 0x70 == 0x70 {
            let first = session.phase() == Phase::Open;
            let code = CloseCode::from(u16::from(what) << 8 | u16::from(much));
            assert_eq!(session.close(code, "the end € of it", &mut said), first);
            model.closing = true;
            continue;
        }
        let (mut bytes, expected) = model.frame(what, much);
        let mut rest = bytes.as_mut_slice();
        let mut heard = Vec::new();
        while !rest.is_empty() && session.phase() != Phase::Closed {
            let step = session.receive(rest, &LIMITS, &mut inflater, &mut said);
            heard.extend(step.event.as_ref().map(Heard::from));
            let consumed = step.consumed;
            rest = &mut rest[consumed..];
        }
        assert_eq!(heard, expected.into_iter().collect::<Vec<_>>());
    }
    check_frames(&said);
}

/// An event, without its words for people.
#[derive(Debug, PartialEq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
    Failed(u16),
}

impl From<&Event<'_>> for Heard {
    fn from(event: &Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_string()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close { .. } => Self::Close,
            Event::Failed(error) => Self::Failed(error.close_code().into()),
        }
    }
}

/// What a server must make of frames, written down as the RFC says it and nothing else.
#[derive(Default)]
struct Model {
    /// The message that has begun: whether it is text, its bytes, its frames.
    open: Option<(bool, Vec<u8>, usize)>,
    closing: bool,
}

impl Model {
    /// The bytes of the next frame and what the session must tell.
    ///
    /// `what`: 0x80 FIN, 0x40 one reserved bit, 0x20 no mask, 0x10 a byte that is not UTF-8; its low half is the opcode.
    fn frame(&mut self, what: u8, much: u8) -> (Vec<u8>, Option<Heard>) {
        let (fin, reserved, unmasked, foul) =
            (what & 0x80 != 0, what & 0x40 != 0, what & 0x20 != 0, what & 0x10 != 0);
        let opcode = what & 0x0f;
        let length = usize::from(much) * if opcode < 3 { 2 } else { 1 };
        let mut payload = vec![if foul { 0xff } else { b'a' }; length];
        if opcode == 8 && length >= 2 {
            payload[..2].copy_from_slice(&[0x03, 0xe8]);
        }
        let mut bytes = vec![what & 0x80 | what & 0x40 | opcode];
        let mask = if unmasked { 0 } else { 0x80 };
        match u8::try_from(length) {
            Ok(short) if short <= 125 => bytes.push(mask | short),
            Ok(_) | Err(_) => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        if !unmasked {
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend_from_slice(&payload);
        let heard = self.judge(fin, reserved || unmasked, foul, opcode, payload);
        (bytes, heard)
    }

    fn judge(
        &mut self,
        fin: bool,
        broken: bool,
        foul: bool,
        opcode: u8,
        payload: Vec<u8>,
    ) -> Option<Heard> {
        let control = opcode >= 8;
        let known = matches!(opcode, 0..=2 | 8..=10);
        if broken || !known || control && (!fin || payload.len() > 125) {
            return Some(Heard::Failed(1002));
        }
        match opcode {
            8 if self.closing => Some(match payload.len() {
                1 => Heard::Failed(1002),
                0 => Heard::Close,
                2 => Heard::Close,
                _ if foul => Heard::Failed(1007),
                _ => Heard::Close,
            }),
            8 => Some(match payload.len() {
                1 => Heard::Failed(1002),
                0 | 2 => Heard::Close,
                _ if foul => Heard::Failed(1007),
                _ => Heard::Close,
            }),
            9 | 10 if self.closing => None,
            9 => Some(Heard::Ping(payload)),
            10 => Some(Heard::Pong(payload)),
            _ if self.closing => None,
            _ => self.data(fin, opcode, payload),
        }
    }

    fn data(&mut self, fin: bool, opcode: u8, payload: Vec<u8>) -> Option<Heard> {
        let (text, mut bytes, frames) = match (opcode, self.open.take()) {
            (0, Some(open)) => open,
            (1 | 2, None) => (opcode == 1, Vec::new(), 0),
            _ => return Some(Heard::Failed(1002)),
        };
        if frames >= LIMITS.fragments_max {
            return Some(Heard::Failed(1008));
        }
        if payload.len() > LIMITS.frame_bytes_max
            || payload.len() + bytes.len() > LIMITS.message_bytes_max
        {
            return Some(Heard::Failed(1009));
        }
        bytes.extend_from_slice(&payload);
        if text && std::str::from_utf8(&bytes).is_err() {
            return Some(Heard::Failed(1007));
        }
        if !fin {
            self.open = Some((text, bytes, frames + 1));
            return None;
        }
        Some(match (text, String::from_utf8(bytes)) {
            (true, Ok(text)) => Heard::Text(text),
            (true, Err(_)) => Heard::Failed(1007),
            (false, Ok(text)) => Heard::Binary(text.into_bytes()),
            (false, Err(error)) => Heard::Binary(error.into_bytes()),
        })
    }
}
