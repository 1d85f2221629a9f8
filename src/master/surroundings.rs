//! What the processes of a server are put into: the user, the root, the CPUs, the rank among other processes.
//!
//! The master takes what concerns all ([`settle`]), and each child the rest ([`Surroundings::enter`]), in an order that is a
//! design: what needs root comes first, the user changes then, and what the change takes away or leaves behind is dealt with
//! last. Each step is verified by whoever makes it, and a step that is not permitted says which setting asks for it and what
//! to do.
//!
//! | setting | master | worker | side process |
//! |---|---|---|---|
//! | `umask` | takes it | inherits | inherits |
//! | `rlimit_nofile` | takes it | inherits | inherits, but programs have the soft limit that the master was started with |
//! | `oom_score_adj` | stays below | 1 | 1 |
//! | `nice` | | 2 | 2 |
//! | `cpu_affinity` | | 3 | |
//! | `chroot` | | 4 | |
//! | `group`, `user` | | 5: groups, group, user | 5, unless its program has a user of its own |
//! | capabilities given up | | 6, unless it is still root | 6, unless it is still root |
//! | no new privileges | | 7 | 7, unless it is still root |
//! | dies with the master | | 8: the change of user cancels it | 8 |

use std::{io, path::PathBuf, time::Duration};

use wsmaster_ipc::sys::{
    files, inheritance::Inheritance, privilege, process, resource, schedule, signal, user::Identity,
};

use super::StartError;
use crate::{
    apart::apart,
    config::{Config, CpuAffinity, DescriptorLimit, cpu_list},
};

/// How long a rehearsed fork may take.
const REHEARSAL_TIMEOUT: Duration = Duration::from_secs(15);
/// What it may report.
const REPORT_BYTES_MAX: usize = 16 * 1024;

/// How far the master stays below its children before the OOM killer when they are put below it.
const OOM_DISTANCE: i32 = 100;
const OOM_SCORE_ADJ_MIN: i32 = -1000;

/// See the module.
#[derive(Debug)]
pub(super) struct Surroundings {
    identity: Option<Identity>,
    chroot: Option<PathBuf>,
    nice: Option<i32>,
    /// The CPUs of each worker in turn; empty for no change.
    cpus: Vec<Vec<u16>>,
    oom_score_adj: Option<i32>,
    /// What the master was started with, for programs.
    inheritance: Inheritance,
}

/// What a child is, as far as its surroundings are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The worker with this number.
    Worker(u16),
    /// A side process; `starts_as_root`: its program has a user of its own, and is started as that.
    Side { starts_as_root: bool },
}

/// Looks at what the settings ask for, and takes on what the master and all others are to have. Nothing is opened yet.
pub(super) fn settle(config: &Config) -> Result<Surroundings, StartError> {
    // A server of the library has not been through the command line.
    signal::ignore_failed_writes();
    let inheritance = Inheritance::of_this_process()
        .map_err(|error| StartError::System("signals and limits", error))?;
    let server = &config.server;
    let refused = |key: &str, value: &str, error: io::Error, advice: &str| {
        StartError::Surroundings(format!("server.{key} = {value}: {error}; {advice}"))
    };
    let identity = Identity::look_up(server.user.as_deref(), server.group.as_deref())
        .map_err(StartError::User)?;
    let is_root = resource::effective_uid() == 0;
    if let Some(identity) = &identity
        && !is_root
        && resource::effective_uid() != identity.uid()
    {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "only root can change them");
        return Err(StartError::User(error));
    }
    if let Some(directory) = &server.chroot {
        let shown = directory.display().to_string();
        let checked = std::fs::metadata(directory).and_then(|facts| {
            if facts.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
        });
        checked.map_err(|error| refused("chroot", &shown, error, "name a directory"))?;
        if !is_root {
            let error = io::ErrorKind::PermissionDenied.into();
            let advice = "only root may: start it as root with server.user, or set RootDirectory= in its unit";
            return Err(refused("chroot", &shown, error, advice));
        }
        if identity.is_none_or(|identity| identity.is_root()) {
            log::warn!("server.chroot holds nobody who is root: set server.user too");
        }
    }
    if let Some(mask) = server.umask {
        files::set_mask(mask.bits());
    }
    match server.rlimit_nofile {
        DescriptorLimit::Hard => {
            resource::raise_descriptor_limit()
                .map_err(|error| StartError::System("the limit of open files", error))?;
        }
        DescriptorLimit::Number(number) => {
            resource::set_descriptor_limit(number).map_err(|error| {
                let hard = resource::descriptor_limits().map_or(0, |(_, hard)| hard);
                let advice = format!(
                    "it may have {hard}: start it as root, raise the hard limit (`ulimit -Hn`, or LimitNOFILE= in \
                     its unit), and fs.nr_open if that is lower"
                );
                refused("rlimit_nofile", &number.to_string(), error, &advice)
            })?;
        }
    }
    if let Some(wanted) = server.oom_score_adj {
        stay_below(wanted)
            .map_err(|error| refused("oom_score_adj", &wanted.to_string(), error, OOM_ADVICE))?;
    }
    let affinity = &server.cpu_affinity;
    let cpus = match schedule::cpus() {
        Ok(available) => share(affinity, &available).map_err(|absent| {
            StartError::Surroundings(format!(
                "server.cpu_affinity = \"{affinity}\": CPU {} is not there for this process; it may use {}",
                cpu_list(&absent),
                cpu_list(&available)
            ))
        })?,
        Err(error) => {
            let shown = format!("\"{affinity}\"");
            return Err(refused("cpu_affinity", &shown, error, "leave it empty on this machine"));
        }
    };
    Ok(Surroundings {
        identity,
        chroot: server.chroot.clone(),
        nice: server.nice,
        cpus,
        oom_score_adj: server.oom_score_adj,
        inheritance,
    })
}

