//! What `top` knows: looks at the server go in, rates and histories come out. Pure; moments are arguments, keys are words.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use wsmaster_workers::inspect::{ChannelRow, ConnectionRow};

/// Points of a history: more than any terminal is wide.
const HISTORY_MAX: usize = 512;

/// What `status --json` says, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) listen: Value,
    pub(super) app: String,
    pub(super) activity: String,
    pub(super) reloads: u64,
    pub(super) master: Process,
    pub(super) workers: Vec<Process>,
    pub(super) processes: Vec<Process>,
    pub(super) leaving: Vec<Process>,
    pub(super) totals: Counters,
}

/// One process of the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) pid: Option<u32>,
    pub(super) uptime_ms: Option<u64>,
    pub(super) restarts: u64,
    pub(super) cpu_ms: Option<u64>,
    pub(super) rss_bytes: Option<u64>,
    program_pid: Option<u32>,
    program_cpu_ms: Option<u64>,
    program_rss_bytes: Option<u64>,
    #[serde(flatten)]
    pub(super) counters: Option<Counters>,
}

impl Process {
    /// With what is a program's in the place of what is its host's.
    fn with_its_program(mut self) -> Self {
        if let Some(pid) = self.program_pid {
            self.pid = Some(pid);
            self.cpu_ms = self.program_cpu_ms;
            self.rss_bytes = self.program_rss_bytes;
        }
        self
    }
}

/// Counters of a worker, or of all.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Counters {
    pub(super) websockets: u64,
    pub(super) outbox_bytes: u64,
    pub(super) accepted: u64,
    pub(super) messages_in: u64,
    pub(super) messages_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) dropped_outbox_full: u64,
    pub(super) dropped_too_large: u64,
    pub(super) dropped_mailbox_full: u64,
}

impl Counters {
    /// Messages that were not sent.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped_outbox_full + self.dropped_too_large + self.dropped_mailbox_full
    }
}

/// What happened in a second.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Rates {
    pub(super) accepted: f64,
    pub(super) messages_in: f64,
    pub(super) messages_out: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) dropped: f64,
}

/// Rates of the past, the latest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Histories {
    pub(super) messages_in: VecDeque<u64>,
    pub(super) messages_out: VecDeque<u64>,
    pub(super) clients: VecDeque<u64>,
    pub(super) accepted: VecDeque<u64>,
}

/// A line of the table of processes.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) process: Process,
    /// Share of one CPU.
    pub(super) cpu: Option<f64>,
    pub(super) messages_in: Option<f64>,
    pub(super) messages_out: Option<f64>,
}

/// Those at the upper end: who reads slowest, and which channels have the most messages.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct TopLists {
    pub(super) slowest: Vec<ConnectionRow>,
    pub(super) channels: Vec<ChannelRow>,
    /// Workers that did not answer.
    pub(super) silent: Vec<u16>,
}

/// Something new.
#[derive(Debug)]
pub(super) enum Update {
    /// A look at the server, that many milliseconds after the first one.
    Look(Box<Status>, u64),
    /// The server does not answer.
    Lost(String),
    /// Who is at the upper end.
    TopLists(TopLists),
}

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Quit,
    Pause,
    Sort,
    Help,
    Up,
    Down,
}

/// By what the lines of the table are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Place,
    Cpu,
    Clients,
    Messages,
    Queue,
    Memory,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Place => Self::Cpu,
            Self::Cpu => Self::Clients,
            Self::Clients => Self::Messages,
            Self::Messages => Self::Queue,
            Self::Queue => Self::Memory,
            Self::Memory => Self::Place,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Cpu => "CPU",
            Self::Clients => "clients",
            Self::Messages => "messages",
            Self::Queue => "queue",
            Self::Memory => "memory",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) status: Option<Status>,
    at_ms: u64,
    pub(super) rates: Rates,
    pub(super) histories: Histories,
    pub(super) lines: Vec<Line>,
    pub(super) top_lists: TopLists,
    /// Why the server does not answer.
    pub(super) lost: Option<String>,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    pub(super) sort: Sort,
    /// Lines of the table above the first one that is shown.
    pub(super) scroll: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            status: None,
            at_ms: 0,
            rates: Rates::default(),
            histories: Histories::default(),
            lines: Vec::new(),
            top_lists: TopLists::default(),
            lost: None,
            is_paused: false,
            shows_help: false,
            sort: Sort::Place,
            scroll: 0,
        }
    }
}

impl Model {
    /// Takes news in. While it is paused, only whether the server answers is noted.
    pub(super) fn take(&mut self, update: Update) {
        match update {
            Update::Look(status, at_ms) => {
                self.lost = None;
                if !self.is_paused {
                    self.look(*status, at_ms);
                }
            }
            Update::Lost(why) => self.lost = Some(why),
            Update::TopLists(top_lists) => {
                if !self.is_paused {
                    self.top_lists = top_lists;
                }
            }
        }
    }

