//! What must hold between the processes of one configuration.
//!
//! Owns the rules that no range of one key can express: names that are different, and a bound on
//! all instances together. It runs on the complete configuration.

use wsmaster_settings::Settings;

use super::own::{path, repeated};
use crate::config::model::{
    config::Config,
    error::ConfigError,
    process::{INSTANCES_MAX, ProcessConfig},
};

/// What the processes of `config` break.
pub(crate) fn check(config: &Config) -> Vec<ConfigError> {
    let names = config.processes.iter().map(|process| process.name.as_str());
    let mut errors = repeated(config, ProcessConfig::SCHEMA, "name", names);
    errors.extend(too_many_instances(config));
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
    let (place, subject) = ["instances", "name"].into_iter().find_map(|key| {
        let subject = path(ProcessConfig::SCHEMA, number, key);
        Some((config.place(&subject)?, subject))
    })?;
    let problem = format!(
        "expected at most {INSTANCES_MAX} instances of all processes together, found {total}"
    );
    Some(ConfigError::new(place, &subject, problem))
}
