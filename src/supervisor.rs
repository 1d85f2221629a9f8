//! The pure heart of the master: which child is forked, asked, signalled or given up, and when.
//!
//! Owns the table of children and every decision about their lives. It has no process, signal, descriptor, clock or
//! random number: events, `now` and a seed come in, [`Action`]s go out, and a shell in the master carries them out.
//! Workers and side processes are children alike.
//!
//! The life of a slot (rows: what happens; cells: the state that follows, with what is asked of the shell):
//!
//! | | Forking | Starting | Ready | Draining | Stopping | BackingOff |
//! |---|---|---|---|---|---|---|
//! | forked | Starting | | | | | |
//! | fork failed | *failure* | | | | | |
//! | says ready | | Ready | | | | |
//! | its turn in a reload | | | Draining, ask drain | | | Forking, fork |
//! | its turn in recycling | | | Draining, ask drain | | | |
//! | says draining | | *failure*, leaves | *failure*, leaves | Forking, fork; leaves | not draining: Forking, fork; leaves | |
//! | died | | *failure* | *failure* | Forking, fork | not draining: Forking, fork; shutdown: Stopped; else *failure* | |
//! | is to be tried | | | | | | Forking, fork |
//! | time is up | | Stopping, TERM | | Stopping, TERM | KILL | Forking, fork |
//! | stop | Stopped, or when forked Stopping | Stopping, ask stop | Stopping, ask stop | Stopping, ask stop | Stopping, ask stop | Stopped |
//! | replaced by another | | Draining, ask drain | Draining, ask drain | | | Forking, fork |
//! | removed | Vacant, or when forked Stopping | Stopping, ask stop | Stopping, ask stop | Stopping, ask stop | Stopping | Vacant |
//!
//! A *failure* is Forking (fork) for the first in a row, BackingOff after it, and GivenUp if the restart policy says so.
//! A slot that listens and is not Ready for `cover_after` is covered by the process of another one, until it is Ready again.
//! An empty cell is a stale or mistaken message and changes nothing. A process that *leaves* is no longer its slot's
//! current one; it has `leave_timeout` to finish and is killed after that.

mod child;
mod cover;
mod invariants;
mod lives;
mod message;
mod policy;
mod recycle;
mod reload;
mod room;
mod slot;
mod stop;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use wsmaster_ipc::Moment;

use serde::Serialize;

pub use child::{
    ChildId, ChildSpec, ChildState, ChildView, DrainReason, ExitStatus, GiveUpReason, Leaving,
    Phase, Pid, Pressure, Process, RecycleReason, StopCause, Wish,
};
pub use message::{Action, Event, KillSignal, Overdue, ReloadFailure, Report, TooOften};
pub use policy::{Policy, RestartPolicy};
pub use slot::LEAVING_MAX;

use reload::Reload;
use slot::{Place, Slot};
use stop::Course;
use tally::Dice;

/// The table of children and what is going on with it.
///
/// Tell it with [`handle`](Self::handle), take what is to be done from [`poll_action`](Self::poll_action) until there is
/// nothing left, and come back with [`Event::Tick`] no later than [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Supervisor {
    slots: Vec<Slot>,
    policy: Policy,
    dice: Dice,
    generation: u64,
    reload: Reload,
    /// The next of those that wish to be replaced may be no sooner.
    recycle_from: Option<Moment>,
    course: Course,
    actions: VecDeque<Action>,
}

/// What the supervisor as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It keeps the children running.
    Supervising,
    /// It also replaces them, one after the other.
    Reloading,
    /// It is ending them.
    Stopping,
    /// They have ended.
    Stopped,
}

/// The whole in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What is going on.
    pub activity: Activity,
    /// Reloads begun so far; what is forked now is of this generation.
    pub generation: u64,
    /// Slots.
    pub children: usize,
    /// Slots whose current process serves.
    pub ready: usize,
    /// Slots that wait before their next start.
    pub backing_off: usize,
    /// Slots that are not started again.
    pub given_up: usize,
    /// Replaced processes that have not ended.
    pub leaving: usize,
    /// Starts that followed a failure.
    pub restarts: u64,
    /// Starts that replaced a process on purpose.
    pub replacements: u64,
}

impl Supervisor {
    /// A supervisor that asks for the first fork of each child at once, in the order given. The position of a spec is
    /// its [`ChildId`]; specs beyond 65,536 are not taken. `seed` spreads the back-off and should differ from one start to
    /// the next.
    pub fn new(children: Vec<ChildSpec>, policy: Policy, seed: u64) -> Self {
        let slots: Vec<Slot> = (0..=u16::MAX)
            .zip(children)
            .map(|(index, spec)| Slot::new(ChildId(index), spec))
            .collect();
        let actions =
            slots.iter().map(|slot| Action::Fork { child: slot.id, generation: 0 }).collect();
        Self {
            slots,
            policy,
            dice: Dice::new(seed),
            generation: 0,
            reload: Reload::Idle,
            recycle_from: None,
            course: Course::Supervising,
            actions,
        }
    }

    /// The same with so many vacant slots behind the others, as far as there are numbers for them.
    #[must_use]
    pub fn with_vacant_slots(mut self, count: usize) -> Self {
        let first = self.slots.len();
        let ids = (first..first + count).map_while(|index| u16::try_from(index).ok());
        self.slots.extend(ids.map(|index| Slot::vacant(ChildId(index))));
        self
    }

