//! Decoding a path: once, and nothing that a router would have read in another way.

use wsmaster_protocol::http::decode_path;

#[test]
fn paths_are_decoded_once_or_refused() {
    let table = [
        ("/", Some("/")),
        ("/a/b.html", Some("/a/b.html")),
        ("/a%20b", Some("/a b")),
        ("/caf%C3%A9", Some("/café")),
        ("/caf%c3%a9", Some("/café")),
        ("/a%2520b", Some("/a%20b")),
        ("/%252e%252e/", Some("/%2e%2e/")),
        ("/a+b", Some("/a+b")),
        ("/a%2Bb%3Fc%23d", Some("/a+b?c#d")),
        ("/...", Some("/...")),
        ("/.well-known/x", Some("/.well-known/x")),
        ("*", Some("*")),
        // Broken escapes and bytes that are not UTF-8.
        ("/%", None),
        ("/%4", None),
        ("/%zz", None),
        ("/%+1", None),
        ("/%é", None),
        ("/%ff", None),
        ("/%c0%af", None),
        // Control characters.
        ("/a%00.html", None),
        ("/a%0d%0ab", None),
        ("/a%7f", None),
        ("/a%c2%85b", None),
        // Separators the router did not see.
        ("/a%2Fb", None),
        ("/a%2fb", None),
        ("/a%5Cb", None),
        ("/a\\b", None),
        // Dot segments.
        ("/..", None),
        ("/../etc/passwd", None),
        ("/a/./b", None),
        ("/%2e%2e/etc", None),
        ("/a/.%2E", None),
    ];
    for (path, decoded) in table {
        assert_eq!(decode_path(path).as_deref(), decoded, "{path}");
    }
}
