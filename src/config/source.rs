//! Where the values of a configuration came from.
//!
//! Owns the record only; the words of `config show` are made elsewhere from it.

use std::fmt;

use super::error::{Place, printable_path};
use super::listener;
use super::process;
use super::route;
use super::value::Value;

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File {
        /// The name the file was asked for by.
        name: String,
        /// Counted from 1.
        line: usize,
        /// Of the value, counted from 1, in characters.
        column: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// Its name with the dashes.
        flag: &'static str,
    },
}

impl Origin {
    /// Where an error about the value is reported; `None` if nobody set it.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::Default => None,
            Self::File { name, line, column } => {
                Some(Place::Line { name: name.clone(), line: *line, column: *column })
            }
            Self::Environment { .. } => Some(Place::Environment),
            Self::Flag { .. } => Some(Place::CommandLine),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line, .. } => write!(f, "{}:{line}", printable_path(name)),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

/// Where a whole configuration came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    /// The name of the file; `None` when there was none.
    pub file: Option<String>,
    /// The variables that set something, each once.
    pub environment: Vec<String>,
    /// The flags that set something, each once.
    pub flags: Vec<&'static str>,
    /// One for each key, in the order of the table.
    values: Vec<Provenance>,
    /// One list for each `[[process]]`, with one for each of its keys in the order of their table.
    pub(super) processes: Vec<Vec<Origin>>,
    /// The same for each `[[listener]]`.
    pub(super) listeners: Vec<Vec<Origin>>,
    /// The same for each `[[tls.certificate]]`.
    pub(super) certificates: Vec<Vec<Origin>>,
    /// The same for each `[[route]]`.
    pub(super) routes: Vec<Vec<Origin>>,
}

/// Where the value of one key came from, and whether it was left to the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Provenance {
    pub(super) origin: Origin,
    pub(super) is_automatic: bool,
}

/// A value somebody gave to the key at a position of the table.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) key: usize,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Sources {
    /// The sources of a configuration whose values came from `values`, one for each key. The public
    /// lists name also what was overruled by a later source: it was read.
    pub(super) fn new(file: Option<&str>, given: &[Given], values: Vec<Provenance>) -> Self {
        let mut sources = Self {
            file: file.map(str::to_owned),
            environment: vec![],
            flags: vec![],
            values,
            processes: vec![],
            listeners: vec![],
            certificates: vec![],
            routes: vec![],
        };
        for Given { origin, .. } in given {
            match origin {
                Origin::Environment { variable } if !sources.environment.contains(variable) => {
                    sources.environment.push(variable.clone());
                }
                Origin::Flag { flag } if !sources.flags.contains(flag) => sources.flags.push(flag),
                Origin::Default
                | Origin::File { .. }
                | Origin::Environment { .. }
                | Origin::Flag { .. } => {}
            }
        }
        sources
    }

    pub(super) fn origin(&self, key: usize) -> &Origin {
        self.values.get(key).map_or(&Origin::Default, |value| &value.origin)
    }

    /// The origin of a key of the process at a position of the file.
    pub(super) fn process_origin(&self, process: usize, key: usize) -> &Origin {
        let origin = self.processes.get(process).and_then(|origins| origins.get(key));
        origin.unwrap_or(&Origin::Default)
    }

    /// The origin of a key of the listener at a position.
    pub(super) fn listener_origin(&self, listener: usize, key: usize) -> &Origin {
        let origin = self.listeners.get(listener).and_then(|origins| origins.get(key));
        origin.unwrap_or(&Origin::Default)
    }

    /// The origin of a key of the route at a position of the file.
    pub(super) fn route_origin(&self, route: usize, key: usize) -> &Origin {
        let origin = self.routes.get(route).and_then(|origins| origins.get(key));
        origin.unwrap_or(&Origin::Default)
    }

    /// The origin of a key of a table, such as `process[0].restart`; `None` if there is no such table
    /// or key.
    pub(super) fn table_origin(&self, path: &str) -> Option<&Origin> {
        [
            (process::ARRAY.find(path), &self.processes),
            (listener::ARRAY.find(path), &self.listeners),
            (route::ARRAY.find(path), &self.routes),
        ]
        .into_iter()
        .find_map(|(place, tables)| {
            let (number, key) = place?;
            tables.get(number)?.get(key)
        })
    }

    /// The origin of a key of the further certificate at a position of the file.
    pub(super) fn certificate_origin(&self, certificate: usize, key: usize) -> &Origin {
        let origin = self.certificates.get(certificate).and_then(|origins| origins.get(key));
        origin.unwrap_or(&Origin::Default)
    }

    pub(super) fn is_automatic(&self, key: usize) -> bool {
        self.values.get(key).is_some_and(|value| value.is_automatic)
    }
}

/// One line for the log: `wsmaster.toml, WSMASTER_SERVER_PORT, --workers`.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(printable_path);
        f.write_str(file.as_deref().unwrap_or("built-in defaults"))?;
        for name in self.environment.iter().map(String::as_str).chain(self.flags.iter().copied()) {
            write!(f, ", {name}")?;
        }
        Ok(())
    }
}
