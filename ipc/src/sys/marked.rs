//! Processes that carry a mark: a variable in the environment that they were started with, and that what they start
//! inherits, whatever group, session or parent it has by then.

use std::{
    collections::HashSet,
    fs,
    time::{Duration, Instant},
};

use nix::libc::SIGKILL;

use super::process::{Process, own_pid};

/// Looks at all processes until a look finds none that is new. What has been killed cannot fork, so a few are enough for
/// everything but a program that forks faster than it can be looked at.
const LOOKS_MAX: usize = 16;

/// Kills every process that carries `mark`, a whole `NAME=value`, but this one. Returns them: they may not have ended yet.
///
/// One of another user can hide its environment, and one that has emptied it carries no mark.
pub fn kill_marked(mark: &str) -> Vec<Process> {
    let mut found = HashSet::from([own_pid()]);
    let mut killed = Vec::new();
    for _ in 0..LOOKS_MAX {
        let before = killed.len();
        for pid in pids() {
            // Held before it is looked at: a pid that has got to somebody else by then is not signalled.
            let Some(process) = (!found.contains(&pid)).then(|| Process::open(pid).ok()).flatten()
            else {
                continue;
            };
            if carries(pid, mark) && process.signal(SIGKILL).is_ok() {
                found.insert(pid);
                killed.push(process);
            }
        }
        if killed.len() == before {
            break;
        }
    }
    killed
}

/// Waits until all of them have ended, `timeout` at the most.
pub fn wait_for_all(processes: &[Process], timeout: Duration) {
    let until = Instant::now() + timeout;
    for process in processes {
        let _ = process.wait(until.saturating_duration_since(Instant::now()));
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn carries(pid: i32, mark: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    #[test]
    fn who_carries_the_mark_is_killed_and_nobody_else() {
        let own = own_pid();
        let sleep = |value: &str| {
            Command::new("sleep").arg("100").env("MARK_OF_A_TEST", value).spawn().unwrap()
        };
        let mut marked = [sleep(&format!("{own}")), sleep(&format!("{own}"))];
        let mut other = sleep(&format!("{own}0"));
        // The environment is that of the program only after its exec.
        let mark = format!("MARK_OF_A_TEST={own}");
        let has_mark = |child: &std::process::Child| carries(child.id() as i32, &mark);
        while !marked.iter().all(has_mark) {
            std::thread::yield_now();
        }
        let killed = kill_marked(&mark);
        assert_eq!(killed.len(), 2);
        wait_for_all(&killed, Duration::from_secs(10));
        for child in &mut marked {
            assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL));
        }
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(kill_marked(&mark).is_empty());
    }
}
