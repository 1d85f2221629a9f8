//! The processes as text: the example of the default file, the effective values with their origins,
//! and the section of the documentation.
//!
//! Owns the layout of all three. Values of the environment of a program are never written.

use super::keys::{Presence, ProcessKey, Shape};
use super::table::KEYS;
use super::{HEADER, INSTANCES_MAX, PROCESSES_MAX};
use crate::config::Config;
use crate::config::reference::escape;
use crate::config::render::{comment, with_origin};
use crate::config::value::{Raw, Value};

const ABOUT: &str = "A program of your own that runs beside the workers, in any language: it reads \
                     events and writes commands, one JSON object a line.";

/// A table with every setting explained, put out of force. What would be in force without its `#`
/// has no blank behind it.
pub(in crate::config) fn example_toml() -> String {
    let mut text = comment(&format!(
        "{ABOUT} Each has a {HEADER} of its own. To have one, take away the # of the lines that \
         have no blank behind it."
    ));
    text.push_str(&format!("#{HEADER}\n"));
    for key in KEYS {
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

/// The effective values of every process, each with its origin behind it.
pub(in crate::config) fn show(config: &Config) -> String {
    let mut text = String::new();
    for (number, process) in config.processes.iter().enumerate() {
        text.push_str(&format!("\n{HEADER}\n"));
        for (index, key) in KEYS.iter().enumerate() {
            let line = assignment(key, &(key.access.read)(process));
            let origin = config.sources.process_origin(number, index);
            text.push_str(&with_origin(&line, &origin.to_string()));
        }
    }
    text
}

/// The section of the documentation.
pub(in crate::config) fn reference_markdown() -> String {
    let mut text = format!("\n## {HEADER}\n\n{ABOUT}\n{EXAMPLE}");
    text.push_str(&format!(
        "\nThere may be {PROCESSES_MAX} of these tables, with {INSTANCES_MAX} instances in all. \
         They have no variables and no flags.\nIn messages, `process[0]` is the first of them.\n"
    ));
    for key in KEYS {
        let presence = match &key.shape {
            Shape::One { presence: Presence::Required { .. }, .. } => "Must be given".to_owned(),
            Shape::One { .. } | Shape::List { .. } | Shape::Table { .. } => {
                format!("Default: `{}`", example_literal(key))
            }
        };
        text.push_str(&format!(
            "\n### process.{}\n\n{}\n\n- {}\n- {presence}\n",
            key.name,
            escape(key.about),
            escape(&accepted(key)),
        ));
    }
    text
}

const EXAMPLE: &str = r#"
```toml
[[process]]
name = "queue"
command = "php"
args = ["queue.php", "--verbose"]
env = { DATABASE = "main" }
events = ["open", "message", "close"]
```
"#;

fn assignment(key: &ProcessKey, value: &Value) -> String {
    match value {
        Value::Table(texts) if key.is_secret() && !texts.is_empty() => {
            let names: Vec<_> = texts.keys().map(String::as_str).collect();
            // A comment, so that nobody ends up with the stand-in for a password.
            format!("# {} sets {} (values not shown)", key.name, names.join(", "))
        }
        Value::Flag(_)
        | Value::Number(_)
        | Value::Duration(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Automatic => format!("{} = {}", key.name, key.to_toml(value)),
    }
}

fn accepted(key: &ProcessKey) -> String {
    format!("Accepts {}.", key.shape.expected())
}

/// The default as it is written in the file, or for what must be given an example of it.
fn example_literal(key: &ProcessKey) -> String {
    let value = match &key.shape {
        Shape::One { kind, presence: Presence::Required { example } } => {
            kind.value(&Raw::Quoted(example))
        }
        Shape::One { .. } | Shape::List { .. } | Shape::Table { .. } => key.default(),
    };
    value.map_or_else(String::new, |value| key.to_toml(&value))
}
