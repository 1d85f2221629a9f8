//! Which of a client's offers is taken, and the answer to it (RFC 7692, sections 5 and 7.1; RFC 6455, section 9.1).
//!
//! Reads each byte of the headers once, keeps nothing of them, and needs no memory.

use std::fmt::Write;

use super::{agreement::Agreement, window::WindowBits};
use crate::http::is_token_byte;

const NAME: &[u8] = b"permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What the server is willing to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether the server's messages may refer to those before, if the client can follow.
    pub server_takeover: bool,
    /// Whether the client's messages may refer to those before. Those of a client that has not offered to do without
    /// (`client_no_context_takeover`) may in any case.
    pub client_takeover: bool,
    /// The largest window of either direction.
    pub window: WindowBits,
}

/// An agreement, and the header that tells the client of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What holds from now on.
    pub agreement: Agreement,
    /// The value of `Sec-WebSocket-Extensions`.
    pub header: String,
}

/// A `Sec-WebSocket-Extensions` header is no list of extensions (RFC 6455, section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of extensions")]
pub struct Malformed;

/// Reads the `Sec-WebSocket-Extensions` headers of a request up to the last, and answers the first offer of
/// permessage-deflate that can be taken; the client has put the one it likes best first.
///
/// An offer with a parameter that is unknown, there twice, or has a value that it may not have is declined (RFC 7692,
/// section 7.1), and so is every other extension. `None` when nothing is left: the connection goes on without.
///
/// # Errors
/// [`Malformed`] when a header does not follow the grammar; the handshake must fail then.
pub fn first_offer<'a>(
    headers: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Offer>, Malformed> {
    let mut first = None;
    for header in headers {
        let mut rest = Cursor(header);
        while rest.skip_empty_elements() {
            let name = rest.token()?;
            let mut offer = name.eq_ignore_ascii_case(NAME).then(Offer::default);
            while rest.eat(b';') {
                let name = rest.token()?;
                let value = if rest.eat(b'=') { Some(rest.value()?) } else { None };
                offer = offer.and_then(|offer| offer.with(name, value));
            }
            if !rest.is_at_end_of_element() {
                return Err(Malformed);
            }
            first = first.or(offer);
        }
    }
    Ok(first)
}

/// What a client offers: a set of parameters that can be agreed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offer {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_window: Option<WindowBits>,
    /// Without a value it says only that the client would obey one.
    client_window: Option<Option<WindowBits>>,
}

