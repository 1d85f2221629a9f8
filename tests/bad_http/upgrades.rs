//! Requests to become a WebSocket.

use super::{
    After::{self, Closed, Kept, Upgraded},
    Case,
};

/// Upgrades (RFC 6455, 4.1, 4.2.1 and 4.4).
pub(super) fn all() -> Vec<Case> {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\n";
    const CONNECTION: &str = "Connection: Upgrade\r\n";
    const GET: &str = "GET / HTTP/1.1\r\n";
    let many = format!("Sec-WebSocket-Protocol: {}\r\n", vec!["p"; 65].join(","));
    let empty = format!("Sec-WebSocket-Protocol: {}\r\n", ",".repeat(8000));
    let rows: &[(&str, [&str; 6], u16, After)] = &[
        ("a good upgrade", [GET, UPGRADE, CONNECTION, VERSION, KEY, ""], 101, Upgraded),
        (
            "in capitals",
            [GET, "UPGRADE: WebSocket\r\n", "CONNECTION: UPGRADE\r\n", VERSION, KEY, ""],
            101,
            Upgraded,
        ),
        (
            "in lists",
            [
                GET,
                "Upgrade: h2c, websocket\r\n",
                "Connection: keep-alive, Upgrade\r\n",
                VERSION,
                KEY,
                "",
            ],
            101,
            Upgraded,
        ),
        (
            "in two headers",
            [GET, UPGRADE, CONNECTION, "Connection: keep-alive\r\n", VERSION, KEY],
            101,
            Upgraded,
        ),
        (
            "an empty body",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Content-Length: 0\r\n"],
            101,
            Upgraded,
        ),
        (
            "commas for subprotocols",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, &empty],
            101,
            Upgraded,
        ),
        (
            "version 12",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: 12\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "version 14",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: 14\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "version 8 or 13",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: 8, 13\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "version 013",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: 013\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "an empty version",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version:\r\n", KEY, ""],
            426,
            Closed,
        ),
        ("no version", [GET, UPGRADE, CONNECTION, KEY, "", ""], 400, Closed),
        ("two versions", [GET, UPGRADE, CONNECTION, VERSION, VERSION, KEY], 400, Closed),
        ("no key", [GET, UPGRADE, CONNECTION, VERSION, "", ""], 400, Closed),
        ("two keys", [GET, UPGRADE, CONNECTION, VERSION, KEY, KEY], 400, Closed),
        (
            "an empty key",
            [GET, UPGRADE, CONNECTION, VERSION, "Sec-WebSocket-Key:\r\n", ""],
            400,
            Closed,
        ),
        (
            "a key of 15 bytes",
            [GET, UPGRADE, CONNECTION, VERSION, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", ""],
            400,
            Closed,
        ),
        (
            "a key of 17 bytes",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "a key that is not base64",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "a key without its padding",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
                "",
            ],
            400,
            Closed,
        ),
        ("no Connection", [GET, UPGRADE, VERSION, KEY, "", ""], 400, Closed),
        (
            "another Connection",
            [GET, UPGRADE, "Connection: keep-alive\r\n", VERSION, KEY, ""],
            400,
            Closed,
        ),
        ("no Upgrade", [GET, CONNECTION, VERSION, KEY, "", ""], 200, Kept),
        (
            "an Upgrade that begins so",
            [GET, "Upgrade: websockets\r\n", CONNECTION, VERSION, KEY, ""],
            200,
            Kept,
        ),
        ("POST", ["POST / HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""], 405, Closed),
        ("HEAD", ["HEAD / HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""], 405, Closed),
        ("HTTP/1.0", ["GET / HTTP/1.0\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""], 400, Closed),
        (
            "a subprotocol that is no token",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Sec-WebSocket-Protocol: a b\r\n"],
            400,
            Closed,
        ),
        (
            "websocket before another one",
            [GET, "Upgrade: websocket, h2c\r\n", CONNECTION, VERSION, KEY, ""],
            101,
            Upgraded,
        ),
        (
            "two headers, the second is ours",
            [GET, "Upgrade: h2c\r\nUpgrade: websocket\r\n", CONNECTION, VERSION, KEY, ""],
            101,
            Upgraded,
        ),
        (
            "the absolute form",
            ["GET http://b/ HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""],
            101,
            Upgraded,
        ),
        (
            "blanks around the version",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: \t13 \r\n", KEY, ""],
            101,
            Upgraded,
        ),
        (
            "an extension nobody knows",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Sec-WebSocket-Extensions: x-y; z=1\r\n"],
            101,
            Upgraded,
        ),
        (
            "windows that there are not",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                KEY,
                "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n",
            ],
            101,
            Upgraded,
        ),
        (
            "an expectation, and no body to wait for",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Expect: 100-continue\r\n"],
            101,
            Upgraded,
        ),
        (
            "our part of the key, from the client",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Sec-WebSocket-Accept: x\r\n"],
            101,
            Upgraded,
        ),
        (
            "bits behind the end of the key",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
                "",
            ],
            101,
            Upgraded,
        ),
        (
            "extensions without a grammar",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Sec-WebSocket-Extensions: ;\r\n"],
            400,
            Closed,
        ),
        (
            "another expectation",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Expect: x\r\n"],
            417,
            Closed,
        ),
        (
            "Connection in quotes",
            [GET, UPGRADE, "Connection: \"Upgrade\"\r\n", VERSION, KEY, ""],
            400,
            Closed,
        ),
        (
            "version +13",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: +13\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "version 13.0",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: 13.0\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "version -1",
            [GET, UPGRADE, CONNECTION, "Sec-WebSocket-Version: -1\r\n", KEY, ""],
            426,
            Closed,
        ),
        (
            "a key with a blank inside",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dG lIHNhbXBsZSBub25jZQ==\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "a key in the alphabet of URLs",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: -_hlIHNhbXBsZSBub25jZQ==\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "two keys in one header",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "a folded key",
            [
                GET,
                UPGRADE,
                CONNECTION,
                VERSION,
                "Sec-WebSocket-Key:\r\n dGhlIHNhbXBsZSBub25jZQ==\r\n",
                "",
            ],
            400,
            Closed,
        ),
        (
            "a version of the protocol in Upgrade",
            [GET, "Upgrade: websocket/13\r\n", CONNECTION, VERSION, KEY, ""],
            200,
            Kept,
        ),
        ("PUT", ["PUT / HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""], 405, Closed),
        (
            "OPTIONS of all",
            ["OPTIONS * HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""],
            405,
            Closed,
        ),
        ("HTTP/1.2", ["GET / HTTP/1.2\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""], 505, Closed),
        (
            "a directory up",
            ["GET /../chat HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""],
            400,
            Closed,
        ),
        (
            "an escaped slash",
            ["GET /chat%2froom HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""],
            400,
            Closed,
        ),
        (
            "a broken escape in the path",
            ["GET /%zz HTTP/1.1\r\n", UPGRADE, CONNECTION, VERSION, KEY, ""],
            400,
            Closed,
        ),
        ("a second Host", [GET, UPGRADE, CONNECTION, VERSION, KEY, "Host: b\r\n"], 400, Closed),
        (
            "two lengths of nothing",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Content-Length: 0\r\nContent-Length: 0\r\n"],
            400,
            Closed,
        ),
        (
            "a coding that is none",
            [GET, UPGRADE, CONNECTION, VERSION, KEY, "Transfer-Encoding: identity\r\n"],
            400,
            Closed,
        ),
        ("65 subprotocols", [GET, UPGRADE, CONNECTION, VERSION, KEY, &many], 400, Closed),
    ];
    let mut cases: Vec<Case> = rows
        .iter()
        .map(|(rule, [line, headers @ ..], answer, after)| Case {
            rule: format!("upgrade: {rule}"),
            bytes: format!("{line}Host: a\r\n{}\r\n", headers.concat()).into_bytes(),
            answers: vec![*answer],
            after: *after,
        })
        .collect();
    for (rule, header, body) in [
        ("a body", "Content-Length: 5\r\n", "hello"),
        ("a chunked body", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        (
            "a length and a coding",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
    ] {
        let headers = [GET, "Host: a\r\n", UPGRADE, CONNECTION, VERSION, KEY, header].concat();
        cases.push(Case {
            rule: format!("upgrade: {rule}"),
            bytes: format!("{headers}\r\n{body}").into_bytes(),
            answers: vec![400],
            after: Closed,
        });
    }
    cases.push(Case {
        rule: "upgrade: no Host".to_owned(),
        bytes: [GET, UPGRADE, CONNECTION, VERSION, KEY, "\r\n"].concat().into_bytes(),
        answers: vec![400],
        after: Closed,
    });
    cases
}
