//! Judgement: descriptors, processes, memory, CPUs. Pure.

use super::{facts::Facts, finding::Finding};
use crate::{
    cli::amounts::bytes,
    config::{Config, DescriptorLimit},
};

/// Descriptors of a worker that are no connections and no mailboxes of others.
const OWN_DESCRIPTORS: u64 = 32;
/// Workers do not get the same share of the connections: how much more the busiest one may have, in percent.
const UNEVEN_PERCENT: u64 = 25;
/// Memory of an idle connection, most of it the kernel's: an estimate on the safe side.
const CONNECTION_BYTES: u64 = 5 * 1024;
/// Memory of a process without connections.
const PROCESS_BYTES: u64 = 8 << 20;
/// Processes of the server beside those that are counted, and those that replace others for a moment.
const SPARE_PROCESSES: u64 = 8;

pub(super) fn examine(facts: &Facts, config: &Config) -> Vec<Finding> {
    [
        descriptors(facts, config),
        machine_files(facts, config),
        processes(facts, config),
        memory(facts, config),
        cpus(facts, config),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Programs and task processes.
fn side_processes(config: &Config) -> u64 {
    let programs: u64 = config.processes.iter().map(|process| u64::from(process.instances)).sum();
    programs + config.server.task_workers as u64
}

/// What a worker needs for its share of the connections, and at the least.
fn descriptors_needed(config: &Config) -> (u64, u64) {
    let workers = config.server.workers.max(1) as u64;
    let own = OWN_DESCRIPTORS + workers + side_processes(config);
    let share = (config.limits.connections_max).div_ceil(workers);
    let uneven = if workers == 1 { 0 } else { share * UNEVEN_PERCENT / 100 };
    (share + uneven + own, own)
}

fn descriptors(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "descriptors";
    let hard = facts.descriptors_hard?;
    let (needed, own) = descriptors_needed(config);
    let has = match config.server.rlimit_nofile {
        DescriptorLimit::Hard => hard,
        DescriptorLimit::Number(number) => {
            let found = format!("server.rlimit_nofile is {number}, the hard limit is {hard}");
            if let Some(nr_open) = facts.nr_open.filter(|nr_open| number > *nr_open) {
                return Some(Finding::problem(
                    CHECK,
                    format!("server.rlimit_nofile is {number}, fs.nr_open is {nr_open}"),
                    "the kernel allows no process so many: the start is refused",
                    format!("sysctl -w fs.nr_open={number}"),
                ));
            }
            if number > hard && facts.uid != 0 {
                return Some(Finding::problem(
                    CHECK,
                    found,
                    "only root may have more than the hard limit: the start is refused",
                    format!("LimitNOFILE={number} in the unit, or `ulimit -Hn {number}` as root"),
                ));
            }
            number
        }
    };
    let found = format!("each process may have {has}");
    Some(if has >= needed {
        Finding::ok(
            CHECK,
            found,
            format!(
                "enough for limits.connections_max ({}) on {} workers",
                config.limits.connections_max, config.server.workers
            ),
        )
    } else {
        let share = has.saturating_sub(own);
        let workers = config.server.workers as u64;
        let even = if workers == 1 { share } else { share * 100 / (100 + UNEVEN_PERCENT) };
        let most = even * workers;
        Finding::warning(
            CHECK,
            found,
            format!(
                "{needed} are needed for limits.connections_max ({}) on {} workers: at about {most} connections \
                 accepting pauses",
                config.limits.connections_max, config.server.workers
            ),
            format!(
                "LimitNOFILE={needed} in the unit, a higher hard limit (`ulimit -Hn {needed}`, as root), or \
                 limits.connections_max = {most}"
            ),
        )
    })
}

fn machine_files(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "open files of the machine";
    let (open, most) = facts.files?;
    let workers = config.server.workers as u64;
    let needed = config.limits.connections_max + workers * descriptors_needed(config).1;
    let found = format!("{open} of fs.file-max {most} are open");
    Some(if open.saturating_add(needed) <= most {
        Finding::ok(CHECK, found, "room for every connection")
    } else {
        let better = open.saturating_add(needed).next_power_of_two();
        Finding::warning(
            CHECK,
            found,
            format!(
                "the server may need {needed} more: then nobody on this machine can open a file"
            ),
            format!("sysctl -w fs.file-max={better}"),
        )
    })
}

fn processes(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "processes";
    let most = facts.cgroup.processes?;
    // A worker and its successor overlap in a reload; a program has a host.
    let needed =
        1 + 2 * config.server.workers as u64 + 2 * side_processes(config) + SPARE_PROCESSES;
    let found = format!("pids.max is {most}");
    Some(if most >= needed {
        Finding::ok(CHECK, found, format!("at most about {needed} are needed"))
    } else {
        Finding::problem(
            CHECK,
            found,
            format!("about {needed} are needed: workers or side processes cannot be forked"),
            format!("TasksMax={needed} in the unit, or `--pids-limit {needed}` of the container"),
        )
    })
}

fn memory(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "memory";
    let (most, what) = match (facts.cgroup.memory_bytes, facts.memory_bytes) {
        (Some(limit), Some(machine)) if limit < machine => (limit, "memory.max is"),
        (Some(limit), None) => (limit, "memory.max is"),
        (_, Some(machine)) => (machine, "the machine has"),
        (None, None) => return None,
    };
    let processes = 1 + config.server.workers as u64 + side_processes(config);
    let needed = config.limits.connections_max * CONNECTION_BYTES + processes * PROCESS_BYTES;
    let found = format!("{what} {}", bytes(most));
    Some(if needed <= most {
        let meaning = format!(
            "limits.connections_max ({}) idle connections take about {}",
            config.limits.connections_max,
            bytes(needed)
        );
        Finding::ok(CHECK, found, meaning)
    } else {
        let fits = most.saturating_sub(processes * PROCESS_BYTES) / CONNECTION_BYTES;
        Finding::warning(
            CHECK,
            found,
            format!(
                "limits.connections_max ({}) connections take about {} when idle: the kernel will kill workers",
                config.limits.connections_max,
                bytes(needed)
            ),
            format!("limits.connections_max = {fits} or less, or more memory"),
        )
    })
}

fn cpus(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "cpus";
    let available = (facts.cpus > 0).then_some(facts.cpus)?;
    let workers = config.server.workers;
    if let Some(quota) = facts.cgroup.cpus.filter(|quota| *quota < available as f64) {
        let found = format!("cpu.max gives {quota:.1} of {available} CPUs");
        let fit = quota.ceil().max(1.0) as usize;
        return Some(if workers <= fit {
            Finding::ok(CHECK, found, format!("{workers} workers have room"))
        } else {
            Finding::warning(
                CHECK,
                found,
                format!("{workers} workers use the time up together, and then all of them wait"),
                format!("server.workers = {fit}, or a larger CPUQuota= of the unit"),
            )
        });
    }
    let found = format!("{available} CPUs");
    Some(if workers <= available {
        Finding::ok(CHECK, found, format!("{workers} workers have room"))
    } else {
        Finding::warning(
            CHECK,
            found,
            format!("{workers} workers take turns on them, which costs time and gains none"),
            format!("server.workers = {available}, or \"auto\""),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, facts::sound},
        *,
    };
    use crate::config::Machine;

    fn config(toml: &str) -> Config {
        let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
        Config::from_toml(toml, "x", &machine).expect(toml)
    }

    #[test]
    fn what_is_too_little() {
        type Case = (&'static str, fn(&mut Facts), &'static str, Level, &'static str);
        let cases: &[Case] = &[
            ("", |f| f.descriptors_hard = Some(31_286), "descriptors", Level::Ok, ""),
            ("", |f| f.descriptors_hard = Some(31_285), "descriptors", Level::Warning, "31286"),
            ("", |f| f.descriptors_hard = Some(1_024), "descriptors", Level::Warning, "= 3160"),
            (
                "[server]\nrlimit_nofile = 2000000",
                |_| {},
                "descriptors",
                Level::Problem,
                "fs.nr_open=2000000",
            ),
            (
                "[server]\nrlimit_nofile = 40000",
                |f| f.descriptors_hard = Some(4_096),
                "descriptors",
                Level::Problem,
                "LimitNOFILE=40000",
            ),
            (
                "[server]\nrlimit_nofile = 40000",
                |f| (f.descriptors_hard, f.uid) = (Some(4_096), 0),
                "descriptors",
                Level::Ok,
                "",
            ),
            (
                "[server]\nworkers = 1\n[limits]\nconnections_max = 991",
                |f| f.descriptors_hard = Some(1_024),
                "descriptors",
                Level::Ok,
                "",
            ),
            (
                "",
                |f| f.files = Some((50_000, 100_000)),
                "open files of the machine",
                Level::Warning,
                "fs.file-max=262144",
            ),
            ("", |f| f.cgroup.processes = Some(17), "processes", Level::Ok, ""),
            ("", |f| f.cgroup.processes = Some(16), "processes", Level::Problem, "TasksMax=17"),
            (
                "",
                |f| f.cgroup.memory_bytes = Some(256 << 20),
                "memory",
                Level::Warning,
                "connections_max = 44236",
            ),
            ("", |f| f.memory_bytes = Some(256 << 20), "memory", Level::Warning, "44236"),
            ("", |f| f.cgroup.memory_bytes = Some(1 << 60), "memory", Level::Ok, ""),
            ("", |f| f.cgroup.cpus = Some(1.5), "cpus", Level::Warning, "server.workers = 2"),
            ("", |f| f.cgroup.cpus = Some(0.1), "cpus", Level::Warning, "server.workers = 1"),
            ("", |f| f.cgroup.cpus = Some(8.0), "cpus", Level::Ok, ""),
            ("[server]\nworkers = 5", |_| {}, "cpus", Level::Warning, "server.workers = 4"),
        ];
        for (toml, change, check, level, remedy) in cases {
            let mut facts = sound();
            change(&mut facts);
            let findings = examine(&facts, &config(toml));
            let finding = findings.iter().find(|finding| finding.check == *check);
            let finding = finding.unwrap_or_else(|| panic!("{check} was not looked at"));
            assert_eq!(finding.level, *level, "{finding:?}");
            let told = finding.remedy.clone().unwrap_or_default();
            assert!(told.contains(remedy), "{remedy:?} is not in {finding:?}");
        }
    }
}
