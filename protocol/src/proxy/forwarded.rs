//! Who a request really comes from, when proxies have passed it on.
//!
//! Owns the reading of the headers in which they say so. Of the addresses in them the rightmost one that is not a trusted
//! proxy's is the client's: it was written by a proxy that is trusted, and what stands left of it was written by whoever that
//! is. Exactly one kind of header is believed, the one that the proxies in front set: a client can send the others, and a
//! proxy that does not know them passes them on.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
};

use super::trust::Trust;
use crate::peer::Peer;

/// The proxies that are gone through at most, from the nearest on.
pub const HOPS_MAX: usize = 64;

/// The header that the proxies in front of the server set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwardedFor,
    /// `X-Real-IP`, with `X-Forwarded-Proto`.
    XRealIp,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Header {
    /// Each with its name in lower case.
    pub const ALL: [(&'static str, Self); 3] = [
        ("x-forwarded-for", Self::XForwardedFor),
        ("x-real-ip", Self::XRealIp),
        ("forwarded", Self::Forwarded),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::XRealIp => "x-real-ip",
            Self::Forwarded => "forwarded",
        }
    }
}

/// What is known of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Its address. Where a proxy hides it (RFC 7239, 6.3) or makes no sense, the last one that is known.
    pub peer: Peer,
    /// Whether it came over TLS, as the trusted proxy says that it came to; `None` if nobody says.
    pub secure: Option<bool>,
}

/// One hop: who came to a proxy, and how.
#[derive(Clone, Copy, Debug, Default)]
struct Hop<'a> {
    from: Option<&'a str>,
    proto: Option<&'a str>,
}

/// Reads the headers of a request that came from `peer`. Of a peer that is not trusted nothing is believed.
pub fn origin<'a>(
    peer: Peer,
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    header: Header,
    trust: &Trust,
) -> Origin {
    let mut origin = Origin { peer, secure: None };
    if !trust.includes(peer) {
        return origin;
    }
    let mut hops = hops(headers, header);
    while let Some(hop) = hops.pop_back() {
        if let Some(proto) = hop.proto {
            origin.secure = Some(is_secure(proto));
        }
        let Some(from) = hop.from.and_then(node) else { return origin };
        origin.peer = from;
        if !trust.includes(from) {
            return origin;
        }
    }
    origin
}

/// The hops in the order of the headers, the last [`HOPS_MAX`] of them.
fn hops<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    header: Header,
) -> VecDeque<Hop<'a>> {
    let mut hops = VecDeque::new();
    for value in values(headers.clone(), header.name()) {
        match header {
            Header::XForwardedFor => {
                for from in value.split(',') {
                    remember(&mut hops, Hop { from: Some(from.trim()), proto: None });
                }
            }
            // It is one address. A second one is not the proxy's.
            Header::XRealIp => {
                let hop = Hop { from: Some(value.trim()), proto: None };
                hops = VecDeque::from([hop]);
            }
            Header::Forwarded => {
                for element in split_quoted(value, b',') {
                    remember(&mut hops, element.map(forwarded_element).unwrap_or_default());
                }
            }
        }
    }
    let proto = values(headers, "x-forwarded-proto").last();
    match (header, proto, hops.back_mut()) {
        (Header::XForwardedFor | Header::XRealIp, Some(value), Some(nearest)) => {
            // It may have one word for each hop; the last one is the nearest proxy's.
            nearest.proto = value.rsplit(',').next();
        }
        (Header::XForwardedFor | Header::XRealIp, Some(value), None) => {
            hops.push_back(Hop { from: None, proto: value.rsplit(',').next() });
        }
        (Header::XForwardedFor | Header::XRealIp | Header::Forwarded, _, _) => {}
    }
    hops
}

fn remember<'a>(hops: &mut VecDeque<Hop<'a>>, hop: Hop<'a>) {
    if hops.len() == HOPS_MAX {
        hops.pop_front();
    }
    hops.push_back(hop);
}

/// The values of a header that are text. One that is not says nothing that could be an address.
fn values<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    wanted: &'static str,
) -> impl Iterator<Item = &'a str> {
    headers
        .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| str::from_utf8(value).unwrap_or("unknown"))
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43` (RFC 7239, 4). Names are in any case, values bare or quoted.
fn forwarded_element(element: &str) -> Hop<'_> {
    let mut hop = Hop::default();
    for pair in split_quoted(element, b';').flatten() {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .map_or(Some(value), |value| value.strip_suffix('"'))
            // An address has nothing to escape in it, and one pair of quotes around it at the most.
            .filter(|value| !value.contains(['\\', '"']));
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.from = value,
            name if name.eq_ignore_ascii_case("proto") => hop.proto = value,
            _ => {}
        }
    }
    hop
}

/// The parts of a text between separators that do not stand in a quoted string (RFC 9110, 5.6.4). `None` is a part whose
/// quotes do not end: a client that leaves them open would hide in them what the proxy adds behind it, and what it has
/// written itself would be taken for the proxy's.
fn split_quoted(text: &str, separator: u8) -> impl Iterator<Item = Option<&str>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let is_end = byte == separator && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            is_end
        });
        rest = end.and_then(|end| text.get(end + 1..));
        let part = text.get(..end.unwrap_or(text.len())).unwrap_or_default().trim();
        Some((!quoted).then_some(part))
    })
}

fn is_secure(proto: &str) -> bool {
    let proto = proto.trim();
    proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
}

/// An address, with or without a port (RFC 7239, 6): `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80`,
/// and `2001:db8::1`, as `X-Forwarded-For` has it. A port that is hidden (`_x`) is not known. `None` for `unknown`, for a
/// hidden address, and for anything else.
fn node(text: &str) -> Option<Peer> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Peer::inet(address, None));
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address = IpAddr::V6(address.parse::<Ipv6Addr>().ok()?);
            (address, port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => {
            let (address, port) = text.split_once(':')?;
            (IpAddr::V4(address.parse().ok()?), port)
        }
    };
    match port.as_bytes() {
        [] => Some(Peer::inet(address, None)),
        [b'_', hidden @ ..] if is_hidden(hidden) => Some(Peer::inet(address, None)),
        digits if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) => {
            Some(Peer::inet(address, Some(port.parse().ok()?)))
        }
        _ => None,
    }
}

/// Whether this, behind its underscore, is a name that a proxy has made up (RFC 7239, 6.3).
fn is_hidden(name: &[u8]) -> bool {
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !name.is_empty() && name.iter().all(is_known)
}
