//! What `top` knows: looks at the server go in, rates and histories come out. Pure; moments are arguments, keys are words.

use std::{collections::VecDeque, time::Duration};

use wsmaster_ipc::shared_state::Counter;
use wsmaster_workers::inspect::{ChannelRow, ConnectionRow};

use super::super::process_lines::{self, ProcessLine};
use crate::status::{Status, WorkerCounters};

/// Points of a history: more than any terminal is wide.
const HISTORY_MAX: usize = 512;

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
    pub(super) process: ProcessLine,
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
    pub(super) unanswered: Vec<u16>,
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
                let clients = status.totals.get(Counter::WebSockets).unwrap_or_default();
                self.histories.note(&self.rates, clients);
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

fn rates(before: &WorkerCounters, now: &WorkerCounters, elapsed: Duration) -> Rates {
    let rate = |value: &dyn Fn(&WorkerCounters) -> Option<u64>| {
        let (before, now) = (value(before).unwrap_or_default(), value(now).unwrap_or_default());
        per_second(before, now, elapsed)
    };
    let of = |counter| rate(&|counters| counters.get(counter));
    Rates {
        accepted: of(Counter::Accepted),
        messages_in: of(Counter::MessagesIn),
        messages_out: of(Counter::MessagesOut),
        bytes_in: of(Counter::BytesIn),
        bytes_out: of(Counter::BytesOut),
        dropped: rate(&WorkerCounters::dropped),
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
    let known = before.map(process_lines::all).unwrap_or_default();
    let line = |process: ProcessLine| {
        let same = |other: &&ProcessLine| other.pid.is_some() && other.pid == process.pid;
        let before = known.iter().find(same);
        let rate = |value: fn(&ProcessLine) -> Option<u64>| {
            Some(per_second(value(before?)?, value(&process)?, elapsed))
        };
        Line {
            cpu: rate(|process| process.cpu_ms).map(|ms| ms / 1000.0),
            messages_in: rate(|process| process.counts.messages_in),
            messages_out: rate(|process| process.counts.messages_out),
            process,
        }
    };
    process_lines::all(now).into_iter().map(line).collect()
}

/// The largest first; equals, and all when nothing is said, in the order of their places.
fn sort(lines: &mut [Line], by: Sort) {
    let amount = |amount: Option<u64>| amount.map_or(-1.0, |amount| amount as f64);
    let value = |line: &Line| match by {
        Sort::Place => 0.0,
        Sort::Cpu => line.cpu.unwrap_or(-1.0),
        Sort::Clients => amount(line.process.counts.clients),
        Sort::Messages => line.messages_in.unwrap_or(-1.0) + line.messages_out.unwrap_or_default(),
        Sort::Queue => amount(line.process.counts.queued_bytes),
        Sort::Memory => amount(line.process.rss_bytes),
    };
    lines.sort_by(|one, other| value(other).total_cmp(&value(one)));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
        assert_eq!(
            model.status.as_ref().and_then(|status| status.totals.get(Counter::MessagesIn)),
            Some(0)
        );
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
