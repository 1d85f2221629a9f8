//! The texts of /proc and of control groups as numbers. Pure; what is not understood is none.

/// `5.10.0-13-amd64` as 5 and 10.
pub(super) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The numbers of a line, however they are separated.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().map_while(|word| word.parse().ok()).collect()
}

/// Whether a list such as `8080,9000-9100` has this port in it.
pub(super) fn holds_port(list: &str, port: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.trim().parse::<u16>(), last.trim().parse::<u16>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&port))
    })
}

/// A line of /proc/meminfo, in bytes.
pub(super) fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Where a process stands in control groups: /proc/PID/cgroup (cgroups(7)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Hierarchy {
    /// Version 2, with this path.
    Unified(String),
    /// Version 1: a controller, and the path in it.
    Controller(String, String),
}

/// The lines of /proc/PID/cgroup: `0::/system.slice/x` and `4:cpu,cpuacct:/x`.
pub(super) fn hierarchies(cgroup: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers.is_empty() {
            found.push(Hierarchy::Unified(path.to_owned()));
        }
        for controller in controllers.split(',').filter(|name| !name.is_empty()) {
            found.push(Hierarchy::Controller(controller.to_owned(), path.to_owned()));
        }
    }
    found
}

/// A path and all above it: `/a/b`, `/a`, and the root.
pub(super) fn upwards(path: &str) -> Vec<&str> {
    let mut paths = Vec::new();
    let mut rest = path.trim_matches('/');
    while !rest.is_empty() {
        paths.push(rest);
        rest = rest.rsplit_once('/').map_or("", |(above, _)| above);
    }
    paths.push("");
    paths
}

/// A limit: a number, or none for `max` and for what version 1 writes when there is none.
pub(super) fn limit(text: &str) -> Option<u64> {
    // Version 1: the largest number of whole pages.
    const UNLIMITED: u64 = 1 << 62;
    text.trim().parse().ok().filter(|number| *number < UNLIMITED)
}

/// `cpu.max`: `50000 100000` is half a CPU.
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cpu_quota(quota, period)
}

/// `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1; -1 is no limit.
pub(super) fn cpu_quota(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.trim().parse::<u64>().ok()?, period.trim().parse::<u64>().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kernels() {
        for (text, expected) in [
            ("6.1.0-13-amd64", Some((6, 1))),
            ("5.15.153.1-microsoft-standard-WSL2", Some((5, 15))),
            ("6.8", Some((6, 8))),
            ("6.12-rc1", Some((6, 12))),
            ("", None),
            ("six", None),
        ] {
            assert_eq!(kernel_version(text), expected, "{text}");
        }
    }

    #[test]
    fn ports_in_lists() {
        for (list, port, expected) in [
            ("", 0, false),
            ("\n", 80, false),
            ("80", 80, true),
            ("8080,9000-9100\n", 9050, true),
            ("8080,9000-9100", 9101, false),
            ("nonsense,-,1-", 1, false),
        ] {
            assert_eq!(holds_port(list, port), expected, "{list:?} {port}");
        }
    }

    #[test]
    fn control_groups() {
        let text = "12:cpu,cpuacct:/docker/a\n4:pids:/\n0::/system.slice/x.service\nnonsense\n";
        let controller = |name: &str, path: &str| Hierarchy::Controller(name.into(), path.into());
        assert_eq!(
            hierarchies(text),
            [
                controller("cpu", "/docker/a"),
                controller("cpuacct", "/docker/a"),
                controller("pids", "/"),
                Hierarchy::Unified("/system.slice/x.service".into()),
            ]
        );
        assert_eq!(upwards("/a/b/c"), ["a/b/c", "a/b", "a", ""]);
        assert_eq!(upwards("/"), [""]);
        for (text, expected) in [
            ("max\n", None),
            ("536870912\n", Some(536_870_912)),
            ("9223372036854771712", None),
            ("", None),
        ] {
            assert_eq!(limit(text), expected, "{text:?}");
        }
        for (text, expected) in
            [("max 100000\n", None), ("150000 100000\n", Some(1.5)), ("1 0", None), ("", None)]
        {
            assert_eq!(cpu_max(text), expected, "{text:?}");
        }
        assert_eq!(cpu_quota("-1\n", "100000\n"), None);
        assert_eq!(cpu_quota("50000\n", "100000\n"), Some(0.5));
    }

    #[test]
    fn lines_of_memory_and_numbers() {
        let text = "MemTotal:       16303428 kB\nMemFree:  1 kB\n";
        assert_eq!(meminfo_bytes(text, "MemTotal"), Some(16_303_428 * 1024));
        assert_eq!(meminfo_bytes(text, "Mem"), None);
        assert_eq!(numbers("32768\t60999\n"), [32_768, 60_999]);
        assert_eq!(numbers("1 x 2"), [1]);
    }
}
