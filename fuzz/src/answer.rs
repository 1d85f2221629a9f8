//! What a program answers, on its way to the worker and to the client: whatever is read comes back as it was written, and a
//! client gets one head with one length whatever the program has put into it.

use std::collections::BTreeMap;

use wsmaster_protocol::plugin::{Answer, response};

/// See the module.
pub fn run(data: &[u8]) {
    let Some(answer) = Answer::decode(data) else { return };
    let mut bytes = Vec::new();
    answer.encode(&mut bytes);
    assert_eq!(Answer::decode(&bytes).as_ref(), Some(&answer), "written and read again");
    match answer {
        Answer::Respond { status, headers, body } if (200..=599).contains(&status) => {
            let sent = body.bytes.clone();
            let response = response(status, &headers, body);
            for is_head in [false, true] {
                let mut out = Vec::new();
                response.encode(true, is_head, &mut out);
                check_response(&out, status, &sent, is_head);
            }
        }
        Answer::Respond { .. }
        | Answer::Accept { .. }
        | Answer::Unwanted
        | Answer::Full
        | Answer::Ended => {}
    }
}

/// Reads a response as a client would that is easily misled: by lines, and by what they say of the length.
fn check_response(out: &[u8], status: u16, body: &[u8], is_head: bool) {
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let (head, sent) = (&out[..end], &out[end + 4..]);
    let head = str::from_utf8(head).expect("heads are text");
    let mut lines = head.split("\r\n");
    let line = lines.next().expect("a line");
    assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
    let mut lengths = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
        assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
        *seen.entry(name.to_ascii_lowercase()).or_default() += 1;
        if name.eq_ignore_ascii_case("content-length") {
            lengths.push(value.parse::<usize>().expect("a length"));
        }
    }
    assert!(!seen.contains_key("transfer-encoding"), "{head}");
    assert!(seen.get("connection").is_none_or(|count| *count == 1), "{head}");
    // These two have no body, whatever the program has given (RFC 9110, 15.3.5 and 15.4.5).
    if matches!(status, 204 | 304) || is_head {
        assert!(sent.is_empty(), "{head}");
        assert!(lengths.len() <= 1, "{head}");
    } else {
        assert_eq!(lengths, [sent.len()], "{head}");
        assert!(sent == body || sent.is_empty(), "another body");
    }
}
