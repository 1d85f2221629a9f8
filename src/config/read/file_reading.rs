//! A file on its way into a reading: its text, the places in it, and what a value of it is.
//!
//! Owns the way from an item of a document to a raw value and its place, and the message for an unknown name.

use toml_edit::{Item, Key as TomlKey, Value as TomlValue};
use wsmaster_settings::{Origin, Raw, Schema, nearest};

use super::{reading::Reading, syntax::Positions};
use crate::config::model::{
    error::ERRORS_MAX,
    tables::{KeyId, nearest_key, sections, table, top_arrays},
};

/// A file on its way into a [`Reading`].
pub(crate) struct FileReading<'a> {
    pub(crate) positions: Positions<'a>,
    pub(crate) text: &'a str,
    /// Whether no line was passed over for its syntax: then what is not there was not given.
    pub(crate) is_whole: bool,
    pub(crate) reading: &'a mut Reading,
}

impl FileReading<'_> {
    /// Notes that `subject`, which stands at an offset, is wrong.
    pub(crate) fn refuse(&mut self, at: usize, subject: &str, problem: impl Into<String>) {
        self.reading.refuse(self.positions.place(at), subject, problem);
    }

    /// Whether a further error will hardly be shown: looking for what was meant is not free.
    pub(crate) fn has_errors_enough(&self) -> bool {
        self.reading.errors.len() >= ERRORS_MAX
    }

    /// The origin of the value at an offset.
    pub(crate) fn origin(&self, at: usize) -> Origin {
        let (line, column) = self.positions.line_column(at);
        Origin::File { name: self.positions.name().to_owned(), line, column }
    }

    pub(crate) fn raw<'doc>(&self, item: &'doc Item) -> Raw<'doc> {
        match item {
            Item::Value(value) => self.raw_value(value),
            Item::None | Item::Table(_) => Raw::table(),
            Item::ArrayOfTables(_) => Raw::other("", "an array of tables"),
        }
    }

    pub(crate) fn raw_value<'doc>(&self, value: &'doc TomlValue) -> Raw<'doc> {
        let source = value.span().and_then(|span| self.text.get(span)).unwrap_or_default();
        match value {
            TomlValue::String(text) => Raw::Quoted(text.value()),
            TomlValue::Integer(number) => Raw::Integer(*number.value()),
            TomlValue::Boolean(flag) => Raw::Flag(*flag.value()),
            TomlValue::Float(_) => Raw::other(source, "a float"),
            TomlValue::Datetime(_) => Raw::other(source, "a date"),
            TomlValue::Array(_) => Raw::other(source, "an array"),
            TomlValue::InlineTable(_) => Raw::table(),
        }
    }
}

pub(crate) fn key_start(key: &TomlKey) -> usize {
    key.span().map_or(0, |span| span.start)
}

pub(crate) fn value_start(item: &Item) -> Option<usize> {
    item.as_value().and_then(TomlValue::span).map(|span| span.start)
}

/// The message for an unknown name.
pub(crate) fn unknown(section: Option<&Schema>, name: &str, is_table: bool) -> String {
    if section.is_none() && is_table {
        return unknown_section(name);
    }
    let Some((found, key)) = nearest_key(name, section).map(KeyId::get) else {
        return "unknown key".to_owned();
    };
    if section.is_some_and(|section| section.is(found)) {
        format!("unknown key; did you mean \"{}\"?", key.name)
    } else {
        format!("unknown key; did you mean \"{}\" in {}?", key.name, found.header())
    }
}

fn unknown_section(name: &str) -> String {
    let known = || sections().chain(top_arrays());
    let meant = nearest(name, known().map(|schema| schema.place.path)).and_then(table);
    match meant {
        Some(meant) => format!("unknown section; did you mean {}?", meant.header()),
        None => {
            let headers: Vec<String> = known().map(Schema::header).collect();
            format!("unknown section; there are {}", headers.join(", "))
        }
    }
}
