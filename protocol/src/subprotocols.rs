//! The subprotocols that a server speaks (RFC 6455, section 1.9), and which of them a client gets.
//!
//! Owns the list and the choice. What a subprotocol means is the application's to know.

use std::{fmt, str::FromStr};

use crate::handshake::{SUBPROTOCOLS_MAX, is_token};

/// The longest name that is read, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Names of subprotocols, the one that the server likes best first. They are compared byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subprotocols(Vec<String>);

/// Why a list of subprotocols is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubprotocolsError {
    /// An entry cannot be said in a header: it is no token (RFC 9110, section 5.6.2), or too long.
    #[error("{0:?} is no name of a subprotocol")]
    Name(String),
    /// A name stands there twice.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// There are more than may be.
    #[error("there are more than {SUBPROTOCOLS_MAX} names")]
    TooMany,
}

impl Subprotocols {
    /// The first of the list that is offered. None means that the client is accepted without one and may leave (RFC 6455,
    /// section 4.2.2).
    pub fn choose<'a>(&self, offered: impl Iterator<Item = &'a str> + Clone) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|ours| offered.clone().any(|name| name == *ours))
    }
}

/// `chat.v2, chat.v1`, with or without blanks; an empty text is the empty list.
impl FromStr for Subprotocols {
    type Err = SubprotocolsError;

    fn from_str(text: &str) -> Result<Self, SubprotocolsError> {
        let mut names: Vec<String> = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self(names));
        }
        for name in text.split(',').map(str::trim) {
            if names.len() == SUBPROTOCOLS_MAX {
                return Err(SubprotocolsError::TooMany);
            }
            if !is_token(name) || name.len() > NAME_BYTES_MAX {
                return Err(SubprotocolsError::Name(name.to_owned()));
            }
            if names.iter().any(|earlier| earlier == name) {
                return Err(SubprotocolsError::Twice(name.to_owned()));
            }
            names.push(name.to_owned());
        }
        Ok(Self(names))
    }
}

/// As it is read.
impl fmt::Display for Subprotocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_order_counts() {
        let ours: Subprotocols = "chat.v2, chat.v1".parse().unwrap();
        let table: [(&[&str], Option<&str>); 6] = [
            (&["chat.v1", "chat.v2"], Some("chat.v2")),
            (&["chat.v1"], Some("chat.v1")),
            (&["other", "chat.v1"], Some("chat.v1")),
            (&["Chat.v1"], None),
            (&["chat"], None),
            (&[], None),
        ];
        for (offered, expected) in table {
            assert_eq!(ours.choose(offered.iter().copied()), expected, "{offered:?}");
        }
        let none = Subprotocols::default();
        assert_eq!(none.choose(["chat.v1"].into_iter()), None);
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        let table = [
            ("", Some("")),
            ("  ", Some("")),
            ("b,a", Some("b, a")),
            (" wamp.2.json ", Some("wamp.2.json")),
            ("a, A", Some("a, A")),
            ("a, a", None),
            ("a b", None),
            ("a,", None),
            ("a;b", None),
            ("\u{e9}", None),
            (&long, None),
        ];
        for (text, expected) in table {
            let read = text.parse::<Subprotocols>().ok();
            assert_eq!(read.map(|list| list.to_string()).as_deref(), expected, "{text:?}");
        }
        let many: Vec<String> = (0..=SUBPROTOCOLS_MAX).map(|number| format!("p{number}")).collect();
        assert_eq!(many.join(",").parse::<Subprotocols>(), Err(SubprotocolsError::TooMany));
    }
}
