//! The processes of a server as lines of a table, of which `status` and `top` show columns. Pure.

use wsmaster_ipc::{shared_state::Counter, side_status::SideCounter};

use crate::status::{Child, Load, Status, WorkerCounters};

/// A process, of whichever kind. What is a program's stands in the place of what is its host's.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct ProcessLine {
    pub(super) name: String,
    pub(super) state: String,
    /// Whether the configuration does not have it any more.
    pub(super) is_retired: bool,
    pub(super) pid: Option<u32>,
    pub(super) uptime_ms: Option<u64>,
    pub(super) restarts: Option<u64>,
    pub(super) cpu_ms: Option<u64>,
    pub(super) rss_bytes: Option<u64>,
    pub(super) counts: Counts,
}

/// What it counts. For a program, messages in are what it has said and messages out what it was told.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Counts {
    pub(super) clients: Option<u64>,
    pub(super) messages_in: Option<u64>,
    pub(super) messages_out: Option<u64>,
    pub(super) bytes_in: Option<u64>,
    pub(super) bytes_out: Option<u64>,
    pub(super) queued_bytes: Option<u64>,
    pub(super) dropped: Option<u64>,
}

impl Counts {
    /// Those of a worker, or of all.
    pub(super) fn of(counters: &WorkerCounters) -> Self {
        Self {
            clients: counters.get(Counter::WebSockets),
            messages_in: counters.get(Counter::MessagesIn),
            messages_out: counters.get(Counter::MessagesOut),
            bytes_in: counters.get(Counter::BytesIn),
            bytes_out: counters.get(Counter::BytesOut),
            queued_bytes: counters.get(Counter::OutboxBytes),
            dropped: counters.dropped(),
        }
    }
}

/// All processes, the master first and those that were replaced last.
pub(super) fn all(status: &Status) -> Vec<ProcessLine> {
    let master = ProcessLine {
        name: "master".to_owned(),
        state: "up".to_owned(),
        pid: status.master.pid,
        uptime_ms: status.master.uptime_ms,
        cpu_ms: status.master.cpu_ms,
        rss_bytes: status.master.rss_bytes,
        ..ProcessLine::default()
    };
    let mut lines = vec![master];
    for worker in &status.workers {
        let counts = Counts::of(&worker.counters);
        lines.push(ProcessLine { counts, ..of_child(&worker.child) });
    }
    for process in &status.processes {
        let mut line = of_child(&process.child);
        if let Some(program) = &process.program {
            line.counts.messages_in = program.counters.get(SideCounter::Commands);
            line.counts.messages_out = program.counters.get(SideCounter::Events);
            line.counts.queued_bytes = program.counters.get(SideCounter::QueuedBytes);
            line.counts.dropped = program.counters.dropped();
            line.is_retired = program.retired;
        }
        lines.push(line);
    }
    for process in &status.leaving {
        let line = ProcessLine {
            name: process.name.clone(),
            state: "leaving".to_owned(),
            pid: process.pid,
            counts: Counts::of(&process.counters),
            ..ProcessLine::default()
        };
        lines.push(with_load(line, &process.load));
    }
    lines
}

fn of_child(child: &Child) -> ProcessLine {
    let line = ProcessLine {
        name: child.name.clone(),
        state: child.state.clone(),
        pid: child.pid,
        uptime_ms: child.uptime_ms,
        restarts: child.restarts,
        ..ProcessLine::default()
    };
    match &child.load {
        Some(load) => with_load(line, load),
        None => line,
    }
}

fn with_load(line: ProcessLine, load: &Load) -> ProcessLine {
    match &load.program {
        Some(program) => ProcessLine {
            pid: Some(program.program_pid),
            cpu_ms: program.program_cpu_ms,
            rss_bytes: program.program_rss_bytes,
            ..line
        },
        None => ProcessLine { cpu_ms: load.cpu_ms, rss_bytes: load.rss_bytes, ..line },
    }
}
