//! One thing that was looked at, and how bad it is.

use serde::Serialize;

/// How bad a thing is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// The server runs, but not as well as it could or in the way that the configuration says.
    Warning,
    /// The server does not start, or does not stay up.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Finding {
    /// What, in a word or two; the same in every run, and for several things of one kind.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) level: Level,
    /// What was read.
    pub(crate) found: String,
    /// What it means for the server.
    pub(crate) meaning: String,
    /// The command or the setting that changes it.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Ok, found: found.into(), meaning: meaning.into(), remedy: None }
    }

    pub(super) fn warning(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { level: Level::Warning, remedy, ..Self::ok(check, found, meaning) }
    }

    pub(super) fn problem(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, found, meaning, remedy) }
    }
}
