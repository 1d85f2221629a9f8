//! What the kernel allows this process, and what it has used.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::io_error;

/// Raises the number of descriptors that this process may open to the hard limit, and tells it.
///
/// # Errors
/// None that a correct kernel gives.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io_error)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io_error)?;
    }
    Ok(hard)
}

/// The CPUs that this process may run on (sched_getaffinity(2)), at least 1.
pub fn cpus_available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The user that this process runs as.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Resident memory of a process in bytes (proc(5), statm), if it can be read.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten()?;
    Some(pages * u64::try_from(page).ok()?)
}

/// Memory of a process that is not mapped from a file or from shared memory, in bytes (proc(5), statm: resident less
/// shared), if it can be read. What it has had since its fork and not written to is counted too, which for a worker is
/// little. The kernel has both numbers at hand: this costs the same for a small process as for a large one.
pub fn own_bytes(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten()?;
    Some(resident.saturating_sub(shared) * u64::try_from(page).ok()?)
}

/// CPU time that a process has used, in milliseconds (proc(5), stat), if it can be read.
pub fn cpu_ms(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses of its own.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    Some((user + system) * 1000 / u64::try_from(per_second).ok()?.max(1))
}
