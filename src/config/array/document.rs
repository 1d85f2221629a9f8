//! From the tables of an array in a document to what they give.
//!
//! Owns the walk through the tables and the places of what is wrong in them. What holds between two
//! tables is checked later, on the complete configuration.

use toml_edit::{Item, Key as TomlKey, TableLike, Value as TomlValue};

use super::Array;
use super::given::{GivenTable, Slot};
use super::keys::{Names, Presence, Shape};
use crate::config::document::{FileReading, key_start, unknown, value_start};
use crate::config::error::printable;
use crate::config::suggest::nearest;
use crate::config::value::{Kind, Value};

/// What `item` gives, which stands under the name of the array: one for each table, whether all is right with it or not. An
/// array of inline tables means the same as tables with headers.
pub(in crate::config) fn read<'doc, T>(
    file: &mut FileReading<'_, 'doc>,
    array: &'static Array<T>,
    key: &TomlKey,
    item: &'doc Item,
) -> Vec<GivenTable> {
    let mut given = Vec::new();
    match item {
        Item::ArrayOfTables(tables) => {
            let start = |table: &toml_edit::Table| table.span().map(|span| span.start);
            for (number, table) in tables.iter().take(array.most).enumerate() {
                let at = start(table).unwrap_or(key_start(key));
                given.push(TableReading::new(file, array, number).read(at, table));
            }
            if let Some(at) = tables.get(array.most).map(start) {
                refuse_many(file, array, at.unwrap_or(key_start(key)), tables.len());
            }
        }
        Item::Value(TomlValue::Array(values)) => {
            let start = |value: &TomlValue| value.span().map(|span| span.start);
            for (number, value) in values.iter().take(array.most).enumerate() {
                let at = start(value).unwrap_or(key_start(key));
                if let Some(table) = value.as_inline_table() {
                    given.push(TableReading::new(file, array, number).read(at, table));
                } else {
                    let found = file.raw_value(value).type_name();
                    let problem = format!("expected a table, found {found}");
                    file.refuse(at, &array.subject(number), problem);
                    given.push(GivenTable::of(array));
                }
            }
            if let Some(at) = values.get(array.most).map(start) {
                refuse_many(file, array, at.unwrap_or(key_start(key)), values.len());
            }
        }
        Item::None | Item::Table(_) | Item::Value(_) => {
            let found = file.raw(item).type_name();
            let problem =
                format!("expected an array of tables, found {found}; write {}", array.header);
            file.refuse(value_start(item).unwrap_or(key_start(key)), array.section, problem);
        }
    }
    given
}

/// Those beyond the bound are not read: what is wrong in them does not matter yet.
fn refuse_many<T>(file: &mut FileReading<'_, '_>, array: &Array<T>, at: usize, found: usize) {
    let problem = format!("expected at most {} {}, found {found}", array.most, array.plural);
    file.refuse(at, &array.subject(array.most), problem);
}

/// One table on its way into the reading.
struct TableReading<'f, 'a, 'doc, T: 'static> {
    file: &'f mut FileReading<'a, 'doc>,
    array: &'static Array<T>,
    number: usize,
    given: GivenTable,
}

impl<'f, 'a, 'doc, T> TableReading<'f, 'a, 'doc, T> {
    fn new(file: &'f mut FileReading<'a, 'doc>, array: &'static Array<T>, number: usize) -> Self {
        Self { file, array, number, given: GivenTable::of(array) }
    }

    fn read(mut self, at: usize, table: &'doc dyn TableLike) -> GivenTable {
        for (name, _) in table.iter() {
            if let Some((key, item)) = table.get_key_value(name) {
                self.take(key, item);
            }
        }
        if self.file.is_whole {
            self.require(at);
        }
        self.given
    }

    fn take(&mut self, key: &TomlKey, item: &'doc Item) {
        let name = key.get();
        let subject = format!("{}.{name}", self.array.subject(self.number));
        let Some(index) = self.array.position(name) else {
            self.refuse_unknown(key, &subject);
            return;
        };
        let Some(known) = self.array.keys.get(index) else { return };
        let at = value_start(item).unwrap_or(key_start(key));
        let value = match &known.shape {
            Shape::One { kind, .. } => self.one(kind, at, &subject, item),
            Shape::List { each, is_set } => self.list(each, *is_set, at, &subject, item),
            Shape::Table { each, names } => self.table(each, names, at, &subject, item),
        };
        let origin = self.file.origin(at);
        self.given.set(index, value.map_or(Slot::Refused, |value| Slot::Given(value, origin)));
    }

