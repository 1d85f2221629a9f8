//! What an event of the poll is about: a closed set, packed into mio's number and back.

use mio::Token;

use crate::conn_index::ConnIndex;

/// The source of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// New connections wait at the door with this number.
    Listener(u32),
    /// Packets from other processes wait.
    Mailbox,
    /// The master speaks, or is gone.
    Link,
    /// SIGTERM has come.
    Term,
    /// A mailbox has room again.
    Writer(u16),
    /// A job is over.
    Jobs,
    /// The worker before, which is leaving, takes more of what is passed on to it, or is gone.
    Predecessor,
    /// Something happened to a connection.
    Connection(Key),
}

/// A place in the registry of connections, and which of its tenants is meant: an event for an earlier one is stale.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    /// The place.
    pub index: ConnIndex,
    /// How often the place had been taken before, modulo 2^28.
    pub generation: u32,
}

impl Key {
    /// Generations are counted modulo this.
    pub(crate) const GENERATIONS: u32 = 1 << 28;
}

const KIND_BITS: u32 = 4;
const INDEX_BITS: u32 = 32;

impl Source {
    /// Its number.
    pub(crate) fn token(self) -> Token {
        let (kind, value) = match self {
            Self::Listener(number) => (0, u64::from(number)),
            Self::Mailbox => (1, 0),
            Self::Link => (2, 0),
            Self::Term => (3, 0),
            Self::Writer(address) => (4, u64::from(address)),
            Self::Connection(key) => {
                (5, u64::from(key.index.0) | u64::from(key.generation) << INDEX_BITS)
            }
            Self::Jobs => (6, 0),
            Self::Predecessor => (7, 0),
        };
        Token((value << KIND_BITS | kind) as usize)
    }

    /// What a number stands for; `None` for one that no source has.
    pub(crate) fn of(token: Token) -> Option<Self> {
        let number = token.0 as u64;
        let value = number >> KIND_BITS;
        Some(match number & ((1 << KIND_BITS) - 1) {
            0 => Self::Listener(value as u32),
            1 => Self::Mailbox,
            2 => Self::Link,
            3 => Self::Term,
            4 => Self::Writer(value as u16),
            5 => Self::Connection(Key {
                index: ConnIndex(value as u32),
                generation: (value >> INDEX_BITS) as u32,
            }),
            6 => Self::Jobs,
            7 => Self::Predecessor,
            _ => return None,
        })
    }
}

// 4 bits of kind, 32 of index and 28 of generation fill the 64 of the number.
const _: () = assert!(usize::BITS == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_comes_back_from_its_number() {
        let key = Key { index: ConnIndex(u32::MAX), generation: Key::GENERATIONS - 1 };
        for source in [
            Source::Listener(0),
            Source::Listener(u32::MAX),
            Source::Mailbox,
            Source::Link,
            Source::Term,
            Source::Writer(1030),
            Source::Jobs,
            Source::Connection(key),
            Source::Connection(Key { index: ConnIndex(0), generation: 0 }),
        ] {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        assert_eq!(Source::of(Token(15)), None);
    }
}
