//! JSON on one line, whatever was put into it: neither a client nor a program can end a line of the server.
//!
//! Ends of lines inside a text are escapes in any JSON. Two things need more than that: JSON that is passed on as somebody
//! wrote it may have line ends between its parts, and readers of some languages also end a line at U+0085, U+2028 and U+2029,
//! which JSON allows in a text as they are.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

/// Appends a value and the end of its line.
///
/// # Errors
/// The value cannot be written as JSON, as a map whose keys are no texts; nothing is appended then.
pub fn append(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    let before = out.len();
    match value.serialize(&mut Serializer::with_formatter(&mut *out, OneLine)) {
        Ok(()) => {
            out.push(b'\n');
            Ok(())
        }
        Err(error) => {
            out.truncate(before);
            Err(error)
        }
    }
}

/// The line of a value, its end included.
///
/// # Errors
/// As [`append`].
pub fn line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    append(&mut out, value)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The compact form of `serde_json` on one line. JSON that is passed on loses its blanks and nothing else: numbers, the order
/// of keys and keys that come twice stay as they were written.
#[derive(Clone, Copy, Debug)]
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment.as_bytes();
        while let Some((before, escape, after)) = next_separator(rest) {
            out.write_all(before)?;
            out.write_all(escape)?;
            rest = after;
        }
        out.write_all(rest)
    }

    /// Writes valid JSON, which a `RawValue` is. One pass, without memory of its own.
    fn write_raw_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(quote) = rest.find('"') {
            let (between, text) = rest.split_at(quote);
            write_without_blanks(out, between)?;
            let (text, after) = text.split_at(text_bytes(text.as_bytes()));
            self.write_string_fragment(out, text)?;
            rest = after;
        }
        write_without_blanks(out, rest)
    }
}

/// What stands before the first separator of lines, its escape, and what stands behind it.
fn next_separator(text: &[u8]) -> Option<(&[u8], &'static [u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + text[from..].iter().position(|byte| matches!(byte, 0xc2 | 0xe2))?;
        let (escape, bytes): (&'static [u8], usize) = match text[at..] {
            [0xc2, 0x85, ..] => (b"\\u0085", 2),
            [0xe2, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => {
                from = at + 1;
                continue;
            }
        };
        return Some((&text[..at], escape, &text[at + bytes..]));
    }
}

