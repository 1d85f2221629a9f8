//! How the server is: what the master tells, and what `wsmaster status` and `wsmaster top` read of it.
//!
//! Owns the names of all fields, and where in shared memory and in the kernel what they say of a process is found. A command line
//! passes over what a newer server says, and does without what an older one does not say.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::MapAccess};
use wsmaster_ipc::{
    shared_state::{Counter, SharedState, WorkerStats},
    side_status::{SideCounter, SideStatus},
    sys::resource,
};

use crate::{
    side::{Body, SideProcess as Declared},
    supervisor::ChildView,
};

/// The whole server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) version: String,
    /// The address of the main listener.
    pub(crate) listen: Option<String>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) tls: Option<Tls>,
    pub(crate) app: String,
    pub(crate) routes: Vec<Route>,
    /// What the configuration was read from.
    pub(crate) config: String,
    pub(crate) pid_file: String,
    pub(crate) activity: String,
    pub(crate) reloads: u64,
    pub(crate) master: Master,
    pub(crate) workers: Vec<Worker>,
    pub(crate) processes: Vec<SideProcess>,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) tasks: Option<TaskQueue>,
    /// With what processes have counted that have ended.
    pub(crate) totals: WorkerCounters,
    pub(crate) log: Log,
}

/// A listener.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) websocket: bool,
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: bool,
    pub(crate) compression: bool,
    pub(crate) state: String,
}

/// Encryption.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tls {
    pub(crate) certificates: Vec<Certificate>,
}

/// A certificate that is shown to clients.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Certificate {
    pub(crate) file: String,
    pub(crate) names: Vec<String>,
    pub(crate) self_issued: bool,
    /// In Unix seconds.
    pub(crate) expires_at: i64,
    pub(crate) expires_in_days: i64,
}

/// Which application a path belongs to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) app: String,
}

/// The process that forks, watches and replaces.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Master {
    pub(crate) pid: Option<u32>,
    pub(crate) uptime_ms: Option<u64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) news_missed: u64,
}

/// A slot of workers, with its current process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) slot: u16,
    /// The slot that serves the clients of this one.
    pub(crate) covered_by: Option<u16>,
    #[serde(flatten)]
    pub(crate) child: Child,
    #[serde(flatten)]
    pub(crate) counters: WorkerCounters,
}

/// A process that runs beside the workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SideProcess {
    #[serde(flatten)]
    pub(crate) child: Child,
    #[serde(flatten)]
    pub(crate) tasks: Option<Tasks>,
    #[serde(flatten)]
    pub(crate) program: Option<Program>,
}

/// A process that was replaced and has not ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Leaving {
    pub(crate) pid: Option<u32>,
    pub(crate) slot: Option<u16>,
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) load: Load,
    #[serde(flatten)]
    pub(crate) counters: WorkerCounters,
}

/// What the supervisor knows of a child.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Child {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
    pub(crate) state: String,
    pub(crate) failures: u32,
    pub(crate) crash_loop: bool,
    /// Starts after failures.
    pub(crate) restarts: Option<u64>,
    /// Starts by reloads and recycling.
    pub(crate) replacements: Option<u64>,
    pub(crate) uptime_ms: Option<u64>,
    pub(crate) retry_in_ms: Option<u64>,
    pub(crate) last_exit: Option<String>,
    /// While it has a process.
    #[serde(flatten)]
    pub(crate) load: Option<Load>,
}

/// What the kernel knows of a process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Load {
    pub(crate) rss_bytes: Option<u64>,
    /// Bytes that it shares with nobody.
    pub(crate) own_bytes: Option<u64>,
    pub(crate) cpu_ms: Option<u64>,
    /// Of the program that it hosts.
    #[serde(flatten)]
    pub(crate) program: Option<ProgramLoad>,
}

/// What the kernel knows of a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProgramLoad {
    pub(crate) program_pid: u32,
    pub(crate) program_rss_bytes: Option<u64>,
    pub(crate) program_own_bytes: Option<u64>,
    pub(crate) program_cpu_ms: Option<u64>,
}

/// What the host of a program shows, which outlives it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// Whether connections can be its.
    pub(crate) application: bool,
    /// Whether a reload has taken it out of the configuration.
    pub(crate) retired: bool,
    /// Whether it takes no more for now.
    pub(crate) full: bool,
    #[serde(flatten)]
    pub(crate) counters: SideCounters,
}

