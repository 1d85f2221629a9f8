//! What a setting can be, and the reading of one value.
//!
//! Owns the kinds and their ranges. It knows neither keys nor files; the same code reads a value of
//! the file, a variable and a flag.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::units::{format_duration, format_size, parse_duration, parse_size};

/// A value that is valid for its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a [`Kind::Flag`].
    Flag(bool),
    /// Of a [`Kind::Integer`], or the bytes of a [`Kind::Size`] or [`Kind::SizeOrOff`].
    Number(u64),
    /// Of a [`Kind::Signed`].
    Signed(i64),
    /// Of a [`Kind::Duration`].
    Duration(Duration),
    /// Of a [`Kind::Choice`], [`Kind::Named`], [`Kind::Text`] or [`Kind::Secret`].
    Text(String),
    /// Of an array, each element of the same [`Kind::Choice`] or [`Kind::Text`].
    List(Vec<String>),
    /// Of a table, each value of the same [`Kind::Text`] or [`Kind::Secret`].
    Table(BTreeMap<String, String>),
    /// The word that leaves the value to the server.
    Automatic,
}

impl Value {
    /// The text, of a value that is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// What a key accepts. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Integer {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A whole number that may be negative.
    Signed {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number of bytes.
    Size {
        /// The least, in bytes.
        min: u64,
        /// The most, in bytes.
        max: u64,
    },
    /// A number of bytes; 0 is accepted below `min`.
    SizeOrOff {
        /// The least but 0, in bytes.
        min: u64,
        /// The most, in bytes.
        max: u64,
    },
    /// A time; where `zero_is_off`, 0 is accepted below `min`.
    Duration {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
        /// Whether 0 is accepted too.
        zero_is_off: bool,
    },
    /// One of `words`, in which `-` and `_` are the same; the number n stands for `numbered[n]`.
    Choice {
        /// The words, in the order in which they are listed.
        words: &'static [&'static str],
        /// What numbers stand for, from 0.
        numbered: &'static [&'static str],
    },
    /// One of `words` as of a choice, or `prefix` and a name that `accepts`.
    Named {
        /// The words, in the order in which they are listed.
        words: &'static [&'static str],
        /// What stands before a name.
        prefix: &'static str,
        /// Whether a text is a name.
        accepts: fn(&str) -> bool,
    },
    /// A text that `accepts`.
    Text {
        /// What it is, to be read after "expected".
        expected: &'static str,
        /// Whether a text is one.
        accepts: fn(&str) -> bool,
    },
    /// A text that `accepts` and that no message may show.
    Secret {
        /// What it is, to be read after "expected".
        expected: &'static str,
        /// Whether a text is one.
        accepts: fn(&str) -> bool,
    },
}

/// A value as it was found, before it is known to be valid.
#[derive(Clone, Debug)]
pub enum Raw<'a> {
    /// From the environment or the command line, where everything is text.
    Word(&'a str),
    /// A string of the file.
    Quoted(&'a str),
    /// An integer of the file.
    Integer(i64),
    /// A boolean of the file.
    Flag(bool),
    /// Anything else: how it looks, and what the file format calls it.
    Other {
        /// How it looks.
        shown: String,
        /// What the file format calls it.
        type_name: &'static str,
    },
}

impl Raw<'_> {
    /// A table where a value should be.
    #[must_use]
    pub fn table() -> Self {
        Self::other("", "a table")
    }

    /// A value of a type no setting has; `shown` is empty where it would be too long.
    #[must_use]
    pub fn other(shown: &str, type_name: &'static str) -> Self {
        Self::Other { shown: shown.to_owned(), type_name }
    }
}

impl Kind {
    /// The value, if it is of this kind and within its bounds.
    #[must_use]
    pub fn value(&self, raw: &Raw<'_>) -> Option<Value> {
        match self {
            Self::Flag => read_flag(raw),
            Self::Integer { min, max } => {
                read_integer(raw).filter(|n| (min..=max).contains(&n)).map(Value::Number)
            }
            Self::Signed { min, max } => {
                read_signed(raw).filter(|n| (min..=max).contains(&n)).map(Value::Signed)
            }
            Self::Size { min, max } => {
                read_size(raw).filter(|n| (min..=max).contains(&n)).map(Value::Number)
            }
            Self::SizeOrOff { min, max } => {
                read_size(raw).filter(|n| (min..=max).contains(&n) || *n == 0).map(Value::Number)
            }
            Self::Duration { min, max, zero_is_off } => read_duration(raw)
                .filter(|d| (min..=max).contains(&d) || (*zero_is_off && d.is_zero()))
                .map(Value::Duration),
            Self::Choice { words, numbered } => read_choice(raw, words, numbered),
            Self::Named { words, prefix, accepts } => read_choice(raw, words, &[]).or_else(|| {
                let text = read_text(raw)?;
                let name = text.strip_prefix(prefix)?;
                accepts(name).then(|| Value::Text(text.to_owned()))
            }),
            Self::Text { accepts, .. } | Self::Secret { accepts, .. } => {
                read_text(raw).filter(|text| accepts(text)).map(|text| Value::Text(text.to_owned()))
            }
        }
    }

