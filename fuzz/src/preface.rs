//! Headers of the PROXY protocol: the cuts and what stands behind a header do not matter, a second reader hears the same, and
//! a header that is written by the specification is read as it was meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wsmaster_protocol::{
    peer::Peer,
    proxy::preface::{Client, Step, V1_BYTES_MAX, V2_BYTES_MAX, read},
};

use crate::cuts;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// See the module. The first byte says how the rest is cut.
pub fn run(data: &[u8]) {
    let (input, read_bytes) = cuts::split(data);
    let whole = read(input);
    assert_eq!(hear(input, read_bytes), whole, "the cuts change what is heard");
    match whole {
        Step::Partial => assert!(input.len() < V2_BYTES_MAX, "a header that is never over"),
        Step::Complete { consumed, .. } => {
            assert!(consumed <= input.len() && consumed <= V2_BYTES_MAX);
            assert!(input[0] != b'P' || consumed <= V1_BYTES_MAX);
            assert_eq!(read(&input[..consumed]), whole, "what stands behind it counts");
            assert_eq!(read(&input[..consumed - 1]), Step::Partial);
        }
        Step::Malformed(fault) => assert!(!fault.to_string().is_empty()),
    }
    let simple = match input.first() {
        Some(b'P') => simple_v1(input),
        Some(_) => simple_v2(input),
        None => Simple::More,
    };
    let found = match whole {
        Step::Partial => Simple::More,
        Step::Complete { consumed, client } => Simple::Whole(consumed, client),
        Step::Malformed(_) => Simple::None,
    };
    assert_eq!(found, simple);
    check_written(input);
}

/// As a connection does it: what has come is read again from its beginning, until it is something.
fn hear(input: &[u8], read_bytes: usize) -> Step {
    let mut held = 0;
    loop {
        held = (held + read_bytes).min(input.len());
        let step = read(&input[..held]);
        if step != Step::Partial || held == input.len() {
            return step;
        }
    }
}

/// What a reader makes of it that has all the time and memory of the world.
#[derive(Debug, PartialEq)]
enum Simple {
    More,
    Whole(usize, Option<Client>),
    None,
}

fn simple_v1(input: &[u8]) -> Simple {
    let start = b"PROXY ";
    let common = input.len().min(start.len());
    if input[..common] != start[..common] {
        return Simple::None;
    }
    let Some(end) = (1..input.len()).find(|&end| input[end - 1..=end] == *b"\r\n") else {
        return if input.len() < V1_BYTES_MAX { Simple::More } else { Simple::None };
    };
    let consumed = end + 1;
    let Ok(line) = str::from_utf8(&input[..end - 1]) else { return Simple::None };
    if consumed > V1_BYTES_MAX {
        return Simple::None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let port = |word: &str| word.parse().ok().filter(|port: &u16| port.to_string() == word);
    let address = |word: &str, family: &str| {
        word.parse().ok().filter(|address: &IpAddr| address.is_ipv4() == (family == "TCP4"))
    };
    match words[..] {
        [_, "UNKNOWN", ..] => Simple::Whole(consumed, None),
        [_, family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let all = (address(from, family), address(to, family), port(from_port), port(to_port));
            let (Some(from), Some(_), Some(from_port), Some(_)) = all else { return Simple::None };
            let peer = Peer::inet(from, Some(from_port));
            Simple::Whole(consumed, Some(Client { peer, secure: false }))
        }
        _ => Simple::None,
    }
}

fn simple_v2(input: &[u8]) -> Simple {
    let common = input.len().min(SIGNATURE.len());
    if input[..common] != SIGNATURE[..common] {
        return Simple::None;
    }
    if input.len() < 16 {
        return Simple::More;
    }
    let consumed = 16 + usize::from(input[14]) * 256 + usize::from(input[15]);
    if consumed > V2_BYTES_MAX || !matches!(input[12], 0x20 | 0x21) {
        return Simple::None;
    }
    if input.len() < consumed {
        return Simple::More;
    }
    let rest = &input[16..consumed];
    let (address_bytes, peer) = match (input[12], input[13]) {
        (0x20, _) | (_, 0x00) => return Simple::Whole(consumed, None),
        (_, 0x11) if rest.len() >= 12 => {
            let address = Ipv4Addr::new(rest[0], rest[1], rest[2], rest[3]);
            (12, Peer::inet(address.into(), Some(u16::from(rest[8]) << 8 | u16::from(rest[9]))))
        }
        (_, 0x21) if rest.len() >= 36 => {
            let bits = rest[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte));
            let port = u16::from(rest[32]) << 8 | u16::from(rest[33]);
            (36, Peer::inet(Ipv6Addr::from_bits(bits).into(), Some(port)))
        }
        (_, 0x31) if rest.len() >= 216 => (216, Peer::Unix),
        _ => return Simple::None,
    };
    let mut secure = false;
    let mut at = address_bytes;
    while at < rest.len() {
        if at + 3 > rest.len() {
            return Simple::None;
        }
        let next = at + 3 + usize::from(rest[at + 1]) * 256 + usize::from(rest[at + 2]);
        if next > rest.len() {
            return Simple::None;
        }
        secure |= rest[at] == 0x20 && next > at + 3 && rest[at + 3] % 2 == 1;
        at = next;
    }
    Simple::Whole(consumed, Some(Client { peer, secure }))
}

/// Takes the input for a client, and writes of it what a proxy would.
fn check_written(input: &[u8]) {
    let Some((bytes, behind)) = input.split_first_chunk::<20>() else { return };
    let [secure, is_v4, high, low, address @ ..] = *bytes;
    let secure = secure % 2 == 1;
    let port = u16::from_be_bytes([high, low]);
    let (address, family): (IpAddr, _) = if is_v4 % 2 == 1 {
        (Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(), "TCP4")
    } else {
        (Ipv6Addr::from(address).into(), "TCP6")
    };
    let client = |secure| Some(Client { peer: Peer::inet(address, Some(port)), secure });

    let line = format!("PROXY {family} {address} {address} {port} {port}\r\n");
    let v1 = [line.as_bytes(), behind].concat();
    assert_eq!(read(&v1), Step::Complete { consumed: line.len(), client: client(false) }, "{line}");

    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let ports = [high, low, high, low];
    let addresses = [&octets[..], &octets, &ports].concat();
    // PP2_TYPE_NOOP, and PP2_TYPE_SSL with nothing verified.
    let extensions = [4, 0, 2, 7, 7, 0x20, 0, 5, u8::from(secure), 0, 0, 0, 0];
    let length = (addresses.len() + extensions.len()) as u16;
    let kind = if family == "TCP4" { 0x11 } else { 0x21 };
    let fixed = [&SIGNATURE[..], &[0x21, kind], &length.to_be_bytes()].concat();
    let v2 = [&fixed[..], &addresses, &extensions, behind].concat();
    let consumed = fixed.len() + usize::from(length);
    assert_eq!(read(&v2), Step::Complete { consumed, client: client(secure) });
}