/// What a task process has done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tasks {
    pub(crate) tasks_done: u64,
    pub(crate) tasks_failed: u64,
    pub(crate) tasks_died: u64,
    pub(crate) tasks_waiting: u64,
    pub(crate) is_at_a_task: bool,
}

/// The queue of all task processes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TaskQueue {
    pub(crate) waiting: u64,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Log {
    /// `None`: the standard error.
    pub(crate) file: Option<String>,
    pub(crate) rotations: u64,
    pub(crate) lines_lost: u64,
}

impl Child {
    /// What the status says of a child. `last_exit` is how its last process ended.
    pub(crate) fn of(
        view: &ChildView<'_>,
        role: &str,
        last_exit: Option<String>,
        load: Option<Load>,
    ) -> Self {
        Self {
            role: role.to_owned(),
            name: view.name.to_owned(),
            pid: view.pid.map(|pid| pid.0),
            state: word(&view.state),
            failures: view.failures,
            crash_loop: view.too_often,
            restarts: Some(view.restarts),
            replacements: Some(view.replacements),
            uptime_ms: view.uptime_ms,
            retry_in_ms: view.retry_in_ms,
            last_exit,
            load,
        }
    }
}

impl Load {
    /// Reads it from the kernel, also of the program that the process hosts.
    pub(crate) fn of(pid: u32, program: Option<u32>) -> Self {
        let process = pid as i32;
        Self {
            rss_bytes: resource::resident_bytes(process),
            own_bytes: resource::own_bytes(process),
            cpu_ms: resource::cpu_ms(process),
            program: program.map(|pid| ProgramLoad {
                program_pid: pid,
                program_rss_bytes: resource::resident_bytes(pid as i32),
                program_own_bytes: resource::own_bytes(pid as i32),
                program_cpu_ms: resource::cpu_ms(pid as i32),
            }),
        }
    }
}

impl Program {
    /// Reads what the host of a program shows; nothing of what is none.
    pub(crate) fn of(side: &Declared, shared_state: &SharedState) -> Option<Self> {
        let application = match &side.body {
            Body::Closure(_) | Body::Tasks | Body::Vacant => return None,
            Body::Program(program) => program.is_application,
        };
        let status = SideStatus::of(shared_state, side.address);
        Some(Self {
            application,
            retired: side.is_retired,
            full: status.is_full(),
            counters: Counters::read_by(|counter| status.read(counter)),
        })
    }
}

