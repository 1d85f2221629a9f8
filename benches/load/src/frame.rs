//! Frames as a client sends them (RFC 6455 section 5.2): whole, masked, made before the clock runs.

/// What a frame carries (RFC 6455 section 5.2, opcode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    /// `None` for the reserved ones.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// Appends one final frame with `payload`, masked with a key made from `number`.
///
/// The key need not be unpredictable here (RFC 6455 section 5.3 protects intermediaries, of which there is none), but it
/// must differ and must not be zero, or a server that forgets to unmask would look right.
pub(crate) fn append(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], number: u32) {
    const MASKED: u8 = 0x80;
    out.push(0x80 | opcode.bits());
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        medium @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let key = (number.wrapping_mul(0x9E37_79B9) | 0x0101_0101).to_le_bytes();
    out.extend_from_slice(&key);
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// One frame of its own; see [`append`].
pub(crate) fn single(opcode: Opcode, payload: &[u8], number: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    append(&mut out, opcode, payload, number);
    out
}
