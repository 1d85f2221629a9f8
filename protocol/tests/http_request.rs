//! What a `RequestHead` answers about a request, what it shows in a log, what it costs, and that it can be stored.

use wsmaster_protocol::http::{BodyKind, HeadStep, HttpLimits, RequestHead, parse_head};

#[track_caller]
fn head(input: &[u8]) -> RequestHead {
    match parse_head(input, &HttpLimits::default(), &mut 0) {
        HeadStep::Complete { head, head_len } if head_len == input.len() => head,
        step => panic!("not exactly one head: {step:?}"),
    }
}

#[track_caller]
fn get(target: &str) -> RequestHead {
    head(format!("GET {target} HTTP/1.1\r\nHost: header.example\r\n\r\n").as_bytes())
}

#[track_caller]
fn with(version: &str, headers: &str) -> RequestHead {
    head(format!("POST / {version}\r\nHost: a\r\n{headers}\r\n").as_bytes())
}

#[test]
fn targets_are_taken_apart() {
    let table = [
        ("/", "/", None),
        ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
        ("/a?", "/a", Some("")),
        ("//a", "//a", None),
        ("http://b", "/", None),
        ("http://b/", "/", None),
        ("http://b?c", "/", Some("c")),
        ("HTTP://b:80/c/d?e", "/c/d", Some("e")),
        ("/to?u=http://b/c", "/to", Some("u=http://b/c")),
    ];
    for (target, path, query) in table {
        let head = get(target);
        assert_eq!((head.target(), head.path(), head.query()), (target, path, query));
    }
    let star = head(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((star.target(), star.path(), star.query()), ("*", "*", None));
    let absolute = head(b"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.path(), "*", "RFC 9112 3.2.4");
}

#[test]
fn a_path_is_logged_without_what_may_be_a_token() {
    for (target, shown) in [
        ("/", "/"),
        ("/api/connections/9007199254740991?key=x", "/api/connections/9007199254740991"),
        ("/ws/eyJhbGciOiJIUzI1NiJ9.e30.x/in", "/ws/(redacted)/in"),
        ("http://target.example/eyJhbGciOiJIUzI1NiJ9", "/(redacted)"),
    ] {
        assert_eq!(get(target).path_redacted(), shown);
    }
}

/// RFC 9112 3.2.2: an absolute target wins over Host.
#[test]
fn the_host_is_the_one_asked_for() {
    assert_eq!(get("/").host(), Some("header.example"));
    assert_eq!(get("http://target.example:81?a").host(), Some("target.example:81"));
    assert_eq!(get("wss://target.example:81/a").host(), Some("target.example:81"));
    assert_eq!(get("wss://target.example:81/a").path(), "/a");
    assert_eq!(head(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").host(), Some("a"));
    assert_eq!(head(b"GET / HTTP/1.0\r\n\r\n").host(), None);
}

#[test]
fn headers_are_found_in_any_case_and_trimmed() {
    let head = head(b"GET / HTTP/1.1\r\nHost: a\r\nX-One: \t1 2\t \r\nx-one: 3\r\nX-Raw:\xff\r\nX-Colon: a:b\r\n\r\n");
    assert_eq!(head.method(), "GET");
    assert_eq!(head.http_minor(), 1);
    assert_eq!(head.header("x-ONE"), Some("1 2"), "the first one");
    assert_eq!(head.header("x-raw"), None, "not UTF-8");
    assert_eq!(head.header("x-colon"), Some("a:b"));
    assert_eq!(head.header("x"), None);
    let all: Vec<_> = head.headers().collect();
    let want: [(&str, &[u8]); 5] = [
        ("Host", b"a"),
        ("X-One", b"1 2"),
        ("x-one", b"3"),
        ("X-Raw", b"\xff"),
        ("X-Colon", b"a:b"),
    ];
    assert_eq!(all, want);
}

#[test]
fn query_values_are_decoded_once() {
    let head =
        get("/ws?a=1&b=%41+%2B&a=2&flag&empty=&%63=d=e&bad=%zz&latin=%ff&twice=%2541&plus=a%2Bb");
    let table = [
        ("a", Some("1")),
        ("b", Some("A +")),
        ("flag", Some("")),
        ("empty", Some("")),
        ("c", Some("d=e")),
        ("bad", None),
        ("latin", None),
        ("twice", Some("%41")),
        ("plus", Some("a+b")),
        ("none", None),
    ];
    for (name, value) in table {
        assert_eq!(head.query_value(name).as_deref(), value, "{name}");
    }
    assert_eq!(get("/").query_value("a"), None);
}

/// RFC 9112 9.3.
#[test]
fn the_connection_lives_on_as_the_client_says() {
    let table = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: Upgrade, CLOSE\r\n", false),
        ("HTTP/1.1", "Connection: a\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, headers, keep_alive) in table {
        assert_eq!(with(version, headers).keep_alive(), keep_alive, "{version} {headers:?}");
    }
}

#[test]
fn the_body_and_the_wait_for_100_are_known() {
    let expect = "Expect: 100-continue\r\n";
    let table = [
        ("HTTP/1.1", "", BodyKind::None, false),
        ("HTTP/1.1", "Content-Length: 0\r\n", BodyKind::None, false),
        ("HTTP/1.1", "Content-Length: 007\r\n", BodyKind::Length(7), true),
        ("HTTP/1.1", "Transfer-Encoding: chunked\r\n", BodyKind::Chunked, true),
        ("HTTP/1.0", "Content-Length: 7\r\n", BodyKind::Length(7), false),
    ];
    for (version, headers, body, waits) in table {
        assert_eq!(with(version, headers).body(), body, "{version} {headers:?}");
        assert!(!with(version, headers).expects_continue(), "{version} {headers:?}");
        let expecting = with(version, &format!("{expect}{headers}"));
        assert_eq!(expecting.expects_continue(), waits, "{version} {headers:?}");
    }
}

#[test]
fn a_log_shows_no_secret() {
    let head = head(
        b"GET /ws?room=lobby&access_token=HIDE1&api%4Bey=HIDE2&X-Amz-Signature=HIDE3&%zz=HIDE4&HIDE5HIDE5HIDE5HIDE5&v HTTP/1.1\r\n\
          Host: a\r\nAuthorization: Bearer HIDE6\r\nCookie: sid=HIDE7\r\nX-Api-Key: HIDE8\r\n\
          Sec-WebSocket-Protocol: chat, HIDE9\r\nReferer: https://a/?t=HIDE\r\nX-Session-Token: HIDE\r\n\
          Proxy-Authorization: HIDE\r\nSec-WebSocket-Key: c2hvd24=\r\nUser-Agent: shown/1.0\r\n\r\n",
    );
    let debug = format!("{head:?} {}", head.target_redacted());
    assert!(!debug.contains("HIDE"), "{debug}");
    for shown in ["room=lobby", "access_token=(redacted)", "&v", "c2hvd24=", "shown/1.0", "GET"] {
        assert!(debug.contains(shown), "{shown} in {debug}");
    }
}

#[test]
fn a_head_costs_its_length_and_64_bytes_at_most() {
    let input = b"GET /app?room=lobby HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\r\n";
    assert!(size_of::<RequestHead>() <= 64);
    assert_eq!(head(input).memory_bytes(), input.len() + size_of::<RequestHead>());
}

#[test]
fn a_stored_head_is_the_same_head() {
    let requests: [&[u8]; 3] = [
        b"\r\nGET /a?b=c HTTP/1.1\r\nHost: a\r\nX: \"quoted\"\r\n\r\n",
        b"POST http://h:1/p HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nX: \xff\x80\xc3\xa9\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ];
    for request in requests {
        let head = head(request);
        let stored = serde_json::to_string(&head).expect("a head is one string");
        let loaded: RequestHead = serde_json::from_str(&stored).expect("it was a valid head");
        assert_eq!(loaded, head);
    }
}

#[test]
fn a_stored_head_is_checked_again() {
    let table = [
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{100}\r\n\r\n",
        "",
    ];
    for text in table {
        let stored = serde_json::to_string(text).expect("a string");
        assert!(serde_json::from_str::<RequestHead>(&stored).is_err(), "{text:?}");
    }
}
