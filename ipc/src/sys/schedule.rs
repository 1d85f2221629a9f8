//! How the kernel treats this process among others: its nice value, its CPUs, its place before the OOM killer.

use std::{fs, io};

use nix::{
    errno::Errno,
    libc,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::io_error;

/// Where a process reads and sets what the OOM killer adds to its score (proc_pid_oom_score_adj(5)).
const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

/// The nice value of this process (getpriority(2)), -20 to 19.
///
/// # Errors
/// None that a correct kernel gives.
pub fn nice() -> io::Result<i32> {
    // -1 is a value too: only errno tells it from an error.
    Errno::clear();
    // SAFETY: numbers only.
    let value = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    match Errno::last_raw() {
        0 => Ok(value),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Sets the nice value of this process, which has one thread, and of those it will fork.
///
/// # Errors
/// `PermissionDenied` when it would be lower than RLIMIT_NICE allows.
pub fn set_nice(value: i32) -> io::Result<()> {
    // SAFETY: numbers only.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if nice()? == value { Ok(()) } else { Err(io::Error::other("the kernel has set another")) }
}

/// The CPUs that this process may run on (sched_getaffinity(2)), in ascending order.
///
/// # Errors
/// The machine has more CPUs than the set has room for (1024).
pub fn cpus() -> io::Result<Vec<u16>> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(io_error)?;
    let numbers = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    Ok(numbers.filter_map(|cpu| u16::try_from(cpu).ok()).collect())
}

/// Keeps this process, which has one thread, and those it will fork, to these CPUs.
///
/// # Errors
/// `InvalidInput` when one of them is not there, or not for this process.
pub fn set_cpus(wanted: &[u16]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in wanted {
        set.set(usize::from(*cpu)).map_err(io_error)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(io_error)?;
    // What is not there is left out without a word.
    let have = cpus()?;
    if wanted.iter().all(|cpu| have.contains(cpu)) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not all of them are there"))
    }
}

/// What the OOM killer adds to the score of this process, -1000 to 1000.
///
/// # Errors
/// There is no /proc.
pub fn oom_score_adj() -> io::Result<i32> {
    let text = fs::read_to_string(OOM_SCORE_ADJ)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Sets what the OOM killer adds to the score of this process and of those it will fork. It has to be done before root is
/// given up: the file is root's then.
///
/// # Errors
/// `PermissionDenied` when it would be lower than it was and this process has no CAP_SYS_RESOURCE.
pub fn set_oom_score_adj(value: i32) -> io::Result<()> {
    fs::write(OOM_SCORE_ADJ, value.to_string())?;
    if oom_score_adj()? == value {
        Ok(())
    } else {
        Err(io::Error::other("the kernel has set another"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_already_may_be_set() {
        let (nice, cpus, oom) = (nice().unwrap(), cpus().unwrap(), oom_score_adj().unwrap());
        assert!(!cpus.is_empty());
        set_nice(nice).unwrap();
        set_cpus(&cpus).unwrap();
        set_oom_score_adj(oom).unwrap();
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        let cpus = cpus().unwrap();
        let absent = (0..1024).rfind(|cpu| !cpus.contains(cpu)).unwrap();
        assert!(set_cpus(&[absent]).is_err());
        assert!(set_cpus(&[cpus[0], absent]).is_err());
        set_cpus(&cpus).unwrap();
    }
}
