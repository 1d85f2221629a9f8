//! What the sources give to the keys of one table, and the settings that it becomes.
//!
//! Owns the precedence, the filling of the fields and the record of where each value came from. It checks nothing: what
//! arrives here is valid for its key, and of a table with something wrong in it only the valid part is filled in.

use std::fmt;

use crate::{
    printable::printable_path,
    schema::{Key, Machine, Presence, Schema, Settings},
    setting::Setting,
    value::Value,
};

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No source set it.
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
        /// The name of the variable, as it stands in the environment.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// Its name with the dashes.
        flag: &'static str,
    },
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

/// What the sources give to one key.
#[derive(Clone, Debug, PartialEq)]
struct Slot {
    /// The latest value that is valid.
    value: Option<Value>,
    origin: Origin,
    /// Whether a value was refused.
    is_refused: bool,
}

/// What the sources give to one table of the file, key by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned(Vec<Slot>);

impl Assigned {
    /// A table in which nothing is.
    #[must_use]
    pub fn nothing(schema: &Schema) -> Self {
        let slot = Slot { value: None, origin: Origin::Default, is_refused: false };
        Self(vec![slot; schema.keys.len()])
    }

    /// Gives the key at a position this value.
    pub fn give(&mut self, key: usize, value: Value, origin: Origin) {
        if let Some(slot) = self.0.get_mut(key) {
            (slot.value, slot.origin) = (Some(value), origin);
        }
    }

    /// Notes that a value was refused.
    pub fn refuse(&mut self, key: usize) {
        if let Some(slot) = self.0.get_mut(key) {
            slot.is_refused = true;
        }
    }

    /// Whether a value was refused.
    #[must_use]
    pub fn is_refused(&self, key: usize) -> bool {
        self.0.get(key).is_some_and(|slot| slot.is_refused)
    }

    /// Whether no source set it, not even to a value that was refused.
    #[must_use]
    pub fn is_absent(&self, key: usize) -> bool {
        self.0.get(key).is_some_and(|slot| slot.value.is_none() && !slot.is_refused)
    }

    /// The text that is given to a key, once it is known and valid.
    #[must_use]
    pub fn text(&self, key: usize) -> Option<&str> {
        self.0.get(key)?.value.as_ref()?.text()
    }

    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, key: usize) -> &Origin {
        self.0.get(key).map_or(&Origin::Default, |slot| &slot.origin)
    }

    /// Leaves only where the values came from, and which are left to the server: a value may be a secret.
    pub fn forget_values(&mut self) {
        for slot in &mut self.0 {
            slot.value.take_if(|value| *value != Value::Automatic);
        }
    }

    /// Where the value of a key came from, in words; and what the server does about one that is left to it.
    #[must_use]
    pub fn described(&self, index: usize, key: &Key) -> String {
        let origin = self.origin(index);
        let is_automatic =
            self.0.get(index).is_some_and(|slot| slot.value == Some(Value::Automatic));
        match key.presence {
            Presence::Automatic { meaning, .. } if *origin == Origin::Default => {
                format!("default: {meaning}")
            }
            Presence::Automatic { word, meaning } if is_automatic => {
                format!("{origin}: \"{word}\", {meaning}")
            }
            Presence::Automatic { .. } | Presence::Default(_) | Presence::Required { .. } => {
                origin.to_string()
            }
        }
    }

    /// The settings, with the defaults filled in.
    #[must_use]
    pub fn settings<T: Settings>(&self, machine: &Machine) -> T {
        let mut settings = T::blank();
        let values = || self.0.iter().map(|slot| slot.value.as_ref());
        for ((key, access), value) in T::SCHEMA.keys.iter().zip(T::ACCESS).zip(values()) {
            if let Some(value) = value {
                let written = (access.write)(&mut settings, value);
                debug_assert!(written.is_ok(), "{} cannot hold {value:?}", key.name);
            }
        }
        // The server's own values may depend on any of the others, so they come after them.
        for ((key, access), value) in T::SCHEMA.keys.iter().zip(T::ACCESS).zip(values()) {
            let is_automatic =
                value.map_or(key.automatic_word().is_some(), |value| *value == Value::Automatic);
            if let (true, Some(compute)) = (is_automatic, access.compute) {
                compute(&mut settings, machine);
            }
        }
        settings
    }
}

/// The settings of a table in which nothing is.
#[must_use]
pub fn defaults<T: Settings>(machine: &Machine) -> T {
    Assigned::nothing(T::SCHEMA).settings(machine)
}

/// What a field is before anything is given to its key.
#[doc(hidden)]
#[must_use]
pub fn first<T: Setting>(key: Option<&Key>) -> T {
    let value = key.and_then(Key::default_value);
    match value.map(|value| T::of_value(&value)) {
        Some(Ok(setting)) => setting,
        Some(Err(_)) | None => unreachable!("a default that its field cannot hold: {key:?}"),
    }
}

/// What the server works out by `compute`, which has its types from here.
#[doc(hidden)]
pub fn computed_by<T, V>(settings: &T, machine: &Machine, compute: fn(&T, &Machine) -> V) -> V {
    compute(settings, machine)
}