const OOM_ADVICE: &str = "a lower value than it has needs root or CAP_SYS_RESOURCE: start it as root, or set \
                          OOMScoreAdjust= in its unit";

/// Lowers the master's own score below that of its children, if it is not.
fn stay_below(children: i32) -> io::Result<()> {
    let own = schedule::oom_score_adj()?;
    if children < own {
        schedule::set_oom_score_adj((children - OOM_DISTANCE).max(OOM_SCORE_ADJ_MIN))
    } else {
        Ok(())
    }
}

/// The CPUs of each worker in turn, of those that are available; or those that are not.
fn share(affinity: &CpuAffinity, available: &[u16]) -> Result<Vec<Vec<u16>>, Vec<u16>> {
    match affinity {
        CpuAffinity::Unchanged => Ok(Vec::new()),
        CpuAffinity::Each => Ok(available.iter().map(|cpu| vec![*cpu]).collect()),
        CpuAffinity::List(wanted) => {
            let absent = wanted.iter().filter(|cpu| !available.contains(cpu));
            let absent: Vec<u16> = absent.copied().collect();
            if absent.is_empty() { Ok(vec![wanted.clone()]) } else { Err(absent) }
        }
    }
}

impl Surroundings {
    /// What programs are started with.
    pub(super) fn inheritance(&self) -> Inheritance {
        self.inheritance
    }

    /// Has a process that ends at once become a worker, to see whether one can be forked. To be called in a process with one
    /// thread.
    ///
    /// # Errors
    /// Why it cannot, in one line.
    pub(super) fn rehearse_worker(&self) -> Result<(), String> {
        let parent = process::own_pid();
        let tried =
            apart(REHEARSAL_TIMEOUT, REPORT_BYTES_MAX, || self.enter(Kind::Worker(0), parent));
        tried.unwrap_or_else(|error| Err(format!("a worker cannot be forked: {error}")))
    }

    /// Puts this process, a child that was just forked by `master`, where it belongs. What it cannot be is told in one line.
    pub(super) fn enter(&self, kind: Kind, master: i32) -> Result<(), String> {
        let refused = |key: &str, value: &dyn std::fmt::Display, error: io::Error, advice: &str| {
            format!("server.{key} = {value}: {error}; {advice}")
        };
        if let Some(value) = self.oom_score_adj {
            schedule::set_oom_score_adj(value)
                .map_err(|error| refused("oom_score_adj", &value, error, OOM_ADVICE))?;
        }
        if let Some(value) = self.nice {
            let advice = "a lower value than it has needs root or CAP_SYS_NICE: start it as root, or set Nice= or \
                          LimitNICE= in its unit";
            schedule::set_nice(value).map_err(|error| refused("nice", &value, error, advice))?;
        }
        let (identity, is_worker) = match kind {
            Kind::Worker(number) => {
                if let Some(cpus) = self.cpus.get(usize::from(number) % self.cpus.len().max(1)) {
                    let shown = cpu_list(cpus);
                    schedule::set_cpus(cpus).map_err(|error| {
                        refused("cpu_affinity", &shown, error, "leave out what is not there")
                    })?;
                }
                if let Some(directory) = &self.chroot {
                    let shown = directory.display();
                    files::change_root(directory).map_err(|error| {
                        refused("chroot", &shown, error, "look at the directory")
                    })?;
                }
                (self.identity, true)
            }
            Kind::Side { starts_as_root } => (self.identity.filter(|_| !starts_as_root), false),
        };
        if let Some(identity) = identity {
            identity
                .assume()
                .map_err(|error| format!("cannot become the user of server.user: {error}"))?;
        }
        let is_root = resource::effective_uid() == 0;
        if !is_root {
            privilege::drop_capabilities()
                .map_err(|error| format!("its capabilities cannot be given up: {error}"))?;
        }
        // A side process of a server that has nothing to give up may start what it likes, sudo(8) for one.
        if is_worker || identity.is_some_and(|identity| !identity.is_root()) {
            privilege::gain_no_more()
                .map_err(|error| format!("new privileges cannot be ruled out: {error}"))?;
        }
        process::renew_parent_death_signal(master)
            .map_err(|error| format!("it would outlive the master: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_shared_out_of_those_that_are_there() {
        let list = |cpus: &[u16]| CpuAffinity::List(cpus.to_vec());
        for (affinity, available, expected) in [
            (CpuAffinity::Unchanged, &[0, 1][..], Ok(vec![])),
            (CpuAffinity::Each, &[2, 5], Ok(vec![vec![2], vec![5]])),
            (list(&[1, 3]), &[0, 1, 2, 3], Ok(vec![vec![1, 3]])),
            (list(&[0, 1, 2, 3]), &[0, 2], Err(vec![1, 3])),
        ] {
            assert_eq!(share(&affinity, available), expected, "{affinity:?}");
        }
    }
}
