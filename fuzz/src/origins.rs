//! Which pages may open a WebSocket: a list that is accepted is the same when it is read again, the spelling of an origin does
//! not matter, and nobody comes in whose host a simple reader finds to be another one.

use std::net::{Ipv4Addr, Ipv6Addr};

use wsmaster_protocol::origin::{AllowedOrigins, ENTRIES_MAX, normal_form};

/// See the module. The first line is a list of origins, the second a `Host`, each other one an `Origin`.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut text = || str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (list, host) = (text(), text());
    let origins: Vec<&[u8]> = lines.collect();
    let list = check_list(list);
    for origin in &origins {
        let allows = |by: &AllowedOrigins, host| by.allows([*origin].into_iter(), host);
        let same = allows(&AllowedOrigins::SameHost, Some(host));
        let expected = host_of(origin).is_some_and(|(authority, port)| {
            is_of_this_machine(&authority) || is_the_same(&authority, host, port)
        });
        assert_eq!(same, expected, "{} for {host:?}", origin.escape_ascii());
        assert!(allows(&AllowedOrigins::Any, None));

        let Ok(origin) = str::from_utf8(origin) else { continue };
        let normal = normal_form(origin);
        if let Some(normal) = &normal {
            assert_eq!(normal_form(normal).as_ref(), Some(normal), "a normal form has one form");
            assert_eq!(normal_form(&origin.to_ascii_uppercase()).as_ref(), Some(normal));
            let only: AllowedOrigins = normal.parse().expect("a list of one");
            assert!(allows(&only, None));
        }
        if let AllowedOrigins::Listed(listed) = &list {
            let is_listed = normal.is_some_and(|normal| listed.contains(&normal));
            assert_eq!(allows(&list, Some(host)), is_listed, "{origin} in {list}");
        }
    }
    if origins.len() > 1 {
        assert!(!AllowedOrigins::SameHost.allows(origins.iter().copied(), Some(host)));
    }
}

fn check_list(text: &str) -> AllowedOrigins {
    match text.parse::<AllowedOrigins>() {
        Ok(list) => {
            assert_eq!(list.to_string().parse().as_ref(), Ok(&list), "{text:?}");
            match &list {
                AllowedOrigins::Listed(listed) => assert!(listed.len() <= ENTRIES_MAX),
                AllowedOrigins::SameHost | AllowedOrigins::Any => {}
            }
            list
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            AllowedOrigins::SameHost
        }
    }
}

/// Whether two authorities are the same, where `default` is the port of both if they have none.
fn is_the_same(one: &str, other: &str, default: u16) -> bool {
    let with_port = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
            Some(at) => Some((authority[..at].to_owned(), number(&authority[at + 1..])?)),
            None => Some((authority, default)),
        }
    };
    with_port(one).is_some_and(|one| Some(one) == with_port(other))
}

fn number(port: &str) -> Option<u16> {
    port.chars().all(|c| c.is_ascii_digit()).then(|| port.parse().ok()).flatten()
}

/// Host and port of an origin of the web (RFC 6454, 6.2), as long as it is made of the letters that those are made of, and
/// the port that its scheme has.
fn host_of(origin: &[u8]) -> Option<(String, u16)> {
    let origin = str::from_utf8(origin).ok().filter(|origin| origin.len() <= 300)?;
    let (scheme, authority) = origin.split_once("://")?;
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => return None,
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
        Some(at) => (&authority[..at], Some(&authority[at + 1..])),
        None => (authority, None),
    };
    let is_port = port.is_none_or(|port| number(port).is_some());
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !host.is_empty() && host.chars().all(is_letter)
        }
    };
    (is_port && is_host).then(|| (authority.to_owned(), default))
}

fn is_of_this_machine(authority: &str) -> bool {
    let with_port = |text: String| text.parse::<std::net::SocketAddr>();
    let address = with_port(authority.to_owned()).or_else(|_| with_port(format!("{authority}:0")));
    match address {
        Ok(address) => address.ip() == Ipv6Addr::LOCALHOST || is_loopback_v4(address.ip()),
        Err(_) => {
            let name = authority.split(':').next().unwrap_or_default();
            // A number with zeros before it is a port all the same.
            let number = name.parse::<Ipv4Addr>().map(|address| address.is_loopback());
            name.eq_ignore_ascii_case("localhost") || number == Ok(true)
        }
    }
}

fn is_loopback_v4(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => address.octets()[0] == 127,
        std::net::IpAddr::V6(_) => false,
    }
}
