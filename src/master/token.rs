//! What an event of the master's poll is about: a closed set, packed into mio's number and back.

use mio::Token;

/// The source of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// A signal has come.
    Signals,
    /// Something has come in the master's mailbox.
    Mailbox,
    /// Somebody calls the control socket.
    Control,
    /// A caller has written, or has room.
    Caller(u32),
    /// The child with this pid speaks.
    Child(u32),
}

impl Source {
    /// Its number.
    pub(super) fn token(self) -> Token {
        let (kind, value) = match self {
            Self::Signals => (0, 0),
            Self::Control => (1, 0),
            Self::Caller(number) => (2, number),
            Self::Child(pid) => (3, pid),
            Self::Mailbox => (4, 0),
        };
        Token((value as usize) << 3 | kind)
    }

    /// What a number stands for.
    pub(super) fn of(token: Token) -> Self {
        let value = (token.0 >> 3) as u32;
        match token.0 & 7 {
            0 => Self::Signals,
            1 => Self::Control,
            2 => Self::Caller(value),
            3 => Self::Child(value),
            _ => Self::Mailbox,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_comes_back_from_its_number() {
        for source in [
            Source::Signals,
            Source::Mailbox,
            Source::Control,
            Source::Caller(u32::MAX),
            Source::Child(4_194_304),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
