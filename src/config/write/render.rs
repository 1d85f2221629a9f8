//! The configuration as a file: the commented default, and the effective values with their origins.
//!
//! Owns the layout of both. Both are valid TOML that reads back to the same values, except that
//! secrets are never written.

use wsmaster_settings::{Schema, Settings};

use crate::config::model::{config::Config, source::Sources, tables::TABLES};

/// Columns of a comment.
const WIDTH: usize = 100;

/// Column at which the origins of the effective values start, where the values leave room.
const ORIGIN_COLUMN: usize = 40;

/// A complete file with every setting explained and at its default.
#[must_use]
pub fn default_toml() -> String {
    let mut text = String::new();
    text.push_str(&comment(
        "wsmaster: every setting, explained and at its default. What is not set keeps its default, \
         so a file needs only the lines that differ. A variable such as WSMASTER_SERVER_PORT wins \
         over the file, a flag wins over both.",
    ));
    text.push_str("#\n");
    text.push_str(&comment(
        "Durations: \"10s\", \"500ms\", \"2m\", \"1h\", or whole seconds. Sizes: bytes, or \
         \"64KiB\", \"1MiB\", \"1GiB\", short \"64k\", \"1M\", \"1G\"; all are powers of 1024.",
    ));
    for schema in TABLES {
        text.push_str(&default_table(schema));
    }
    text
}

/// A table with every setting explained. One of an array is put out of force: what would be in force without its `#` has no
/// blank behind it.
fn default_table(schema: &Schema) -> String {
    let header = schema.header();
    let (about, off) = match schema.place.array {
        None => (schema.about().to_owned(), ""),
        Some(_) => {
            let hint = "To have one, take away the # of the lines that have no blank behind it.";
            (format!("{} Each has a {header} of its own. {hint}", schema.about()), "#")
        }
    };
    let mut text = format!("\n{}{off}{header}\n", comment(&about));
    for key in schema.keys {
        text.push_str(&format!(
            "\n{}{}{off}{} = {}\n",
            comment(key.about()),
            comment(&key.accepted()),
            key.name,
            key.default_literal(),
        ));
    }
    text
}

impl Config {
    /// The effective values as a file, with the origin of each behind it; secrets are not shown.
    #[must_use]
    pub fn show(&self) -> String {
        // Taken apart, so that a new table cannot be forgotten here.
        let Self {
            server,
            tls,
            limits,
            compression,
            api,
            channels,
            listeners,
            processes,
            routes,
            sources,
        } = self;
        [
            format!("# From: {sources}\n"),
            show(sources, [server]),
            show(sources, [tls]),
            show(sources, &tls.certificates),
            show(sources, [limits]),
            show(sources, [compression]),
            show(sources, [api]),
            show(sources, [channels]),
            show(sources, listeners),
            show(sources, processes),
            show(sources, routes),
        ]
        .concat()
    }
}

/// The effective values of the tables of one name, each with its origin behind it.
fn show<'a, T: Settings>(sources: &Sources, tables: impl IntoIterator<Item = &'a T>) -> String {
    let mut text = String::new();
    for (table, assigned) in tables.into_iter().zip(sources.tables.of(T::SCHEMA)) {
        text.push_str(&format!("\n{}\n", T::SCHEMA.header()));
        for (index, (key, access)) in T::SCHEMA.keys.iter().zip(T::ACCESS).enumerate() {
            let line = key.assignment(&(access.read)(table));
            let origin = assigned.described(index, key);
            text.push_str(&format!("{line:<ORIGIN_COLUMN$} # {origin}\n"));
        }
    }
    text
}

/// `text` as comment lines of at most [`WIDTH`] columns.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
