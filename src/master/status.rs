//! How everything is, as one JSON object. It asks no worker: what it shows stands in shared memory and in the kernel, so
//! it works while a worker hangs.

use std::{path::Path, time::Instant};

use serde_json::{Map, Value, json};
use wsmaster_ipc::{
    shared_state::{Counter, WorkerStats},
    side_status::{SideCounter, SideStatus},
    sys::{process, resource},
};
use wsmaster_workers::Handler;

use super::{Master, Role, report};
use crate::{
    logging,
    server::WorkerInfo,
    side::Body,
    supervisor::{ChildView, Phase, Pid},
};

/// A path in JSON, which has no place for bytes that are not UTF-8.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The counters of processes that have ended.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    counted: [u64; Counter::ALL.len()],
}

impl Default for Totals {
    fn default() -> Self {
        Self { counted: [0; Counter::ALL.len()] }
    }
}

impl Totals {
    /// Adds what a dead process has counted, and empties its cell. Gauges die with it.
    pub(super) fn bury(&mut self, stats: &WorkerStats) {
        for (total, (counter, _)) in self.counted.iter_mut().zip(Counter::ALL) {
            if !counter.is_gauge() {
                *total += stats.read(counter);
            }
        }
        stats.clear();
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// See the module.
    pub(super) fn status(&self) -> Value {
        let now = Instant::now();
        let mut totals = self.totals.counted;
        for child in self.children.values() {
            let Role::Worker(stats) = &child.role else { continue };
            for (total, (counter, _)) in totals.iter_mut().zip(Counter::ALL) {
                *total += stats.read(counter);
            }
        }
        let totals: Map<String, Value> = totals
            .iter()
            .zip(Counter::ALL)
            .map(|(total, (_, name))| (name.to_owned(), (*total).into()))
            .collect();
        let mut workers: Vec<Value> =
            self.children_now(now).map(|view| self.child(&view)).collect();
        let processes = workers.split_off(self.seats.len());
        let leaving: Vec<Value> = self
            .supervisor
            .children(now)
            .flat_map(|view| view.leaving)
            .map(|pid| {
                let mut process = Map::new();
                process.insert("pid".to_owned(), pid.0.into());
                let child = self.supervisor.child_of(pid);
                process.insert("slot".to_owned(), child.map(|child| child.0).into());
                process.insert("name".to_owned(), self.name_of(pid).into());
                self.describe(pid, &mut process);
                process.into()
            })
            .collect();
        let master = process::own_pid();
        let routes: Vec<Value> = self
            .config
            .routes
            .iter()
            .filter(|_| self.built_in)
            .map(|route| json!({ "path": route.path, "app": route.app.name() }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listen": self.listeners.main().map(ToString::to_string),
            "listeners": self.listeners.status(),
            "tls": self.tls.as_ref().map(super::Tls::status),
            "app": if self.built_in { self.config.server.app.name() } else { "library".into() },
            "routes": routes,
            "config": self.config.sources.to_string(),
            "pid_file": shown(self.pid_file.path()),
            "activity": self.supervisor.activity(),
            "reloads": self.supervisor.generation(),
            "master": {
                "pid": master,
                "uptime_ms": self.started.elapsed().as_millis() as u64,
                "rss_bytes": resource::resident_bytes(master),
                "cpu_ms": resource::cpu_ms(master),
                "news_missed": self.news_missed,
            },
            "workers": workers,
            "processes": processes,
            "leaving": leaving,
            "tasks": self.tasks_in_all(),
            "totals": totals,
            "log": {
                "file": logging::path().map(|path| shown(&path)),
                "rotations": self.log_keeper.rotations(),
                "lines_lost": self.shared_state.lost_log_lines(),
            },
        })
    }

    /// All children that there are.
    fn children_now(&self, now: Instant) -> impl Iterator<Item = ChildView<'_>> {
        self.supervisor.children(now).filter(|child| child.state != Phase::Vacant)
    }

    fn child(&self, view: &ChildView<'_>) -> Value {
        let mut child = Map::new();
        let role = match usize::from(view.id.0).checked_sub(self.seats.len()) {
            None => {
                child.insert("slot".to_owned(), view.id.0.into());
                let covered_by = view.covered_by.map(|slot| slot.0);
                child.insert("covered_by".to_owned(), covered_by.into());
                "worker"
            }
            Some(number) => match self.tasks_of(number) {
                Some(counts) => {
                    child.extend(counts);
                    "task"
                }
                None => "process",
            },
        };
        child.insert("role".to_owned(), role.into());
        child.insert("name".to_owned(), view.name.into());
        child.insert("pid".to_owned(), view.pid.map(|pid| pid.0).into());
        child.insert("state".to_owned(), json!(view.state));
        child.insert("failures".to_owned(), view.failures.into());
        child.insert("crash_loop".to_owned(), view.too_often.into());
        child.insert("restarts".to_owned(), view.restarts.into());
        child.insert("replacements".to_owned(), view.replacements.into());
        child.insert("uptime_ms".to_owned(), view.uptime_ms.into());
        child.insert("retry_in_ms".to_owned(), view.retry_in_ms.into());
        child.insert("last_exit".to_owned(), view.last_exit.map(report::ended).into());
        if let Some(pid) = view.pid {
            self.describe(pid, &mut child);
        }
        if let Some(side) = usize::from(view.id.0).checked_sub(self.seats.len()) {
            self.describe_program(side, &mut child);
        }
        child.into()
    }

    /// What the host of a program shows, which outlives it. A closure shows nothing.
    fn describe_program(&self, number: usize, into: &mut Map<String, Value>) {
        let Some(side) = self.directory.sides().get(number) else { return };
        match &side.body {
            Body::Closure(_) | Body::Tasks | Body::Vacant => return,
            Body::Program(program) => {
                into.insert("application".to_owned(), program.is_application.into());
            }
        }
        into.insert("retired".to_owned(), side.is_retired.into());
        let status = SideStatus::of(&self.shared_state, side.address);
        into.insert("full".to_owned(), status.is_full().into());
        for (counter, name) in SideCounter::ALL {
            into.insert(name.to_owned(), status.read(counter).into());
        }
    }

    fn describe(&self, pid: Pid, into: &mut Map<String, Value>) {
        into.insert("rss_bytes".to_owned(), resource::resident_bytes(pid.0 as i32).into());
        into.insert("own_bytes".to_owned(), resource::own_bytes(pid.0 as i32).into());
        into.insert("cpu_ms".to_owned(), resource::cpu_ms(pid.0 as i32).into());
        if let Some(program) = self.children.get(&pid).and_then(|child| child.program) {
            // What stands above is its host's.
            let pid = program as i32;
            into.insert("program_pid".to_owned(), program.into());
            into.insert("program_rss_bytes".to_owned(), resource::resident_bytes(pid).into());
            into.insert("program_own_bytes".to_owned(), resource::own_bytes(pid).into());
            into.insert("program_cpu_ms".to_owned(), resource::cpu_ms(pid).into());
        }
        if let Some(Role::Worker(stats)) = self.children.get(&pid).map(|child| &child.role) {
            for (counter, name) in Counter::ALL {
                into.insert(name.to_owned(), stats.read(counter).into());
            }
        }
    }
}
