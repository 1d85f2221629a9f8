//! From the text of the file to a TOML document, past the syntax errors that can be passed safely.
//!
//! Owns positions and recovery. It knows no setting.
//!
//! The parser stops at the first error of a text. To find the others as well, a line that holds
//! nothing but one broken assignment is blanked and the rest is parsed again. A broken header or an
//! open string would change the meaning of what follows, so there the reading ends.

use std::ops::Range;

use toml_edit::{Document, TomlError};

use crate::config::model::error::{ConfigError, Place};

/// Broken lines that are passed before the reading ends; each costs one more parse.
const PASSED_LINES_MAX: usize = 20;

/// Turns offsets of the text into places.
pub(crate) struct Positions<'a> {
    name: &'a str,
    text: &'a str,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
}

impl<'a> Positions<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        let after_breaks =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { name, text, line_starts }
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(crate) fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let (line, column) = self.line_column(offset);
        Place::Line { name: self.name.to_owned(), line, column }
    }

    /// The bytes of the line an offset is in, without its end.
    fn line_of(&self, offset: usize) -> Range<usize> {
        let (line, _) = self.line_column(offset);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        start..end
    }
}

/// The document, as far as it could be read, and what was wrong with its syntax. Without a document
/// there is at least one error.
pub(crate) fn parse(positions: &Positions<'_>) -> (Option<Document<String>>, Vec<ConfigError>) {
    let mut text = positions.text.to_owned();
    let mut errors = Vec::new();
    loop {
        let error = match Document::parse(text.clone()) {
            Ok(document) => return (Some(document), errors),
            Err(error) => error,
        };
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        errors.push(describe(positions, &error, at));
        let line = positions.line_of(at);
        let broken = text.get(line.clone()).unwrap_or_default();
        if errors.len() > PASSED_LINES_MAX || !is_lone_assignment(broken) {
            return (None, errors);
        }
        // Spaces keep every other offset where it was.
        let blank = " ".repeat(line.len());
        text.replace_range(line, &blank);
    }
}

fn describe(positions: &Positions<'_>, error: &TomlError, at: usize) -> ConfigError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let line = positions.text.get(positions.line_of(at)).unwrap_or_default();
    let value = line.split_once('=').map_or("", |(_, value)| value.trim());
    let place = positions.place(at);
    let problem = match message.as_str() {
        "duplicate key" => {
            let after = first_of(positions, at).map(|first| format!(", after line {first}"));
            let problem = format!("is given again{}", after.unwrap_or_default());
            return ConfigError::new(place, name_on(line), problem);
        }
        message if !message.starts_with("string values must be quoted") => message,
        _ if value.is_empty() => "there is no value",
        _ => "a text needs quotes",
    };
    ConfigError::whole(place, format!("not TOML: {problem}"))
}

/// The line on which the name that is repeated at an offset was given first.
fn first_of(positions: &Positions<'_>, at: usize) -> Option<usize> {
    let (repeated_line, _) = positions.line_column(at);
    let repeated = name_on(positions.text.get(positions.line_of(at))?);
    let before = positions.text.lines().take(repeated_line - 1).enumerate();
    let mut found = None;
    for (index, line) in before {
        let name = name_on(line);
        if name == repeated {
            found = Some(index + 1);
        } else if name.starts_with('[') && !repeated.starts_with('[') {
            found = None;
        }
    }
    found
}

/// The key of an assignment, or a header with its brackets.
fn name_on(line: &str) -> &str {
    let end = if line.trim_start().starts_with('[') { '#' } else { '=' };
    line.split(end).next().unwrap_or_default().trim()
}

/// Whether a line is an assignment that neither opens nor closes anything that reaches over lines.
fn is_lone_assignment(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let reaches_on = ["\"\"\"", "'''"].iter().any(|quotes| value.contains(quotes))
        || value.contains(['[', ']', '{', '}']);
    !key.trim_start().starts_with('[') && !key.trim().is_empty() && !reaches_on
}
