//! From the tables of an array in a document to what they give.
//!
//! Owns the walk through the tables and the places of what is wrong in them. What holds between two
//! tables is checked later, on the complete configuration.

use toml_edit::{Item, Key as TomlKey, TableLike, Value as TomlValue};

use wsmaster_settings::{
    Arity, Assigned, Key, Kind, Names, Presence, Schema, Value, nearest, printable,
};

use super::file_reading::{FileReading, key_start, unknown, value_start};

/// What `item` gives, which stands under the name of the array: one for each table, whether all is right with it or not. An
/// array of inline tables means the same as tables with headers.
pub(crate) fn read(
    file: &mut FileReading<'_>,
    schema: &'static Schema,
    key: &TomlKey,
    item: &Item,
) -> Vec<Assigned> {
    // Where each begins, and what it is.
    let found: Vec<(usize, Result<&dyn TableLike, &'static str>)> = match item {
        Item::ArrayOfTables(tables) => {
            let start =
                |table: &toml_edit::Table| table.span().map_or(key_start(key), |span| span.start);
            tables.iter().map(|table| (start(table), Ok(table as &dyn TableLike))).collect()
        }
        Item::Value(TomlValue::Array(values)) => values
            .iter()
            .map(|value| {
                let start = value.span().map_or(key_start(key), |span| span.start);
                let table = value.as_inline_table().map(|table| table as &dyn TableLike);
                (start, table.ok_or(file.raw_value(value).type_name()))
            })
            .collect(),
        Item::None | Item::Table(_) | Item::Value(_) => {
            let found = file.raw(item).type_name();
            let problem =
                format!("expected an array of tables, found {found}; write {}", schema.header());
            file.refuse(value_start(item).unwrap_or(key_start(key)), schema.place.path, problem);
            return Vec::new();
        }
    };
    let (most, plural) =
        schema.place.array.as_ref().map_or((0, ""), |array| (array.most, array.plural));
    // Those beyond the bound are not read: what is wrong in them does not matter yet.
    if let Some((at, _)) = found.get(most) {
        let problem = format!("expected at most {most} {plural}, found {}", found.len());
        file.refuse(*at, &schema.subject(most), problem);
    }
    let mut tables = Vec::new();
    for (number, (at, table)) in found.into_iter().take(most).enumerate() {
        tables.push(match table {
            Ok(table) => TableReading::new(file, schema, number).read(at, table),
            Err(found) => {
                file.refuse(
                    at,
                    &schema.subject(number),
                    format!("expected a table, found {found}"),
                );
                Assigned::nothing(schema)
            }
        });
    }
    tables
}

/// One table on its way into the reading.
struct TableReading<'f, 'a> {
    file: &'f mut FileReading<'a>,
    schema: &'static Schema,
    number: usize,
    assigned: Assigned,
}

impl<'f, 'a> TableReading<'f, 'a> {
    fn new(file: &'f mut FileReading<'a>, schema: &'static Schema, number: usize) -> Self {
        Self { file, schema, number, assigned: Assigned::nothing(schema) }
    }

    fn read(mut self, at: usize, table: &dyn TableLike) -> Assigned {
        for (name, _) in table.iter() {
            if let Some((key, item)) = table.get_key_value(name) {
                self.take(key, item);
            }
        }
        if self.file.is_whole {
            self.require(at);
        }
        self.assigned
    }

    fn take(&mut self, key: &TomlKey, item: &Item) {
        let name = key.get();
        let subject = format!("{}.{name}", self.schema.subject(self.number));
        let Some(index) = self.schema.position(name) else {
            self.refuse_unknown(key, &subject);
            return;
        };
        let Some(known) = self.schema.keys.get(index) else { return };
        let at = value_start(item).unwrap_or(key_start(key));
        let value = match &known.arity {
            Arity::One(kind) => self.one(kind, at, &subject, item),
            Arity::List { each, is_set } => self.list(each, *is_set, at, &subject, item),
            Arity::Table { each, names } => self.table(each, names, at, &subject, item),
        };
        let origin = self.file.origin(at);
        match value {
            Some(value) => self.assigned.give(index, value, origin),
            None => self.assigned.refuse(index),
        }
    }

    fn refuse_unknown(&mut self, key: &TomlKey, subject: &str) {
        let name = key.get();
        let meant = if self.file.has_errors_enough() { None } else { meant(self.schema, name) };
        let problem = match meant.and_then(|index| self.schema.keys.get(index)) {
            Some(known) => format!("unknown key; did you mean \"{}\"?", known.name),
            None if self.file.has_errors_enough() => "unknown key".to_owned(),
            None => unknown(None, name, false),
        };
        self.file.refuse(key_start(key), subject, problem);
        if let Some(index) = meant {
            self.assigned.refuse(index);
        }
    }

    fn one(&mut self, kind: &Kind, at: usize, subject: &str, item: &Item) -> Option<Value> {
        let read = kind.read(&self.file.raw(item), None);
        read.map_err(|problem| self.file.refuse(at, subject, problem)).ok()
    }

    /// Every element that is wrong is reported at its own place.
    fn list(
        &mut self,
        each: &Kind,
        is_set: bool,
        at: usize,
        subject: &str,
        item: &Item,
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

    /// Every name and every value that is wrong is reported at its own place.
    fn table(
        &mut self,
        each: &Kind,
        names: &Names,
        at: usize,
        subject: &str,
        item: &Item,
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
        let name = self.schema.position("name").and_then(|name| self.assigned.text(name));
        let subject = match name {
            Some(name) => format!("{} \"{name}\"", self.schema.place.path),
            None => self.schema.subject(self.number),
        };
        for (index, key) in self.schema.keys.iter().enumerate() {
            if matches!(key.presence, Presence::Required { .. }) && self.assigned.is_absent(index) {
                let article = if key.name.starts_with('a') { "an" } else { "a" };
                let problem =
                    format!("expected {article} {} ({}), found none", key.name, key.expected());
                self.file.refuse(at, &subject, problem);
            }
        }
    }
}

/// The key that was meant by a name that is none.
fn meant(schema: &'static Schema, name: &str) -> Option<usize> {
    let known_by = |found: &str| schema.keys.iter().position(|key| key.is_called(found));
    let names = |key: &'static Key| std::iter::once(key.name).chain(key.aliases.iter().copied());
    // What is a synonym to the letter is not a misspelt name: "cmd" is not "cwd".
    known_by(name).or_else(|| known_by(nearest(name, schema.keys.iter().flat_map(names))?))
}
