//! All tables of the file, and what the sources give to each.
//!
//! Owns the list of tables, in the order of the file, and the ways to a key: by its path, by its variable, by another name for
//! it, by a name that is near.

use wsmaster_settings::{Assigned, Key, Machine, Origin, Schema, Settings, Value, nearest};
use wsmaster_workers::Limits;

use super::{
    features::{ApiConfig, ChannelsConfig, CompressionConfig},
    listener::ListenerConfig,
    process::ProcessConfig,
    route::RouteConfig,
    server::ServerConfig,
    tls::{CertificateConfig, TlsConfig},
};

/// Every table there is, in the order of the file.
pub(crate) static TABLES: [&Schema; 10] = [
    ServerConfig::SCHEMA,
    TlsConfig::SCHEMA,
    CertificateConfig::SCHEMA,
    Limits::SCHEMA,
    CompressionConfig::SCHEMA,
    ApiConfig::SCHEMA,
    ChannelsConfig::SCHEMA,
    ListenerConfig::SCHEMA,
    ProcessConfig::SCHEMA,
    RouteConfig::SCHEMA,
];

/// A key of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId {
    table: usize,
    key: usize,
}

impl KeyId {
    /// The key, and the section that it belongs to.
    pub(crate) fn get(self) -> (&'static Schema, &'static Key) {
        let schema = TABLES[self.table];
        (schema, &schema.keys[self.key])
    }

    /// `server.port`
    pub(crate) fn path(self) -> String {
        let (schema, key) = self.get();
        schema.path(key)
    }

    /// `WSMASTER_SERVER_PORT`
    pub(crate) fn variable(self) -> String {
        let (schema, key) = self.get();
        schema.variable(key)
    }
}

/// The table with this name; `None` if there is none.
pub(crate) fn table(path: &str) -> Option<&'static Schema> {
    TABLES.into_iter().find(|schema| schema.place.path == path)
}

/// The sections alone, in the order of the file.
pub(crate) fn sections() -> impl Iterator<Item = &'static Schema> {
    TABLES.into_iter().filter(|schema| schema.place.array.is_none())
}

/// The arrays of tables that stand at the top of the file.
pub(crate) fn top_arrays() -> impl Iterator<Item = &'static Schema> {
    TABLES
        .into_iter()
        .filter(|schema| schema.place.array.is_some() && !schema.place.path.contains('.'))
}

/// Every key of the sections, in the order of the file.
pub(crate) fn keys() -> impl Iterator<Item = KeyId> {
    let sections = TABLES.iter().enumerate().filter(|(_, schema)| schema.place.array.is_none());
    sections.flat_map(|(table, schema)| (0..schema.keys.len()).map(move |key| KeyId { table, key }))
}

/// The key of a section with this path, such as `server.port`.
pub(crate) fn find(path: &str) -> Option<KeyId> {
    keys().find(|id| {
        let (schema, key) = id.get();
        path.strip_prefix(schema.place.path).and_then(|rest| rest.strip_prefix('.'))
            == Some(key.name)
    })
}

/// The setting that was meant by `name`, found in `section` or, for `None`, at the top of the file.
///
/// A name that is right but stands in the wrong place, or that another server uses, is better than any near one; of the near
/// ones those of the same section come first.
pub(crate) fn nearest_key(name: &str, section: Option<&Schema>) -> Option<KeyId> {
    let called = |name: &str| keys().find(|id| id.get().1.is_called(name));
    if let Some(found) = called(name) {
        return Some(found);
    }
    let is_here = |id: &KeyId| section.is_some_and(|section| section.is(id.get().0));
    if let Some(found) = nearest(name, keys().filter(is_here).map(|id| id.get().1.name)) {
        return keys().filter(is_here).find(|id| id.get().1.name == found);
    }
    let names = keys().flat_map(|id| {
        let key = id.get().1;
        std::iter::once(key.name).chain(key.aliases.iter().copied())
    });
    called(nearest(name, names)?)
}

/// What the sources give to every table: a section is there once, of an array there are as many as were found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tables([Vec<Assigned>; TABLES.len()]);

impl Default for Tables {
    fn default() -> Self {
        Self(TABLES.map(|schema| match schema.place.array {
            None => vec![Assigned::nothing(schema)],
            Some(_) => Vec::new(),
        }))
    }
}

impl Tables {
    /// What is given to the section of a key.
    pub(crate) fn section_mut(&mut self, id: KeyId) -> Option<&mut Assigned> {
        self.0.get_mut(id.table)?.first_mut()
    }

    /// Gives the key of a section a value.
    pub(crate) fn give(&mut self, id: KeyId, value: Value, origin: Origin) {
        if let Some(assigned) = self.section_mut(id) {
            assigned.give(id.key, value, origin);
        }
    }

