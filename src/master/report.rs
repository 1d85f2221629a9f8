//! The supervisor's reports as lines for the operator.

use log::Level;
use wsmaster_ipc::sys::process::Ended;

use crate::supervisor::{
    ChildId, ExitStatus, GiveUpReason, KillSignal, Overdue, Phase, RecycleReason, ReloadFailure,
    Report, TooOften,
};

/// How a failed reload's last line begins.
const RELOAD_FAILED: &str = "the reload has failed";

/// A report's level and line.
pub(super) fn line(report: &Report, name: impl Fn(ChildId) -> String) -> (Level, String) {
    match report {
        Report::Started { child, pid, .. } => {
            (Level::Debug, format!("{} was forked (pid {})", name(*child), pid.0))
        }
        Report::ForkFailed { child, reason } => {
            (Level::Error, format!("{} cannot be forked: {reason}", name(*child)))
        }
        Report::Ready { child, pid, took, .. } => (
            Level::Info,
            format!("{} serves (pid {}, after {} ms)", name(*child), pid.0, took.as_millis()),
        ),
        Report::Leaving { child, pid } => (
            Level::Debug,
            format!("{} (pid {}) leaves: it finishes with its clients", name(*child), pid.0),
        ),
        Report::Recycling { child, pid, why } => {
            let (level, why) = match why {
                RecycleReason::Share => (Level::Info, "has done its share".to_owned()),
                RecycleReason::Memory(bytes) => {
                    let mib = *bytes as f64 / (1024.0 * 1024.0);
                    let why = format!(
                        "holds {mib:.1} MiB of memory, more than server.worker_memory_max,"
                    );
                    (Level::Warn, why)
                }
                RecycleReason::Asked => (Level::Info, "was asked to leave".to_owned()),
                RecycleReason::Changed => (Level::Info, "has changed".to_owned()),
            };
            (level, format!("{} (pid {}) {why} and is replaced", name(*child), pid.0))
        }
        Report::Overdue { child, pid, what, signal } => {
            let what = match what {
                Overdue::Ready => "is not ready in time",
                Overdue::Drain => "does not begin to leave in time",
                Overdue::Leave => "does not finish leaving in time",
                Overdue::MakeRoom => "still leaves while others have to",
                Overdue::Stop => "does not stop in time",
                Overdue::Terminate => "does not end when terminated",
            };
            let signal = match signal {
                KillSignal::Term => "SIGTERM",
                KillSignal::Kill => "SIGKILL",
            };
            (Level::Warn, format!("{} (pid {}) {what}: {signal}", name(*child), pid.0))
        }
        Report::Died { child, pid, how, phase, uptime } => {
            let orderly = is_orderly(*phase);
            let level = match (orderly, how) {
                (true, ExitStatus::Exited(0)) => Level::Debug,
                (true, ExitStatus::Exited(_) | ExitStatus::Signaled { .. }) => Level::Warn,
                (false, _) => Level::Error,
            };
            let name = name(*child);
            (level, format!("{name} (pid {}) ended with {} after {uptime:.1?}", pid.0, ended(*how)))
        }
        Report::BackingOff { child, delay, attempt, too_often } => {
            let name = name(*child);
            match too_often {
                None => {
                    let line =
                        format!("{name} is started again in {delay:.1?} (attempt {attempt})");
                    (Level::Warn, line)
                }
                Some(TooOften { restarts_max, window }) => (
                    Level::Error,
                    format!(
                        "{name} is in a crash loop: more than {restarts_max} deaths within {window:?} \
                         (server.restarts_max); the next attempt is in {delay:.1?}. Its last words are above; \
                         once the cause is gone, `wsmaster reload` (workers) or the signal USR2 (side processes) \
                         tries it at once"
                    ),
                ),
            }
        }
        Report::Removed { child } => {
            (Level::Info, format!("{} was removed, and has ended", name(*child)))
        }
        Report::GivenUp { child, reason } => {
            let reason = match reason {
                GiveUpReason::RanOnce(how) => {
                    format!("it runs once, and ended with {}", ended(*how))
                }
                GiveUpReason::Finished => "it has finished".to_owned(),
            };
            (Level::Warn, format!("{} is not started again: {reason}", name(*child)))
        }
        Report::Covered { child, by } => (
            Level::Warn,
            format!("{} is down for long: {} serves its new clients", name(*child), name(*by)),
        ),
        Report::Uncovered { child } => {
            (Level::Info, format!("{} serves its new clients itself again", name(*child)))
        }
        Report::ReloadStarted { children, .. } => {
            (Level::Info, format!("reload: workers to replace, one after the other: {children}"))
        }
        Report::ReloadQueued => {
            (Level::Info, "another reload follows when this one is over".to_owned())
        }
        Report::ReloadFinished { replaced, took, .. } => {
            (Level::Info, format!("reload: workers replaced: {replaced}, in {took:.1?}"))
        }
        Report::ReloadFailed { reason, .. } => {
            let reason = match reason {
                ReloadFailure::ForkFailed(child) => format!("{} cannot be forked", name(*child)),
                ReloadFailure::DiedBeforeReady(child) => {
                    format!("the new {} died before it served", name(*child))
                }
                ReloadFailure::NotReady(child) => {
                    format!("the new {} was not ready in time", name(*child))
                }
                ReloadFailure::Stopped => "the server stops".to_owned(),
            };
            (Level::Error, format!("{RELOAD_FAILED}: {reason}; the other workers stay as they are"))
        }
        Report::StopStarted { processes, timeout } => (
            Level::Info,
            format!(
                "stop: all processes have {timeout:.1?} to finish with their clients; processes: {processes}"
            ),
        ),
        Report::AllStopped { took, killed } => {
            let killed = match killed {
                0 => String::new(),
                killed => format!("; {killed} had to be killed"),
            };
            (Level::Info, format!("all processes have ended after {took:.1?}{killed}"))
        }
    }
}

/// Whether a death in this phase is what was asked for.
pub(super) fn is_orderly(phase: Phase) -> bool {
    match phase {
        Phase::Draining | Phase::Stopping | Phase::Leaving | Phase::Stopped => true,
        Phase::Forking
        | Phase::Starting
        | Phase::Ready
        | Phase::BackingOff
        | Phase::GivenUp
        | Phase::Vacant => false,
    }
}

/// How a process ended, with the names of signals.
pub(super) fn ended(how: ExitStatus) -> String {
    match how {
        ExitStatus::Exited(code) => Ended::Code(code).to_string(),
        ExitStatus::Signaled { signal, .. } => Ended::Signal(signal).to_string(),
    }
}

/// Whether somebody who waits for a reload wants to read it.
pub(super) fn is_about_reload(report: &Report) -> bool {
    matches!(
        report,
        Report::ReloadStarted { .. } | Report::ReloadFinished { .. } | Report::ReloadFailed { .. }
    )
}

/// Whether lines of reports tell of a failed reload.
pub(super) fn tell_of_failure(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with(RELOAD_FAILED))
}
