//! From file, environment and command line to a configuration, or to all that is wrong with them.
//!
//! Owns the order of the sources: each later one wins over the ones before.

use std::path::PathBuf;

use wsmaster_settings::Machine;

use super::{
    check,
    model::{config::Config, error::ConfigErrors, source::Sources},
    read::{
        document, environment,
        file::{self, FileText},
        overrides::{self, Overrides},
        reading::Reading,
    },
};

impl Config {
    /// Reads everything: the file named by `flags` or by [`CONFIG_VARIABLE`](super::CONFIG_VARIABLE), if any, then `env`,
    /// then `flags`. Without a name there is no file: none is searched for.
    ///
    /// # Errors
    /// All that is wrong, in all sources; or that the file cannot be read.
    pub fn load(
        flags: &Overrides,
        env: &[(String, String)],
        uid: u32,
        cpus: usize,
    ) -> Result<Self, ConfigErrors> {
        let file = match file_path(flags, env) {
            Some(path) => Some(load_file(&path)?),
            None => None,
        };
        Self::of_file(file.as_ref(), flags, env, uid, cpus)
    }

    /// As [`Self::load`], with what is in the file.
    pub(crate) fn of_file(
        file: Option<&FileText>,
        flags: &Overrides,
        env: &[(String, String)],
        uid: u32,
        cpus: usize,
    ) -> Result<Self, ConfigErrors> {
        let machine = Machine::new(env, uid, cpus);
        let file = file.map(|file| (file.name.as_str(), file.text.as_str()));
        Self::from_layers(file, env, flags, &machine)
    }

    /// The defaults with the file `text` over them; `name` is what the file is called in messages.
    ///
    /// # Errors
    /// All that is wrong with the text.
    pub fn from_toml(text: &str, name: &str, machine: &Machine) -> Result<Self, ConfigErrors> {
        Self::from_layers(Some((name, text)), &[], &Overrides::default(), machine)
    }

    /// The defaults alone.
    #[must_use]
    pub fn defaults(machine: &Machine) -> Self {
        Self::of_sources(Sources::default(), machine)
    }

    /// All sources over each other: the defaults, the file as name and text, the environment and
    /// the flags. Reads nothing: of `flags` and `env`, the name of a file is ignored.
    ///
    /// # Errors
    /// All that is wrong, in all sources.
    pub fn from_layers(
        file: Option<(&str, &str)>,
        env: &[(String, String)],
        flags: &Overrides,
        machine: &Machine,
    ) -> Result<Self, ConfigErrors> {
        let mut reading = Reading::default();
        reading.sources.file = file.map(|(name, _)| name.to_owned());
        if let Some((name, text)) = file {
            document::read(name, text, &mut reading);
        }
        environment::read(env, &mut reading);
        overrides::read(flags, &mut reading);
        let Reading { sources, mut errors } = reading;
        let config = Self::of_sources(sources, machine);
        errors.extend(check::all(&config));
        ConfigErrors::check(errors)?;
        Ok(config)
    }
}

/// The file that is named, if one is.
pub(crate) fn file_path(flags: &Overrides, env: &[(String, String)]) -> Option<PathBuf> {
    flags.config.clone().or_else(|| environment::config_path(env))
}

/// Reads the file.
pub(crate) fn load_file(path: &std::path::Path) -> Result<FileText, ConfigErrors> {
    Ok(file::load(path)?)
}
