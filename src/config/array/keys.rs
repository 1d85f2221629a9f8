//! What a key of an array of tables is: its shape, and whether it must be given.
//!
//! Owns the types of the tables of keys and the words for them. The keys themselves stand in the
//! tables.

use crate::config::access::Access;
use crate::config::value::{Kind, Raw, Value};

/// One setting of a table that becomes a `T`.
#[derive(Debug)]
pub(in crate::config) struct TableKey<T: 'static> {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) shape: Shape,
    /// What others call it. They are not understood, but it is known what was meant.
    pub(in crate::config) synonyms: &'static [&'static str],
    pub(in crate::config) about: &'static str,
    pub(in crate::config) access: Access<T>,
}

/// How many values a key has.
#[derive(Debug)]
pub(in crate::config) enum Shape {
    /// One.
    One { kind: Kind, presence: Presence },
    /// An array, empty by default; none of a set is in it twice.
    List { each: Kind, is_set: bool },
    /// A table with names that are `accepted`, empty by default.
    Table { each: Kind, names: Names },
}

/// Whether a key may be left out.
#[derive(Debug)]
pub(in crate::config) enum Presence {
    /// It may, and this is what it is then, as it would be given on a command line.
    Default(&'static str),
    /// It may not; this is what it could be.
    Required { example: &'static str },
}

/// The names that a table may have.
#[derive(Debug)]
pub(in crate::config) struct Names {
    pub(in crate::config) expected: &'static str,
    pub(in crate::config) accepts: fn(&str) -> bool,
}

impl<T> TableKey<T> {
    /// What the key is when it is left out; `None` if it may not be.
    pub(in crate::config) fn default(&self) -> Option<Value> {
        match &self.shape {
            Shape::One { kind, presence: Presence::Default(word) } => kind.value(&Raw::Word(word)),
            Shape::One { presence: Presence::Required { .. }, .. } => None,
            Shape::List { .. } => Some(Value::List(Vec::new())),
            Shape::Table { .. } => Some(Value::Table([].into())),
        }
    }

    /// A value as it is written in the file.
    pub(in crate::config) fn to_toml(&self, value: &Value) -> String {
        self.shape.element().to_toml(value, None)
    }

    /// Whether no message and no listing may show what it is set to.
    pub(in crate::config) fn is_secret(&self) -> bool {
        matches!(self.shape.element(), Kind::Secret { .. })
    }
}

impl Shape {
    /// One value that may be left out; `default` is as in [`Presence::Default`].
    pub(in crate::config) const fn one(kind: Kind, default: &'static str) -> Self {
        Self::One { kind, presence: Presence::Default(default) }
    }

    /// One value that may not be left out.
    pub(in crate::config) const fn required(kind: Kind, example: &'static str) -> Self {
        Self::One { kind, presence: Presence::Required { example } }
    }

    /// What the key accepts, to be read after "expected".
    pub(in crate::config) fn expected(&self) -> String {
        let element = self.element().expected(None);
        match self {
            Self::One { .. } => element,
            Self::List { is_set: false, .. } => format!("an array, each element {element}"),
            Self::List { is_set: true, .. } => {
                format!("an array without repetitions, each element {element}")
            }
            Self::Table { names, .. } => {
                format!("a table, each value {element}, each name {}", names.expected)
            }
        }
    }

    fn element(&self) -> Kind {
        match self {
            Self::One { kind, .. } => *kind,
            Self::List { each, .. } | Self::Table { each, .. } => *each,
        }
    }
}
