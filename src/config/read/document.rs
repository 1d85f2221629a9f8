//! From a TOML document to the settings it gives.
//!
//! Owns which names are understood where in the file, and the refusal of all others. What is inside
//! the arrays of tables is read elsewhere.

use std::collections::BTreeMap;

use toml_edit::{Item, Key as TomlKey, TableLike};
use wsmaster_settings::{Schema, Settings};

use super::{
    arrays,
    file_reading::{FileReading, key_start, unknown, value_start},
    reading::Reading,
    swoole,
    syntax::{self, Positions},
};
use crate::config::model::{
    server::ServerConfig,
    tables::{KeyId, keys, table},
};

/// A setting of the file whose name is known.
struct Entry<'a> {
    id: KeyId,
    /// As it was written: `server.worker_num`, or `port` at the top.
    subject: String,
    /// Where the name is.
    at: usize,
    item: &'a Item,
}

/// Takes the settings of the file `name` from its `text`.
pub(crate) fn read(name: &str, text: &str, reading: &mut Reading) {
    let positions = Positions::new(name, text);
    let (document, errors) = syntax::parse(&positions);
    let is_whole = errors.is_empty();
    reading.errors.extend(errors);
    let Some(document) = document else { return };
    let file = FileReading { positions, text, is_whole, reading };
    let mut collecting = Collecting { file, entries: Vec::new() };
    collecting.collect_top(document.as_table());
    collecting.take_entries();
}

/// The document on its way into a reading.
struct Collecting<'a, 'doc> {
    file: FileReading<'a>,
    entries: Vec<Entry<'doc>>,
}

impl<'doc> Collecting<'_, 'doc> {
    /// The top of the file: sections, and settings under the names Swoole has for them.
    fn collect_top(&mut self, top: &'doc dyn TableLike) {
        for (name, _) in top.iter() {
            let Some((key, item)) = top.get_key_value(name) else { continue };
            match table(name) {
                Some(schema) if schema.place.array.is_some() => self.read_array(schema, key, item),
                Some(section) => self.collect_section(section, key, item),
                None => self.collect_setting(None, key, item),
            }
        }
    }

    fn read_array(&mut self, schema: &'static Schema, key: &TomlKey, item: &'doc Item) {
        for assigned in arrays::read(&mut self.file, schema, key, item) {
            self.file.reading.sources.tables.add(schema, assigned);
        }
    }

    fn collect_section(&mut self, section: &'static Schema, key: &TomlKey, item: &'doc Item) {
        let path = section.place.path;
        let Some(entries) = item.as_table_like() else {
            let at = value_start(item).unwrap_or(key_start(key));
            let found = self.file.raw(item).type_name();
            let problem = format!("expected a table {}, found {found}", section.header());
            self.file.refuse(at, path, problem);
            return;
        };
        for (name, _) in entries.iter() {
            let Some((key, item)) = entries.get_key_value(name) else { continue };
            match table(&format!("{path}.{name}")) {
                Some(schema) => self.read_array(schema, key, item),
                None => self.collect_setting(Some(section), key, item),
            }
        }
    }

    fn collect_setting(&mut self, section: Option<&Schema>, key: &TomlKey, item: &'doc Item) {
        let name = key.get();
        let subject = match section {
            Some(section) => format!("{}.{name}", section.place.path),
            None => name.to_owned(),
        };
        let at = key_start(key);
        let is_section = |schema: &Schema| section.is_some_and(|section| section.is(schema));
        let takes_aliases = section.is_none() || is_section(ServerConfig::SCHEMA);
        let known = keys().find(|id| {
            let (schema, key) = id.get();
            (is_section(schema) && key.name == name)
                || (takes_aliases && key.aliases.contains(&name))
        });
        match known {
            Some(id) => self.entries.push(Entry { id, subject, at, item }),
            None => {
                let is_table = item.is_table_like() || item.is_array_of_tables();
                let problem = if self.file.has_errors_enough() {
                    "unknown key".to_owned()
                } else {
                    swoole::answer(name).unwrap_or_else(|| unknown(section, name, is_table))
                };
                self.file.refuse(at, &subject, problem);
            }
        }
    }

    /// Takes the settings in the order of the file, each key once.
    fn take_entries(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| entry.at);
        let mut first_of: BTreeMap<KeyId, &Entry<'_>> = BTreeMap::new();
        for entry in &entries {
            if let Some(first) = first_of.get(&entry.id) {
                self.refuse_second(first, entry);
                continue;
            }
            first_of.insert(entry.id, entry);
            let at = value_start(entry.item).unwrap_or(entry.at);
            let (origin, place) = (self.file.origin(at), self.file.positions.place(at));
            let raw = self.file.raw(entry.item);
            self.file.reading.take(entry.id, &raw, origin, place, &entry.subject);
        }
    }

    fn refuse_second(&mut self, first: &Entry<'_>, second: &Entry<'_>) {
        let (line, _) = self.file.positions.line_column(first.at);
        let problem =
            format!("sets {} again, after {} on line {line}", second.id.path(), first.subject);
        self.file.refuse(second.at, &second.subject, problem);
    }
}
