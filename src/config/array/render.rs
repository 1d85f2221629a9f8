//! An array of tables as text: the example of the default file, the effective values with their
//! origins, and the section of the documentation.
//!
//! Owns the layout of all three. Secret values are never written.

use super::Array;
use super::keys::{Presence, Shape, TableKey};
use crate::config::reference::escape;
use crate::config::render::{comment, with_origin};
use crate::config::source::Origin;
use crate::config::value::{Raw, Value};

/// A table with every setting explained, put out of force. What would be in force without its `#`
/// has no blank behind it.
pub(in crate::config) fn example_toml<T>(array: &Array<T>) -> String {
    let Array { about, header, .. } = array;
    let mut text = comment(&format!(
        "{about} Each has a {header} of its own. To have one, take away the # of the lines that \
         have no blank behind it."
    ));
    text.push_str(&format!("#{header}\n"));
    for key in array.keys {
        text.push_str(&format!(
            "\n{}{}#{} = {}\n",
            comment(key.about),
            comment(&accepted(key)),
            key.name,
            example_literal(key),
        ));
    }
    text
}

/// The effective values of every table, each with its origin behind it, as `origin` tells it of a key of a table.
pub(in crate::config) fn show<'a, T>(
    array: &Array<T>,
    tables: &[T],
    origin: impl Fn(usize, usize) -> &'a Origin,
) -> String {
    let mut text = String::new();
    for (number, table) in tables.iter().enumerate() {
        text.push_str(&format!("\n{}\n", array.header));
        for (index, key) in array.keys.iter().enumerate() {
            let line = assignment(key, &(key.access.read)(table));
            let origin = origin(number, index);
            text.push_str(&with_origin(&line, &origin.to_string()));
        }
    }
    text
}

/// The section of the documentation.
pub(in crate::config) fn reference_markdown<T>(array: &Array<T>) -> String {
    let Array { section, header, about, example, most, bounds, .. } = array;
    let mut text = format!("\n## {header}\n\n{about}\n{example}");
    text.push_str(&format!(
        "\nThere may be {most} of these tables{bounds}\nIn messages, `{section}[0]` is the first of them.\n"
    ));
    for key in array.keys {
        let presence = match &key.shape {
            Shape::One { presence: Presence::Required { .. }, .. } => "Must be given".to_owned(),
            Shape::One { .. } | Shape::List { .. } | Shape::Table { .. } => {
                format!("Default: `{}`", example_literal(key))
            }
        };
        text.push_str(&format!(
            "\n### {section}.{}\n\n{}\n\n- {}\n- {presence}\n",
            key.name,
            escape(key.about),
            escape(&accepted(key)),
        ));
    }
    text
}

fn assignment<T>(key: &TableKey<T>, value: &Value) -> String {
    match value {
        Value::Table(texts) if key.is_secret() && !texts.is_empty() => {
            let names: Vec<_> = texts.keys().map(String::as_str).collect();
            // A comment, so that nobody ends up with the stand-in for a password.
            format!("# {} sets {} (values not shown)", key.name, names.join(", "))
        }
        Value::Flag(_)
        | Value::Number(_)
        | Value::Signed(_)
        | Value::Duration(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Automatic => format!("{} = {}", key.name, key.to_toml(value)),
    }
}

fn accepted<T>(key: &TableKey<T>) -> String {
    format!("Accepts {}.", key.shape.expected())
}

/// The default as it is written in the file, or for what must be given an example of it.
fn example_literal<T>(key: &TableKey<T>) -> String {
    let value = match &key.shape {
        Shape::One { kind, presence: Presence::Required { example } } => {
            kind.value(&Raw::Quoted(example))
        }
        Shape::One { .. } | Shape::List { .. } | Shape::Table { .. } => key.default(),
    };
    value.map_or_else(String::new, |value| key.to_toml(&value))
}