    /// Does what a key says. Whether the program goes on.
    pub(super) fn press(&mut self, key: Key) -> bool {
        match key {
            Key::Quit if self.shows_help => self.shows_help = false,
            Key::Quit => return false,
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Sort => {
                self.sort = self.sort.next();
                sort(&mut self.lines, self.sort);
            }
            Key::Help => self.shows_help = !self.shows_help,
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => {
                self.scroll = (self.scroll + 1).min(self.lines.len().saturating_sub(1));
            }
        }
        true
    }

    fn look(&mut self, status: Status, at_ms: u64) {
        // Another master has other counters: nothing can be said of the time between.
        let before = self.status.take().filter(|before| before.master.pid == status.master.pid);
        let elapsed = Duration::from_millis(at_ms.saturating_sub(self.at_ms));
        match &before {
            Some(before) => {
                self.rates = rates(&before.totals, &status.totals, elapsed);
                self.histories.note(&self.rates, status.totals.websockets);
            }
            None => {
                self.rates = Rates::default();
                self.histories = Histories::default();
            }
        }
        self.lines = lines(before.as_ref(), &status, elapsed);
        sort(&mut self.lines, self.sort);
        self.scroll = self.scroll.min(self.lines.len().saturating_sub(1));
        self.at_ms = at_ms;
        self.status = Some(status);
    }
}

impl Histories {
    fn note(&mut self, rates: &Rates, clients: u64) {
        for (history, value) in [
            (&mut self.messages_in, rates.messages_in.round() as u64),
            (&mut self.messages_out, rates.messages_out.round() as u64),
            (&mut self.clients, clients),
            (&mut self.accepted, rates.accepted.round() as u64),
        ] {
            if history.len() == HISTORY_MAX {
                history.pop_front();
            }
            history.push_back(value);
        }
    }
}

fn rates(before: &Counters, now: &Counters, elapsed: Duration) -> Rates {
    let rate = |field: fn(&Counters) -> u64| per_second(field(before), field(now), elapsed);
    Rates {
        accepted: rate(|counters| counters.accepted),
        messages_in: rate(|counters| counters.messages_in),
        messages_out: rate(|counters| counters.messages_out),
        bytes_in: rate(|counters| counters.bytes_in),
        bytes_out: rate(|counters| counters.bytes_out),
        dropped: rate(Counters::dropped),
    }
}

/// How fast a counter grew. One that went back is another process's, and has not grown.
fn per_second(before: u64, now: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        return 0.0;
    }
    now.saturating_sub(before) as f64 / elapsed.as_secs_f64()
}

fn lines(before: Option<&Status>, now: &Status, elapsed: Duration) -> Vec<Line> {
    let mut master = now.master.clone();
    "master".clone_into(&mut master.name);
    "up".clone_into(&mut master.state);
    let leaving = now.leaving.iter().cloned().map(|mut process| {
        "leaving".clone_into(&mut process.state);
        process
    });
    let workers = now.workers.iter().chain(&now.processes).cloned();
    let processes = std::iter::once(master).chain(workers).chain(leaving);
    let processes = processes.map(Process::with_its_program);
    let known: Vec<Process> = before
        .map(|before| {
            let others = before.workers.iter().chain(&before.processes).chain(&before.leaving);
            let all = std::iter::once(&before.master).chain(others).cloned();
            all.map(Process::with_its_program).collect()
        })
        .unwrap_or_default();
    processes
        .map(|process| {
            let same = |other: &&Process| other.pid.is_some() && other.pid == process.pid;
            let before = known.iter().find(same);
            let cpu = before.and_then(|before| Some((before.cpu_ms?, process.cpu_ms?)));
            let counters = before.and_then(|before| Some((before.counters?, process.counters?)));
            let rate = |field: fn(&Counters) -> u64| {
                counters.map(|(one, other)| per_second(field(&one), field(&other), elapsed))
            };
            Line {
                cpu: cpu.map(|(one, other)| per_second(one, other, elapsed) / 1000.0),
                messages_in: rate(|counters| counters.messages_in),
                messages_out: rate(|counters| counters.messages_out),
                process,
            }
        })
        .collect()
}

