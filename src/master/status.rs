//! How everything is, as one JSON object. It asks no worker: what it shows stands in shared memory and in the kernel, so
//! it works while a worker hangs.

use std::path::Path;

use wsmaster_ipc::sys::{clock, process, resource};
use wsmaster_workers::Handler;

use super::{Master, Role, report};
use crate::{
    logging,
    status::{
        Child, Leaving, Load, Log, Master as MasterStatus, Program, Route, SideProcess, Status,
        Worker, WorkerCounters, word,
    },
    supervisor::{ChildView, Phase, Pid},
    worker_info::WorkerInfo,
};

/// A path in JSON, which has no place for bytes that are not UTF-8.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// See the module.
    pub(super) fn status(&self) -> Status {
        let now = clock::now();
        let slots = self.seats.len();
        let children: Vec<ChildView<'_>> = self.supervisor.children(now).collect();
        let present = || children.iter().filter(|view| view.state != Phase::Vacant);
        let pid = process::own_pid();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: self.listeners.main().map(ToString::to_string),
            listeners: self.listeners.status(),
            tls: self.tls.as_ref().map(super::Tls::status),
            app: if self.built_in { self.config.server.app.name() } else { "library".into() },
            routes: self.routes(),
            config: self.config.sources.to_string(),
            pid_file: shown(self.pid_file.path()),
            activity: word(&self.supervisor.activity()),
            reloads: self.supervisor.generation(),
            master: MasterStatus {
                pid: Some(pid as u32),
                uptime_ms: Some((clock::now() - self.started).as_millis() as u64),
                rss_bytes: resource::resident_bytes(pid),
                cpu_ms: resource::cpu_ms(pid),
                news_missed: self.news_missed,
            },
            workers: present().take(slots).map(|view| self.worker(view)).collect(),
            processes: present().skip(slots).map(|view| self.side_process(view)).collect(),
            leaving: children
                .iter()
                .flat_map(|view| &view.leaving)
                .map(|pid| self.leaving(*pid))
                .collect(),
            tasks: self.tasks_in_all(),
            totals: self.totals_so_far(),
            log: Log {
                file: logging::path().map(|path| shown(&path)),
                rotations: self.log_keeper.rotations(),
                lines_lost: self.shared_state.lost_log_lines(),
            },
        }
    }

    fn routes(&self) -> Vec<Route> {
        let routes = self.config.routes.iter().filter(|_| self.built_in);
        routes.map(|route| Route { path: route.path.clone(), app: route.app.name() }).collect()
    }

    fn totals_so_far(&self) -> WorkerCounters {
        let mut totals = self.totals;
        for child in self.children.values() {
            if let Role::Worker(stats) = &child.role {
                totals.add(stats);
            }
        }
        totals
    }

    fn worker(&self, view: &ChildView<'_>) -> Worker {
        Worker {
            slot: view.id.0,
            covered_by: view.covered_by.map(|slot| slot.0),
            child: self.child(view, "worker"),
            counters: view.pid.map(|pid| self.counters_of(pid)).unwrap_or_default(),
        }
    }

    fn side_process(&self, view: &ChildView<'_>) -> SideProcess {
        let number = usize::from(view.id.0) - self.seats.len();
        let tasks = self.tasks_of(number);
        let side = self.directory.sides().get(number);
        SideProcess {
            child: self.child(view, if tasks.is_some() { "task" } else { "process" }),
            tasks,
            program: side.and_then(|side| Program::of(side, &self.shared_state)),
        }
    }

    fn leaving(&self, pid: Pid) -> Leaving {
        Leaving {
            pid: Some(pid.0),
            slot: self.supervisor.child_of(pid).map(|child| child.0),
            name: self.name_of(pid),
            load: self.load_of(pid),
            counters: self.counters_of(pid),
        }
    }

    fn child(&self, view: &ChildView<'_>, role: &str) -> Child {
        let load = view.pid.map(|pid| self.load_of(pid));
        Child::of(view, role, view.last_exit.map(report::ended), load)
    }

    fn load_of(&self, pid: Pid) -> Load {
        Load::of(pid.0, self.children.get(&pid).and_then(|child| child.program))
    }

    /// What the process counts, if it is a worker.
    fn counters_of(&self, pid: Pid) -> WorkerCounters {
        match self.children.get(&pid).map(|child| &child.role) {
            Some(Role::Worker(stats)) => WorkerCounters::of(stats),
            Some(Role::Side(_)) | None => WorkerCounters::default(),
        }
    }
}
