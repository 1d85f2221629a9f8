//! What the command line sets.
//!
//! Owns the list of flags that were given and their reading. The flags themselves are declared by
//! the command line.

use std::path::PathBuf;

use super::address::ListenAddress;
use super::array::GivenTable;
use super::error::Place;
use super::keys::position;
use super::listener::{ARRAY, LISTENERS_MAX};
use super::reading::Reading;
use super::source::Origin;
use super::table::KEYS;
use super::value::{Raw, Value};

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
    /// Whether both are valid is told when the configuration is made.
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
    let Some(key) = position(path).and_then(|index| KEYS.get(index)) else {
        return Err(no_such_key(path));
    };
    key.kind.read(&Raw::Word(text), key.automatic_word()).map(|_| ())
}

/// Takes the values of the flags.
pub(super) fn read(flags: &Overrides, reading: &mut Reading) {
    for Override { flag, path, text } in &flags.settings {
        match position(path) {
            Some(index) => {
                let origin = Origin::Flag { flag };
                reading.take(index, &Raw::Word(text), origin, Place::CommandLine, flag);
            }
            None => reading.refuse(Place::CommandLine, flag, no_such_key(path)),
        }
    }
    for (number, (flag, address)) in (2..).zip(&flags.listeners) {
        if reading.listeners.len() == LISTENERS_MAX {
            let problem = format!("there are more than {LISTENERS_MAX} listeners");
            reading.refuse(Place::CommandLine, flag, problem);
            return;
        }
        let mut given = GivenTable::of(&ARRAY);
        let origin = Origin::Flag { flag };
        let name = Value::Text(format!("listen-{number}"));
        given.give(&ARRAY, "name", name, origin.clone());
        given.give(&ARRAY, "address", Value::Text(address.to_string()), origin);
        reading.listeners.push(given);
    }
}

fn no_such_key(path: &str) -> String {
    format!("there is no setting {path}")
}
