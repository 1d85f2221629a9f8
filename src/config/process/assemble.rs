//! From what a `[[process]]` gives to a complete [`ProcessConfig`].
//!
//! Owns the filling of the fields. It checks nothing: of a process with something wrong in it, only
//! the valid part is filled in, and the configuration it becomes part of is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::table::KEYS;
use super::{ProcessConfig, Restart, SECTION};
use crate::config::Config;
use crate::config::source::Origin;
use crate::config::value::Value;

/// What one table of the file gives, by the position of each key in the table of keys.
#[derive(Debug)]
pub(in crate::config) struct GivenProcess(Vec<Slot>);

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

impl Default for GivenProcess {
    fn default() -> Self {
        Self(vec![Slot::Absent; KEYS.len()])
    }
}

impl GivenProcess {
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

    /// The name, once it is known and valid.
    pub(super) fn name(&self) -> Option<&str> {
        match self.0.get(position("name")?)? {
            Slot::Given(Value::Text(name), _) => Some(name),
            Slot::Given(..) | Slot::Absent | Slot::Refused => None,
        }
    }
}

/// The process with the defaults filled in.
pub(in crate::config) fn assemble(given: &GivenProcess) -> ProcessConfig {
    let mut process = blank();
    for (key, slot) in KEYS.iter().zip(&given.0) {
        let value = match slot {
            Slot::Given(value, _) => Some(value.clone()),
            Slot::Absent | Slot::Refused => key.default(),
        };
        if let Some(value) = value {
            let written = (key.access.write)(&mut process, &value);
            debug_assert!(written.is_ok(), "{} cannot hold its value", key.name);
        }
    }
    process
}

/// Where the value of each key came from, in the order of the table.
pub(in crate::config) fn origins(given: &GivenProcess) -> Vec<Origin> {
    let origin = |slot: &Slot| match slot {
        Slot::Given(_, origin) => origin.clone(),
        Slot::Absent | Slot::Refused => Origin::Default,
    };
    given.0.iter().map(origin).collect()
}

/// The origin of `process[0].restart`; `None` if there is no such process or key.
pub(in crate::config) fn origin<'a>(config: &'a Config, path: &str) -> Option<&'a Origin> {
    let (number, name) = path.strip_prefix(SECTION)?.strip_prefix('[')?.split_once("].")?;
    let number: usize = number.parse().ok()?;
    config.processes.get(number)?;
    position(name).map(|key| config.sources.process_origin(number, key))
}

/// The place of a key in the table.
pub(super) fn position(name: &str) -> Option<usize> {
    KEYS.iter().position(|key| key.name == name)
}

/// A process whose fields are all about to be written. Its values are no defaults.
fn blank() -> ProcessConfig {
    ProcessConfig {
        name: String::new(),
        command: PathBuf::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
        restart: Restart::Never,
        stop_timeout: Duration::ZERO,
        events: Vec::new(),
        instances: 0,
        tick: None,
        stdio: false,
        queue_bytes_max: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Presence, ProcessKey, Shape};
    use super::*;
    use crate::config::value::{Kind, Raw};

    fn other_value(key: &ProcessKey) -> Value {
        match &key.shape {
            Shape::One { kind, .. } => match kind {
                Kind::Flag => Value::Flag(true),
                Kind::Integer { max, .. } | Kind::Size { max, .. } => Value::Number(*max),
                Kind::Duration { max, .. } => Value::Duration(*max),
                Kind::Choice { words, .. } => {
                    Value::Text((*words.first().expect("a choice has words")).to_owned())
                }
                Kind::Text { .. } | Kind::Secret { .. } => Value::Text("text".to_owned()),
            },
            Shape::List { each: Kind::Choice { words, .. }, .. } => {
                Value::List(words.iter().map(|word| (*word).to_owned()).collect())
            }
            Shape::List { .. } => Value::List(vec!["text".to_owned()]),
            Shape::Table { .. } => Value::Table([("A".to_owned(), "b".to_owned())].into()),
        }
    }

    #[test]
    fn every_key_gives_back_its_default_or_has_an_example() {
        for key in KEYS {
            let mut process = blank();
            let value = match (&key.shape, key.default()) {
                (_, Some(value)) => value,
                (Shape::One { kind, presence: Presence::Required { example } }, None) => {
                    kind.value(&Raw::Quoted(example)).expect(key.name)
                }
                (shape, None) => panic!("{} has no default: {shape:?}", key.name),
            };
            assert_eq!((key.access.write)(&mut process, &value), Ok(()), "{}", key.name);
            assert_eq!((key.access.read)(&process), value, "{}", key.name);
        }
    }

    #[test]
    fn no_two_keys_share_a_field() {
        for (index, key) in KEYS.iter().enumerate() {
            let (before, mut after) = (blank(), blank());
            let value = other_value(key);
            assert_eq!((key.access.write)(&mut after, &value), Ok(()), "{}", key.name);
            for (other_index, other) in KEYS.iter().enumerate() {
                let changed = (other.access.read)(&before) != (other.access.read)(&after);
                assert_eq!(changed, index == other_index, "{} {}", key.name, other.name);
            }
        }
    }
}
