//! The two languages of the fan-out: plain messages, and the JSON of the channel application.

use crate::frame::{self, Opcode};
use crate::tape::Tape;

const CHANNEL: &str = "bench.room";
const DELIVERY: &[u8] = br#"{"action":"message""#;
const JOINED: &[u8] = br#"{"success":true,"action":"subscribe""#;
const REFUSED: &[u8] = br#"{"success":false"#;

/// What a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// What was published, unchanged.
    Delivery,
    /// The subscription is accepted.
    Joined,
    /// Greetings, replies to publications and the like.
    Other,
}

/// How a publication and its delivery are written.
#[derive(Debug)]
pub(super) struct Dialect {
    form: Form,
    tape: Tape,
    /// The frame of a publication, as it is sent.
    publication: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Channels {
        /// Where in a delivery the message stood last time.
        message_at: usize,
    },
}

impl Dialect {
    pub(super) fn plain() -> Self {
        Self { form: Form::Plain, tape: Tape::new(0), publication: Vec::new() }
    }

    pub(super) fn channels() -> Self {
        let form = Form::Channels { message_at: 0 };
        Self { form, tape: Tape::new(0), publication: Vec::new() }
    }

    /// What a connection says first, if anything.
    pub(super) fn greeting(&self) -> Option<String> {
        match self.form {
            Form::Plain => None,
            Form::Channels { .. } => {
                Some(format!(r#"{{"action":"subscribe","data":{{"channel":"{CHANNEL}"}}}}"#))
            }
        }
    }

    /// From now on publishes a message of so many bytes.
    pub(super) fn choose_message(&mut self, message_bytes: usize) {
        self.tape = Tape::new(message_bytes);
        let message = self.tape.message(0, 0);
        self.publication = match self.form {
            Form::Plain => frame::single(Opcode::Text, message, 1),
            Form::Channels { .. } => {
                let text = format!(
                    r#"{{"action":"message","data":{{"channel":"{CHANNEL}","message":"{}"}}}}"#,
                    String::from_utf8_lossy(message)
                );
                frame::single(Opcode::Text, text.as_bytes(), 1)
            }
        };
    }

    /// Knowing that the message of now makes a delivery of `had_bytes`, chooses one for `wanted_bytes`; at least one
    /// byte long.
    pub(super) fn fit(&mut self, had_bytes: usize, wanted_bytes: usize) {
        let wrapped_bytes = had_bytes.saturating_sub(self.tape.message_bytes());
        self.choose_message(wanted_bytes.saturating_sub(wrapped_bytes).max(1));
    }

    pub(super) fn publication(&self) -> &[u8] {
        &self.publication
    }

    /// What `text` means.
    ///
    /// # Errors
    /// It is a refusal.
    #[inline]
    pub(super) fn meaning(&self, text: &[u8]) -> Result<Received, String> {
        match self.form {
            Form::Plain => Ok(Received::Delivery),
            Form::Channels { .. } if text.starts_with(DELIVERY) => Ok(Received::Delivery),
            Form::Channels { .. } if text.starts_with(JOINED) => Ok(Received::Joined),
            Form::Channels { .. } if text.starts_with(REFUSED) => {
                Err(format!("refused: {}", shown(text)))
            }
            Form::Channels { .. } => Ok(Received::Other),
        }
    }

    /// Compares a delivery with what was published.
    ///
    /// # Errors
    /// They differ.
    #[inline]
    pub(super) fn check(&mut self, delivery: &[u8]) -> Result<(), String> {
        let message = self.tape.message(0, 0);
        let stands_at = |at: usize| delivery.get(at..at + message.len()) == Some(message);
        let is_right = match &mut self.form {
            Form::Plain => delivery == message,
            Form::Channels { message_at } => {
                // Deliveries of one speaker are alike but for the time, so the search is rare.
                stands_at(*message_at)
                    || (0..delivery.len())
                        .find(|&at| stands_at(at))
                        .inspect(|&at| *message_at = at)
                        .is_some()
            }
        };
        if is_right { Ok(()) } else { Err(format!("not what was published: {}", shown(delivery))) }
    }
}

/// The beginning of `text`, for an error.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..200).unwrap_or(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_delivery_is_the_message_itself() {
        let mut dialect = Dialect::plain();
        dialect.choose_message(16);
        let message = dialect.tape.message(0, 0).to_vec();
        assert_eq!(dialect.meaning(&message), Ok(Received::Delivery));
        assert_eq!(dialect.check(&message), Ok(()));
        assert!(dialect.check(&message[1..]).is_err());
        dialect.fit(16, 128);
        assert_eq!(dialect.tape.message_bytes(), 128);
    }

    #[test]
    fn a_channel_delivery_has_the_message_in_it() {
        let delivery = |dialect: &Dialect| {
            let message = String::from_utf8_lossy(dialect.tape.message(0, 0)).into_owned();
            format!(r#"{{"action":"message","channel":"{CHANNEL}","message":"{message}"}}"#)
        };
        let mut dialect = Dialect::channels();
        dialect.choose_message(1);
        let first = delivery(&dialect);
        dialect.fit(first.len(), 128);
        let second = delivery(&dialect);
        assert_eq!(second.len(), 128);
        assert_eq!(dialect.meaning(second.as_bytes()), Ok(Received::Delivery));
        for _ in 0..2 {
            assert_eq!(dialect.check(second.as_bytes()), Ok(()));
        }
        assert!(dialect.check(first.as_bytes()).is_err());
    }

    #[test]
    fn replies_are_told_from_deliveries() {
        let cases = [
            (
                r#"{"success":true,"action":"subscribe","channel":"bench.room"}"#,
                Some(Received::Joined),
            ),
            (
                r#"{"success":true,"action":"message_sent","channel":"bench.room"}"#,
                Some(Received::Other),
            ),
            (r#"{"action":"welcome","heartbeat_interval":30}"#, Some(Received::Other)),
            (r#"{"success":false,"action":"error","code":"not_subscribed"}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(Dialect::channels().meaning(text.as_bytes()).ok(), expected, "{text}");
        }
    }
}
