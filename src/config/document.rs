//! From a TOML document to the settings it gives.
//!
//! Owns which names are understood where in the file, and the refusal of all others.

use toml_edit::{Item, Key as TomlKey, TableLike, Value as TomlValue};

use super::error::ERRORS_MAX;
use super::keys::Section;
use super::reading::Reading;
use super::source::Origin;
use super::suggest::{nearest, nearest_key};
use super::swoole;
use super::syntax::{self, Positions};
use super::table::KEYS;
use super::value::Raw;

/// A setting of the file whose name is known.
struct Entry<'a> {
    key: usize,
    /// As it was written: `server.worker_num`, or `port` at the top.
    subject: String,
    /// Where the name is.
    at: usize,
    item: &'a Item,
}

/// Takes the settings of the file `name` from its `text`.
pub(super) fn read(name: &str, text: &str, reading: &mut Reading) {
    let positions = Positions::new(name, text);
    let (document, errors) = syntax::parse(&positions);
    reading.errors.extend(errors);
    let Some(document) = document else { return };
    let mut file = FileReading { positions, text, reading, entries: Vec::new() };
    file.collect_top(document.as_table());
    file.take_entries();
}

struct FileReading<'a, 'doc> {
    positions: Positions<'a>,
    text: &'a str,
    reading: &'a mut Reading,
    entries: Vec<Entry<'doc>>,
}

impl<'doc> FileReading<'_, 'doc> {
    /// The top of the file: sections, and settings under the names Swoole has for them.
    fn collect_top(&mut self, table: &'doc dyn TableLike) {
        for (name, _) in table.iter() {
            let Some((key, item)) = table.get_key_value(name) else { continue };
            match Section::ALL.iter().find(|section| section.name() == name) {
                Some(section) => self.collect_section(*section, key, item),
                None => self.collect_setting(None, key, item),
            }
        }
    }

    fn collect_section(&mut self, section: Section, key: &TomlKey, item: &'doc Item) {
        let Some(table) = item.as_table_like() else {
            let at = value_start(item).unwrap_or(key_start(key));
            let found = self.raw(item).type_name();
            let problem = format!("expected a table [{}], found {found}", section.name());
            self.reading.refuse(self.positions.place(at), section.name(), problem);
            return;
        };
        for (name, _) in table.iter() {
            if let Some((key, item)) = table.get_key_value(name) {
                self.collect_setting(Some(section), key, item);
            }
        }
    }

    fn collect_setting(&mut self, section: Option<Section>, key: &TomlKey, item: &'doc Item) {
        let name = key.get();
        let subject = match section {
            Some(section) => format!("{}.{name}", section.name()),
            None => name.to_owned(),
        };
        let at = key_start(key);
        let takes_aliases = matches!(section, None | Some(Section::Server));
        let known = KEYS.iter().position(|key| {
            (section == Some(key.section) && key.name == name)
                || (takes_aliases && key.aliases.contains(&name))
        });
        match known {
            Some(key) => self.entries.push(Entry { key, subject, at, item }),
            None => {
                let problem = if self.reading.errors.len() >= ERRORS_MAX {
                    // It will hardly be shown, and looking for what was meant is not free.
                    "unknown key".to_owned()
                } else {
                    swoole::answer(name)
                        .unwrap_or_else(|| unknown(section, name, item.is_table_like()))
                };
                self.reading.refuse(self.positions.place(at), &subject, problem);
            }
        }
    }

    /// Takes the settings in the order of the file, each key once.
    fn take_entries(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| entry.at);
        let mut first_of: Vec<Option<&Entry<'_>>> = vec![None; KEYS.len()];
        for entry in &entries {
            let Some(first) = first_of.get_mut(entry.key) else { continue };
            if let Some(first) = first {
                self.refuse_second(first, entry);
                continue;
            }
            *first = Some(entry);
            let at = value_start(entry.item).unwrap_or(entry.at);
            let (line, column) = self.positions.line_column(at);
            let origin = Origin::File { name: self.positions.name().to_owned(), line, column };
            let raw = self.raw(entry.item);
            self.reading.take(entry.key, &raw, origin, self.positions.place(at), &entry.subject);
        }
    }

    fn refuse_second(&mut self, first: &Entry<'_>, second: &Entry<'_>) {
        let Some(key) = KEYS.get(second.key) else { return };
        let (line, _) = self.positions.line_column(first.at);
        let problem = format!("sets {} again, after {} on line {line}", key.path(), first.subject);
        self.reading.refuse(self.positions.place(second.at), &second.subject, problem);
    }

    fn raw(&self, item: &'doc Item) -> Raw<'doc> {
        let value = match item {
            Item::Value(value) => value,
            Item::None | Item::Table(_) => return Raw::table(),
            Item::ArrayOfTables(_) => return Raw::other("", "an array of tables"),
        };
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

fn key_start(key: &TomlKey) -> usize {
    key.span().map_or(0, |span| span.start)
}

fn value_start(item: &Item) -> Option<usize> {
    item.as_value().and_then(TomlValue::span).map(|span| span.start)
}

/// What is said about a name nobody knows.
fn unknown(section: Option<Section>, name: &str, is_table: bool) -> String {
    if section.is_none() && is_table {
        let sections = Section::ALL.map(Section::name);
        return match nearest(name, sections) {
            Some(section) => format!("unknown section; did you mean [{section}]?"),
            None => format!("unknown section; there are [{}]", sections.join("], [")),
        };
    }
    match nearest_key(name, section) {
        Some(key) if section == Some(key.section) => {
            format!("unknown key; did you mean \"{}\"?", key.name)
        }
        Some(key) => {
            format!("unknown key; did you mean \"{}\" in [{}]?", key.name, key.section.name())
        }
        None => "unknown key".to_owned(),
    }
}
