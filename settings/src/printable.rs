//! Texts from outside, made fit for a terminal and a log line.
//!
//! Owns the escaping and the cutting. It decides nothing about the text.

/// Characters of a foreign text that are shown in a message.
const SHOWN_CHARS_MAX: usize = 60;

/// `text` as it may stand on a terminal: controls and invisible characters escaped, long ones cut.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = escaped(text.chars().take(SHOWN_CHARS_MAX));
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A path is never cut: its end is the part that matters.
#[must_use]
pub fn printable_path(path: &str) -> String {
    escaped(path.chars())
}

fn escaped(text: impl Iterator<Item = char>) -> String {
    let mut shown = String::new();
    for character in text {
        match character {
            '"' | '\'' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_or_hide_text_is_escaped() {
        for (text, shown) in [
            ("plain", "plain"),
            ("it's \"so\"", "it's \"so\""),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\0"),
            ("right\u{202e}left", "right\\u{202e}left"),
            ("Grüße", "Grüße"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
        assert_eq!(printable(&"x".repeat(60)), "x".repeat(60));
    }
}
