//! The requests, each with the rule it tries and the answer it must get. Only data; here are those that are made and not
//! written, the others are in the tables of the modules.

mod bodies;
mod heads;
mod upgrades;

use After::{Closed, Kept};

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// The next request on it is answered.
    Kept,
    /// The server ends it, and nothing behind the request was read as another one.
    Closed,
    /// It is a WebSocket.
    Upgraded,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What is tried.
    pub(crate) rule: String,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// The status of each answer, in order.
    pub(crate) answers: Vec<u16>,
    /// What becomes of the connection.
    pub(crate) after: After,
}

/// As [`Case`], for a table.
type Row = (&'static str, &'static [u8], u16, After);

/// All requests.
pub(crate) fn all() -> Vec<Case> {
    let tables: [&[Row]; 6] = [
        heads::LINES,
        heads::TARGETS,
        heads::HEADERS,
        heads::PATHS,
        bodies::LENGTHS,
        bodies::CHUNKS,
    ];
    let rows = tables.into_iter().flatten().map(|(rule, bytes, answer, after)| Case {
        rule: (*rule).to_owned(),
        bytes: bytes.to_vec(),
        answers: vec![*answer],
        after: *after,
    });
    rows.chain(upgrades::all()).chain(oversized()).chain(several()).collect()
}

/// Beyond the bounds, which are the defaults: 8 KiB of target, 16 KiB of head, 100 headers, 1 MiB of body.
fn oversized() -> Vec<Case> {
    let head =
        |line: &str, headers: &str| format!("{line}\r\nHost: a\r\n{headers}\r\n").into_bytes();
    let get = |headers: &str| head("GET /health HTTP/1.1", headers);
    let chunked = |body: &str| {
        let mut bytes = head("OPTIONS * HTTP/1.1", "Transfer-Encoding: chunked\r\n");
        bytes.extend_from_slice(body.as_bytes());
        bytes
    };
    let long = |length: usize| "a".repeat(length);
    let rows = [
        ("a target of 8,192 bytes", head(&format!("GET /{} HTTP/1.1", long(8191)), ""), 404, Kept),
        (
            "a target of 8,193 bytes",
            head(&format!("GET /{} HTTP/1.1", long(8192)), ""),
            414,
            Closed,
        ),
        ("a target without an end", format!("GET /{}", long(20_000)).into_bytes(), 414, Closed),
        ("a method without an end", long(20_000).into_bytes(), 431, Closed),
        ("100 headers", get(&"X: y\r\n".repeat(99)), 200, Kept),
        ("101 headers", get(&"X: y\r\n".repeat(100)), 431, Closed),
        ("2,000 headers", get(&"X: y\r\n".repeat(2000)), 431, Closed),
        ("2,000 empty headers", get(&"X:\r\n".repeat(2000)), 431, Closed),
        ("a header of 16 KiB", get(&format!("X: {}\r\n", long(16 * 1024))), 431, Closed),
        (
            "a header without an end",
            format!("GET / HTTP/1.1\r\nX: {}", long(20_000)).into_bytes(),
            431,
            Closed,
        ),
        ("a name of 16 KiB", get(&format!("{}: x\r\n", long(16 * 1024))), 431, Closed),
        ("64 KiB of cookies", get(&"Cookie: a=b\r\n".repeat(5000)), 431, Closed),
        ("an extension of 256 bytes", chunked(&format!("0;{}\r\n\r\n", long(256))), 204, Kept),
        ("an extension of 257 bytes", chunked(&format!("0;{}\r\n\r\n", long(257))), 400, Closed),
        ("an extension without an end", chunked(&format!("1;{}", long(20_000))), 400, Closed),
        (
            "a bomb of extensions",
            chunked(&format!("1;{}\r\na\r\n", long(250)).repeat(70)),
            400,
            Closed,
        ),
        (
            "trailers of 20,000 bytes",
            chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(3400))),
            431,
            Closed,
        ),
        (
            "1 MiB of tiny chunks",
            chunked(&format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(100_000))),
            204,
            Kept,
        ),
    ];
    rows.into_iter()
        .map(|(rule, bytes, answer, after)| Case {
            rule: rule.to_owned(),
            bytes,
            answers: vec![answer],
            after,
        })
        .collect()
}

/// Several requests at once.
fn several() -> Vec<Case> {
    const GOOD: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    const BAD: &str = "GET /health HTTP/1.1\r\n\r\n";
    let rows: [(&str, String, &[u16], After); 6] = [
        ("three", GOOD.repeat(3), &[200, 200, 200], Kept),
        ("an empty line between two", format!("{GOOD}\r\n{GOOD}"), &[200, 200], Kept),
        ("a bad one behind a good one", format!("{GOOD}{BAD}"), &[200, 400], Closed),
        ("a good one behind a bad one", format!("{BAD}{GOOD}"), &[400], Closed),
        ("300, which is more than one turn's share", GOOD.repeat(300), &[200; 300], Kept),
        (
            "one whose body would be the next",
            format!(
                "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{GOOD}",
                GOOD.len()
            ),
            &[204],
            Kept,
        ),
    ];
    rows.into_iter()
        .map(|(rule, text, answers, after)| Case {
            rule: format!("several: {rule}"),
            bytes: text.into_bytes(),
            answers: answers.to_vec(),
            after,
        })
        .collect()
}
