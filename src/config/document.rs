//! From a TOML document to the settings it gives.
//!
//! Owns which names are understood where in the file, and the refusal of all others. What is inside
//! the arrays of tables is read elsewhere.

use toml_edit::{Item, Key as TomlKey, TableLike, Value as TomlValue};

use super::array;
use super::certificates;
use super::error::ERRORS_MAX;
use super::keys::Section;
use super::listener;
use super::process;
use super::reading::Reading;
use super::route;
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
    let is_whole = errors.is_empty();
    reading.errors.extend(errors);
    let Some(document) = document else { return };
    let mut file = FileReading { positions, text, is_whole, reading, entries: Vec::new() };
    file.collect_top(document.as_table());
    file.take_entries();
}

/// A file on its way into a [`Reading`].
pub(super) struct FileReading<'a, 'doc> {
    positions: Positions<'a>,
    text: &'a str,
    /// Whether no line was passed over for its syntax: then what is not there was not given.
    pub(super) is_whole: bool,
    pub(super) reading: &'a mut Reading,
    entries: Vec<Entry<'doc>>,
}

impl<'doc> FileReading<'_, 'doc> {
    /// The top of the file: sections, and settings under the names Swoole has for them.
    fn collect_top(&mut self, table: &'doc dyn TableLike) {
        for (name, _) in table.iter() {
            let Some((key, item)) = table.get_key_value(name) else { continue };
            if name == process::ARRAY.section {
                self.reading.processes = array::read(self, &process::ARRAY, key, item);
                continue;
            }
            if name == listener::ARRAY.section {
                self.reading.listeners = array::read(self, &listener::ARRAY, key, item);
                continue;
            }
            if name == route::ARRAY.section {
                self.reading.routes = array::read(self, &route::ARRAY, key, item);
                continue;
            }
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
            self.refuse(at, section.name(), problem);
            return;
        };
        for (name, _) in table.iter() {
            let Some((key, item)) = table.get_key_value(name) else { continue };
            if section == Section::Tls && name == certificates::NAME {
                certificates::read(self, key, item);
            } else {
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
                let is_table = item.is_table_like() || item.is_array_of_tables();
                let problem = if self.has_errors_enough() {
                    "unknown key".to_owned()
                } else {
                    swoole::answer(name).unwrap_or_else(|| unknown(section, name, is_table))
                };
                self.refuse(at, &subject, problem);
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
            let (origin, place) = (self.origin(at), self.positions.place(at));
            let raw = self.raw(entry.item);
            self.reading.take(entry.key, &raw, origin, place, &entry.subject);
        }
    }

    fn refuse_second(&mut self, first: &Entry<'_>, second: &Entry<'_>) {
        let Some(key) = KEYS.get(second.key) else { return };
        let (line, _) = self.positions.line_column(first.at);
        let problem = format!("sets {} again, after {} on line {line}", key.path(), first.subject);
        self.refuse(second.at, &second.subject, problem);
    }

    /// Notes that `subject`, which stands at an offset, is wrong.
    pub(super) fn refuse(&mut self, at: usize, subject: &str, problem: impl Into<String>) {
        self.reading.refuse(self.positions.place(at), subject, problem);
    }

    /// Whether a further error will hardly be shown: looking for what was meant is not free.
    pub(super) fn has_errors_enough(&self) -> bool {
        self.reading.errors.len() >= ERRORS_MAX
    }

    /// The origin of the value at an offset.
    pub(super) fn origin(&self, at: usize) -> Origin {
        let (line, column) = self.positions.line_column(at);
        Origin::File { name: self.positions.name().to_owned(), line, column }
    }

    pub(super) fn raw(&self, item: &'doc Item) -> Raw<'doc> {
        match item {
            Item::Value(value) => self.raw_value(value),
            Item::None | Item::Table(_) => Raw::table(),
            Item::ArrayOfTables(_) => Raw::other("", "an array of tables"),
        }
    }

    pub(super) fn raw_value(&self, value: &'doc TomlValue) -> Raw<'doc> {
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

pub(super) fn key_start(key: &TomlKey) -> usize {
    key.span().map_or(0, |span| span.start)
}

pub(super) fn value_start(item: &Item) -> Option<usize> {
    item.as_value().and_then(TomlValue::span).map(|span| span.start)
}

/// What is said about a name nobody knows.
pub(super) fn unknown(section: Option<Section>, name: &str, is_table: bool) -> String {
    if section.is_none() && is_table {
        return unknown_section(name);
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

fn unknown_section(name: &str) -> String {
    let sections = Section::ALL.map(Section::name);
    let arrays = [
        (process::ARRAY.section, process::ARRAY.header),
        (listener::ARRAY.section, listener::ARRAY.header),
        (route::ARRAY.section, route::ARRAY.header),
    ];
    match nearest(name, sections.into_iter().chain(arrays.map(|(section, _)| section))) {
        Some(meant) => match arrays.iter().find(|(section, _)| *section == meant) {
            Some((_, header)) => format!("unknown section; did you mean {header}?"),
            None => format!("unknown section; did you mean [{meant}]?"),
        },
        None => {
            let (listed, arrays) = (sections.join("], ["), arrays.map(|(_, header)| header));
            format!("unknown section; there are [{listed}], {}", arrays.join(", "))
        }
    }
}
