//! The PROXY protocol, versions 1 and 2: what a proxy says of a client before the client's first byte.
//!
//! Owns the reading of one header. The rules are those of the specification of its inventor (HAProxy,
//! `doc/proxy-protocol.txt`, revision 2020/03/05; its sections are named here). Nothing is allocated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::peer::Peer;

/// The longest header of version 1, its line end included (section 2.1).
pub const V1_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is read, in bytes: the fixed part, and what follows. A proxy may declare 64 KiB;
/// with the extensions that proxies send today a few hundred are used.
pub const V2_BYTES_MAX: usize = 4096;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length (section 2.2).
const V2_FIXED_BYTES: usize = 16;
const TLV_HEAD_BYTES: usize = 3;
const TLV_SSL: u8 = 0x20;
/// In the first byte of that extension: the client came over TLS.
const SSL_CLIENT: u8 = 1;

/// What the front of a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The beginning of a header, if anything.
    Partial,
    /// A header.
    Complete {
        /// Its length in bytes.
        consumed: usize,
        /// Whom it tells of; `None` if the proxy speaks for itself, or does not know.
        client: Option<Client>,
    },
    /// No header: the connection must be closed (section 2).
    Malformed(Fault),
}

/// A client that a proxy tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its address.
    pub peer: Peer,
    /// Whether it came to the proxy over TLS, as far as the proxy says.
    pub secure: bool,
}

/// What is wrong with a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It begins like neither version.
    #[error("the connection does not begin with a PROXY header")]
    Start,
    /// It is longer than a header is.
    #[error("the PROXY header is too long")]
    TooLong,
    /// A line of version 1 that says nothing known.
    #[error("the PROXY header of version 1 is malformed")]
    Line,
    /// A version, command, family or protocol that is not known, or not that of a stream.
    #[error("the PROXY header of version 2 has an unknown kind")]
    Kind,
    /// The addresses or the extensions do not fit the declared length.
    #[error("the PROXY header of version 2 contradicts its length")]
    Length,
}

/// Reads a header from the front of the input, which is all that has come so far.
#[must_use]
pub fn read(input: &[u8]) -> Step {
    let result = match input.first() {
        None => Ok(Step::Partial),
        Some(b'P') => read_v1(input),
        Some(_) => read_v2(input),
    };
    result.unwrap_or_else(Step::Malformed)
}

/// Whether the input begins with `start`, as far as it goes: `Ok(false)` if more has to come first.
fn begins(input: &[u8], start: &[u8]) -> Result<bool, Fault> {
    let common = input.len().min(start.len());
    if input[..common] != start[..common] {
        return Err(Fault::Start);
    }
    Ok(common == start.len())
}

fn read_v1(input: &[u8]) -> Result<Step, Fault> {
    if !begins(input, V1_START)? {
        return Ok(Step::Partial);
    }
    let window = &input[..input.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        let is_over = window.len() == V1_BYTES_MAX;
        return if is_over { Err(Fault::TooLong) } else { Ok(Step::Partial) };
    };
    let line = str::from_utf8(&window[V1_START.len()..end]).map_err(|_| Fault::Line)?;
    let consumed = end + 2;
    let mut words = line.split(' ');
    let client = match words.next() {
        // What follows is to be ignored.
        Some("UNKNOWN") => return Ok(Step::Complete { consumed, client: None }),
        Some("TCP4") => v1_client::<Ipv4Addr>(&mut words)?,
        Some("TCP6") => v1_client::<Ipv6Addr>(&mut words)?,
        Some(_) | None => return Err(Fault::Line),
    };
    Ok(Step::Complete { consumed, client: Some(Client { peer: client, secure: false }) })
}

fn v1_client<'a, A>(words: &mut impl Iterator<Item = &'a str>) -> Result<Peer, Fault>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let mut word = || words.next().ok_or(Fault::Line);
    let source: A = word()?.parse().map_err(|_| Fault::Line)?;
    let _destination: A = word()?.parse().map_err(|_| Fault::Line)?;
    let port = v1_port(word()?)?;
    v1_port(word()?)?;
    if words.next().is_some() {
        return Err(Fault::Line);
    }
    Ok(Peer::inet(source.into(), Some(port)))
}

/// Digits without a sign, and without zeros in front.
fn v1_port(word: &str) -> Result<u16, Fault> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || (word.len() > 1 && word.starts_with('0')) {
        return Err(Fault::Line);
    }
    word.parse().map_err(|_| Fault::Line)
}

fn read_v2(input: &[u8]) -> Result<Step, Fault> {
    if !begins(input, V2_START)? {
        return Ok(Step::Partial);
    }
    let Some(fixed) = input.first_chunk::<V2_FIXED_BYTES>() else { return Ok(Step::Partial) };
    let [.., command, family, high, low] = *fixed;
    let consumed = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if consumed > V2_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    // The upper half is the version, the lower one the command (section 2.2).
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Fault::Kind),
    };
    let Some(rest) = input.get(V2_FIXED_BYTES..consumed) else { return Ok(Step::Partial) };
    if is_local {
        // A health check of the proxy's own. Whatever else it says is to be ignored.
        return Ok(Step::Complete { consumed, client: None });
    }
    let (peer, extensions) = match family {
        0x00 => (None, None),
        0x11 => {
            let (addresses, extensions) = rest.split_first_chunk::<12>().ok_or(Fault::Length)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let port = u16::from_be_bytes([high, low]);
            (Some(Peer::inet(Ipv4Addr::new(a, b, c, d).into(), Some(port))), Some(extensions))
        }
        0x21 => {
            let (addresses, extensions) = rest.split_first_chunk::<36>().ok_or(Fault::Length)?;
            let address: [u8; 16] = *addresses.first_chunk().ok_or(Fault::Length)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            (Some(Peer::inet(Ipv6Addr::from(address).into(), Some(port))), Some(extensions))
        }
        0x31 => {
            let (_, extensions) = rest.split_first_chunk::<216>().ok_or(Fault::Length)?;
            (Some(Peer::Unix), Some(extensions))
        }
        _ => return Err(Fault::Kind),
    };
    let secure = extensions.map_or(Ok(false), is_secure)?;
    Ok(Step::Complete { consumed, client: peer.map(|peer| Client { peer, secure }) })
}

/// Goes through the extensions (section 2.2.1); only that about TLS is looked at.
fn is_secure(mut extensions: &[u8]) -> Result<bool, Fault> {
    let mut secure = false;
    while !extensions.is_empty() {
        let [kind, high, low] = *extensions.first_chunk::<TLV_HEAD_BYTES>().ok_or(Fault::Length)?;
        let end = TLV_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let value = extensions.get(TLV_HEAD_BYTES..end).ok_or(Fault::Length)?;
        secure |= kind == TLV_SSL && value.first().is_some_and(|flags| flags & SSL_CLIENT != 0);
        extensions = &extensions[end..];
    }
    Ok(secure)
}
