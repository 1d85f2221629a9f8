//! The table of the parent module's header as a test, and the bench it is done on.
//!
//! Owns exact answers at exact times; what holds under any order of events is the model's business.

mod cover;
mod room;
mod stories;

use std::time::Duration;

use wsmaster_ipc::{Moment, sys::clock};

use super::*;

/// A supervisor, a clock that starts at zero, and everything it has said so far.
struct Bench {
    supervisor: Supervisor,
    start: Moment,
    reports: Vec<Report>,
}

impl Bench {
    fn new(slots: usize) -> Self {
        Self::with(vec![(RestartPolicy::Always, true); slots])
    }

    fn with(slots: Vec<(RestartPolicy, bool)>) -> Self {
        let specs = slots
            .into_iter()
            .map(|(restart, reloadable)| ChildSpec {
                name: "child".into(),
                restart,
                reloadable,
                listens: false,
                stop_timeout: None,
            })
            .collect();
        Self::of(specs)
    }

    /// A bench with slots that are like those of [`Self::new`] but for what `change` does to them.
    fn with_specs(slots: usize, change: impl Fn(&mut ChildSpec)) -> Self {
        let mut spec = ChildSpec {
            name: "child".into(),
            restart: RestartPolicy::Always,
            reloadable: true,
            listens: false,
            stop_timeout: None,
        };
        change(&mut spec);
        Self::of(vec![spec; slots])
    }

    fn of(specs: Vec<ChildSpec>) -> Self {
        let policy = Policy { backoff_jitter_percent: 0, ..Policy::default() };
        let supervisor = Supervisor::new(specs, policy, 1);
        let mut bench = Self { supervisor, start: clock::now(), reports: Vec::new() };
        bench.drain_actions();
        bench
    }

    /// A bench with process 10 + n serving in slot n since 0 ms.
    fn serving(slots: usize) -> Self {
        let mut bench = Self::new(slots);
        for (slot, pid) in (0..).zip(10..10 + slots as u32) {
            bench.at(0, forked(slot, pid));
            bench.at(0, ready(pid));
        }
        assert!(bench.supervisor.all_ready());
        bench
    }

    /// Tells it the event and returns what it wants done, reports aside.
    fn at(&mut self, ms: u64, event: Event) -> String {
        self.supervisor.handle(event, self.start + Duration::from_millis(ms));
        self.drain_actions()
    }

    fn drain_actions(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(action) = self.supervisor.poll_action() {
            said.push(match action {
                Action::Fork { child, generation } => format!("fork {} g{generation}", child.0),
                Action::AskDrain { pid, .. } => format!("drain {}", pid.0),
                Action::AskStop { pid } => format!("stop {}", pid.0),
                Action::Kill { pid, signal: KillSignal::Term } => format!("term {}", pid.0),
                Action::Kill { pid, signal: KillSignal::Kill } => format!("kill {}", pid.0),
                Action::Cover { child, by } => format!("cover {} by {}", child.0, by.0),
                Action::Uncover { child, by } => format!("uncover {} by {}", child.0, by.0),
                Action::Exit => "exit".into(),
                Action::Report(report) => {
                    self.reports.push(report);
                    continue;
                }
            });
        }
        said.join(", ")
    }

    fn phase(&self, slot: u16) -> Phase {
        self.supervisor.state(ChildId(slot)).unwrap().phase()
    }

    /// Milliseconds from the start to the next timer.
    fn timer(&self) -> Option<u128> {
        self.supervisor.poll_timeout().map(|at| (at - self.start).as_millis())
    }

    fn reported(&self, wanted: impl Fn(&Report) -> bool) -> bool {
        self.reports.iter().any(wanted)
    }

    #[track_caller]
    fn assert_failed_reload(&self, expected: ReloadFailure) {
        let failed = |report: &Report| matches!(report, Report::ReloadFailed { reason, .. } if *reason == expected);
        assert!(self.reported(failed), "{:?}", self.reports);
    }
}

