//! What a channel may be called. Owns the rule, never the list of channels.

use super::error_code::ErrorCode;

/// Prefixes of channels that only some connections may enter.
const PREFIXES_WITH_PERMISSION: [&str; 2] = ["private.", "presence."];

/// Whether `name` is a channel name: 1 to `channel_bytes_max` bytes of ASCII letters, digits, `_` and `-`, in non-empty
/// parts separated by single dots (`chat.room.1`).
///
/// The alphabet needs no escaping in JSON, a URL path or a shell, and leaves `*` and `#` free for patterns.
///
/// # Errors
///
/// [`ErrorCode::InvalidChannel`].
pub fn check_name(name: &str, channel_bytes_max: usize) -> Result<(), ErrorCode> {
    if name.len() > channel_bytes_max {
        return Err(ErrorCode::InvalidChannel);
    }
    // Starting as if after a dot refuses the empty name and a leading dot; ending there refuses a trailing one.
    let mut after_dot = true;
    for byte in name.bytes() {
        after_dot = match byte {
            b'.' if after_dot => return Err(ErrorCode::InvalidChannel),
            b'.' => true,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => false,
            _ => return Err(ErrorCode::InvalidChannel),
        };
    }
    if after_dot { Err(ErrorCode::InvalidChannel) } else { Ok(()) }
}

/// Whether the channel `name` is one that a client may enter only with a permission: `private.*` and `presence.*`.
///
/// No request can carry a permission, so [`parse`](super::parse) refuses these channels to every client. Letting them
/// through as if they were public would open what their names promise to keep closed.
pub fn needs_permission(name: &str) -> bool {
    PREFIXES_WITH_PERMISSION.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(20);
        let too_long = "a".repeat(21);
        let good =
            ["a", "7", "-", "_", "chat.room.1", "a.b.c.d", "A-b_C.9", "private", longest.as_str()];
        let bad = [
            "",
            ".",
            "..",
            ".a",
            "a.",
            "a..b",
            "a b",
            "a\n",
            "a/b",
            "a:b",
            "a*",
            "#a",
            "a\0",
            "\u{e4}",
            "a\u{212a}",
            "\"",
            "\\",
            too_long.as_str(),
        ];
        for name in good {
            assert_eq!(check_name(name, 20), Ok(()), "{name:?}");
        }
        for name in bad {
            assert_eq!(check_name(name, 20), Err(ErrorCode::InvalidChannel), "{name:?}");
        }
    }

    #[test]
    fn permission_is_asked_for_by_the_prefix_with_its_dot() {
        for name in ["private.user.1", "presence.chat"] {
            assert!(needs_permission(name), "{name}");
        }
        for name in ["private", "presence", "privateer.1", "chat.private.1", "Private.1"] {
            assert!(!needs_permission(name), "{name}");
        }
    }
}
