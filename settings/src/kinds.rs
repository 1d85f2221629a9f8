//! The words that a declaration is written in: what a setting accepts, and what it is where it is not given.
//!
//! Owns the constructors, and the names of a few numbers. They are short because they stand in tables.

use std::{str::FromStr, time::Duration};

use crate::{
    enums::Word,
    schema::{Arity, Array, Names, Place, Presence},
    value::Kind,
};

/// 100 ms.
pub const MILLISECOND_100: Duration = Duration::from_millis(100);
/// A second.
pub const SECOND: Duration = Duration::from_secs(1);
/// A minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Ten minutes.
pub const MINUTES_10: Duration = Duration::from_secs(600);
/// An hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);
/// 1024 bytes.
pub const KIB: u64 = 1 << 10;
/// 1024 KiB.
pub const MIB: u64 = 1 << 20;
/// 1024 MiB.
pub const GIB: u64 = 1 << 30;

/// The payload of the largest control frame (RFC 6455 section 5.5): no limit may be below it.
pub const CONTROL_BYTES_MAX: u64 = 125;

/// A section of the file, which is there once.
#[must_use]
pub const fn section(path: &'static str) -> Place {
    Place { path, array: None }
}

/// An array of tables.
#[must_use]
pub const fn array(path: &'static str, array: Array) -> Place {
    Place { path, array: Some(array) }
}

/// What the setting is where it is not given, as it would be written in the environment.
#[must_use]
pub const fn is(text: &'static str) -> Presence {
    Presence::Default(text)
}

/// The word that leaves the value to the server, and what the server does then. It is the default.
#[must_use]
pub const fn auto(word: &'static str, meaning: &'static str) -> Presence {
    Presence::Automatic { word, meaning }
}

/// It must be given; this is what it could be.
#[must_use]
pub const fn required(example: &'static str) -> Presence {
    Presence::Required { example }
}

/// An array or a table that may be left out.
#[must_use]
pub const fn empty() -> Presence {
    Presence::Default("")
}

/// `true` or `false`.
#[must_use]
pub const fn flag() -> Arity {
    Arity::One(Kind::Flag)
}

/// A whole number.
#[must_use]
pub const fn integer(min: u64, max: u64) -> Arity {
    Arity::One(Kind::Integer { min, max })
}

/// A whole number that may be negative.
#[must_use]
pub const fn signed(min: i64, max: i64) -> Arity {
    Arity::One(Kind::Signed { min, max })
}

/// A number of bytes.
#[must_use]
pub const fn size(min: u64, max: u64) -> Arity {
    Arity::One(Kind::Size { min, max })
}

/// A number of bytes, or 0.
#[must_use]
pub const fn size_or_off(min: u64, max: u64) -> Arity {
    Arity::One(Kind::SizeOrOff { min, max })
}

/// A time.
#[must_use]
pub const fn time(min: Duration, max: Duration) -> Arity {
    Arity::One(Kind::Duration { min, max, zero_is_off: false })
}

/// A time, or 0.
#[must_use]
pub const fn time_or_off(min: Duration, max: Duration) -> Arity {
    Arity::One(Kind::Duration { min, max, zero_is_off: true })
}

/// One of the words of `T`.
#[must_use]
pub const fn choice<T: Word>() -> Arity {
    numbered_choice::<T>(&[])
}

/// One of the words of `T`; the number n stands for `numbered[n]`.
#[must_use]
pub const fn numbered_choice<T: Word>(numbered: &'static [&'static str]) -> Arity {
    Arity::One(Kind::Choice { words: T::NAMES, numbered })
}

/// One of `words`, or `prefix` and a name.
#[must_use]
pub const fn named(
    words: &'static [&'static str],
    prefix: &'static str,
    accepts: fn(&str) -> bool,
) -> Arity {
    Arity::One(Kind::Named { words, prefix, accepts })
}

/// A text that `accepts`.
#[must_use]
pub const fn text(expected: &'static str, accepts: fn(&str) -> bool) -> Arity {
    Arity::One(Kind::Text { expected, accepts })
}

/// A text that is the spelling of a `T`.
#[must_use]
pub const fn parsed<T: FromStr>(expected: &'static str) -> Arity {
    text(expected, is_spelling_of::<T>)
}

fn is_spelling_of<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// A text that `accepts` and that no message may show.
#[must_use]
pub const fn secret(expected: &'static str, accepts: fn(&str) -> bool) -> Arity {
    Arity::One(Kind::Secret { expected, accepts })
}

/// An array.
#[must_use]
pub const fn list(each: Arity) -> Arity {
    Arity::List { each: each.element(), is_set: false }
}

/// An array in which nothing is twice.
#[must_use]
pub const fn set(each: Arity) -> Arity {
    Arity::List { each: each.element(), is_set: true }
}

/// A table whose names are `accepted`.
#[must_use]
pub const fn table(each: Arity, expected: &'static str, accepts: fn(&str) -> bool) -> Arity {
    Arity::Table { each: each.element(), names: Names { expected, accepts } }
}
