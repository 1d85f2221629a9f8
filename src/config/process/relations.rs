//! What must hold between the processes of one configuration.
//!
//! Owns the rules that no range of one key can express: names that are different, and a bound on
//! all instances together. It runs on the complete configuration.

use std::collections::BTreeMap;

use super::{ARRAY, INSTANCES_MAX};
use crate::config::Config;
use crate::config::error::ConfigError;
use crate::config::source::Origin;

/// What the processes of `config` break. What was refused already is not there, or is at its
/// default, and says nothing twice.
pub(in crate::config) fn check(config: &Config) -> Vec<ConfigError> {
    repeated_names(config).into_iter().chain(too_many_instances(config)).collect()
}

fn repeated_names(config: &Config) -> Vec<ConfigError> {
    let mut first_of = BTreeMap::new();
    let mut errors = Vec::new();
    for (number, process) in config.processes.iter().enumerate() {
        let name = process.name.as_str();
        // A name that is missing or wrong.
        let Some(origin) = origin(config, number, "name") else { continue };
        let Some(place) = origin.place() else { continue };
        match first_of.get(name) {
            Some((first, origin)) => {
                let problem = format!(
                    "expected a name of its own, found \"{name}\", which is {} ({origin})",
                    ARRAY.subject(*first)
                );
                errors.push(ConfigError::new(place, &subject(number, "name"), problem));
            }
            None => {
                first_of.insert(name, (number, origin));
            }
        }
    }
    errors
}

/// One error, at the process with which there are too many.
fn too_many_instances(config: &Config) -> Option<ConfigError> {
    let each = config.processes.iter().map(|process| usize::from(process.instances));
    let total: usize = each.clone().sum();
    if total <= INSTANCES_MAX {
        return None;
    }
    let sums = each.scan(0, |sum, instances| {
        *sum += instances;
        Some(*sum)
    });
    let number = sums.take_while(|sum| *sum <= INSTANCES_MAX).count();
    let (place, key) = ["instances", "name"]
        .into_iter()
        .find_map(|key| Some((origin(config, number, key)?.place()?, key)))?;
    let problem = format!(
        "expected at most {INSTANCES_MAX} instances of all processes together, found {total}"
    );
    Some(ConfigError::new(place, &subject(number, key), problem))
}

fn origin<'a>(config: &'a Config, number: usize, key: &str) -> Option<&'a Origin> {
    ARRAY.position(key).map(|key| config.sources.process_origin(number, key))
}

fn subject(number: usize, key: &str) -> String {
    format!("{}.{key}", ARRAY.subject(number))
}
