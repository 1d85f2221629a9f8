//! What the kernel says of the server's processes: the CPU time they used, the memory they hold.

use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::error::{LoadError, Result};

/// Clock ticks of `/proc/PID/stat` in a second (`USER_HZ`, the same on every Linux this runs on).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of all threads of `pids` since their start, user and system.
///
/// # Errors
/// A process is gone.
pub(crate) fn cpu_time(pids: &[u32]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for &pid in pids {
        sum += cpu_time_of(pid).map_err(|source| LoadError::Process { pid, source })?;
    }
    Ok(sum)
}

/// `schedstat` counts nanoseconds but thread by thread; `stat` counts the whole process in ticks of 10 ms, and is the
/// way on a kernel built without the former.
fn cpu_time_of(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let mut sum_ns = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        match fs::read_to_string(thread?.path().join("schedstat")) {
            Ok(text) => sum_ns += parse_schedstat_ns(&text).ok_or(ErrorKind::InvalidData)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if sum_ns > 0 {
        return Ok(Duration::from_nanos(sum_ns));
    }
    let ticks = parse_stat_ticks(&stat).ok_or(ErrorKind::InvalidData)?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The first of three numbers: time on the CPU.
fn parse_schedstat_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// utime and stime, the 14th and 15th field; the second, the name, may hold spaces and brackets itself.
fn parse_stat_ticks(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory of some processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident; a page that two of them share counts twice.
    pub(crate) rss: u64,
    /// Resident; a page that n processes share counts as an n-th.
    pub(crate) pss: u64,
    /// Resident in one process only: what it would give back if it ended.
    pub(crate) private: u64,
}

/// The memory of `pids` together.
///
/// # Errors
/// A process is gone, or belongs to another user.
pub(crate) fn memory(pids: &[u32]) -> Result<Memory> {
    let mut sum = Memory::default();
    for &pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .map_err(|source| LoadError::Process { pid, source })?;
        let one = parse_rollup(&text);
        sum.rss += one.rss;
        sum.pss += one.pss;
        sum.private += one.private;
    }
    Ok(sum)
}

fn parse_rollup(text: &str) -> Memory {
    let mut memory = Memory::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let Some(kib) = value.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok())
        else {
            continue;
        };
        match name {
            "Rss" => memory.rss += kib * 1024,
            "Pss" => memory.pss += kib * 1024,
            "Private_Clean" | "Private_Dirty" => memory.private += kib * 1024,
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(parse_schedstat_ns("53109 12 1\n"), Some(53_109));
        assert_eq!(parse_schedstat_ns(""), None);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 12 34 56";
        assert_eq!(parse_stat_ticks(stat), Some(300));
        assert_eq!(parse_stat_ticks("7 (a) S 1"), None);
        let rollup = "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss:  8 kB\nPss:  4 kB\n\
                      Pss_Anon:  99 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:  2 kB\n";
        assert_eq!(parse_rollup(rollup), Memory { rss: 8192, pss: 4096, private: 3072 });
    }

    #[test]
    fn work_shows_in_the_cpu_time() {
        let pids = [std::process::id()];
        let before = cpu_time(&pids).expect("our own process");
        let mut number = 1_u64;
        while cpu_time(&pids).expect("our own process") < before + Duration::from_millis(20) {
            for step in 0..1_000_000 {
                number = std::hint::black_box(number.wrapping_mul(3) + step);
            }
        }
        assert!(memory(&pids).expect("our own process").rss > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(cpu_time(&[u32::MAX]).is_err());
        assert!(memory(&[u32::MAX]).is_err());
    }
}
