//! The contents of messages: stretches of one endless text, so that every message can be checked without being kept.

/// Places where a message may begin; a prime, so that neighbours rarely begin alike.
const STARTS: usize = 251;

/// Printable ASCII, nothing that JSON would escape.
#[derive(Debug)]
pub(crate) struct Tape {
    text: Vec<u8>,
    message_bytes: usize,
}

impl Tape {
    /// A tape for messages of `message_bytes`.
    pub(crate) fn new(message_bytes: usize) -> Self {
        let mut state = 1_u32;
        let letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 24) as u8 % 26
        };
        let text = std::iter::repeat_with(letter).take(message_bytes + STARTS).collect();
        Self { text, message_bytes }
    }

    pub(crate) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// The `number`th message of a connection.
    #[inline]
    pub(crate) fn message(&self, client: usize, number: usize) -> &[u8] {
        let start = (client * 31 + number * 7) % STARTS;
        self.text.get(start..start + self.message_bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length_and_neighbours_differ() {
        let tape = Tape::new(20);
        for (client, number) in [(0, 0), (1, 0), (9_999, 15), (usize::from(u16::MAX), 9_999)] {
            let message = tape.message(client, number);
            assert_eq!(message.len(), 20);
            assert_ne!(message, tape.message(client, number + 1));
            assert_ne!(message, tape.message(client + 1, number));
        }
    }
}
