//! A page that is written again and again: over the one before on a terminal, behind it elsewhere.

use std::io::{self, IsTerminal, Write};

use ratatui::crossterm::terminal;

/// Where pages go.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal. `true`: a page is on it.
    Terminal(bool),
    /// A file or a pipe.
    Paper,
}

impl Screen {
    /// The standard output.
    pub(super) fn stdout() -> Self {
        if io::stdout().is_terminal() { Self::Terminal(false) } else { Self::Paper }
    }

    /// Writes a page.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn show(&mut self, page: &str) -> io::Result<()> {
        let text = match self {
            Self::Paper => page.to_owned(),
            Self::Terminal(has_page) => {
                let (width, height) = terminal::size().unwrap_or((80, 24));
                let begin =
                    if std::mem::replace(has_page, true) { "\x1b[H" } else { "\x1b[2J\x1b[H" };
                format!("{begin}{}", fitted(page, width.into(), height.into()))
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// As much of a page as a terminal shows without scrolling, with the rest of each line and of the terminal erased.
fn fitted(page: &str, width: usize, height: usize) -> String {
    let mut text = String::new();
    let rows = page.lines().count().min(height.saturating_sub(1));
    for line in page.lines().take(rows) {
        text.extend(line.chars().take(width));
        // Erase to the end of the line (ECMA-48, EL); a full line has nothing behind it.
        text.push_str(if line.chars().count() < width { "\x1b[K\n" } else { "\n" });
    }
    // And to the end of the screen (ED).
    text.push_str("\x1b[J");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_scrolls_the_terminal() {
        assert_eq!(fitted("ab\nc\n", 4, 10), "ab\x1b[K\nc\x1b[K\n\x1b[J");
        assert_eq!(fitted("abcdef\nx\ny\nz\n", 4, 3), "abcd\nx\x1b[K\n\x1b[J");
        assert_eq!(fitted("a\n", 0, 0), "\x1b[J");
    }
}
