//! The supervisor in a fake world: processes with random lives, a virtual clock, and a shadow that keeps count.
//!
//! Owns what must hold under every order of events: one current process per slot, bounded forks, slots that come back
//! when the world heals, recycling that takes one at a time, a stop that ends, and a clock that is not spun. Nothing
//! here reads the supervisor's states; the shadow knows only what was asked and what happened. A failure prints the seed
//! and the step.

#[path = "supervisor_model/character.rs"]
mod character;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wsmaster_ipc::{Moment, sys::clock};

use wsmaster::supervisor::{
    Action, ChildId, ChildSpec, DrainReason, Event, ExitStatus, KillSignal, LEAVING_MAX, Pid,
    Policy, RecycleReason, Report, RestartPolicy, Supervisor,
};

use character::{Character, HEALING, Mood, roll};

const SLOTS: u16 = 3;

/// In one minute a slot fails at most `restarts_max + 1` times before each start waits 24 s or more; the first start and
/// the edges of the window come on top.
const FAILURE_FORKS_PER_MINUTE_MAX: usize = 16;

/// Every slot has a handful of timers, none of which is armed twice within a few milliseconds without a fork or an event.
const TICKS_PER_SECOND_MAX: usize = 20 * SLOTS as usize;

/// What a cover may take beyond its second: the poll of a busy master returns up to 50 ms late, and the shell is slow by as much.
const COVER_SLACK: Duration = Duration::from_millis(200);

#[test]
fn two_hundred_short_lives_of_a_table() {
    for seed in 0..200 {
        World::new(seed).live(600, Mood::Any);
    }
}

#[test]
fn one_long_life_of_a_table() {
    for seed in 1_000..1_003 {
        World::new(seed).live(10_000, Mood::Any);
    }
}

#[test]
fn a_slot_that_stays_down_is_covered_by_one_that_serves_and_by_one_only() {
    // The rules are the shadow's; here it is told that they were put to the test.
    let mut world = World::new(7);
    world.live(5_000, Mood::Any);
    assert!(world.covers > 50, "{} covers", world.covers);
}

#[test]
fn a_slot_whose_processes_die_at_once_is_forked_a_bounded_number_of_times() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.operator_is_away = true;
        world.live(800, Mood::DieAtOnce);
        let minutes = world.now.as_secs() as usize / 60;
        assert!(minutes > 10, "seed {seed}: the clock has hardly moved: {:?}", world.now);
        for (child, slot) in &world.slots {
            // 14 in the first minute and then at most five in two minutes (30 s with a jitter of 20 percent).
            let forks = slot.forks_total;
            assert!(
                forks < 20 + minutes * 5 / 2,
                "seed {seed}: {child:?}: {forks} in {minutes} min"
            );
        }
    }
}

#[test]
fn forks_that_fail_are_tried_again_a_bounded_number_of_times() {
    for seed in 0..20 {
        World::new(seed).live(300, Mood::ForkFails);
    }
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let life = |seed| {
        let mut world = World::new(seed);
        world.live(500, Mood::Any);
        (world.now, world.said)
    };
    assert_eq!(life(42), life(42));
    assert_ne!(life(42), life(43));
}

/// A process that has not been reaped.
#[derive(Debug)]
struct Proc {
    child: ChildId,
    character: Character,
    /// It has told that it stopped accepting, so it is no longer its slot's current process.
    has_left: bool,
}

/// What the shadow knows of a slot.
#[derive(Debug, Default)]
struct Shadow {
    fork_pending: bool,
    /// The times of the forks of the last minute.
    forks: VecDeque<Duration>,
    /// The times of the last minute at which one more fork was earned without a failure.
    earned: VecDeque<Duration>,
    forks_total: usize,
    /// Since when nothing of it serves, as far as anybody was told; `None` while something does.
    down_since: Option<Duration>,
    /// Who was told to serve its listener.
    covered_by: Option<Pid>,
}

