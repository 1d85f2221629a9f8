//! What is wrong with a configuration, in the words the operator reads.
//!
//! Owns the places, the layout of a line and the escaping of what came from outside. It does not
//! decide what is wrong.

use std::fmt;

use wsmaster_settings::{Origin, printable, printable_path};

/// Errors shown at most; a file that is not meant for us would otherwise fill the screen.
pub const ERRORS_MAX: usize = 100;

/// Where a wrong value, or a value in general, stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file as a whole: it is missing, unreadable or no text.
    File {
        /// The name it was asked for by.
        name: String,
    },
    /// A position in a file.
    Line {
        /// The name the file was asked for by.
        name: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
    /// The environment of the process.
    Environment,
    /// The arguments of the command.
    CommandLine,
}

impl Place {
    /// Where an error about a value is reported that came from there; `None` if no source set it.
    pub(crate) fn of(origin: &Origin) -> Option<Self> {
        match origin {
            Origin::Default => None,
            Origin::File { name, line, column } => {
                Some(Self::Line { name: name.clone(), line: *line, column: *column })
            }
            Origin::Environment { .. } => Some(Self::Environment),
            Origin::Flag { .. } => Some(Self::CommandLine),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name } => f.write_str(&printable_path(name)),
            Self::Line { name, line, column } => {
                write!(f, "{}:{line}:{column}", printable_path(name))
            }
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// One thing that is wrong, shown on one line: `wsmaster.toml:4:8: server.port: expected ...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {}{problem}", subject.as_ref().map(|s| format!("{s}: ")).unwrap_or_default())]
pub struct ConfigError {
    /// Where it stands.
    pub place: Place,
    /// The key, variable or flag as it was written; `None` when it is about the file itself.
    pub subject: Option<String>,
    /// What was expected and what was found.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(place: Place, subject: &str, problem: impl Into<String>) -> Self {
        Self { place, subject: Some(printable(subject)), problem: problem.into() }
    }

    pub(crate) fn whole(place: Place, problem: impl Into<String>) -> Self {
        Self { place, subject: None, problem: problem.into() }
    }
}

/// Everything that is wrong with a configuration, in the order of its places; never empty.
///
/// `Display` gives one line for each, the first [`ERRORS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Ok` when there is nothing wrong.
    pub(crate) fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::of(errors)) }
    }

    /// These errors, of which there is at least one.
    pub(crate) fn of(mut errors: Vec<ConfigError>) -> Self {
        errors.sort();
        errors.dedup();
        Self(errors)
    }

    /// The errors one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().take(ERRORS_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.0.len().saturating_sub(ERRORS_MAX) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_errors_is_cut_and_counted() {
        let errors = (0..ERRORS_MAX + 3)
            .map(|line| {
                let place = Place::Line { name: "f".into(), line, column: 1 };
                ConfigError::new(place, "key", "wrong")
            })
            .collect();
        let text = ConfigErrors::check(errors).expect_err("there are errors").to_string();
        assert_eq!(text.lines().count(), ERRORS_MAX + 1);
        assert!(text.ends_with("... and 3 more"), "{text}");
    }
}