    /// A value of this kind, or of elements of this kind, as it is written in the file; `automatic`
    /// is the word of its key.
    #[must_use]
    pub fn to_toml(self, value: &Value, automatic: Option<&str>) -> String {
        match value {
            Value::Flag(flag) => flag.to_string(),
            Value::Number(number) => {
                let plain = number.to_string();
                let is_size = matches!(self, Self::Size { .. } | Self::SizeOrOff { .. });
                let text = if is_size { format_size(*number) } else { plain.clone() };
                if text == plain { plain } else { quoted(&text) }
            }
            Value::Signed(number) => number.to_string(),
            Value::Duration(duration) => quoted(&format_duration(*duration)),
            Value::Text(text) => quoted(text),
            Value::List(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Value::Table(texts) => toml_edit::InlineTable::from_iter(texts).to_string(),
            Value::Automatic => quoted(automatic.unwrap_or_default()),
        }
    }
}

/// A text as TOML, on one line and without characters that a terminal would obey or hide.
fn quoted(text: &str) -> String {
    if !text.chars().any(is_unseen) {
        return toml_edit::Value::from(text).to_string();
    }
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            _ if is_unseen(character) => {
                literal.push_str(&format!("\\U{:08X}", u32::from(character)));
            }
            _ => literal.push(character),
        }
    }
    literal + "\""
}

fn is_unseen(character: char) -> bool {
    !matches!(character, '"' | '\'' | '\\') && character.escape_debug().len() > 1
}

fn read_flag(raw: &Raw<'_>) -> Option<Value> {
    match raw {
        Raw::Flag(flag) => Some(Value::Flag(*flag)),
        Raw::Word("true" | "1") => Some(Value::Flag(true)),
        Raw::Word("false" | "0") => Some(Value::Flag(false)),
        Raw::Word(_) | Raw::Quoted(_) | Raw::Integer(_) | Raw::Other { .. } => None,
    }
}

fn read_integer(raw: &Raw<'_>) -> Option<u64> {
    match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        // `parse` alone would take a sign as well.
        Raw::Word(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        Raw::Word(_) | Raw::Quoted(_) | Raw::Flag(_) | Raw::Other { .. } => None,
    }
}

fn read_signed(raw: &Raw<'_>) -> Option<i64> {
    match raw {
        Raw::Integer(number) => Some(*number),
        Raw::Word(text) if !text.starts_with('+') => text.parse().ok(),
        Raw::Word(_) | Raw::Quoted(_) | Raw::Flag(_) | Raw::Other { .. } => None,
    }
}

fn read_size(raw: &Raw<'_>) -> Option<u64> {
    match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Word(text) | Raw::Quoted(text) => parse_size(text),
        Raw::Flag(_) | Raw::Other { .. } => None,
    }
}

fn read_duration(raw: &Raw<'_>) -> Option<Duration> {
    match raw {
        Raw::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Raw::Word(text) | Raw::Quoted(text) => parse_duration(text),
        Raw::Flag(_) | Raw::Other { .. } => None,
    }
}

fn read_choice(raw: &Raw<'_>, words: &[&str], numbered: &[&str]) -> Option<Value> {
    let by_number = |index: u64| numbered.get(usize::try_from(index).ok()?).copied();
    let word = match raw {
        Raw::Integer(number) => {
            let text = number.to_string();
            match words.iter().find(|word| **word == text) {
                Some(word) => word,
                None => by_number(u64::try_from(*number).ok()?)?,
            }
        }
        Raw::Word(text) | Raw::Quoted(text) => {
            match words.iter().find(|word| is_same_word(word, text)) {
                Some(word) => word,
                None => by_number(read_integer(raw)?)?,
            }
        }
        Raw::Flag(_) | Raw::Other { .. } => return None,
    };
    Some(Value::Text(word.to_owned()))
}

/// `on_failure` and `drop-newest` can mean nothing else.
fn is_same_word(word: &str, text: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    word.bytes().map(dashed).eq(text.bytes().map(dashed))
}

fn read_text<'a>(raw: &Raw<'a>) -> Option<&'a str> {
    match raw {
        Raw::Word(text) | Raw::Quoted(text) => Some(text),
        Raw::Integer(_) | Raw::Flag(_) | Raw::Other { .. } => None,
    }
}
