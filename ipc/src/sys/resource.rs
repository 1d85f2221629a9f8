//! What the kernel allows this process, and what it has used.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::io_error;

/// Raises the number of descriptors that this process may open to the hard limit, and tells it.
///
/// # Errors
/// None that a correct kernel gives.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = descriptor_limits()?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io_error)?;
    }
    Ok(hard)
}

/// The number of descriptors that this process may open: the soft and the hard limit (getrlimit(2), RLIMIT_NOFILE).
///
/// # Errors
/// None that a correct kernel gives.
pub fn descriptor_limits() -> io::Result<(u64, u64)> {
    getrlimit(Resource::RLIMIT_NOFILE).map_err(io_error)
}

/// Sets both limits to `most`.
///
/// # Errors
/// `PermissionDenied` above the hard limit without CAP_SYS_RESOURCE, and for anybody above fs.nr_open.
pub fn set_descriptor_limit(most: u64) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(io_error)?;
    if descriptor_limits()? == (most, most) {
        Ok(())
    } else {
        Err(io::Error::other("the kernel has set another"))
    }
}

/// The CPUs that this process may run on (sched_getaffinity(2)), at least 1.
pub fn cpus_available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The user that this process runs as.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The size of a page of memory in bytes.
pub fn page_bytes() -> u64 {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    page.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

/// Resident memory of a process in bytes (proc(5), statm), if it can be read.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(page_bytes())
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
