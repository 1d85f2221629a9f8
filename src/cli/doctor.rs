//! What is wrong with this machine for this configuration, and what to do about it.
//!
//! [`reading`] collects facts from the kernel and the file system, [`examine`] judges them. The judgement is pure: it can be
//! asked about machines that nobody has.

mod certificates;
mod facts;
mod limits;
mod network;
mod parsing;
mod proxies;
mod reading;
mod setup;
mod system;

use serde::Serialize;

pub(crate) use self::{facts::Facts, reading::read};
use crate::config::Config;

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
    fn ok(check: &'static str, found: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), meaning: meaning.into(), remedy: None }
    }

    fn warning(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { level: Level::Warning, remedy, ..Self::ok(check, found, meaning) }
    }

    fn problem(
        check: &'static str,
        found: impl Into<String>,
        meaning: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, found, meaning, remedy) }
    }
}

/// All findings, in the order in which they are to be read. A fact that could not be read is not judged.
pub(crate) fn examine(facts: &Facts, config: &Config) -> Vec<Finding> {
    [
        setup::examine(facts, config),
        certificates::examine(facts),
        limits::examine(facts, config),
        network::examine(facts, config),
        proxies::examine(config),
        system::examine(facts),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::{facts::sound, *};
    use crate::config::Machine;

    #[test]
    fn a_good_machine_has_no_findings_but_good_ones_and_an_unreadable_one_has_few() {
        let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
        let config = Config::defaults(&machine);
        let findings = examine(&sound(), &config);
        let bad: Vec<_> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        let mut checks: Vec<_> = findings.iter().map(|finding| finding.check).collect();
        assert!(checks.len() >= 12, "{checks:?}");
        checks.dedup();
        assert_eq!(checks.len(), findings.len(), "each has a name of its own: {checks:?}");
        for finding in examine(&Facts::default(), &config) {
            assert_ne!(finding.level, Level::Problem, "nothing is known: {finding:?}");
        }
    }
}