/// The largest first; equals, and all when nothing is said, in the order of their places.
fn sort(lines: &mut [Line], by: Sort) {
    let counted = |line: &Line, field: fn(&Counters) -> u64| {
        line.process.counters.as_ref().map_or(-1.0, |counters| field(counters) as f64)
    };
    let value = |line: &Line| match by {
        Sort::Place => 0.0,
        Sort::Cpu => line.cpu.unwrap_or(-1.0),
        Sort::Clients => counted(line, |counters| counters.websockets),
        Sort::Messages => line.messages_in.unwrap_or(-1.0) + line.messages_out.unwrap_or_default(),
        Sort::Queue => counted(line, |counters| counters.outbox_bytes),
        Sort::Memory => line.process.rss_bytes.map_or(-1.0, |bytes| bytes as f64),
    };
    lines.sort_by(|one, other| value(other).total_cmp(&value(one)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counters(messages_in: u64, queued: u64) -> Value {
        json!({
            "websockets": 1, "outbox_bytes": queued, "accepted": 0, "messages_in": messages_in,
            "messages_out": 0, "bytes_in": 0, "bytes_out": 0, "dropped_outbox_full": 0, "dropped_too_large": 0,
            "dropped_mailbox_full": 0,
        })
    }

    fn worker(name: &str, pid: u32, cpu_ms: u64, messages_in: u64, queued: u64) -> Value {
        let mut worker = counters(messages_in, queued);
        worker["name"] = name.into();
        worker["state"] = "ready".into();
        worker["pid"] = pid.into();
        worker["cpu_ms"] = cpu_ms.into();
        worker
    }

    fn look(master: u32, workers: &[Value], messages_in: u64, at_ms: u64) -> Update {
        let status = json!({
            "master": {"pid": master, "cpu_ms": 0}, "workers": workers,
            "totals": counters(messages_in, 0),
        });
        Update::Look(Box::new(serde_json::from_value(status).expect("a status")), at_ms)
    }

    #[test]
    fn rates_are_differences_over_the_time_between() {
        let mut model = Model::default();
        model.take(look(1, &[worker("a", 2, 1000, 100, 0)], 100, 0));
        assert_eq!(model.rates, Rates::default());
        assert!(model.histories.messages_in.is_empty());
        model.take(look(1, &[worker("a", 2, 2000, 500, 0)], 500, 2000));
        assert_eq!(model.rates.messages_in, 200.0);
        assert_eq!((model.lines[1].cpu, model.lines[1].messages_in), (Some(0.5), Some(200.0)));
        assert_eq!(model.histories.messages_in, [200]);
    }

    #[test]
    fn a_successor_begins_anew_and_so_does_another_server() {
        let mut model = Model::default();
        model.take(look(1, &[worker("a", 2, 1000, 100, 0)], 100, 0));
        // Its worker has died: the totals go on, its own counters are another process's.
        model.take(look(1, &[worker("a", 3, 10, 5, 0)], 105, 1000));
        assert_eq!(model.rates.messages_in, 5.0);
        assert_eq!((model.lines[1].cpu, model.lines[1].messages_in), (None, None));
        model.take(Update::Lost("gone".to_owned()));
        assert!(model.lost.is_some());
        model.take(look(9, &[worker("a", 10, 1, 1, 0)], 1, 2000));
        assert_eq!((model.rates, model.lost.as_deref()), (Rates::default(), None));
        assert!(model.histories.clients.is_empty(), "the past of another server");
    }

    #[test]
    fn a_pause_holds_everything_but_the_time() {
        let mut model = Model::default();
        model.take(look(1, &[], 0, 0));
        assert!(model.press(Key::Pause));
        model.take(look(1, &[], 500, 1000));
        assert_eq!(model.status.as_ref().map(|status| status.totals.messages_in), Some(0));
        assert!(model.press(Key::Pause));
        model.take(look(1, &[], 1000, 2000));
        assert_eq!(model.rates.messages_in, 500.0, "over the whole time since the last look");
    }

    #[test]
    fn histories_are_bounded() {
        let mut model = Model::default();
        for second in 0..2 * HISTORY_MAX as u64 {
            model.take(look(1, &[], second * second, second * 1000));
        }
        assert_eq!(model.histories.messages_in.len(), HISTORY_MAX);
    }

    #[test]
    fn every_order_has_its_largest_first_and_keeps_equals_in_place() {
        let mut model = Model::default();
        model.take(look(1, &[worker("a", 2, 0, 0, 5), worker("b", 3, 0, 0, 9)], 0, 0));
        model.take(look(1, &[worker("a", 2, 500, 1, 5), worker("b", 3, 100, 9, 9)], 0, 1000));
        let names = |model: &Model| -> String {
            model.lines.iter().map(|line| line.process.name.chars().next().unwrap_or(' ')).collect()
        };
        let mut orders = vec![(model.sort.name(), names(&model))];
        for _ in 0..5 {
            model.press(Key::Sort);
            orders.push((model.sort.name(), names(&model)));
        }
        let expected = [
            ("place", "mab"),
            ("CPU", "abm"),
            ("clients", "abm"),
            ("messages", "bam"),
            ("queue", "bam"),
            ("memory", "bam"),
        ];
        let expected = expected.map(|(order, names)| (order, names.to_owned()));
        assert_eq!(orders, expected);
        model.press(Key::Sort);
        assert_eq!(model.sort, Sort::Place);
    }

    #[test]
    fn quitting_leaves_the_help_first() {
        let mut model = Model::default();
        assert!(model.press(Key::Help) && model.press(Key::Quit) && !model.press(Key::Quit));
    }
}