struct World {
    seed: u64,
    step: usize,
    dice: u64,
    start: Moment,
    now: Duration,
    supervisor: Supervisor,
    mood: Mood,
    operator_is_away: bool,
    procs: BTreeMap<Pid, Proc>,
    /// Who is said to be ready, and has not been asked to leave since.
    serving: BTreeSet<Pid>,
    covers: usize,
    next_pid: u32,
    /// What will happen, by time and order of planning.
    plan: BTreeMap<(Duration, u64), Event>,
    planned: u64,
    slots: BTreeMap<ChildId, Shadow>,
    ticks: VecDeque<Duration>,
    /// When a process was last asked to drain because it alone was to be replaced.
    recycled: Option<Duration>,
    reloading: bool,
    stopping: bool,
    exited: bool,
    said: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let specs = (0..SLOTS).map(|n| ChildSpec {
            name: format!("worker {n}"),
            restart: RestartPolicy::Always,
            reloadable: true,
            listens: true,
            stop_timeout: None,
        });
        Self {
            seed,
            step: 0,
            dice: seed,
            start: clock::now(),
            now: Duration::ZERO,
            supervisor: Supervisor::new(specs.collect(), Policy::default(), seed),
            mood: Mood::Any,
            operator_is_away: false,
            procs: BTreeMap::new(),
            serving: BTreeSet::new(),
            covers: 0,
            next_pid: 100,
            plan: BTreeMap::new(),
            planned: 0,
            slots: (0..SLOTS)
                .map(|n| {
                    let down_since = Some(Duration::ZERO);
                    (ChildId(n), Shadow { down_since, ..Shadow::default() })
                })
                .collect(),
            ticks: VecDeque::new(),
            recycled: None,
            reloading: false,
            stopping: false,
            exited: false,
            said: Vec::new(),
        }
    }

    /// Trouble for `steps`, then a healthy world in which all must come up, then a stop in a world that is ill again.
    fn live(&mut self, steps: usize, mood: Mood) {
        self.mood = mood;
        for _ in 0..steps {
            self.take_step(true);
        }

        self.mood = Mood::Healthy;
        let healed_by = self.now + HEALING;
        // The ill processes of before may still die one by one, so "up" is a moment and not a state to stay in.
        while !self.supervisor.all_ready() || self.supervisor.is_reloading() {
            self.check(self.now < healed_by, "a slot does not come back in a healthy world");
            self.take_step(false);
        }
        let current = self.procs.values().filter(|p| !p.has_left).count();
        self.check(current == usize::from(SLOTS), "all are said to be ready and are not");
        self.obey();
        let covered = self.slots.values().any(|slot| slot.covered_by.is_some());
        self.check(!covered, "a slot that serves is covered");

        self.mood = mood;
        for _ in 0..self.roll(30) {
            self.take_step(true);
        }
        let stop = if self.chance(20) { Event::StopNow } else { Event::Stop };
        let policy = Policy::default();
        let mut end = self.now + policy.stop_timeout + policy.kill_grace + Duration::from_secs(1);
        // The killing signal takes 20 ms here, and the shell is slow by 50 ms at times.
        let at_once = Duration::from_millis(500);
        if stop == Event::StopNow {
            end = self.now + at_once;
        }
        self.tell(stop);
        while !self.exited {
            self.check(self.now < end, "the stop does not end");
            if self.chance(2) {
                end = end.min(self.now + at_once);
                self.tell(Event::StopNow);
            }
            self.take_step(true);
        }
        self.check(self.procs.is_empty(), "processes outlive the master");
        self.check(self.supervisor.poll_timeout().is_none(), "a timer outlives the end");
        for event in [Event::Tick, Event::Reload, Event::Stop, Event::StopNow] {
            self.tell(event);
        }
        let more = self.supervisor.poll_action();
        self.check(more.is_none(), "something is done after the end");
    }

    /// Lets the next thing happen: what is planned, a timer, or somebody's mischief.
    fn take_step(&mut self, with_mischief: bool) {
        self.step += 1;
        // Now and then the shell is slow, and several events meet the actions of one.
        let is_slow = self.chance(20);
        if !is_slow {
            self.obey();
        }
        if with_mischief && self.chance(12) {
            let event = self.mischief();
            return self.tell(event);
        }
        let timeout = self.supervisor.poll_timeout().map(|at| at - self.start);
        let planned = self.plan.first_key_value().map(|(&key, _)| key);
        let next = timeout.into_iter().chain(planned.map(|key| key.0)).min();
        if is_slow && next.is_none_or(|next| next > self.now + Duration::from_millis(50)) {
            return self.obey();
        }
        match (timeout, planned) {
            (Some(due), Some(key)) if due < key.0 => self.tick(due),
            (_, Some(key)) => {
                self.now = self.now.max(key.0);
                let event = self.plan.remove(&key).expect("it was seen a moment ago");
                if let Event::Died { pid, .. } = event
                    && !self.procs.contains_key(&pid)
                {
                    return;
                }
                self.tell(event);
            }
            (Some(due), None) => self.tick(due),
            // All serve and nobody wants anything.
            (None, None) => self.now += Duration::from_secs(1),
        }
    }

    /// The poll of a busy master returns late now and then.
    fn tick(&mut self, due: Duration) {
        let late = if self.chance(10) { self.roll(50) } else { 0 };
        self.now = self.now.max(due + Duration::from_millis(late));
        self.ticks.push_back(self.now);
        forget(&mut self.ticks, self.now, Duration::from_secs(1));
        self.check(self.ticks.len() <= TICKS_PER_SECOND_MAX, "the clock is spun");
        self.tell(Event::Tick);
    }

    /// An event out of turn: stale, doubled, mistaken, or an operator's.
    fn mischief(&mut self) -> Event {
        let pid = Pid(100 + self.roll(u64::from(self.next_pid - 99)) as u32);
        let is_live = self.procs.contains_key(&pid);
        let child = ChildId(self.roll(u64::from(SLOTS) + 2) as u16);
        let fork_pending = self.slots.get(&child).is_some_and(|slot| slot.fork_pending);
        match self.roll(9) {
            8 if !self.operator_is_away => Event::Retry { child },
            0 | 1 if !self.operator_is_away => Event::Reload,
            2 if !is_live => Event::Died { pid, how: ExitStatus::Exited(0) },
            3 if !is_live => Event::Draining { pid },
            4 if !is_live => Event::Ready { pid },
            5 if !fork_pending => Event::Forked { child, pid: Pid(7) },
            6 if !fork_pending => Event::ForkFailed { child, reason: "not asked".into() },
            7 if is_live && !self.operator_is_away => {
                Event::Recycle { pid, why: RecycleReason::Asked }
            }
            // A failure to cover that nobody was asked for.
            7 => Event::CoverFailed { child, by: Pid(7) },
            _ => Event::Tick,
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Died { pid, .. } => {
                self.lose(*pid);
                self.procs.remove(pid);
            }
            Event::Draining { pid } => {
                self.lose(*pid);
                self.procs.entry(*pid).and_modify(|proc| proc.has_left = true);
            }
            Event::Retry { child } => {
                if let Some(slot) = self.slots.get_mut(child) {
                    slot.earned.push_back(self.now);
                }
            }
            Event::Reload => {
                // A slot that backs off is tried at once, on arrival and once more if the old process fails.
                for slot in self.slots.values_mut() {
                    slot.earned.extend([self.now, self.now]);
                }
            }
            Event::Forked { child, .. } | Event::ForkFailed { child, .. } => {
                if let Some(slot) = self.slots.get_mut(child) {
                    slot.fork_pending = false;
                }
            }
            Event::CoverFailed { child, by } => {
                let now = self.now;
                if let Some(slot) = self.slots.get_mut(child)
                    && slot.covered_by == Some(*by)
                {
                    slot.covered_by = None;
                    slot.down_since = Some(now);
                }
            }
            Event::Stop | Event::StopNow => {
                self.stopping = true;
                self.serving.clear();
                self.slots.values_mut().for_each(|slot| slot.covered_by = None);
            }
            // The children of this world are workers, which neither come nor go.
            Event::Install { .. } | Event::Replace { .. } | Event::Remove { .. } => {}
            Event::Ready { .. } | Event::Recycle { .. } | Event::Tick => {}
        }
        let now = self.start + self.now;
        self.supervisor.handle(event, now);
        self.supervisor.check_invariants(now);
        self.compare();
    }

    /// Carries out what the supervisor wants done.
    fn obey(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            self.said.push(format!("{:?} {action:?}", self.now));
            self.check(!self.exited, "something is done after the end");
            if let Some(pid) = action.pid() {
                self.check(self.procs.contains_key(&pid), "an action for a process that is gone");
            }
            match action {
                Action::Fork { child, .. } => self.fork(child),
                Action::AskDrain { child, pid, why } => {
                    let proc = &self.procs[&pid];
                    let (drains, ends) = (proc.character.drains, proc.character.ends_after_drain);
                    self.check(proc.child == child && !proc.has_left, "it has left already");
                    self.lose(pid);
                    let now = self.now;
                    if let DrainReason::Recycle(_) = why {
                        // The shell is slow by 50 ms at times.
                        let gap = Policy::default().recycle_gap - Duration::from_millis(100);
                        let last = self.recycled.replace(now);
                        let is_apart = last.is_none_or(|last| now >= last + gap);
                        self.check(is_apart, "two are recycled together");
                    }
                    self.slot(child).earned.push_back(now);
                    self.plan(drains, Event::Draining { pid });
                    if let (Some(drains), Some(ends)) = (drains, ends) {
                        self.plan_death(pid, Some(drains + ends));
                    }
                }
                Action::AskStop { pid } => {
                    self.check(self.stopping, "a process is stopped while the master serves");
                    self.plan_death(pid, self.procs[&pid].character.ends_when_asked);
                }
                Action::Kill { pid, signal: KillSignal::Term } => {
                    self.plan_death(pid, self.procs[&pid].character.ends_at_term);
                }
                Action::Kill { pid, signal: KillSignal::Kill } => {
                    let ms = self.roll(20);
                    self.plan_death(pid, Some(ms));
                }
                Action::Cover { child, by } => {
                    self.covers += 1;
                    self.check(self.serving.contains(&by), "who covers does not serve");
                    self.check(self.procs[&by].child != child, "a slot covers itself");
                    self.check(self.slots[&child].down_since.is_some(), "it is covered and serves");
                    let is_covered = self.slots[&child].covered_by.is_some();
                    self.check(!is_covered, "a slot is covered twice");
                    self.slot(child).covered_by = Some(by);
                    if self.mood == Mood::Any && self.chance(20) {
                        let ms = self.roll(100);
                        self.plan(Some(ms), Event::CoverFailed { child, by });
                    }
                }
                Action::Uncover { child, by } => {
                    let covered_by = self.slot(child).covered_by.take();
                    // It may have said meanwhile that it could not.
                    let did = covered_by.is_none_or(|covering| covering == by);
                    self.check(did, "who did not cover is to uncover");
                }
                Action::Report(report) => self.note(&report),
                Action::Exit => {
                    self.check(self.stopping, "it exits unasked");
                    self.check(self.procs.is_empty(), "it exits before its children");
                    self.exited = true;
                }
            }
        }
        self.check_cover();
    }

    /// Whoever leaves or dies lets go of every listener.
    fn lose(&mut self, pid: Pid) {
        let now = self.now;
        for slot in self.slots.values_mut() {
            if slot.covered_by == Some(pid) {
                slot.covered_by = None;
            }
        }
        if self.serving.remove(&pid)
            && let Some(proc) = self.procs.get(&pid)
            && let Some(slot) = self.slots.get_mut(&proc.child)
        {
            slot.down_since = Some(now);
        }
    }

    /// Nobody waits for long at the listener of a slot that is down while another one serves.
    fn check_cover(&self) {
        if self.stopping || self.serving.is_empty() {
            return;
        }
        for (child, slot) in &self.slots {
            let Some(since) = slot.down_since else { continue };
            let patience = since + Policy::default().cover_after + COVER_SLACK;
            let is_late = self.now > patience && slot.covered_by.is_none();
            self.check(!is_late, &format!("nobody serves the listener of {child:?}"));
        }
    }

    fn fork(&mut self, child: ChildId) {
        self.check(!self.stopping, "a fork after the stop");
        let mine = || self.procs.iter().filter(|(_, proc)| proc.child == child);
        self.check(mine().all(|(_, proc)| proc.has_left), "two current processes in a slot");
        self.check(mine().count() <= LEAVING_MAX, "too many are leaving");
        self.check(!self.slots[&child].fork_pending, "a slot is forked twice at once");

        let now = self.now;
        let slot = self.slot(child);
        slot.fork_pending = true;
        slot.forks_total += 1;
        slot.forks.push_back(now);
        forget(&mut slot.forks, now, Duration::from_secs(60));
        // What was earned may be spent as late as the last drain and kill have run out.
        forget(&mut slot.earned, now, Duration::from_secs(120));
        let allowed = FAILURE_FORKS_PER_MINUTE_MAX + slot.earned.len();
        let forks = slot.forks.len();
        self.check(forks <= allowed, &format!("{forks} forks in a minute, {allowed} allowed"));

        if self.mood == Mood::ForkFails || (self.mood == Mood::Any && self.chance(10)) {
            self.plan(Some(0), Event::ForkFailed { child, reason: "no memory".into() });
            return;
        }
        let pid = Pid(self.next_pid);
        self.next_pid += 1;
        let character = Character::of(self.mood, &mut self.dice);
        // The master learns of its fork in the order of the kernel, before anything the child says.
        self.plan(Some(0), Event::Forked { child, pid });
        self.plan(character.ready, Event::Ready { pid });
        self.plan(character.recycles, Event::Recycle { pid, why: RecycleReason::Share });
        self.plan(character.drains_unasked, Event::Draining { pid });
        let dies = character.dies;
        self.procs.insert(pid, Proc { child, character, has_left: false });
        self.plan_death(pid, dies);
    }

    /// What the supervisor believes to live is what lives, in the slot it was forked for. Between a fork and its answer
    /// only the world knows of the process.
    fn compare(&self) {
        let believed: BTreeSet<Pid> = self.supervisor.pids().collect();
        for pid in &believed {
            let child = self.procs.get(pid).map(|proc| proc.child);
            self.check(child == self.supervisor.child_of(*pid), "a process in the wrong slot");
        }
        let unanswered = self.slots.values().filter(|slot| slot.fork_pending).count();
        let unknown = self.procs.len() - believed.len();
        self.check(unknown <= unanswered, "a living process is not in the table");
    }

    /// Every reload that starts ends before the next one starts.
    fn note(&mut self, report: &Report) {
        match report {
            Report::ReloadStarted { .. } => {
                self.check(!self.reloading, "two reloads at once");
                self.reloading = true;
            }
            Report::ReloadFinished { .. } | Report::ReloadFailed { .. } => {
                self.check(self.reloading, "a reload ends twice");
                self.reloading = false;
            }
            Report::Ready { child, pid, .. } => {
                // With a slow shell, it may be over already.
                let serves = self.procs.get(pid).is_some_and(|proc| !proc.has_left);
                if serves && !self.stopping {
                    self.serving.insert(*pid);
                }
                let now = self.now;
                self.slot(*child).down_since = (!serves).then_some(now);
            }
            Report::AllStopped { .. } => self.check(!self.reloading, "a reload never ended"),
            Report::Started { .. }
            | Report::ForkFailed { .. }
            | Report::Leaving { .. }
            | Report::Recycling { .. }
            | Report::Overdue { .. }
            | Report::Died { .. }
            | Report::BackingOff { .. }
            | Report::GivenUp { .. }
            | Report::Removed { .. }
            | Report::Covered { .. }
            | Report::Uncovered { .. }
            | Report::ReloadQueued
            | Report::StopStarted { .. } => {}
        }
    }

    /// Plans an event in `ms` milliseconds, never if there are none.
    fn plan(&mut self, ms: Option<u64>, event: Event) {
        if let Some(ms) = ms {
            self.planned += 1;
            self.plan.insert((self.now + Duration::from_millis(ms), self.planned), event);
        }
    }

    fn plan_death(&mut self, pid: Pid, ms: Option<u64>) {
        let how = match self.roll(3) {
            0 => ExitStatus::Exited(0),
            1 => ExitStatus::Exited(1),
            _ => ExitStatus::Signaled { signal: 9, core_dumped: false },
        };
        self.plan(ms, Event::Died { pid, how });
    }

    fn slot(&mut self, child: ChildId) -> &mut Shadow {
        self.slots.get_mut(&child).expect("a fork for a slot that does not exist")
    }

    fn roll(&mut self, sides: u64) -> u64 {
        roll(&mut self.dice, sides)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    #[track_caller]
    fn check(&self, holds: bool, what: &str) {
        if !holds {
            let from = self.said.len().saturating_sub(40);
            panic!(
                "seed {}, step {}, at {:?}: {what}\nlately: {:#?}\n{:#?}",
                self.seed,
                self.step,
                self.now,
                &self.said[from..],
                self.supervisor.children(self.start + self.now).collect::<Vec<_>>(),
            );
        }
    }
}

/// Drops the times that lie further back than `span`.
fn forget(times: &mut VecDeque<Duration>, now: Duration, span: Duration) {
    while times.front().is_some_and(|&at| at + span < now) {
        times.pop_front();
    }
}
