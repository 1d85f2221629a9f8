//! From what a table of an array gives to a complete value.
//!
//! Owns the filling of the fields. It checks nothing: of a table with something wrong in it, only
//! the valid part is filled in, and the configuration it becomes part of is refused.

use super::Array;
use crate::config::source::Origin;
use crate::config::value::Value;

/// What one table of the file gives, by the position of each key in the table of keys.
#[derive(Debug)]
pub(in crate::config) struct GivenTable(Vec<Slot>);

/// What became of one key.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// It is not there.
    Absent,
    /// It is there, and wrong.
    Refused,
    /// It is there, and valid.
    Given(Value, Origin),
}

impl GivenTable {
    /// A table in which nothing is.
    pub(in crate::config) fn of<T>(array: &Array<T>) -> Self {
        Self(vec![Slot::Absent; array.keys.len()])
    }

    /// Gives the key `name` this value.
    pub(in crate::config) fn give<T>(
        &mut self,
        array: &Array<T>,
        name: &str,
        value: Value,
        origin: Origin,
    ) {
        if let Some(key) = array.position(name) {
            self.set(key, Slot::Given(value, origin));
        }
    }

    pub(super) fn set(&mut self, key: usize, slot: Slot) {
        if let Some(place) = self.0.get_mut(key) {
            *place = slot;
        }
    }

    /// Notes that an attempt was made at a key that has no value yet.
    pub(super) fn refuse(&mut self, key: usize) {
        if self.is_absent(key) {
            self.set(key, Slot::Refused);
        }
    }

    pub(super) fn is_absent(&self, key: usize) -> bool {
        matches!(self.0.get(key), Some(Slot::Absent))
    }

    /// The text that is given to a key, once it is known and valid.
    pub(super) fn text(&self, key: Option<usize>) -> Option<&str> {
        match self.0.get(key?)? {
            Slot::Given(Value::Text(text), _) => Some(text),
            Slot::Given(..) | Slot::Absent | Slot::Refused => None,
        }
    }
}

/// The value with the defaults filled in.
pub(in crate::config) fn assemble<T>(array: &Array<T>, given: &GivenTable) -> T {
    let mut whole = (array.blank)();
    for (key, slot) in array.keys.iter().zip(&given.0) {
        let value = match slot {
            Slot::Given(value, _) => Some(value.clone()),
            Slot::Absent | Slot::Refused => key.default(),
        };
        if let Some(value) = value {
            let written = (key.access.write)(&mut whole, &value);
            debug_assert!(written.is_ok(), "{} cannot hold its value", key.name);
        }
    }
    whole
}

/// Where the value of each key came from, in the order of the table.
pub(in crate::config) fn origins(given: &GivenTable) -> Vec<Origin> {
    let origin = |slot: &Slot| match slot {
        Slot::Given(_, origin) => origin.clone(),
        Slot::Absent | Slot::Refused => Origin::Default,
    };
    given.0.iter().map(origin).collect()
}