/// The word that stands for a state.
pub(crate) fn word(state: &impl Serialize) -> String {
    let word = serde_json::to_value(state).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// What a worker counts, or all of them together.
pub(crate) type WorkerCounters = Counters<Counter, { Counter::ALL.len() }>;
/// What the host of a program counts.
pub(crate) type SideCounters = Counters<SideCounter, { SideCounter::ALL.len() }>;

/// The table of counters that [`Counters`] has a value for each of.
pub(crate) trait Counted<const N: usize>: Copy {
    /// All, with their names.
    const ALL: [(Self, &'static str); N];
    /// Where in the table this one is.
    #[cfg(any(feature = "cli", test))]
    fn place(self) -> usize;
}

impl Counted<{ Self::ALL.len() }> for Counter {
    const ALL: [(Self, &'static str); Self::ALL.len()] = Self::ALL;
    #[cfg(any(feature = "cli", test))]
    fn place(self) -> usize {
        self as usize
    }
}

impl Counted<{ Self::ALL.len() }> for SideCounter {
    const ALL: [(Self, &'static str); Self::ALL.len()] = Self::ALL;
    #[cfg(any(feature = "cli", test))]
    fn place(self) -> usize {
        self as usize
    }
}

/// Values of counters: in JSON a field for each of them that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counters<C, const N: usize> {
    values: [Option<u64>; N],
    of: PhantomData<C>,
}

impl<C, const N: usize> Default for Counters<C, N> {
    fn default() -> Self {
        Self { values: [None; N], of: PhantomData }
    }
}

impl<C: Counted<N>, const N: usize> Counters<C, N> {
    /// All of them, as `read` finds them.
    pub(crate) fn read_by(read: impl Fn(C) -> u64) -> Self {
        Self { values: C::ALL.map(|(counter, _)| Some(read(counter))), of: PhantomData }
    }
}

/// What its readers ask.
#[cfg(any(feature = "cli", test))]
impl<C: Counted<N>, const N: usize> Counters<C, N> {
    /// The value, if it is known.
    pub(crate) fn get(&self, counter: C) -> Option<u64> {
        self.values.get(counter.place()).copied().flatten()
    }

    /// What did not reach somebody, whatever the reason: each has a counter whose name begins with `dropped_`. `None` where
    /// none of them is known.
    pub(crate) fn dropped(&self) -> Option<u64> {
        let known =
            self.values.iter().zip(C::ALL).filter(|(_, (_, name))| name.starts_with("dropped_"));
        known.filter_map(|(value, _)| *value).reduce(|one, other| one + other)
    }
}

impl WorkerCounters {
    /// Of nobody so far.
    pub(crate) fn zero() -> Self {
        Self::read_by(|_| 0)
    }

    /// Those of a process that is there.
    pub(crate) fn of(stats: &WorkerStats) -> Self {
        Self::read_by(|counter| stats.read(counter))
    }

    /// Adds those of another process.
    pub(crate) fn add(&mut self, stats: &WorkerStats) {
        self.add_those(stats, |_| true);
    }

    /// Adds what a process has counted that has ended. Its gauges mean nothing any more.
    pub(crate) fn add_ended(&mut self, stats: &WorkerStats) {
        self.add_those(stats, |counter| !counter.is_gauge());
    }

    fn add_those(&mut self, stats: &WorkerStats, which: impl Fn(Counter) -> bool) {
        for (value, (counter, _)) in self.values.iter_mut().zip(Counter::ALL) {
            let more = if which(counter) { stats.read(counter) } else { 0 };
            *value = Some(value.unwrap_or_default() + more);
        }
    }
}

impl<C: Counted<N>, const N: usize> Serialize for Counters<C, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.values.iter().zip(C::ALL);
        serializer.collect_map(named.filter_map(|(value, (_, name))| Some((name, (*value)?))))
    }
}

impl<'de, C: Counted<N>, const N: usize> Deserialize<'de> for Counters<C, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<C, const N: usize>(PhantomData<C>);

        impl<'de, C: Counted<N>, const N: usize> de::Visitor<'de> for Fields<C, N> {
            type Value = Counters<C, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counters by their names")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut counters = Counters::default();
                while let Some(field) = map.next_key::<Cow<'de, str>>()? {
                    let place = C::ALL.iter().position(|(_, name)| *name == field);
                    match place.and_then(|place| counters.values.get_mut(place)) {
                        Some(value) => *value = map.next_value()?,
                        None => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(counters)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn full() -> Status {
        let load = Load {
            program: Some(ProgramLoad {
                program_pid: 9,
                program_rss_bytes: Some(1),
                program_own_bytes: Some(1),
                program_cpu_ms: Some(1),
            }),
            ..Load::default()
        };
        let child = Child { load: Some(load.clone()), ..Child::default() };
        let counters = WorkerCounters::zero();
        let worker = Worker { child: child.clone(), counters, ..Worker::default() };
        let program = Program {
            application: true,
            retired: false,
            full: false,
            counters: Counters::read_by(|_| 1),
        };
        let tasks = Tasks {
            tasks_done: 1,
            tasks_failed: 1,
            tasks_died: 1,
            tasks_waiting: 1,
            is_at_a_task: false,
        };
        Status {
            listeners: vec![Listener::default()],
            tls: Some(Tls { certificates: vec![Certificate::default()] }),
            routes: vec![Route::default()],
            workers: vec![worker, Worker::default()],
            processes: vec![
                SideProcess { child: child.clone(), tasks: None, program: Some(program) },
                SideProcess { child, tasks: Some(tasks), program: None },
                SideProcess::default(),
            ],
            leaving: vec![Leaving { load, counters, ..Leaving::default() }],
            tasks: Some(TaskQueue::default()),
            totals: counters,
            ..Status::default()
        }
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    /// The fields of the JSON are what monitoring of users reads. A new one is added here; none goes away.
    #[test]
    fn the_json_has_these_fields() {
        let status = serde_json::to_value(full()).expect("it is JSON");
        let sorted = |lists: &[&[&'static str]]| {
            let mut all = lists.concat();
            all.sort_unstable();
            all
        };
        let counters = Counter::ALL.map(|(_, name)| name);
        let side_counters = SideCounter::ALL.map(|(_, name)| name);
        let child: &[&str] = &[
            "role",
            "name",
            "pid",
            "state",
            "failures",
            "crash_loop",
            "restarts",
            "replacements",
            "uptime_ms",
            "retry_in_ms",
            "last_exit",
        ];
        let load: &[&str] = &[
            "rss_bytes",
            "own_bytes",
            "cpu_ms",
            "program_pid",
            "program_rss_bytes",
            "program_own_bytes",
            "program_cpu_ms",
        ];
        let slot: &[&str] = &["slot", "covered_by"];
        let tasks: &[&str] =
            &["tasks_done", "tasks_failed", "tasks_died", "tasks_waiting", "is_at_a_task"];
        let program: &[&str] = &["application", "retired", "full"];
        for (pointer, expected) in [
            (
                "",
                sorted(&[&[
                    "version",
                    "listen",
                    "listeners",
                    "tls",
                    "app",
                    "routes",
                    "config",
                    "pid_file",
                    "activity",
                    "reloads",
                    "master",
                    "workers",
                    "processes",
                    "leaving",
                    "tasks",
                    "totals",
                    "log",
                ]]),
            ),
            (
                "/listeners/0",
                sorted(&[&[
                    "name",
                    "address",
                    "websocket",
                    "proxy_protocol",
                    "tls",
                    "compression",
                    "state",
                ]]),
            ),
            (
                "/tls/certificates/0",
                sorted(&[&["file", "names", "self_issued", "expires_at", "expires_in_days"]]),
            ),
            ("/routes/0", vec!["app", "path"]),
            ("/master", sorted(&[&["pid", "uptime_ms", "rss_bytes", "cpu_ms", "news_missed"]])),
            ("/workers/0", sorted(&[slot, child, load, &counters])),
            ("/workers/1", sorted(&[slot, child])),
            ("/processes/0", sorted(&[child, load, program, &side_counters])),
            ("/processes/1", sorted(&[child, load, tasks])),
            ("/processes/2", sorted(&[child])),
            ("/leaving/0", sorted(&[&["pid", "slot", "name"], load, &counters])),
            ("/tasks", vec!["waiting"]),
            ("/totals", sorted(&[&counters])),
            ("/log", sorted(&[&["file", "rotations", "lines_lost"]])),
        ] {
            let mut found = keys(status.pointer(pointer).expect(pointer));
            found.sort_unstable();
            assert_eq!(found, expected, "{pointer}");
        }
    }

    #[test]
    fn what_is_told_is_read_again() {
        let told = serde_json::to_value(full()).expect("it is JSON");
        let read = Status::deserialize(&told).expect("it is a status");
        assert_eq!(serde_json::to_value(&read).expect("it is JSON")["totals"], told["totals"]);
        let (worker, process) = (&read.workers[0], &read.processes[0]);
        assert_eq!(worker.counters, WorkerCounters::zero());
        let program = process.program.as_ref().expect("a program");
        assert_eq!(program.counters.get(SideCounter::Events), Some(1));
        let load = process.child.load.as_ref().expect("a load");
        assert_eq!(load.program.as_ref().map(|program| program.program_pid), Some(9));
        assert!(read.processes[1].tasks.is_some() && read.processes[2].tasks.is_none());
    }

    #[test]
    fn another_version_is_understood() {
        let told = json!({
            "version": "0.0.1",
            "new": {"a": [1]},
            "workers": [{"name": "worker 0", "messages_in": 7, "new": "x", "new_counter": 1}],
            "processes": [{"name": "queue"}],
        });
        let read = Status::deserialize(told).expect("it is a status");
        let counters = &read.workers[0].counters;
        assert_eq!(counters.get(Counter::MessagesIn), Some(7));
        assert_eq!((counters.get(Counter::MessagesOut), counters.dropped()), (None, None));
        assert!(read.processes[0].program.is_none() && read.tls.is_none());
    }

    #[test]
    fn a_drop_of_any_kind_counts_as_dropped() {
        let all = |name: &'static str| name.starts_with("dropped_");
        let kinds = Counter::ALL.into_iter().filter(|(_, name)| all(name)).count() as u64;
        let counters = WorkerCounters::read_by(|_| 1);
        assert!(kinds >= 6, "{kinds}");
        assert_eq!(counters.dropped(), Some(kinds));
        let program = SideCounters::read_by(|counter| match counter {
            SideCounter::DroppedEvents => 5,
            SideCounter::QueuedBytes
            | SideCounter::OpenQuestions
            | SideCounter::Events
            | SideCounter::Commands
            | SideCounter::InvalidCommands => 100,
        });
        assert_eq!(program.dropped(), Some(5));
    }
}