    /// Notes that a value for the key of a section was refused.
    pub(crate) fn refuse(&mut self, id: KeyId) {
        if let Some(assigned) = self.section_mut(id) {
            assigned.refuse(id.key);
        }
    }

    /// Adds a table to an array.
    pub(crate) fn add(&mut self, schema: &Schema, assigned: Assigned) {
        if let Some(tables) = self.position(schema).and_then(|table| self.0.get_mut(table)) {
            tables.push(assigned);
        }
    }

    /// Leaves only where the values came from.
    pub(crate) fn forget_values(&mut self) {
        self.0.iter_mut().flatten().for_each(Assigned::forget_values);
    }

    /// What is given to the tables of this name.
    pub(crate) fn of(&self, schema: &Schema) -> &[Assigned] {
        self.position(schema).and_then(|table| self.0.get(table)).map_or(&[], Vec::as_slice)
    }

    fn position(&self, schema: &Schema) -> Option<usize> {
        TABLES.iter().position(|table| table.is(schema))
    }

    /// The settings of a section.
    pub(crate) fn one<T: Settings>(&self, machine: &Machine) -> T {
        let assigned = self.of(T::SCHEMA).first();
        assigned.map_or_else(T::blank, |assigned| assigned.settings(machine))
    }

    /// The settings of each table of an array.
    pub(crate) fn all<T: Settings>(&self, machine: &Machine) -> Vec<T> {
        self.of(T::SCHEMA).iter().map(|assigned| assigned.settings(machine)).collect()
    }

    /// Where the value of `server.port` or `listener[0].mode` came from; `None` if there is no such table or key.
    pub(crate) fn origin(&self, path: &str) -> Option<&Origin> {
        self.assigned(path).map(|(assigned, key)| assigned.origin(key))
    }

    /// Whether a value for `server.port` was refused.
    pub(crate) fn is_refused(&self, path: &str) -> bool {
        self.assigned(path).is_some_and(|(assigned, key)| assigned.is_refused(key))
    }

    fn assigned(&self, path: &str) -> Option<(&Assigned, usize)> {
        TABLES.iter().zip(&self.0).find_map(|(schema, tables)| {
            let (number, key) = schema.find(path)?;
            Some((tables.get(number)?, key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let (server, limits) = (ServerConfig::SCHEMA, Limits::SCHEMA);
        for (name, section, meant) in [
            ("worksrs", Some(server), Some("server.workers")),
            ("Port", Some(server), Some("server.port")),
            ("pid-file", Some(server), Some("server.pid_file")),
            ("port", Some(limits), Some("server.port")),
            ("message_bytes_max", None, Some("limits.message_bytes_max")),
            ("worker_nun", None, Some("server.workers")),
            ("key", Some(server), Some("api.key")),
            ("xyzzy", Some(server), None),
            ("", Some(server), None),
        ] {
            let found = nearest_key(name, section).map(KeyId::path);
            assert_eq!(found.as_deref(), meant, "{name}");
        }
        let long = "port".repeat(1 << 18);
        assert!(nearest_key(&long, None).is_none());
    }

    #[test]
    fn no_two_keys_share_a_name_and_no_other_name_stands_for_two() {
        let aliases = keys().flat_map(|id| id.get().1.aliases);
        let mut names: Vec<_> = aliases.map(|alias| (*alias).to_owned()).collect();
        names.extend(keys().map(KeyId::path));
        for schema in TABLES.iter().filter(|schema| schema.place.array.is_some()) {
            let each =
                schema.keys.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
            names.extend(each.map(|name| format!("{}[].{name}", schema.place.path)));
        }
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    /// Every default can be read, and comes out of its field as it went in.
    fn check_defaults<T: Settings>() {
        let blank = T::blank();
        assert_eq!(T::SCHEMA.keys.len(), T::ACCESS.len());
        for (key, access) in T::SCHEMA.keys.iter().zip(T::ACCESS) {
            let value = key.default_value().expect(key.name);
            if access.compute.is_none() {
                assert_eq!((access.read)(&blank), value, "{}", key.name);
            }
        }
    }

    #[test]
    fn every_key_gives_back_its_default() {
        check_defaults::<ServerConfig>();
        check_defaults::<TlsConfig>();
        check_defaults::<CertificateConfig>();
        check_defaults::<Limits>();
        check_defaults::<CompressionConfig>();
        check_defaults::<ApiConfig>();
        check_defaults::<ChannelsConfig>();
        check_defaults::<ListenerConfig>();
        check_defaults::<ProcessConfig>();
        check_defaults::<RouteConfig>();
    }
}