/// How long the text is that begins with the quote at the beginning of `json`, both quotes included.
fn text_bytes(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

/// Writes what stands between two texts. Blanks are the four of RFC 8259, section 2.
fn write_without_blanks<W: ?Sized + Write>(out: &mut W, between: &str) -> io::Result<()> {
    let parts = between.split([' ', '\t', '\r', '\n']);
    parts.filter(|part| !part.is_empty()).try_for_each(|part| out.write_all(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::plugin::{
        Asked, ClosedBy, EventKind, Hello, Opened, Reply, channel, closed, from_process, handshake,
        hello, message, opened, published, reply, request,
    };

    fn passed_on(json: &str) -> String {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        line(&json).unwrap().trim_end().to_owned()
    }

    #[test]
    fn json_loses_its_blanks_and_nothing_else() {
        for (json, expected) in [
            ("1", "1"),
            (" \t\r\n1e400 ", "1e400"),
            ("-0.10000000000000000000000000001E+7", "-0.10000000000000000000000000001E+7"),
            ("{\n  \"b\" : 1 ,\r\n \"a\":\t2,\"b\":3 }", r#"{"b":1,"a":2,"b":3}"#),
            ("[ ]", "[]"),
            ("[ true , null ]", "[true,null]"),
            (r#"" a  \" \\" "#, r#"" a  \" \\""#),
            (r#"["\\\\", "\\\"", " "]"#, r#"["\\\\","\\\""," "]"#),
            ("\"\u{85}x\u{2028}\u{2029}\"", r#""\u0085x\u2028\u2029""#),
            // What begins as they do.
            (
                "\"\u{a3}\u{e9}\u{2014}\u{20ac}\u{fffd}\"",
                "\"\u{a3}\u{e9}\u{2014}\u{20ac}\u{fffd}\"",
            ),
            (r#"{"\u2028": "\n"}"#, r#"{"\u2028":"\n"}"#),
        ] {
            assert_eq!(passed_on(json), expected, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        append(&mut out, &BTreeMap::from([((1, 2), "a key that is no text")])).unwrap_err();
        assert_eq!(out, b"before");
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = "[\n".repeat(100) + &"]\n".repeat(100);
        assert_eq!(passed_on(&deep), "[".repeat(100) + &"]".repeat(100));
    }

    /// A text in which what could end a line is frequent.
    fn text() -> impl Strategy<Value = String> {
        let awkward = prop::sample::select(vec![
            "\n",
            "\r",
            "\r\n",
            "\u{85}",
            "\u{2028}",
            "\u{2029}",
            "\u{b}",
            "\u{c}",
            "\u{1c}",
            "\u{1e}",
            "\0",
            "\"",
            "\\",
            "\\n",
            "{\"event\":\"stop\"}",
            "é",
            "€",
            "\u{a0}",
            "💡",
        ]);
        prop::collection::vec(prop_oneof![awkward.prop_map(str::to_owned), ".{0,4}"], 0..8)
            .prop_map(|parts| parts.concat())
    }

    /// JSON as somebody may write it: with blanks wherever they may be.
    fn json() -> impl Strategy<Value = String> {
        let blanks = || "[ \t\r\n]{0,3}";
        let plain = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,5})?",
            text().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        let wrap = move |part: BoxedStrategy<String>| {
            (blanks(), part, blanks()).prop_map(|(before, part, after)| before + &part + &after)
        };
        wrap(plain.boxed()).prop_recursive(6, 40, 4, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|parts| format!("[\n{}]", parts.join(",")));
            let key = text().prop_map(|text| serde_json::to_string(&text).unwrap());
            let object =
                prop::collection::vec((wrap(key.boxed()), inner), 0..4).prop_map(|parts| {
                    let parts: Vec<String> =
                        parts.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                    format!("{{\r\n{}}}", parts.join(","))
                });
            wrap(prop_oneof![list, object].boxed())
        })
    }

    fn told_text(event: &BTreeMap<String, Box<RawValue>>, field: &str) -> String {
        serde_json::from_str(event[field].get()).unwrap()
    }

    /// The events in `out`: one for each line, whatever a reader takes for the end of one.
    fn events(out: Vec<u8>) -> Vec<BTreeMap<String, Box<RawValue>>> {
        let out = String::from_utf8(out).unwrap();
        let whole = out.strip_suffix('\n').expect("the last line ends");
        assert!(
            !whole.contains(['\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}'])
                && !whole.contains(['\u{2028}', '\u{2029}']),
            "{whole:?}"
        );
        whole
            .split('\n')
            .map(|line| {
                // Not a `Value`, which has no room for every number of JSON.
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_line_is_one_event_of_the_server(json in json(), text in text(), id in text()) {
            let raw: Box<RawValue> = match serde_json::from_str(&json) {
                Ok(raw) => raw,
                Err(error) => panic!("{error}: {json:?}"),
            };
            let id = serde_json::value::to_raw_value(&id).unwrap();
            let mut out = Vec::new();
            published(&mut out, 5, &text, &raw);
            channel(&mut out, EventKind::Subscribe, 5, &text);
            message(&mut out, 5, Ok(&text));
            message(&mut out, 5, Err(text.as_bytes()));
            closed(&mut out, 5, Some(4000), &text, ClosedBy::Peer);
            from_process(&mut out, &text, Ok(&text));
            reply(&mut out, Some(&id), &Reply { error: Some(&text), info: Some(&raw), ..Reply::default() });
            reply(&mut out, Some(&raw), &Reply::default());
            let told = events(out);
            let kinds: Vec<String> = told.iter().map(|event| told_text(event, "event")).collect();
            prop_assert_eq!(
                kinds,
                ["publish", "subscribe", "message", "message", "close", "process", "reply", "reply"]
            );
            prop_assert_eq!(told_text(&told[0], "channel"), text.clone());
            prop_assert_eq!(told_text(&told[2], "text"), text.clone());
            prop_assert_eq!(told_text(&told[6], "error"), text.clone());
        }

        #[test]
        fn json_that_is_passed_on_means_the_same(json in json()) {
            let compact = passed_on(&json);
            prop_assert_eq!(passed_on(&compact), compact.clone(), "once is enough");
            // Numbers of any size, compared by how they are written.
            let written = |json: &str| json.replace([' ', '\t', '\r', '\n'], "");
            let escaped = |json: String| {
                json.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
            };
            prop_assert_eq!(escaped(written(&json)), written(&compact));
        }

        #[test]
        fn what_is_told_of_a_request_is_one_line(
            name in "[A-Za-z-]{1,8}",
            value in prop::collection::vec(0x20_u8..=0xff, 0..12),
            target in "(/[!-~]{0,12}){1,3}",
            body in prop::collection::vec(any::<u8>(), 0..20),
            text in text(),
        ) {
            let mut head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{name}: ").into_bytes();
            head.extend_from_slice(&value);
            head.extend_from_slice(b"\r\nX-Lines: \xe2\x80\xa8\xc2\x85\r\n\r\n");
            let limits = crate::http::HttpLimits::default();
            let step = crate::http::parse_head(&head, &limits, &mut 0);
            let crate::http::HeadStep::Complete { head, .. } = step else { return Ok(()) };
            let peer = crate::peer::Peer::from("[::1]:80".parse::<std::net::SocketAddr>().unwrap());
            let mut out = Vec::new();
            let asked = Asked { worker: 3, peer, head: &head, timeout_ms: 900 };
            handshake(&mut out, 5, &[&text, "b"], &asked);
            request(&mut out, &body, &asked);
            request(&mut out, text.as_bytes(), &asked);
            opened(&mut out, &Opened {
                connection: 5, worker: 3, peer, head: Some(&head), subprotocol: Some(&text), time_ms: 1, again: false,
            });
            hello(&mut out, &Hello {
                server: &text, name: &text, instance: 0, instances: 1, workers: 1, events: &[], tick_ms: 0,
                line_bytes_max: 1,
            });
            let told = events(out);
            prop_assert_eq!(told.len(), 5);
            let headers: BTreeMap<String, String> = serde_json::from_str(told[3]["headers"].get()).unwrap();
            prop_assert_eq!(headers["x-lines"].as_str(), "\u{2028}\u{85}");
        }
    }
}
