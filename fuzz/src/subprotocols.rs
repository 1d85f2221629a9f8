//! Subprotocols: a list that is accepted is the same when it is read again, and what a client gets is the server's first that
//! the client has offered.

use wsmaster_protocol::{
    handshake::{self, SUBPROTOCOLS_MAX},
    subprotocols::Subprotocols,
};

/// See the module. The first line is the server's list, the rest the value of the client's header.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (list, offer) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(text) = str::from_utf8(list) else { return };
    let ours: Subprotocols = match text.parse() {
        Ok(ours) => ours,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let shown = ours.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&ours), "{text:?}");
    let names: Vec<&str> = shown.split(", ").filter(|name| !name.is_empty()).collect();
    assert!(names.len() <= SUBPROTOCOLS_MAX);
    for name in &names {
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','), "{name:?}");
        assert_eq!(ours.choose([*name].into_iter()), Some(*name));
    }

    // As it comes in a handshake, which refuses what is no list. No head with control characters comes so far.
    if offer.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return;
    }
    let headers = [
        ("Upgrade", &b"websocket"[..]),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", offer),
    ];
    let Ok(upgrade) = handshake::check("GET", 1, headers) else { return };
    let offered: Vec<&str> = upgrade.subprotocols().collect();
    let written = str::from_utf8(offer).expect("accepted, so ASCII");
    let simple: Vec<&str> = written
        .split(',')
        .map(|name| name.trim_matches([' ', '\t']))
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(offered, simple);
    let chosen = ours.choose(offered.iter().copied());
    assert_eq!(chosen, names.iter().copied().find(|name| offered.contains(name)));
}
