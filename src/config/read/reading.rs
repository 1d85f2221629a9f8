//! What has been read so far from file, environment and command line.
//!
//! Owns the one list all three add to, so that everything wrong is known before anything is said.

use wsmaster_settings::{Origin, Raw};

use crate::config::model::{
    error::{ConfigError, Place},
    source::Sources,
    tables::KeyId,
};

/// Values and errors, in the order they were met.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) sources: Sources,
    pub(crate) errors: Vec<ConfigError>,
}

impl Reading {
    /// Takes `raw` as the value of a key, or notes why not: `subject` is the name the operator used, at `place`.
    pub(crate) fn take(
        &mut self,
        id: KeyId,
        raw: &Raw<'_>,
        origin: Origin,
        place: Place,
        subject: &str,
    ) {
        let (_, key) = id.get();
        match key.arity.element().read(raw, key.automatic_word()) {
            Ok(value) => {
                self.note(&origin);
                self.sources.tables.give(id, value, origin);
            }
            Err(problem) => {
                self.sources.tables.refuse(id);
                self.refuse(place, subject, problem);
            }
        }
    }

    /// Notes a variable or a flag that has set something.
    fn note(&mut self, origin: &Origin) {
        let Sources { environment, flags, .. } = &mut self.sources;
        match origin {
            Origin::Environment { variable } if !environment.contains(variable) => {
                environment.push(variable.clone());
            }
            Origin::Flag { flag } if !flags.contains(flag) => flags.push(flag),
            Origin::Default
            | Origin::File { .. }
            | Origin::Environment { .. }
            | Origin::Flag { .. } => {}
        }
    }

    /// Notes that what the operator calls `subject` is wrong.
    pub(crate) fn refuse(&mut self, place: Place, subject: &str, problem: impl Into<String>) {
        self.errors.push(ConfigError::new(place, subject, problem));
    }
}
