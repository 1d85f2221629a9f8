//! What the command line sets.
//!
//! Owns the list of flags that were given and their reading. The flags themselves are declared by
//! the command line.

use std::path::PathBuf;

use wsmaster_settings::{Assigned, Origin, Raw, Settings, Value};

use super::reading::Reading;
use crate::config::model::{
    address::ListenAddress,
    error::Place,
    listener::{LISTENERS_MAX, ListenerConfig},
    tables::find,
};

/// The flags of one command that concern the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The file to read; wins over the environment.
    pub config: Option<PathBuf>,
    settings: Vec<Override>,
    listeners: Vec<(&'static str, ListenAddress)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    flag: &'static str,
    path: &'static str,
    text: String,
}

impl Overrides {
    /// Only the name of a file, if any.
    #[must_use]
    pub fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, ..Self::default() }
    }

    /// The flag `flag` (with its dashes) sets the key `path` (such as `server.port`) to `text`.
    /// Both are checked when the configuration is made.
    pub fn set(&mut self, flag: &'static str, path: &'static str, text: impl Into<String>) {
        self.settings.push(Override { flag, path, text: text.into() });
    }

    /// The flag `flag` adds a listener at this address. It is called `listen-2`, and so on.
    pub fn add_listener(&mut self, flag: &'static str, address: ListenAddress) {
        self.listeners.push((flag, address));
    }
}

/// Whether `text` is a value of the key `path`, such as `server.workers`.
///
/// # Errors
/// The sentence for the operator: what was expected and what was found.
pub fn check_value(path: &str, text: &str) -> Result<(), String> {
    let Some(id) = find(path) else { return Err(no_such_key(path)) };
    let (_, key) = id.get();
    key.arity.element().read(&Raw::Word(text), key.automatic_word()).map(|_| ())
}

/// Takes the values of the flags.
pub(crate) fn read(flags: &Overrides, reading: &mut Reading) {
    for Override { flag, path, text } in &flags.settings {
        match find(path) {
            Some(id) => {
                let origin = Origin::Flag { flag };
                reading.take(id, &Raw::Word(text), origin, Place::CommandLine, flag);
            }
            None => reading.refuse(Place::CommandLine, flag, no_such_key(path)),
        }
    }
    let schema = ListenerConfig::SCHEMA;
    for (number, (flag, address)) in (2..).zip(&flags.listeners) {
        if reading.sources.tables.of(schema).len() == LISTENERS_MAX {
            let problem = format!("there are more than {LISTENERS_MAX} listeners");
            reading.refuse(Place::CommandLine, flag, problem);
            return;
        }
        let mut assigned = Assigned::nothing(schema);
        for (key, text) in [("name", format!("listen-{number}")), ("address", address.to_string())]
        {
            if let Some(key) = schema.position(key) {
                assigned.give(key, Value::Text(text), Origin::Flag { flag });
            }
        }
        reading.sources.tables.add(schema, assigned);
    }
}

fn no_such_key(path: &str) -> String {
    format!("there is no setting {path}")
}
