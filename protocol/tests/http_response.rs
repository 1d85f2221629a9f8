//! The bytes of an answer, and that nothing from outside can split it.

use serde::Serialize;
use wsmaster_protocol::http::{CONTINUE, HttpError, Response};

fn encode(response: &Response, keep_alive: bool, head_only: bool) -> String {
    let mut out = Vec::new();
    response.encode(keep_alive, head_only, &mut out);
    String::from_utf8(out).expect("these answers are text")
}

#[test]
fn an_answer_is_written_whole() {
    let response = Response::new(200).header("X-Served-By", "w0").text("hello");
    assert_eq!(
        encode(&response, true, false),
        "HTTP/1.1 200 OK\r\nX-Served-By: w0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\
         Connection: keep-alive\r\nX-Content-Type-Options: nosniff\r\n\r\nhello"
    );
}

#[test]
fn an_answer_is_appended() {
    let mut out = b"before".to_vec();
    Response::new(200).encode(true, false, &mut out);
    assert!(out.starts_with(b"beforeHTTP/1.1 200 OK\r\n"));
    assert!(out.ends_with(
        b"Content-Length: 0\r\nConnection: keep-alive\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    ));
}

#[test]
fn close_is_said() {
    let text = encode(&HttpError::LineEnd.response(), false, false);
    assert!(text.contains("\r\nConnection: close\r\n") && !text.contains("keep-alive"), "{text}");
}

/// RFC 9110 9.3.2: the same head as GET, no body.
#[test]
fn head_is_answered_without_the_body() {
    let response = Response::new(200).html("<p>page</p>");
    let whole = encode(&response, true, false);
    let head = encode(&response, true, true);
    assert_eq!(format!("{head}<p>page</p>"), whole);
    assert!(head.contains("Content-Length: 11\r\n") && head.contains("text/html; charset=utf-8"));
}

/// RFC 9110 8.6, 15.3.5, 15.4.5.
#[test]
fn no_content_has_no_length_and_no_body() {
    for status in [204, 304] {
        let text = encode(&Response::new(status).text("dropped"), true, false);
        assert!(!text.contains("Content-Length") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[test]
fn errors_are_json() {
    let text = encode(&Response::error(404, "no \"such\" page"), true, false);
    assert!(
        text.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "\r\n\r\n{\"success\":false,\"status\":404,\"error\":\"no \\\"such\\\" page\"}"
        ),
        "{text}"
    );
}

#[test]
fn a_status_out_of_range_is_our_fault() {
    for status in [0, 99, 100, 101, 199, 600, u16::MAX] {
        assert_eq!(Response::new(status).status(), 500, "{status}");
        let text = encode(&Response::error(status, "x"), true, false);
        assert!(text.starts_with("HTTP/1.1 500 ") && text.contains("\"status\":500"), "{text}");
    }
    assert!(
        encode(&Response::new(299), true, false).starts_with("HTTP/1.1 299 \r\n"),
        "RFC 9112 4"
    );
}

/// RFC 9110 15.5.6.
#[test]
fn method_not_allowed_says_what_is() {
    let text = encode(&Response::method_not_allowed(&["GET", "HEAD"]), true, false);
    assert!(
        text.starts_with("HTTP/1.1 405 ") && text.contains("\r\nAllow: GET, HEAD\r\n"),
        "{text}"
    );
}

/// RFC 9110 7.8, 15.5.22; RFC 6455 4.4.
#[test]
fn upgrade_required_says_to_what() {
    let text = encode(&Response::error(426, "speak WebSocket"), true, false);
    for line in
        ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Connection: keep-alive, Upgrade"]
    {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
    }
}

#[test]
fn a_value_cannot_split_an_answer() {
    let values = ["a\r\nSet-Cookie: x=y", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x0bb"];
    for value in values {
        let text = encode(&Response::new(302).header("Location", value), true, false);
        assert!(!text.contains("Location") && !text.contains("Set-Cookie"), "{text}");
        let text = encode(&Response::new(200).body(value, b"body".as_slice()), true, false);
        assert!(!text.contains("Content-Type:"), "{text}");
        let text = encode(&Response::method_not_allowed(&[value]), true, false);
        assert!(!text.contains("Allow:"), "{text}");
    }
    let tab = encode(&Response::new(200).header("X", "a\tb é"), true, false);
    assert!(tab.contains("X: a\tb é\r\n"));
}

#[test]
fn a_name_that_is_none_or_not_the_programs_is_refused() {
    for name in
        ["", "a b", "a:", "a\r\nb", "é", "Content-length", "CONNECTION", "transfer-encoding"]
    {
        let built = std::panic::catch_unwind(|| Response::new(200).header(name, "injected"));
        assert_eq!(built.is_err(), cfg!(debug_assertions), "{name:?}");
        let sent = built.map(|response| encode(&response, true, false)).unwrap_or_default();
        assert!(!sent.contains("injected"), "{name:?}");
    }
}

#[test]
fn headers_are_kept_but_there_is_one_content_type() {
    let response = Response::new(200)
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2")
        .text("first")
        .header("content-type", "text/css");
    let text = encode(&response, true, false);
    assert!(text.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{text}");
    assert_eq!(text.to_ascii_lowercase().matches("content-type:").count(), 1, "{text}");
    assert!(text.contains("content-type: text/css\r\n"), "{text}");
}

#[test]
fn a_value_that_is_no_json_becomes_a_500() {
    #[derive(Serialize)]
    struct Fine {
        clients: u32,
    }
    let text = encode(&Response::new(201).json(&Fine { clients: 3 }), true, false);
    assert!(
        text.starts_with("HTTP/1.1 201 Created\r\n") && text.ends_with("{\"clients\":3}"),
        "{text}"
    );

    let keyed_by_pairs = std::collections::BTreeMap::from([((1, 2), 3)]);
    let response = Response::new(200).json(&keyed_by_pairs);
    assert_eq!(response.status(), 500);
    assert!(encode(&response, true, false).contains("\"success\":false"));
}

/// RFC 9110 5.6.7; the expected dates are those of `date -u -d @N`.
#[test]
fn dates_are_right() {
    let table = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for (seconds, date) in table {
        let mut out = Vec::new();
        Response::new(200).encode_dated(seconds, true, false, &mut out);
        let text = String::from_utf8(out).expect("these answers are text");
        assert!(text.contains(&format!("\r\nDate: {date}\r\n")), "{seconds}: {text}");
    }
}

#[test]
fn there_is_one_date_whoever_gives_it() {
    let given = "Sun, 06 Nov 1994 08:49:37 GMT";
    let mut out = Vec::new();
    Response::new(200).header("date", given).encode_dated(0, true, false, &mut out);
    let text = String::from_utf8(out).expect("these answers are text");
    assert_eq!(text.to_lowercase().matches("\r\ndate:").count(), 1, "{text}");
    assert!(text.contains(given), "{text}");
    assert!(!encode(&Response::new(200), true, false).contains("Date"), "no clock, no date");
}

#[test]
fn continue_is_a_whole_interim_answer() {
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
}
