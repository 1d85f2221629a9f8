//! Settings that are one of a few words.
//!
//! Owns the way through a table of words in both directions. Which spellings of a word are taken is decided where values are
//! read.

use wsmaster_protocol::{plugin::EventKind, proxy::forwarded};

/// A type whose values have a word each.
pub trait Word: Copy + PartialEq + 'static {
    /// The words with what they stand for, in the order in which they are listed.
    const WORDS: &'static [(&'static str, Self)];
    /// The words alone.
    const NAMES: &'static [&'static str];
}

impl Word for EventKind {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
    const NAMES: &'static [&'static str] = &names(&Self::ALL);
}

impl Word for forwarded::Header {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
    const NAMES: &'static [&'static str] = &names(&Self::ALL);
}

/// The words of a table, in its order.
#[must_use]
pub const fn names<T: Copy, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = table[index].0;
        index += 1;
    }
    words
}

/// The word for a value.
#[must_use]
pub fn word_of<T: Word>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, each)| *each == value).map_or("", |(word, _)| word)
}

/// What a word stands for; `None` for a word that nothing has.
#[must_use]
pub fn of_word<T: Word>(text: &str) -> Option<T> {
    T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}
