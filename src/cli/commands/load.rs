//! The configuration for a command, or what is wrong with it on the standard error.

use std::time::{SystemTime, UNIX_EPOCH};

use wsmaster_ipc::sys::resource;

use super::{
    given::{Given, environment},
    out::complain,
};
use crate::{
    cli::{Exit, certificate_check},
    config::{Config, ConfigErrors, Overrides},
    programs, tls,
};

pub(super) fn read_config(flags: &Overrides) -> Result<Config, ConfigErrors> {
    let cpus = resource::cpus_available();
    Config::load(flags, &environment(), resource::effective_uid(), cpus)
}

/// The configuration, or its errors on the standard error.
pub(super) fn load(flags: &Overrides) -> Result<Config, Exit> {
    read_config(flags).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })
}

/// A configuration that was looked at as a whole.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) given: Given,
    pub(super) config: Config,
    /// What might be better about its certificates.
    pub(super) warnings: Vec<tls::Warning>,
}

/// The configuration, whose programs and certificates are there and good, and what might be better about them; or what is wrong, on the
/// standard error.
pub(super) fn load_all(flags: &Overrides) -> Result<Loaded, Exit> {
    let (given, config) = Given::read(flags).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })?;
    if let Err(errors) = programs::check(&config) {
        complain!("{errors}");
        return Err(Exit::Usage);
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match certificate_check::check(&config, since_1970.as_secs() as i64) {
        Ok(told) => {
            Ok(Loaded { given, config, warnings: told.map_or_else(Vec::new, |told| told.warnings) })
        }
        Err(errors) => {
            complain!("{errors}");
            Err(Exit::Usage)
        }
    }
}
