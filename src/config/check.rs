//! What must hold between two settings: rules that no range of one key can express.
//!
//! They run on the complete configuration, so a value of the environment is held against one of the file. What was refused
//! already is not there, or is at its default, and says nothing twice.

mod limits;
mod listeners;
mod own;
mod processes;
mod routes;

use super::model::{config::Config, error::ConfigError};

/// All rules that `config` breaks.
pub(crate) fn all(config: &Config) -> Vec<ConfigError> {
    let mut errors = limits::check(config);
    errors.extend(processes::check(config));
    errors.extend(listeners::check(config));
    errors.extend(routes::check(config));
    errors
}
