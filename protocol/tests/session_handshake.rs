//! Which requests become a WebSocket, and what is answered.

use wsmaster_protocol::{
    deflate::{Policy, WindowBits},
    handshake::{Refusal, SUBPROTOCOLS_MAX, Upgrade, check, wants_upgrade},
};

type Header = (&'static str, &'static str);

const KEY: Header = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
/// The request of RFC 6455, section 1.3.
const SAMPLE: [Header; 5] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    KEY,
    ("Sec-WebSocket-Version", "13"),
];

fn bytes<'a>(headers: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    headers.iter().map(|(name, value)| (*name, value.as_bytes()))
}

/// The sample with one header replaced by others.
fn sample_with(name: &str, instead: &[Header]) -> Vec<Header> {
    let others = SAMPLE.into_iter().filter(|(known, _)| *known != name);
    others.chain(instead.iter().copied()).collect()
}

fn accepted<'a>(headers: &'a [(&'a str, &'a str)]) -> Upgrade<'a> {
    check("GET", 1, bytes(headers)).expect("a good handshake")
}

#[test]
fn the_example_of_section_1_3() {
    let mut headers = SAMPLE.to_vec();
    headers.push(("Sec-WebSocket-Protocol", "chat, superchat"));
    let upgrade = accepted(&headers);
    assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    let response = String::from_utf8(upgrade.response(Some("chat"), [])).expect("ASCII");
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: chat\r\n\
         \r\n"
    );
}

