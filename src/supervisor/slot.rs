//! One slot of the table: its state, those who leave it, its failures and its counts.
//!
//! Owns what is true of one slot whatever the others do. It says nothing to the shell.

use wsmaster_ipc::Moment;

use super::child::{
    ChildId, ChildSpec, ChildState, ChildView, ExitStatus, Leaving, Phase, Pid, Pressure, Process,
    millis,
};
use super::cover::Cover;
use super::policy::RestartPolicy;
use super::tally::Tally;

/// The most replaced processes that may still be finishing beside a slot's current one. Each holds the memory of its
/// connections, so a further replacement waits until one has ended.
pub const LEAVING_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: ChildId,
    pub(super) spec: ChildSpec,
    pub(super) state: ChildState,
    pub(super) leaving: Vec<Leaving>,
    pub(super) cover: Cover,
    /// Of its current process, as last weighed.
    pub(super) load: u64,
    pub(super) tally: Tally,
    /// Of the last fork asked for.
    pub(super) generation: u64,
    pub(super) restarts: u64,
    pub(super) replacements: u64,
    pub(super) last_exit: Option<ExitStatus>,
    /// Its child was removed while a process for it was being forked.
    pub(super) is_removed: bool,
}

/// Where in its slot a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Current,
    Leaving(usize),
}

impl Slot {
    /// A slot whose first fork is asked for.
    pub(super) fn new(id: ChildId, spec: ChildSpec) -> Self {
        Self {
            id,
            spec,
            state: ChildState::Forking,
            leaving: Vec::new(),
            cover: Cover::None,
            load: 0,
            tally: Tally::default(),
            generation: 0,
            restarts: 0,
            replacements: 0,
            last_exit: None,
            is_removed: false,
        }
    }

    /// A slot that nobody has.
    pub(super) fn vacant(id: ChildId) -> Self {
        let spec = ChildSpec {
            name: "vacant".to_owned(),
            restart: RestartPolicy::Never,
            reloadable: false,
            listens: false,
            stop_timeout: None,
        };
        Self { state: ChildState::Vacant, ..Self::new(id, spec) }
    }

    pub(super) fn place_of(&self, pid: Pid) -> Option<Place> {
        if self.state.process().is_some_and(|process| process.pid == pid) {
            return Some(Place::Current);
        }
        self.leaving.iter().position(|leaving| leaving.process.pid == pid).map(Place::Leaving)
    }

    /// Every process this slot answers for.
    pub(super) fn processes(&self) -> impl Iterator<Item = Process> {
        self.state.process().into_iter().chain(self.leaving.iter().map(|leaving| leaving.process))
    }

    pub(super) fn has_room_to_leave(&self) -> bool {
        self.leaving.len() < LEAVING_MAX
    }

    /// The current process leaves; the state is for the caller to set.
    pub(super) fn leave(&mut self, process: Process, pressure: Pressure) {
        debug_assert!(self.has_room_to_leave(), "{}: a fifth process is leaving", self.spec.name);
        self.leaving.push(Leaving { process, pressure });
    }

    /// When time alone changes something here, recycling aside.
    pub(super) fn timeout(&self) -> Option<Moment> {
        let current = match self.state {
            ChildState::Starting { deadline, .. } | ChildState::Draining { deadline, .. } => {
                Some(deadline)
            }
            ChildState::Stopping { pressure, .. } => pressure.deadline(),
            ChildState::BackingOff { until, .. } => Some(until),
            // When the wish of one that serves is due depends on the others too.
            ChildState::Ready { .. }
            | ChildState::Forking
            | ChildState::GivenUp { .. }
            | ChildState::Stopped
            | ChildState::Vacant => None,
        };
        let leaving = self.leaving.iter().filter_map(|leaving| leaving.pressure.deadline());
        current.into_iter().chain(leaving).min()
    }

    /// Whether nothing of this slot lives or is about to.
    pub(super) fn is_over(&self) -> bool {
        self.leaving.is_empty()
            && matches!(self.state.phase(), Phase::Stopped | Phase::GivenUp | Phase::Vacant)
    }

    pub(super) fn view(&self, covered_by: Option<ChildId>, now: Moment) -> ChildView<'_> {
        let process = self.state.process();
        ChildView {
            id: self.id,
            name: &self.spec.name,
            state: self.state.phase(),
            pid: process.map(|process| process.pid),
            generation: self.generation,
            uptime_ms: process
                .map(|process| millis(now.saturating_duration_since(process.forked_at))),
            retry_in_ms: match self.state {
                ChildState::BackingOff { until, .. } => {
                    Some(millis(until.saturating_duration_since(now)))
                }
                ChildState::Forking
                | ChildState::Starting { .. }
                | ChildState::Ready { .. }
                | ChildState::Draining { .. }
                | ChildState::Stopping { .. }
                | ChildState::GivenUp { .. }
                | ChildState::Stopped
                | ChildState::Vacant => None,
            },
            failures: self.tally.in_a_row(),
            too_often: matches!(self.state, ChildState::BackingOff { too_often: true, .. }),
            restarts: self.restarts,
            replacements: self.replacements,
            leaving: self.leaving.iter().map(|leaving| leaving.process.pid).collect(),
            last_exit: self.last_exit,
            covered_by,
        }
    }
}