impl Offer {
    /// Adds a parameter. `None` when it makes the offer one to decline.
    fn with(mut self, name: &[u8], value: Option<Value<'_>>) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is(SERVER_NO_CONTEXT_TAKEOVER) && value.is_none() && !self.server_no_takeover {
            self.server_no_takeover = true;
        } else if is(CLIENT_NO_CONTEXT_TAKEOVER) && value.is_none() && !self.client_no_takeover {
            self.client_no_takeover = true;
        } else if is(SERVER_MAX_WINDOW_BITS) && self.server_window.is_none() {
            self.server_window = Some(value?.window_bits()?);
        } else if is(CLIENT_MAX_WINDOW_BITS) && self.client_window.is_none() {
            self.client_window = Some(match value {
                Some(value) => Some(value.window_bits()?),
                None => None,
            });
        } else {
            return None;
        }
        Some(self)
    }

    /// What is agreed on, as far as the policy goes along with the offer and the windows find room in `room_bytes`: with
    /// all that the policy allows, or else with the least that the client can be asked for. `None` when there is no room
    /// for that either; the connection goes on without compression.
    pub fn answer(&self, policy: &Policy, room_bytes: usize) -> Option<Answer> {
        let least = Policy { server_takeover: false, client_takeover: false, ..*policy };
        [policy, &least]
            .into_iter()
            .map(|policy| self.agreement(policy))
            .find(|agreement| agreement.context_bytes() <= room_bytes)
            .map(|agreement| Answer { agreement, header: self.header(&agreement) })
    }

    fn agreement(&self, policy: &Policy) -> Agreement {
        let server_window = self.server_window.unwrap_or(WindowBits::MAX).min(policy.window);
        // A server may demand `client_no_context_takeover` of any client (section 7.1.1.2), but some do not read it and
        // go on with their context: only one that has offered it is known to obey.
        let client_takeover = !self.client_no_takeover;
        let client_window_max = if policy.client_takeover {
            policy.window
        } else {
            policy.window.min(WindowBits::NARROW)
        };
        // Only who keeps a client's window gains by a small one, and only a client that has said so obeys.
        let client_window = match self.client_window {
            Some(hint) if client_takeover => hint.unwrap_or(WindowBits::MAX).min(client_window_max),
            Some(_) | None => WindowBits::MAX,
        };
        Agreement {
            server_window,
            client_window,
            // No compressor of ours looks back by exactly 256 bytes, see `Deflater`.
            server_takeover: policy.server_takeover
                && !self.server_no_takeover
                && server_window > WindowBits::MIN,
            client_takeover,
        }
    }

    fn header(&self, agreement: &Agreement) -> String {
        let mut header = String::with_capacity(128);
        header.push_str("permessage-deflate");
        let mut add = |name: &str, value: Option<WindowBits>| {
            // Writing to a String cannot fail.
            let _ = match value {
                Some(value) => write!(header, "; {name}={}", value.bits()),
                None => write!(header, "; {name}"),
            };
        };
        if !agreement.server_takeover {
            add(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if !agreement.client_takeover {
            add(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        // An offer with this parameter is accepted by repeating it (section 7.1.2.1). To use a smaller window than the
        // client expects needs no word, and there are clients that fail at a parameter they have not offered.
        if self.server_window.is_some() {
            add(SERVER_MAX_WINDOW_BITS, Some(agreement.server_window));
        }
        if agreement.client_window < WindowBits::MAX {
            add(CLIENT_MAX_WINDOW_BITS, Some(agreement.client_window));
        }
        header
    }
}

/// The value of a parameter.
#[derive(Clone, Copy)]
enum Value<'a> {
    Token(&'a [u8]),
    /// What stands between the quotes, backslashes included.
    Quoted(&'a [u8]),
}

impl Value<'_> {
    /// A decimal number from 8 to 15 without leading zeros (section 7.1.2).
    fn window_bits(self) -> Option<WindowBits> {
        let mut digits = [0; 2];
        let mut length = 0;
        let mut push = |digit: u8| {
            *digits.get_mut(length)? = digit;
            length += 1;
            Some(())
        };
        match self {
            Self::Token(bytes) => bytes.iter().try_for_each(|byte| push(*byte))?,
            Self::Quoted(bytes) => {
                let mut bytes = bytes.iter();
                while let Some(&byte) = bytes.next() {
                    push(if byte == b'\\' { *bytes.next()? } else { byte })?;
                }
            }
        }
        let bits = match digits.get(..length)? {
            [digit @ b'8'..=b'9'] => digit - b'0',
            [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
            _ => return None,
        };
        WindowBits::new(bits)
    }
}

/// What is left of a header.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Goes to the next element of the list; `false` when there is none.
    fn skip_empty_elements(&mut self) -> bool {
        while self.eat(b',') {}
        !self.0.is_empty()
    }

    /// Whether an element may end here.
    fn is_at_end_of_element(&self) -> bool {
        matches!(self.0.first(), None | Some(b','))
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes `separator` if it comes next, and the blanks around it.
    fn eat(&mut self, separator: u8) -> bool {
        self.skip_blanks();
        let is_next = self.0.first() == Some(&separator);
        if is_next {
            self.0 = &self.0[1..];
            self.skip_blanks();
        }
        is_next
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip_blanks();
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let Some(quoted) = self.0.strip_prefix(b"\"") else {
            return self.token().map(Value::Token);
        };
        let mut at = 0;
        loop {
            match quoted.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(byte) if is_quotable(*byte) => at += 1,
                Some(_) | None => return Err(Malformed),
            }
        }
        self.0 = &quoted[at + 1..];
        self.skip_blanks();
        Ok(Value::Quoted(&quoted[..at]))
    }
}

/// What may stand between quotes (RFC 9110, section 5.6.4).
fn is_quotable(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