#[test]
fn lists_and_cases_are_read_as_http_says() {
    let headers = [
        ("uPGRADE", "h2c, WebSocket"),
        ("connection", "keep-alive"),
        ("Connection", " , UPGRADE ,"),
        ("SEC-WEBSOCKET-KEY", " dGhlIHNhbXBsZSBub25jZQ== "),
        ("sec-websocket-version", "13"),
        ("content-length", "0"),
        ("Sec-WebSocket-Protocol", "a,,b"),
        ("Sec-WebSocket-Protocol", "c"),
    ];
    assert!(wants_upgrade(bytes(&headers)));
    assert_eq!(accepted(&headers).subprotocols().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn only_the_token_websocket_asks_for_one() {
    let table = [
        (vec![], false),
        (vec![("Connection", "Upgrade")], false),
        (vec![("Upgrade", "h2c")], false),
        (vec![("Upgrade", "websockets")], false),
        (vec![("Upgrade", "h2c"), ("upgrade", "WEBSOCKET")], true),
    ];
    for (headers, expected) in table {
        assert_eq!(wants_upgrade(bytes(&headers)), expected, "{headers:?}");
    }
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    use Refusal::*;
    let key = |value| sample_with("Sec-WebSocket-Key", &[("Sec-WebSocket-Key", value)]);
    let version = |value| sample_with("Sec-WebSocket-Version", &[("Sec-WebSocket-Version", value)]);
    let also = |name, value| [SAMPLE.to_vec(), vec![(name, value)]].concat();
    let table: Vec<(Vec<Header>, Refusal, u16)> = vec![
        (sample_with("Upgrade", &[]), NoUpgrade, 400),
        (sample_with("Upgrade", &[("Upgrade", "h2c")]), NoUpgrade, 400),
        (sample_with("Connection", &[]), NoConnectionUpgrade, 400),
        (sample_with("Connection", &[("Connection", "keep-alive")]), NoConnectionUpgrade, 400),
        (also("Content-Length", "1"), Body, 400),
        (also("Content-Length", "00x"), Body, 400),
        (also("Transfer-Encoding", "chunked"), Body, 400),
        (sample_with("Sec-WebSocket-Version", &[]), VersionCount, 400),
        (also("sec-websocket-version", "13"), VersionCount, 400),
        (version("8"), Version, 426),
        (version("13, 8"), Version, 426),
        (version("013"), Version, 426),
        (sample_with("Sec-WebSocket-Key", &[]), KeyCount, 400),
        (also("Sec-WebSocket-Key", KEY.1), KeyCount, 400),
        (key(""), Key, 400),
        (key("dGhlIHNhbXBsZSBub25jZQ="), Key, 400),
        (key("dGhlIHNhbXBsZSBub25jZQ==="), Key, 400),
        (key("dGhlIHNhbXBsZSBub25jZQQ="), Key, 400),
        (key("dGhlIHNhbXBsZSBub25jZQQQ"), Key, 400),
        (key("dGhlIHNhbXBsZ\r\nBub25jZQ=="), Key, 400),
        (key("dGhlIHNhbXBsZS_ub25jZQ=="), Key, 400),
        (also("Sec-WebSocket-Protocol", "two words"), Subprotocols, 400),
        (also("Sec-WebSocket-Protocol", "a, b\r\nSet-Cookie: x"), Subprotocols, 400),
        (also("Sec-WebSocket-Protocol", "é"), Subprotocols, 400),
    ];
    for (headers, refusal, status) in table {
        assert_eq!(check("GET", 1, bytes(&headers)), Err(refusal), "{headers:?}");
        assert_eq!(refusal.status(), status);
        assert!(!refusal.to_string().is_empty());
    }
    for method in ["POST", "HEAD", "get", "CONNECT"] {
        assert_eq!(check(method, 1, bytes(&SAMPLE)), Err(Method));
    }
    assert_eq!(Method.status(), 405);
    assert_eq!(Method.headers(), [("Allow", "GET")]);
    assert_eq!(check("GET", 0, bytes(&SAMPLE)), Err(HttpVersion));
    assert!(Version.headers().contains(&("Sec-WebSocket-Version", "13")));
}

#[test]
fn the_offer_of_subprotocols_is_bounded() {
    let offer = vec!["p"; SUBPROTOCOLS_MAX].join(",");
    let with = |offer: &str| {
        let headers = [&SAMPLE[..], &[("Sec-WebSocket-Protocol", "")]].concat();
        let headers = headers.into_iter().map(|(name, value)| {
            (
                name,
                if name == "Sec-WebSocket-Protocol" { offer.as_bytes() } else { value.as_bytes() },
            )
        });
        check("GET", 1, headers).map(|upgrade| upgrade.subprotocols().count())
    };
    assert_eq!(with(&offer), Ok(SUBPROTOCOLS_MAX));
    assert_eq!(with(&format!("{offer},p")), Err(Refusal::Subprotocols));
}

#[test]
fn nothing_from_outside_can_forge_a_line_of_the_response() {
    let headers = [&SAMPLE[..], &[("Sec-WebSocket-Protocol", "chat")]].concat();
    let upgrade = accepted(&headers);
    let plain = upgrade.response(None, []);
    for forged in ["x\r\nSet-Cookie: a", "other", "chat\r\n", "CHAT", ""] {
        assert_eq!(upgrade.response(Some(forged), []), plain, "{forged:?}");
    }
    let table = [
        ("X-A", "b\r\nX-C: d"),
        ("X-A", "b\nX-C: d"),
        ("X-A", "b\0"),
        ("X-A", "b\u{85}"),
        ("X A", "b"),
        ("X-A\r\nX-B", "b"),
        ("", "b"),
        ("X-é", "b"),
        ("connection", "close"),
        ("Upgrade", "h2c"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("sec-websocket-Extensions", "permessage-deflate"),
    ];
    for header in table {
        assert_eq!(upgrade.response(None, [header]), plain, "{header:?}");
    }
    let response = upgrade.response(None, [("Server", "wsmaster"), ("X-Name", "José\tMaria")]);
    let text = String::from_utf8(response).expect("UTF-8");
    assert!(text.ends_with("\r\nServer: wsmaster\r\nX-Name: José\tMaria\r\n\r\n"), "{text}");
}

/// RFC 6455, section 4.4; RFC 9110, sections 15.5.6 and 15.5.22.
#[test]
fn a_refusal_says_what_else_its_status_asks_for() {
    let without = |name| sample_with(name, &[]);
    let version = sample_with("Sec-WebSocket-Version", &[("Sec-WebSocket-Version", "12")]);
    let known = ("Sec-WebSocket-Version", "13");
    let table: [(&str, Vec<Header>, u16, &[Header]); 5] = [
        ("POST", SAMPLE.to_vec(), 405, &[("Allow", "GET")]),
        ("GET", version, 426, &[known, ("Upgrade", "websocket")]),
        ("GET", without("Sec-WebSocket-Version"), 400, &[known]),
        ("GET", without("Sec-WebSocket-Key"), 400, &[]),
        ("GET", without("Connection"), 400, &[]),
    ];
    for (method, headers, status, expected) in table {
        let refusal = check(method, 1, bytes(&headers)).expect_err("a bad handshake");
        assert_eq!((refusal.status(), refusal.headers()), (status, expected), "{refusal}");
    }
}

/// RFC 7692, section 5.1: the answer says what was agreed on, or nothing.
#[test]
fn compression_is_in_the_answer_when_it_was_agreed_on() {
    let policy = Policy { server_takeover: false, client_takeover: true, window: WindowBits::MAX };
    for (offer, expected) in [
        (None, None),
        (Some("permessage-deflate"), Some("permessage-deflate; server_no_context_takeover")),
        (Some("permessage-deflate; server_max_window_bits=16"), None),
        (Some("x-unknown"), None),
    ] {
        let mut headers = SAMPLE.to_vec();
        headers.extend(offer.map(|offer| ("Sec-WebSocket-Extensions", offer)));
        let mut upgrade = accepted(&headers);
        let line = |upgrade: &Upgrade<'_>| {
            let answer = String::from_utf8(upgrade.response(None, [])).expect("ASCII");
            let mut lines = answer.lines();
            lines.find_map(|line| Some(line.strip_prefix("Sec-WebSocket-Extensions: ")?.to_owned()))
        };
        assert_eq!(line(&upgrade), None, "{offer:?} was only offered");
        let agreement = upgrade.agree_on_deflate(&policy, 64 * 1024);
        assert_eq!(line(&upgrade).as_deref(), expected, "{offer:?}");
        assert_eq!(agreement.is_some(), expected.is_some());
        assert!(agreement.is_none_or(|agreed| !agreed.server_takeover && agreed.client_takeover));
    }
}
