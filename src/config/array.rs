//! Arrays of tables such as `[[process]]`: each table has the same keys, and becomes one value.
//!
//! Owns what all of them have in common: their keys as a table, the reading of the file, the filling in of defaults, and the
//! words for the operator. Which arrays there are, and what their keys mean, is said by those who declare one.

mod document;
mod given;
mod keys;
mod render;

pub(super) use document::read;
pub(super) use given::{GivenTable, assemble, origins};
pub(super) use keys::{Names, Shape, TableKey};
pub(super) use render::{example_toml, reference_markdown, show};

/// An array of tables, each of which becomes a `T`.
#[derive(Debug)]
pub(super) struct Array<T: 'static> {
    /// Its name in the file, such as `process`.
    pub(super) section: &'static str,
    /// How each of its tables begins, such as `[[process]]`.
    pub(super) header: &'static str,
    /// What several of them are called.
    pub(super) plural: &'static str,
    /// The most tables of a configuration.
    pub(super) most: usize,
    /// What is said behind that number in the documentation, with a stop at its end.
    pub(super) bounds: &'static str,
    /// What one of them is.
    pub(super) about: &'static str,
    /// One of them, for the documentation.
    pub(super) example: &'static str,
    /// Every setting, in the order of the file.
    pub(super) keys: &'static [TableKey<T>],
    /// A value whose fields are all about to be written.
    pub(super) blank: fn() -> T,
}

impl<T> Array<T> {
    /// `process[0]`
    pub(super) fn subject(&self, number: usize) -> String {
        format!("{}[{number}]", self.section)
    }

    /// The place of a key in the table of keys.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.name == name)
    }

    /// The table and the key of `process[0].restart`; `None` if that is no key of this array.
    pub(super) fn find(&self, path: &str) -> Option<(usize, usize)> {
        let (number, name) =
            path.strip_prefix(self.section)?.strip_prefix('[')?.split_once("].")?;
        Some((number.parse().ok()?, self.position(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{Kind, Raw, Value};
    use super::super::{listener, process, route};
    use super::keys::Presence;
    use super::*;

    fn other_value<T>(key: &TableKey<T>) -> Value {
        match &key.shape {
            // Some flags are on where nothing is said.
            Shape::One { kind: Kind::Flag, .. } => {
                Value::Flag(key.default() == Some(Value::Flag(false)))
            }
            Shape::One { kind, .. } => kind.other_value(match key.name {
                "address" => "[::1]:1",
                "mode" => "0123",
                _ => "text",
            }),
            Shape::List { each: Kind::Choice { words, .. }, .. } => {
                Value::List(words.iter().map(|word| (*word).to_owned()).collect())
            }
            Shape::List { .. } => Value::List(vec!["text".to_owned()]),
            Shape::Table { .. } => Value::Table([("A".to_owned(), "b".to_owned())].into()),
        }
    }

    fn check_defaults<T>(array: &Array<T>) {
        for key in array.keys {
            let mut whole = (array.blank)();
            let value = match (&key.shape, key.default()) {
                (_, Some(value)) => value,
                (Shape::One { kind, presence: Presence::Required { example } }, None) => {
                    kind.value(&Raw::Quoted(example)).expect(key.name)
                }
                (shape, None) => panic!("{} has no default: {shape:?}", key.name),
            };
            assert_eq!((key.access.write)(&mut whole, &value), Ok(()), "{}", key.name);
            assert_eq!((key.access.read)(&whole), value, "{}", key.name);
        }
    }

    fn check_fields<T>(array: &Array<T>) {
        for (index, key) in array.keys.iter().enumerate() {
            let (before, mut after) = ((array.blank)(), (array.blank)());
            let value = other_value(key);
            assert_eq!((key.access.write)(&mut after, &value), Ok(()), "{}", key.name);
            for (other_index, other) in array.keys.iter().enumerate() {
                let changed = (other.access.read)(&before) != (other.access.read)(&after);
                assert_eq!(changed, index == other_index, "{} {}", key.name, other.name);
            }
        }
    }

    #[test]
    fn every_key_gives_back_its_default_or_has_an_example() {
        check_defaults(&process::ARRAY);
        check_defaults(&listener::ARRAY);
        check_defaults(&route::ARRAY);
    }

    #[test]
    fn no_two_keys_share_a_field() {
        check_fields(&process::ARRAY);
        check_fields(&listener::ARRAY);
        check_fields(&route::ARRAY);
    }
}