    /// Tells the supervisor what happened. `now` must not go back from one call to the next. Whatever the event, all that
    /// is due at `now` is done as well.
    pub fn handle(&mut self, event: Event, now: Moment) {
        match event {
            Event::Forked { child, pid } => self.handle_forked(child, pid, now),
            Event::ForkFailed { child, reason } => self.handle_fork_failed(child, reason, now),
            Event::Ready { pid } => self.handle_ready(pid, now),
            Event::Draining { pid } => self.handle_draining(pid, now),
            Event::Died { pid, how } => self.handle_died(pid, how, now),
            Event::Recycle { pid, why } => self.handle_recycle(pid, why, now),
            Event::Retry { child } => self.handle_retry(child),
            Event::Install { child, spec } => self.handle_install(child, spec),
            Event::Replace { child, spec, why } => self.handle_replace(child, spec, why, now),
            Event::Remove { child } => self.handle_remove(child, now),
            Event::CoverFailed { child, by } => self.handle_cover_failed(child, by, now),
            Event::Reload => self.handle_reload(now),
            Event::Stop => self.handle_stop(now),
            Event::StopNow => self.handle_stop_now(now),
            Event::Tick => {}
        }
        // Deaths first have made room, then time, then whoever may use the room.
        self.expire(now);
        self.advance_reload(now);
        self.advance_recycling(now);
        self.advance_cover(now);
        self.advance_stop(now);
        if cfg!(debug_assertions) {
            self.check_invariants(now);
        }
    }

    /// Takes new numbers. Deadlines that are running stay as they are.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The next thing to be done. An action whose process has died in the meantime is not handed out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due at the latest, if time alone would change anything. Right after
    /// [`handle`](Self::handle) it lies in the future of the `now` given there.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let covers = self.slots.iter().filter_map(|slot| slot.cover.timeout());
        let lives = self.slots.iter().filter_map(Slot::timeout);
        lives.chain(covers).chain(self.recycling_timeout()).min()
    }

    /// Takes a new measure of what each slot's current process has to do, in any unit: the least of them is the first to
    /// be asked to do more.
    pub fn weigh(&mut self, load: impl Fn(Pid) -> u64) {
        for slot in &mut self.slots {
            slot.load = slot.state.process().map_or(0, |process| load(process.pid));
        }
    }

    /// The table as it is at `now`, in the order of the specs.
    pub fn children(&self, now: Moment) -> impl Iterator<Item = ChildView<'_>> {
        self.slots.iter().map(move |slot| {
            let covered_by = slot.cover.pid().and_then(|pid| self.child_of(pid));
            slot.view(covered_by, now)
        })
    }

    /// The state of a slot.
    pub fn state(&self, child: ChildId) -> Option<&ChildState> {
        self.slots.get(usize::from(child.0)).map(|slot| &slot.state)
    }

    /// What a slot is for.
    pub fn spec(&self, child: ChildId) -> Option<&ChildSpec> {
        self.slots.get(usize::from(child.0)).map(|slot| &slot.spec)
    }

    /// The slot that answers for a living process, be it the current one or leaving.
    pub fn child_of(&self, pid: Pid) -> Option<ChildId> {
        self.find(pid).map(|(child, _)| child)
    }

    /// Every living process.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.slots.iter().flat_map(Slot::processes).map(|process| process.pid)
    }

    /// The number of reloads begun so far.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The whole in numbers.
    pub fn status(&self) -> Status {
        let in_phase = |phase| self.slots.iter().filter(|slot| slot.state.phase() == phase).count();
        Status {
            activity: self.activity(),
            generation: self.generation,
            children: self.slots.len() - in_phase(Phase::Vacant),
            ready: in_phase(Phase::Ready),
            backing_off: in_phase(Phase::BackingOff),
            given_up: in_phase(Phase::GivenUp),
            leaving: self.slots.iter().map(|slot| slot.leaving.len()).sum(),
            restarts: self.slots.iter().map(|slot| slot.restarts).sum(),
            replacements: self.slots.iter().map(|slot| slot.replacements).sum(),
        }
    }

    /// What the supervisor as a whole is doing.
    pub fn activity(&self) -> Activity {
        match self.course {
            Course::Supervising => match self.reload {
                Reload::Idle => Activity::Supervising,
                Reload::Rolling(_) => Activity::Reloading,
            },
            Course::Stopping { .. } => Activity::Stopping,
            Course::Stopped => Activity::Stopped,
        }
    }

    /// Whether a reload is under way.
    pub fn is_reloading(&self) -> bool {
        self.activity() == Activity::Reloading
    }

    /// Whether every child that has not been given up serves.
    pub fn all_ready(&self) -> bool {
        let is_well = |phase| matches!(phase, Phase::Ready | Phase::GivenUp | Phase::Vacant);
        self.slots.iter().all(|slot| is_well(slot.state.phase()))
    }

    /// The generation of the oldest process among those of the children that a reload replaces, if there is one.
    pub fn oldest_generation(&self) -> Option<u64> {
        let slots = self.slots.iter().filter(|slot| slot.spec.reloadable);
        slots.flat_map(Slot::processes).map(|process| process.generation).min()
    }

    fn find(&self, pid: Pid) -> Option<(ChildId, Place)> {
        self.slots.iter().find_map(|slot| slot.place_of(pid).map(|place| (slot.id, place)))
    }

    /// The slot of an id that came out of this table.
    fn slot(&self, child: ChildId) -> &Slot {
        &self.slots[usize::from(child.0)]
    }

    /// The slot of an id that came out of this table.
    fn slot_mut(&mut self, child: ChildId) -> &mut Slot {
        &mut self.slots[usize::from(child.0)]
    }

    fn report(&mut self, report: Report) {
        self.actions.push_back(Action::Report(report));
    }
}
