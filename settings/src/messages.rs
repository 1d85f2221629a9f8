//! The words for a value that is refused: what was expected, what was found, what was meant.
//!
//! Owns the wording only. What is valid is decided by the kind of the value.

use crate::printable::printable;
use crate::suggest::nearest;
use crate::units::{describe_size, format_duration, parse_duration, parse_size};
use crate::value::{Kind, Raw, Value};

impl Raw<'_> {
    /// The value with its type.
    fn describe(&self) -> String {
        match self {
            Self::Word(text) => format!("\"{}\"", printable(text)),
            Self::Quoted(text) => format!("\"{}\" ({})", printable(text), self.type_name()),
            Self::Integer(number) => format!("{number} ({})", self.type_name()),
            Self::Flag(flag) => format!("{flag} ({})", self.type_name()),
            Self::Other { shown, type_name } if shown.is_empty() => (*type_name).to_owned(),
            Self::Other { shown, type_name } => format!("{} ({type_name})", printable(shown)),
        }
    }

    /// The type alone, for a value that might be a secret.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Word(_) | Self::Quoted(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Flag(_) => "a boolean",
            Self::Other { type_name, .. } => type_name,
        }
    }
}

impl Kind {
    /// Reads a value, or says what was expected and what was found. `automatic` is the word that
    /// leaves the value to the server, where the key has one.
    ///
    /// # Errors
    /// The sentence for the operator.
    pub fn read(&self, raw: &Raw<'_>, automatic: Option<&str>) -> Result<Value, String> {
        if let (Raw::Word(text) | Raw::Quoted(text), Some(word)) = (raw, automatic)
            && *text == word
        {
            return Ok(Value::Automatic);
        }
        self.value(raw).ok_or_else(|| self.mismatch(raw, automatic))
    }

    /// What the key accepts, to be read after "expected".
    #[must_use]
    pub fn expected(&self, automatic: Option<&str>) -> String {
        let expected = match self {
            Self::Flag => "true or false".to_owned(),
            Self::Integer { min, max } => format!("an integer from {min} to {max}"),
            Self::Signed { min, max } => format!("an integer from {min} to {max}"),
            Self::Size { min, max } => {
                format!("a size from {} to {}", describe_size(*min), describe_size(*max))
            }
            Self::SizeOrOff { min, max } => {
                let (min, max) = (describe_size(*min), describe_size(*max));
                format!("0 (off) or a size from {min} to {max}")
            }
            Self::Duration { min, max, zero_is_off } => {
                let off = if *zero_is_off { "0 (off) or " } else { "" };
                let (min, max) = (format_duration(*min), format_duration(*max));
                format!("{off}a duration from {min} to {max}")
            }
            Self::Choice { words, numbered } => {
                let mut listed = list_words(words);
                if let Some(last) = numbered.len().checked_sub(1) {
                    listed.push_str(&format!(", or 0 to {last} as in Swoole"));
                }
                listed
            }
            Self::Named { words, prefix, .. } => {
                let named = format!("{prefix}NAME");
                let all: Vec<&str> = words.iter().copied().chain([named.as_str()]).collect();
                list_words(&all)
            }
            Self::Text { expected, .. } | Self::Secret { expected, .. } => (*expected).to_owned(),
        };
        match automatic {
            Some(word) if !word.is_empty() => format!("\"{word}\" or {expected}"),
            Some(_) | None => expected,
        }
    }

    /// `expected ..., found ...`, for a value that is not of this kind.
    #[must_use]
    pub fn mismatch(&self, raw: &Raw<'_>, automatic: Option<&str>) -> String {
        let mut sentence =
            format!("expected {}, found {}", self.expected(automatic), self.found(raw));
        if let Some(hint) = self.hint(raw) {
            sentence.push_str(&hint);
        }
        sentence
    }

