//! Which texts are valid for the keys that take a text.
//!
//! Owns the spelling only: whether a host resolves, a file opens or a user exists is found out by
//! whoever uses it.

use std::net::Ipv6Addr;

/// The longest path the kernel takes, with its closing zero (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4_095;

/// The longest name of a user (`LOGIN_NAME_MAX` without its closing zero).
const NAME_BYTES_MAX: usize = 255;

/// The longest name of a process or a listener: it becomes part of titles, log lines and metrics.
const TABLE_NAME_BYTES_MAX: usize = 32;

/// The longest path of a route.
const ROUTE_BYTES_MAX: usize = 1_024;

/// The longest host name (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// The longest label of a host name (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// An IPv4 address, an IPv6 address without brackets, or a host name (RFC 1123 section 2.1).
pub(crate) fn is_host(text: &str) -> bool {
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().is_ok();
    }
    // Digits and dots alone are an address that must be right: `1.2.3` and `1.2.3.444` would
    // otherwise pass as names and fail at the resolver.
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return text.parse::<std::net::Ipv4Addr>().is_ok();
    }
    let label_fits = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= HOST_BYTES_MAX && text.split('.').all(label_fits)
}

/// A path that can name a file.
pub(crate) fn is_file_path(text: &str) -> bool {
    !text.is_empty() && is_optional_path(text) && !text.ends_with('/')
}

/// A path that can name a file, or nothing.
pub(crate) fn is_optional_path(text: &str) -> bool {
    is_path(text) && !text.ends_with('/')
}

/// A path that can name a directory, or nothing.
pub(crate) fn is_path(text: &str) -> bool {
    text.len() <= PATH_BYTES_MAX && !text.contains(char::is_control)
}

/// The whole path of a directory, or nothing.
pub(crate) fn is_absolute_path(text: &str) -> bool {
    text.is_empty() || (is_path(text) && text.starts_with('/'))
}

/// A name or number that can stand in the user database, or nothing.
pub(crate) fn is_system_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed) && !text.starts_with('-')
}

/// What a process or a listener can be called: 1 to 32 characters out of `a-z 0-9 _ -`.
pub(crate) fn is_table_name(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=TABLE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// A path as it looks when it is decoded, whole or up to a `/*` at its end.
pub(crate) fn is_route_path(text: &str) -> bool {
    let stem = text.strip_suffix("/*").unwrap_or(text);
    let allowed =
        |character: char| !character.is_control() && !matches!(character, '*' | '?' | '#' | '%');
    text.len() <= ROUTE_BYTES_MAX && text.starts_with('/') && stem.chars().all(allowed)
}

/// A key that can follow "Bearer " in a header (`b64token` of RFC 6750 section 2.1) and that is
/// long enough not to be guessed, or nothing.
pub(crate) fn is_bearer_key(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    text.is_empty()
        || ((16..=256).contains(&text.len()) && !body.is_empty() && body.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(rule(text), "{text:?} should be accepted");
        }
        for text in bad {
            assert!(!rule(text), "{text:?} should be refused");
        }
    }

    #[test]
    fn hosts() {
        let (label, name) = ("a".repeat(64), format!("{}aa", "abc.".repeat(63)));
        check(
            is_host,
            &["127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1", "localhost", "a-b.example", "x_1"],
            &[
                "",
                "1.2.3",
                "1.2.3.444",
                "[::1]",
                "::1::",
                "a..b",
                "-a",
                "a b",
                "a:80",
                &label,
                &name,
            ],
        );
    }

    #[test]
    fn paths() {
        let long = "a".repeat(PATH_BYTES_MAX + 1);
        check(
            is_file_path,
            &["/run/x.pid", "x.pid", "with space"],
            &["", "/", "dir/", "a\0b", &long],
        );
        check(is_optional_path, &["", "x.log"], &["dir/", "a\nb", &long]);
        check(is_absolute_path, &["", "/", "/srv/jail/"], &["jail", "./jail", "/a\0b", &long]);
        check(is_path, &["", "/", "dir/"], &["a\0b", &long]);
    }

    #[test]
    fn names() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        check(is_system_name, &["", "www-data", "_x", "1000"], &["a b", "a:b", "-a", "é", &long]);
    }

    #[test]
    fn process_names() {
        let long = "a".repeat(TABLE_NAME_BYTES_MAX + 1);
        check(
            is_table_name,
            &["queue", "a-b_9", "-", &long[1..]],
            &["", "Queue", "a b", "a.b", "é", "a/b", "a\n", &long],
        );
    }

    #[test]
    fn route_paths() {
        let long = format!("/{}", "a".repeat(ROUTE_BYTES_MAX));
        check(
            is_route_path,
            &["/", "/*", "/chat", "/chat/", "/chat/*", "/a b/é", "//"],
            &["", "chat", "*", "/chat*", "/*/a", "/a?b", "/a#b", "/a%20b", "/a\nb", &long],
        );
    }

    #[test]
    fn bearer_keys() {
        let (most, long) = ("a".repeat(256), "a".repeat(257));
        check(
            is_bearer_key,
            &["", "0123456789abcdef", "0123456789abcd==", "-._~+/ABCabc0123", &most],
            &[
                "short",
                "0123456789abcde",
                "0123456789 abcdef",
                "================",
                "01234=6789abcdefg",
                &long,
            ],
        );
    }
}
