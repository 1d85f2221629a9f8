//! The configuration as a file: the commented default, and the effective values with their origins.
//!
//! Owns the layout of both. Both are valid TOML that reads back to the same values, except that
//! secrets are never written.

use super::Config;
use super::array;
use super::certificates;
use super::keys::{Key, Section};
use super::listener;
use super::process;
use super::route;
use super::source::Origin;
use super::table::KEYS;

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
    for section in Section::ALL {
        text.push_str(&format!("\n{}[{}]\n", comment(section.about()), section.name()));
        for key in KEYS.iter().filter(|key| key.section == section) {
            text.push_str(&format!(
                "\n{}{}{} = {}\n",
                comment(key.about),
                comment(&accepted(key)),
                key.name,
                default_literal(key),
            ));
        }
        if section == Section::Tls {
            text.push_str(&certificates::example_toml());
        }
    }
    text.push('\n');
    text.push_str(&array::example_toml(&listener::ARRAY));
    text.push('\n');
    text.push_str(&array::example_toml(&process::ARRAY));
    text.push('\n');
    text + &array::example_toml(&route::ARRAY)
}

/// The effective values, each with its origin behind it.
pub(super) fn show(config: &Config) -> String {
    let mut text = format!("# From: {}\n", config.sources);
    for section in Section::ALL {
        text.push_str(&format!("\n[{}]\n", section.name()));
        for (index, key) in KEYS.iter().enumerate().filter(|(_, key)| key.section == section) {
            let line = assignment(config, key);
            let origin = origin(config, index, key);
            text.push_str(&with_origin(&line, &origin));
        }
        if section == Section::Tls {
            text.push_str(&certificates::show(config));
        }
    }
    let sources = &config.sources;
    let listeners = array::show(&listener::ARRAY, &config.listeners, |number, key| {
        sources.listener_origin(number, key)
    });
    let processes = array::show(&process::ARRAY, &config.processes, |number, key| {
        sources.process_origin(number, key)
    });
    let routes =
        array::show(&route::ARRAY, &config.routes, |number, key| sources.route_origin(number, key));
    text + &listeners + &processes + &routes
}

/// A line of the effective values.
pub(super) fn with_origin(line: &str, origin: &str) -> String {
    format!("{line:<ORIGIN_COLUMN$} # {origin}\n")
}

fn assignment(config: &Config, key: &Key) -> String {
    let value = (key.access.read)(config);
    let literal = key.kind.to_toml(&value, key.automatic_word());
    let empty = key.kind.to_toml(&super::value::Value::Text(String::new()), None);
    if key.is_secret() && literal != empty {
        // A comment, so that nobody ends up with the stand-in for a key.
        return format!("# {} is set (not shown)", key.name);
    }
    format!("{} = {literal}", key.name)
}

fn origin(config: &Config, index: usize, key: &Key) -> String {
    let origin = config.sources.origin(index);
    match (&key.automatic, config.sources.is_automatic(index), origin) {
        (Some(automatic), true, Origin::Default) => format!("default: {}", automatic.meaning),
        (Some(automatic), true, _) => {
            format!("{origin}: \"{}\", {}", automatic.word, automatic.meaning)
        }
        (_, _, origin) => origin.to_string(),
    }
}

/// What a key accepts, as a sentence.
pub(super) fn accepted(key: &Key) -> String {
    let mut sentence = format!("Accepts {}.", key.kind.expected(key.automatic_word()));
    if let Some(automatic) = &key.automatic {
        sentence.push_str(&format!(" \"{}\" is {}.", automatic.word, automatic.meaning));
    }
    sentence
}

/// The default of a key as it is written in the file.
pub(super) fn default_literal(key: &Key) -> String {
    let word = key.automatic_word();
    let value = super::assemble::default_value(key);
    key.kind.to_toml(&value, word)
}

/// `text` as comment lines of at most [`WIDTH`] columns.
pub(super) fn comment(text: &str) -> String {
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
