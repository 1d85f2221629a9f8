//! What is wrong with this machine for this configuration, and what to do about it.
//!
//! [`reading`] collects facts from the kernel and the file system, [`examine`] judges them. The judgement is pure: it can be
//! asked about machines that nobody has.

mod certificates;
mod facts;
mod finding;
mod limits;
mod network;
mod parsing;
mod proxies;
mod reading;
mod setup;
mod system;

pub(crate) use self::{
    facts::Facts,
    finding::{Finding, Level},
    reading::read,
};
use crate::config::Config;

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
