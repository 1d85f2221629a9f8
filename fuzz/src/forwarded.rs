//! What headers say of a client behind proxies: of a stranger nothing is believed, no client can make itself another one
//! whatever it writes in front of what the proxy adds, and a second reader hears the same.

use std::net::IpAddr;

use wsmaster_protocol::{
    peer::Peer,
    proxy::{
        forwarded::{HOPS_MAX, Header, Origin, origin},
        trust::{self, Trust},
    },
};

/// Where the request comes from.
const PROXY: Peer = peer([10, 0, 0, 1]);
/// Who the proxy says that it came from. Nobody trusts this network.
const CLIENT: Peer = peer([192, 0, 2, 9]);
const TRUSTED: &str = "10.0.0.0/8, 2001:db8::/32, unix";

const fn peer([a, b, c, d]: [u8; 4]) -> Peer {
    Peer::Inet { address: IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), port: None }
}

/// See the module. The first byte chooses which header is believed; the first line is a list of trusted peers, every other
/// one a header.
pub fn run(data: &[u8]) {
    let Some((&choice, input)) = data.split_first() else { return };
    let (name, header) = Header::ALL[usize::from(choice) % Header::ALL.len()];
    let mut lines = input.split(|byte| *byte == b'\n');
    check_list(str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default());
    let headers: Vec<(&str, &[u8])> = lines.filter_map(header_of).collect();
    let trust: Trust = TRUSTED.parse().expect("a list");

    let heard = origin(PROXY, headers.iter().copied(), header, &trust);
    assert_eq!(heard, simple(PROXY, &headers, name, &trust));
    let stranger = Origin { peer: CLIENT, secure: None };
    assert_eq!(origin(CLIENT, headers.iter().copied(), header, &trust), stranger);
    let ours = |(other, _): &(&str, _)| {
        other.eq_ignore_ascii_case(name) || other.eq_ignore_ascii_case("x-forwarded-proto")
    };
    let filtered: Vec<_> = headers.iter().copied().filter(ours).collect();
    assert_eq!(origin(PROXY, filtered.iter().copied(), header, &trust), heard);

    for (_, forged) in &headers {
        check_forged(forged, header, &trust);
    }
}

fn header_of(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
}

/// A list of peers that is accepted is the same when it is shown and read again.
fn check_list(text: &str) {
    match text.parse::<Trust>() {
        Ok(trust) => {
            let again: Trust = trust.to_string().parse().expect("what is shown can be read");
            assert_eq!(again.to_string(), trust.to_string());
            for peer in [PROXY, CLIENT, Peer::Unix] {
                assert_eq!(again.includes(peer), trust.includes(peer));
            }
            assert!(text.split(',').count() <= trust::ENTRIES_MAX);
            assert_eq!(trust.is_empty(), text.trim().is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What a client has sent, and the proxy has added to: in the same header behind a comma, or as one more header.
fn check_forged(forged: &[u8], header: Header, trust: &Trust) {
    let (name, added) = match header {
        Header::XForwardedFor => ("x-forwarded-for", &["192.0.2.9"][..]),
        // Proxies replace this one.
        Header::XRealIp => return,
        Header::Forwarded => {
            let added =
                &["for=192.0.2.9", "for=\"192.0.2.9\";proto=http", "by=_a;For=\"192.0.2.9\""];
            ("forwarded", &added[..])
        }
    };
    for added in added {
        let joined = [forged, b", ", added.as_bytes()].concat();
        let apart = [(name, forged), (name, added.as_bytes())];
        for headers in [&[(name, &joined[..])][..], &apart] {
            let heard = origin(PROXY, headers.iter().copied(), header, trust);
            let is_text = str::from_utf8(&joined).is_ok();
            // What makes no sense says nothing, and then the proxy is all that is known.
            let honest = heard.peer == CLIENT || header == Header::Forwarded && heard.peer == PROXY;
            assert!(honest || !is_text && heard.peer == PROXY, "{name}: {heard:?}");
        }
    }
}

/// The same, with everything written out: all hops of all headers in one list.
fn simple(peer: Peer, headers: &[(&str, &[u8])], name: &str, trust: &Trust) -> Origin {
    let values = |wanted: &str| -> Vec<String> {
        let of = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        of.map(|(_, value)| String::from_utf8(value.to_vec()).unwrap_or("unknown".to_owned()))
            .collect()
    };
    let mut hops: Vec<(Option<String>, Option<String>)> = Vec::new();
    for value in values(name) {
        match name {
            "forwarded" => hops.extend(elements(&value)),
            "x-real-ip" => hops = vec![(Some(value.trim().to_owned()), None)],
            _ => hops.extend(value.split(',').map(|from| (Some(from.trim().to_owned()), None))),
        }
    }
    if name != "forwarded"
        && let Some(last) = values("x-forwarded-proto").last()
    {
        let proto = last.split(',').next_back().map(str::to_owned);
        match hops.last_mut() {
            Some(nearest) => nearest.1 = proto,
            None => hops.push((None, proto)),
        }
    }
    let mut found = Origin { peer, secure: None };
    for (from, proto) in hops.iter().rev().take(HOPS_MAX) {
        if let Some(proto) = proto {
            let proto = proto.trim().to_ascii_lowercase();
            found.secure = Some(proto == "https" || proto == "wss");
        }
        let Some(from) = from.as_deref().and_then(node) else { break };
        found.peer = from;
        if !trust.includes(from) {
            break;
        }
    }
    found
}

/// The elements of `Forwarded`, character by character (RFC 7239, 4). One whose quotes do not end says nothing.
fn elements(value: &str) -> Vec<(Option<String>, Option<String>)> {
    let (mut all, mut pairs, mut pair) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for character in value.chars() {
        match character {
            ',' | ';' if !quoted => {
                pairs.push(std::mem::take(&mut pair));
                if character == ',' {
                    all.push(std::mem::take(&mut pairs));
                }
                continue;
            }
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        pair.push(character);
    }
    pairs.push(pair);
    all.push(pairs);
    let last = all.len() - 1;
    let element = |(number, pairs): (usize, Vec<String>)| {
        let mut hop = (None, None);
        for pair in pairs.iter().filter(|_| number < last || !quoted) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            let value = match value.strip_prefix('"') {
                Some(rest) => rest.strip_suffix('"'),
                None => Some(value),
            };
            let value = value.filter(|value| !value.contains(['\\', '"'])).map(str::to_owned);
            match name.as_str() {
                "for" => hop.0 = value,
                "proto" => hop.1 = value,
                _ => {}
            }
        }
        hop
    };
    all.into_iter().enumerate().map(element).collect()
}

/// An address. Spaces within quotes are a part of what is quoted.
fn node(text: &str) -> Option<Peer> {
    let (address, port) = if let Ok(address) = text.parse::<IpAddr>() {
        (address, "")
    } else if let Some((address, port)) =
        text.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
    {
        (bracketed(address)?, port)
    } else {
        (bracketed(text).filter(IpAddr::is_ipv6)?, "")
    };
    let is_number = !port.is_empty() && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
    match is_number.then(|| port.parse::<u16>()) {
        Some(port) => Some(Peer::inet(address, Some(port.ok()?))),
        None if port.is_empty() => Some(Peer::inet(address, None)),
        // A port that a proxy hides (RFC 7239, 6.3).
        None => {
            let name = port.strip_prefix('_').filter(|name| !name.is_empty())?;
            let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            name.chars().all(is_known).then(|| Peer::inet(address, None))
        }
    }
}

/// IPv4, or IPv6 in brackets.
fn bracketed(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}