    /// The value as it was found, with its type where that is what is wrong with it.
    fn found(&self, raw: &Raw<'_>) -> String {
        match (self, raw) {
            (Self::Secret { .. }, Raw::Word(text) | Raw::Quoted(text)) => {
                format!("one of {} characters (not shown)", text.chars().count())
            }
            (Self::Secret { .. }, raw) => format!("{} (not shown)", raw.type_name()),
            (
                Self::Size { .. }
                | Self::SizeOrOff { .. }
                | Self::Duration { .. }
                | Self::Choice { .. }
                | Self::Named { .. }
                | Self::Text { .. },
                Raw::Quoted(text),
            ) => format!("\"{}\"", printable(text)),
            (
                Self::Integer { .. }
                | Self::Signed { .. }
                | Self::Size { .. }
                | Self::SizeOrOff { .. }
                | Self::Duration { .. },
                Raw::Integer(number),
            ) => number.to_string(),
            (Self::Choice { numbered, .. }, Raw::Integer(number)) if !numbered.is_empty() => {
                number.to_string()
            }
            (
                Self::Flag
                | Self::Integer { .. }
                | Self::Signed { .. }
                | Self::Size { .. }
                | Self::SizeOrOff { .. }
                | Self::Duration { .. }
                | Self::Choice { .. }
                | Self::Named { .. }
                | Self::Text { .. },
                raw,
            ) => raw.describe(),
        }
    }

    /// What was probably meant.
    fn hint(&self, raw: &Raw<'_>) -> Option<String> {
        let text = match raw {
            Raw::Word(text) | Raw::Quoted(text) => text,
            Raw::Integer(number) => return self.hint_quotes(&number.to_string()),
            // `log_file = false` does not ask for a file of that name.
            Raw::Flag(_) | Raw::Other { .. } => return None,
        };
        match self {
            Self::Flag | Self::Integer { .. } | Self::Signed { .. } => {
                let Raw::Quoted(text) = raw else { return None };
                self.value(&Raw::Word(text))?;
                Some(format!("; write {text} without quotes"))
            }
            Self::Size { .. } | Self::SizeOrOff { .. } => match respelled_size(text) {
                Some(better) if better == **text => None,
                Some(better) => Some(format!("; write \"{better}\"")),
                None => Some("; write bytes, or \"64KiB\", \"1MiB\", \"1GiB\"".to_owned()),
            },
            Self::Duration { .. } => match respelled_duration(text) {
                Some(better) if better == **text => None,
                Some(better) => Some(format!("; write \"{better}\"")),
                None => Some("; write \"500ms\", \"10s\", \"2m\" or \"1h\"".to_owned()),
            },
            Self::Choice { words, .. } | Self::Named { words, .. } => {
                nearest(text, words.iter().copied())
                    .map(|word| format!("; did you mean \"{word}\"?"))
            }
            Self::Text { .. } | Self::Secret { .. } => None,
        }
    }

    /// For something that would be right as a text, as it was written.
    fn hint_quotes(&self, written: &str) -> Option<String> {
        match self {
            Self::Text { accepts, .. } if accepts(written) => {
                Some(format!("; write \"{written}\""))
            }
            Self::Secret { accepts, .. } if accepts(written) => {
                Some("; put it in quotes".to_owned())
            }
            Self::Flag
            | Self::Integer { .. }
            | Self::Signed { .. }
            | Self::Size { .. }
            | Self::SizeOrOff { .. }
            | Self::Duration { .. }
            | Self::Choice { .. }
            | Self::Named { .. }
            | Self::Text { .. }
            | Self::Secret { .. } => None,
        }
    }
}

fn list_words(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The size in a spelling that is understood: without blanks, and with `KiB` for `KB`.
fn respelled_size(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if parse_size(&compact).is_some() {
        return Some(compact);
    }
    let stem = compact.strip_suffix(['b', 'B'])?;
    let unit = stem.chars().next_back()?.to_ascii_uppercase();
    let better = format!("{}{unit}iB", stem.get(..stem.len() - 1)?);
    parse_size(&better).map(|_| better)
}

/// The duration in a spelling that is understood: without blanks and capitals.
fn respelled_duration(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = compact.to_ascii_lowercase();
    parse_duration(&compact).map(|_| compact)
}
