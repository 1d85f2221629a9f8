//! What the rules between tables have in common.
//!
//! Owns the one that all of them have: no two tables of an array have the same name.

use std::collections::BTreeMap;

use wsmaster_settings::Schema;

use crate::config::model::{
    config::Config,
    error::{ConfigError, Place},
};

/// `process[0].name`
pub(crate) fn path(schema: &Schema, number: usize, key: &str) -> String {
    format!("{}.{key}", schema.subject(number))
}

/// One error for each table with the same value of `key` as a table before it.
pub(crate) fn repeated<'a>(
    config: &Config,
    schema: &Schema,
    key: &str,
    texts: impl Iterator<Item = &'a str>,
) -> Vec<ConfigError> {
    let mut first_of = BTreeMap::new();
    let mut errors = Vec::new();
    for (number, text) in texts.enumerate() {
        let subject = path(schema, number, key);
        let Some(origin) = config.origin(&subject) else { continue };
        // One that is missing or wrong has no place.
        let Some(place) = Place::of(origin) else { continue };
        match first_of.get(text) {
            Some((first, origin)) => {
                let first = schema.subject(*first);
                let problem = format!(
                    "expected a {key} of its own, found \"{text}\", which is {first} ({origin})"
                );
                errors.push(ConfigError::new(place, &subject, problem));
            }
            None => {
                first_of.insert(text, (number, origin));
            }
        }
    }
    errors
}