    fn refuse_unknown(&mut self, key: &TomlKey, subject: &str) {
        let name = key.get();
        let meant = if self.file.has_errors_enough() { None } else { meant(self.array, name) };
        let problem = match meant.and_then(|index| self.array.keys.get(index)) {
            Some(known) => format!("unknown key; did you mean \"{}\"?", known.name),
            None if self.file.has_errors_enough() => "unknown key".to_owned(),
            None => unknown(None, name, false),
        };
        self.file.refuse(key_start(key), subject, problem);
        if let Some(index) = meant {
            self.given.refuse(index);
        }
    }

    fn one(&mut self, kind: &Kind, at: usize, subject: &str, item: &'doc Item) -> Option<Value> {
        let read = kind.read(&self.file.raw(item), None);
        read.map_err(|problem| self.file.refuse(at, subject, problem)).ok()
    }

    /// Every element that is wrong is told at its own place.
    fn list(
        &mut self,
        each: &Kind,
        is_set: bool,
        at: usize,
        subject: &str,
        item: &'doc Item,
    ) -> Option<Value> {
        let Some(array) = item.as_array() else {
            let found = self.file.raw(item).type_name();
            let hint = if item.is_str() { "; write [ ] around it" } else { "" };
            self.file.refuse(at, subject, format!("expected an array, found {found}{hint}"));
            return None;
        };
        let (mut texts, mut is_valid) = (Vec::new(), true);
        for (index, element) in array.iter().enumerate() {
            let at = element.span().map_or(at, |span| span.start);
            let problem = match each.read(&self.file.raw_value(element), None) {
                Ok(Value::Text(text)) if is_set && texts.contains(&text) => {
                    format!("expected each only once, found \"{text}\" again")
                }
                Ok(Value::Text(text)) => {
                    texts.push(text);
                    continue;
                }
                // A kind of elements has texts for values; any other is not of this kind.
                Ok(_) => each.mismatch(&self.file.raw_value(element), None),
                Err(problem) => problem,
            };
            self.file.refuse(at, &format!("{subject}[{index}]"), problem);
            is_valid = false;
            if self.file.has_errors_enough() {
                break;
            }
        }
        is_valid.then_some(Value::List(texts))
    }

    /// Every name and every value that is wrong is told at its own place.
    fn table(
        &mut self,
        each: &Kind,
        names: &Names,
        at: usize,
        subject: &str,
        item: &'doc Item,
    ) -> Option<Value> {
        let Some(table) = item.as_table_like() else {
            let found = self.file.raw(item).type_name();
            self.file.refuse(at, subject, format!("expected a table, found {found}"));
            return None;
        };
        let mut texts = std::collections::BTreeMap::new();
        let mut is_valid = true;
        for (name, _) in table.iter() {
            let Some((key, item)) = table.get_key_value(name) else { continue };
            if !(names.accepts)(name) {
                let found = printable(name);
                let problem = format!("expected names of {}, found \"{found}\"", names.expected);
                self.file.refuse(key_start(key), subject, problem);
                is_valid = false;
                continue;
            }
            let at = value_start(item).unwrap_or(key_start(key));
            match self.one(each, at, &format!("{subject}.{name}"), item) {
                Some(Value::Text(text)) => {
                    texts.insert(name.to_owned(), text);
                }
                Some(_) | None => is_valid = false,
            }
        }
        is_valid.then_some(Value::Table(texts))
    }

    /// What must be given and was not even tried is missed where the table begins.
    fn require(&mut self, at: usize) {
        let subject = match self.given.text(self.array.position("name")) {
            Some(name) => format!("{} \"{name}\"", self.array.section),
            None => self.array.subject(self.number),
        };
        for (index, key) in self.array.keys.iter().enumerate() {
            let Shape::One { kind, presence: Presence::Required { .. } } = &key.shape else {
                continue;
            };
            if self.given.is_absent(index) {
                let expected = kind.expected(None);
                let article = if key.name.starts_with('a') { "an" } else { "a" };
                let problem = format!("expected {article} {} ({expected}), found none", key.name);
                self.file.refuse(at, &subject, problem);
            }
        }
    }
}

/// The key that was meant by a name that is none.
fn meant<T>(array: &Array<T>, name: &str) -> Option<usize> {
    let known_by = |found: &str| {
        array.keys.iter().position(|key| key.name == found || key.synonyms.contains(&found))
    };
    let names = || array.keys.iter().flat_map(|key| std::iter::once(&key.name).chain(key.synonyms));
    // What is a synonym to the letter is not a misspelt name: "cmd" is not "cwd".
    known_by(name).or_else(|| known_by(nearest(name, names().copied())?))
}
