//! What has been read so far from file, environment and command line.
//!
//! Owns the one list all three add to, so that everything wrong is known before anything is said.

use super::array::GivenTable;
use super::certificates::GivenCertificate;
use super::error::{ConfigError, Place};
use super::source::{Given, Origin};
use super::table::KEYS;
use super::value::Raw;

/// Values and errors, in the order they were met.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) given: Vec<Given>,
    pub(super) errors: Vec<ConfigError>,
    /// Keys whose value was refused, by their position in the table; what depends on them is not
    /// worth a second error.
    pub(super) refused: Vec<usize>,
    /// One for each `[[process]]`, whether all is right with it or not.
    pub(super) processes: Vec<GivenTable>,
    /// One for each `[[listener]]`, likewise, and those of the flags behind them.
    pub(super) listeners: Vec<GivenTable>,
    /// One for each `[[tls.certificate]]`, likewise.
    pub(super) certificates: Vec<GivenCertificate>,
    /// One for each `[[route]]`, likewise.
    pub(super) routes: Vec<GivenTable>,
}

impl Reading {
    /// Takes `raw` as the value of the key at `index`, or notes why not: `subject` is the name the
    /// operator used, at `place`.
    pub(super) fn take(
        &mut self,
        index: usize,
        raw: &Raw<'_>,
        origin: Origin,
        place: Place,
        subject: &str,
    ) {
        let Some(key) = KEYS.get(index) else { return };
        match key.kind.read(raw, key.automatic_word()) {
            Ok(value) => self.given.push(Given { key: index, value, origin }),
            Err(problem) => {
                self.refused.push(index);
                self.refuse(place, subject, problem);
            }
        }
    }

    /// Notes that what the operator calls `subject` is wrong.
    pub(super) fn refuse(&mut self, place: Place, subject: &str, problem: impl Into<String>) {
        self.errors.push(ConfigError::new(place, subject, problem));
    }
}