fn forked(slot: u16, pid: u32) -> Event {
    Event::Forked { child: ChildId(slot), pid: Pid(pid) }
}

fn fork_failed(slot: u16) -> Event {
    Event::ForkFailed { child: ChildId(slot), reason: "no memory".into() }
}

fn ready(pid: u32) -> Event {
    Event::Ready { pid: Pid(pid) }
}

fn draining(pid: u32) -> Event {
    Event::Draining { pid: Pid(pid) }
}

fn recycle(pid: u32) -> Event {
    Event::Recycle { pid: Pid(pid), why: RecycleReason::Share }
}

fn retry(slot: u16) -> Event {
    Event::Retry { child: ChildId(slot) }
}

fn died(pid: u32) -> Event {
    Event::Died { pid: Pid(pid), how: ExitStatus::Signaled { signal: 9, core_dumped: false } }
}

fn finished(pid: u32) -> Event {
    Event::Died { pid: Pid(pid), how: ExitStatus::Exited(0) }
}

/// Each row leads slot 0 into a state, one event in a list after the other, and asserts the answer to the last one, the
/// state that follows, and the timer that is then armed.
#[test]
fn each_event_in_each_state_has_the_answer_of_the_table() {
    type Row = (&'static str, Vec<(u64, Event)>, &'static str, Phase, Option<u128>);
    let starting = || vec![(0, forked(0, 10))];
    let serving = || vec![(0, forked(0, 10)), (0, ready(10))];
    let draining_state = || [serving(), vec![(5_000, Event::Reload)]].concat();
    // The first failure is made good at once, so it takes two to back off.
    let backing_off = || vec![(0, forked(0, 10)), (0, died(10)), (0, forked(0, 11)), (0, died(11))];
    let not_ready = || [starting(), vec![(10_000, Event::Tick)]].concat();
    let not_draining = || [draining_state(), vec![(10_000, Event::Tick)]].concat();
    let then = |mut life: Vec<(u64, Event)>, ms: u64, event: Event| {
        life.push((ms, event));
        life
    };
    let rows: Vec<Row> = vec![
        // Forking
        ("forked", starting(), "", Phase::Starting, Some(10_000)),
        ("fork failed", vec![(0, fork_failed(0))], "fork 0 g0", Phase::Forking, None),
        (
            "fork failed twice",
            vec![(0, fork_failed(0)), (0, fork_failed(0))],
            "",
            Phase::BackingOff,
            Some(100),
        ),
        ("forked for no slot", vec![(0, forked(7, 10))], "", Phase::Forking, None),
        ("ready before the fork is known", vec![(0, ready(10))], "", Phase::Forking, None),
        // Starting
        ("ready", serving(), "", Phase::Ready, None),
        ("died before ready", then(starting(), 9, died(10)), "fork 0 g0", Phase::Forking, None),
        ("not ready in time", not_ready(), "term 10", Phase::Stopping, Some(12_000)),
        (
            "a moment before that",
            then(starting(), 9_999, Event::Tick),
            "",
            Phase::Starting,
            Some(10_000),
        ),
        (
            "recycle before ready",
            then(starting(), 9, recycle(10)),
            "",
            Phase::Starting,
            Some(10_000),
        ),
        ("forked again", then(starting(), 9, forked(0, 11)), "", Phase::Starting, Some(10_000)),
        (
            "left before ready",
            then(starting(), 9, draining(10)),
            "fork 0 g0",
            Phase::Forking,
            Some(30_009),
        ),
        (
            "stop while starting",
            then(starting(), 9, Event::Stop),
            "stop 10",
            Phase::Stopping,
            Some(30_009),
        ),
        // Ready
        ("ready again", then(serving(), 9, ready(10)), "", Phase::Ready, None),
        ("died while serving", then(serving(), 9, died(10)), "fork 0 g0", Phase::Forking, None),
        ("recycle", then(serving(), 5_000, recycle(10)), "drain 10", Phase::Draining, Some(10_000)),
        ("recycle too soon", then(serving(), 400, recycle(10)), "", Phase::Ready, Some(1_000)),
        (
            "left unasked",
            then(serving(), 9, draining(10)),
            "fork 0 g0",
            Phase::Forking,
            Some(30_009),
        ),
        ("reload", draining_state(), "drain 10", Phase::Draining, Some(10_000)),
        ("stop", then(serving(), 9, Event::Stop), "stop 10", Phase::Stopping, Some(30_009)),
        ("stop now", then(serving(), 9, Event::StopNow), "stop 10, kill 10", Phase::Stopping, None),
        ("an orphan died", then(serving(), 9, died(4_711)), "", Phase::Ready, None),
        // Draining
        (
            "drained",
            then(draining_state(), 5_100, draining(10)),
            "fork 0 g1",
            Phase::Forking,
            Some(35_100),
        ),
        (
            "died draining",
            then(draining_state(), 5_100, died(10)),
            "fork 0 g1",
            Phase::Forking,
            None,
        ),
        ("not draining in time", not_draining(), "term 10", Phase::Stopping, Some(12_000)),
        (
            "stop while draining",
            then(draining_state(), 5_100, Event::Stop),
            "stop 10",
            Phase::Stopping,
            Some(35_100),
        ),
        // Stopping
        ("ready too late", then(not_ready(), 10_001, ready(10)), "", Phase::Stopping, Some(12_000)),
        (
            "drains while it is ended",
            then(not_ready(), 10_001, draining(10)),
            "",
            Phase::Stopping,
            Some(12_000),
        ),
        (
            "ignores the signal",
            then(not_ready(), 12_000, Event::Tick),
            "kill 10",
            Phase::Stopping,
            None,
        ),
        (
            "ended as not ready",
            then(not_ready(), 10_001, finished(10)),
            "fork 0 g0",
            Phase::Forking,
            None,
        ),
        (
            "drains late",
            then(not_draining(), 10_001, draining(10)),
            "fork 0 g1",
            Phase::Forking,
            Some(12_000),
        ),
        (
            "ended as not draining",
            then(not_draining(), 10_001, died(10)),
            "fork 0 g1",
            Phase::Forking,
            None,
        ),
        (
            "stop while ending",
            then(not_ready(), 10_001, Event::Stop),
            "stop 10",
            Phase::Stopping,
            Some(12_000),
        ),
        (
            "ended as stopping",
            vec![(0, forked(0, 10)), (0, Event::Stop), (9, died(10))],
            "exit",
            Phase::Stopped,
            None,
        ),
        ("stop overdue", then(serving(), 0, Event::Stop), "stop 10", Phase::Stopping, Some(30_000)),
        (
            "killed when stop is overdue",
            [serving(), vec![(0, Event::Stop), (30_000, Event::Tick)]].concat(),
            "kill 10",
            Phase::Stopping,
            None,
        ),
        (
            "stop is hurried",
            [serving(), vec![(0, Event::Stop), (9, Event::StopNow)]].concat(),
            "kill 10",
            Phase::Stopping,
            None,
        ),
        // BackingOff
        ("retry", then(backing_off(), 9, retry(0)), "fork 0 g0", Phase::Forking, None),
        ("second death", backing_off(), "", Phase::BackingOff, Some(100)),
        ("time is up", then(backing_off(), 100, Event::Tick), "fork 0 g0", Phase::Forking, None),
        (
            "reload does not wait",
            then(backing_off(), 9, Event::Reload),
            "fork 0 g1",
            Phase::Forking,
            None,
        ),
        ("stop while waiting", then(backing_off(), 9, Event::Stop), "exit", Phase::Stopped, None),
        ("died again", then(backing_off(), 9, died(11)), "", Phase::BackingOff, Some(100)),
    ];
    for (name, life, actions, phase, timer) in rows {
        let mut bench = Bench::new(1);
        let mut last = String::new();
        for (ms, event) in life {
            last = bench.at(ms, event);
        }
        assert_eq!(
            (last.as_str(), bench.phase(0), bench.timer()),
            (actions, phase, timer),
            "{name}"
        );
    }
}
