//! The handshake: a request that may not become a WebSocket is told why, and the answer to one that may is well formed
//! whatever the application adds.

use wsmaster_protocol::{
    handshake::{self, SUBPROTOCOLS_MAX},
    http::{HeadStep, HttpLimits, parse_head},
};

const LIMITS: HttpLimits = HttpLimits { head_bytes_max: 8192, headers_max: 64, body_bytes_max: 0 };

/// See the module. Behind the request's head may stand a subprotocol and a header that the application wants to answer
/// with, each up to a line end.
pub fn run(data: &[u8]) {
    let HeadStep::Complete { head, head_len } = parse_head(data, &LIMITS, &mut 0) else { return };
    let _ = handshake::wants_upgrade(head.headers());
    let upgrade = match handshake::check(head.method(), head.http_minor(), head.headers()) {
        Ok(upgrade) => upgrade,
        Err(refusal) => {
            assert!(matches!(refusal.status(), 400 | 405 | 426));
            return;
        }
    };
    assert_eq!(upgrade.key().len(), 24);
    assert!(upgrade.subprotocols().count() <= SUBPROTOCOLS_MAX);
    let wishes = String::from_utf8_lossy(&data[head_len..]);
    let mut wishes = wishes.split('\n');
    let subprotocol = wishes.next();
    let name = wishes.next().unwrap_or_default();
    let value = wishes.next().unwrap_or_default();
    let answer = upgrade.response(subprotocol, [(name, value), ("X-Value", name)]);
    let answer = String::from_utf8(answer).expect("an answer is text");
    let lines: Vec<&str> = answer.split("\r\n").collect();
    assert_eq!(lines[0], "HTTP/1.1 101 Switching Protocols");
    assert!(answer.ends_with("\r\n\r\n") && lines.len() <= 9, "a header too many: {answer:?}");
    for line in &lines[1..lines.len() - 2] {
        assert!(line.contains(": ") && !line.contains(['\r', '\n', '\0']), "no header: {line:?}");
    }
    let chosen = lines.iter().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
    assert!(chosen.is_none_or(|chosen| upgrade.subprotocols().any(|offered| offered == chosen)));
}
