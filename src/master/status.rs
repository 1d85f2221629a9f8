//! How everything is, as one JSON object. It asks no worker: what it shows stands in shared memory and in the kernel, so
//! it works while a worker hangs.

use std::time::Instant;

use serde_json::{Map, Value, json};
use wsmaster_ipc::{
    Slot,
    board::{Cell, Counter},
    sys::{process, resource},
};
use wsmaster_workers::Handler;

use super::Master;
use crate::{server::WorkerInfo, supervisor::Pid};

/// The counters of processes that have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    counted: [u64; Counter::ALL.len()],
}

impl Totals {
    /// Adds what a dead process has counted, and empties its cell. Gauges die with it.
    pub(super) fn bury(&mut self, cell: &Cell) {
        for (total, (counter, _)) in self.counted.iter_mut().zip(Counter::ALL) {
            if !counter.is_gauge() {
                *total += cell.read(counter);
            }
        }
        cell.clear();
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
            for (total, (counter, _)) in totals.iter_mut().zip(Counter::ALL) {
                *total += child.cell.read(counter);
            }
        }
        let totals: Map<String, Value> = totals
            .iter()
            .zip(Counter::ALL)
            .map(|(total, (_, name))| (name.to_owned(), (*total).into()))
            .collect();
        let workers: Vec<Value> = self
            .supervisor
            .children(now)
            .map(|view| {
                let mut worker = Map::new();
                worker.insert("slot".to_owned(), view.id.0.into());
                worker.insert("name".to_owned(), view.name.into());
                worker.insert("pid".to_owned(), view.pid.map(|pid| pid.0).into());
                worker.insert("state".to_owned(), json!(view.state));
                worker.insert("restarts".to_owned(), view.restarts.into());
                worker.insert("replacements".to_owned(), view.replacements.into());
                worker.insert("uptime_ms".to_owned(), view.uptime_ms.into());
                worker.insert("retry_in_ms".to_owned(), view.retry_in_ms.into());
                worker.insert("last_exit".to_owned(), view.last_exit.map(|how| how.to_string()).into());
                if let Some(pid) = view.pid {
                    self.describe(pid, &mut worker);
                }
                worker.into()
            })
            .collect();
        let leaving: Vec<Value> = self
            .supervisor
            .children(now)
            .flat_map(|view| view.leaving)
            .map(|pid| {
                let mut process = Map::new();
                process.insert("pid".to_owned(), pid.0.into());
                let slot = self.children.get(&pid).map(|child| child.slot);
                process.insert("slot".to_owned(), slot.map(Slot::number).into());
                self.describe(pid, &mut process);
                process.into()
            })
            .collect();
        let master = process::own_pid();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listen": self.address,
            "app": self.config.server.app.name(),
            "config": self.config.sources.to_string(),
            "pid_file": self.pid_file.path(),
            "activity": self.supervisor.activity(),
            "reloads": self.supervisor.generation(),
            "master": {
                "pid": master,
                "uptime_ms": self.started.elapsed().as_millis() as u64,
                "rss_bytes": resource::resident_bytes(master),
                "cpu_ms": resource::cpu_ms(master),
            },
            "workers": workers,
            "leaving": leaving,
            "totals": totals,
        })
    }

    fn describe(&self, pid: Pid, into: &mut Map<String, Value>) {
        into.insert("rss_bytes".to_owned(), resource::resident_bytes(pid.0 as i32).into());
        into.insert("cpu_ms".to_owned(), resource::cpu_ms(pid.0 as i32).into());
        if let Some(child) = self.children.get(&pid) {
            for (counter, name) in Counter::ALL {
                into.insert(name.to_owned(), child.cell.read(counter).into());
            }
        }
    }
}
