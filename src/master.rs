//! The master: the process that holds what outlives a worker, forks workers and side processes, and carries out what the
//! supervisor decides.
//!
//! It owns the listeners, the mailboxes, the shared state, the PID file and the control socket. It never waits for a child,
//! carries no message of a client, and decides nothing that the [`Supervisor`] decides.

mod activation;
mod calls;
mod clock_check;
mod closing_wait;
mod coming_up;
mod control;
mod forking;
mod handing;
mod handover;
mod listeners;
mod log_keeper;
mod logs;
mod lost;
mod memory;
mod news;
pub(crate) mod pid_file;
mod programs;
#[cfg(feature = "cli")]
mod rehearsal;
mod report;
mod settings;
mod sides;
mod signals;
mod start;
mod status;
mod surroundings;
mod surveys;
mod systemd;
mod tasks;
mod tls;
mod token;
mod watchdog;

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, AsRawFd},
    rc::Rc,
    time::Duration,
};

use mio::{Events, Interest, Poll, unix::SourceFd};
use wsmaster_ipc::{
    Handle, LeaveReason, Moment,
    link::{MasterLink, Received, ToChild, ToMaster},
    mailbox::MailboxPair,
    shared_state::{Counter, SharedState, WorkerStats},
    sys::{
        clock,
        process::{self, Ended, Kill},
        title,
    },
};
use wsmaster_workers::Handler;

pub use self::activation::PassedSockets;
pub use self::listeners::Endpoint;
pub use self::pid_file::PidFileError;
pub use self::start::{Plan, Serving, StartError};
use self::{
    calls::Reach,
    closing_wait::ClosingWait,
    coming_up::ComingUp,
    control::{Caller, Control},
    handover::Handover,
    listeners::Listeners,
    log_keeper::LogKeeper,
    memory::MemoryWatch,
    pid_file::PidFile,
    signals::{Request, Signals},
    start::ReadConfig,
    surroundings::Surroundings,
    surveys::Surveys,
    systemd::Systemd,
    tls::Tls,
    token::Source,
    watchdog::{Verdict, Watchdog},
};
#[cfg(feature = "cli")]
pub(crate) use self::{
    control::{Question, Reached, ReloadAnswer},
    logs::ReopenAnswer,
    pid_file::control_path,
    rehearsal::rehearse_start,
    surveys::{SurveyAnswer, SurveyProblem},
};
pub use crate::tls::Certificate;
use crate::{
    config::Config,
    side::{Directory, Process, TaskMaker},
    status::WorkerCounters,
    supervisor::{
        Action, ChildId, Event, ExitStatus, KillSignal, Pid, RecycleReason, Report, Supervisor,
    },
    worker_info::WorkerInfo,
};

const EVENTS_MAX: usize = 256;
/// How soon a full mailbox of a side process is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(10);

/// See the module.
pub struct Master<F> {
    config: Config,
    reload: Option<ReadConfig>,
    /// Until all workers have served once.
    coming_up: Option<ComingUp>,
    in_background: bool,
    /// The application is one of ours, as the configuration says; not that of a library server.
    built_in: bool,
    make: F,
    surroundings: Surroundings,
    listeners: Listeners,
    tls: Option<Tls>,
    started: Moment,
    poll: Poll,
    signals: Signals,
    control: Control,
    pid_file: PidFile,
    shared_state: SharedState,
    /// Of workers and side processes, in the order of their addresses.
    mailboxes: Vec<MailboxPair>,
    seats: Vec<SeatKept>,
    /// The closures that run as side processes.
    processes: Vec<Process>,
    /// How task processes come to their handler.
    tasks: Option<TaskMaker>,
    directory: Rc<Directory>,
    /// The way of news to side processes.
    handle: Handle,
    surveys: Surveys,
    /// A variable that marks what the programs of this run have started, but for the pid of the host: see
    /// [`side::mark_of`].
    mark: String,
    children: HashMap<Pid, Child>,
    supervisor: Supervisor,
    callers: HashMap<u32, Caller>,
    next_caller: u32,
    /// Callers that wait for the end of a reload.
    reloaders: Vec<u32>,
    reload_lines: Vec<String>,
    log_keeper: LogKeeper,
    /// Callers that wait until all write to the log that was opened again.
    reopeners: Vec<u32>,
    certificates_handover: Handover,
    ticket_keys_handover: Handover,
    /// Callers that wait until all show the new certificates, and what they are told beside.
    renewers: Vec<(u32, Vec<String>)>,
    totals: WorkerCounters,
    systemd: Systemd,
    watchdog: Watchdog,
    task_watchdog: Watchdog,
    memory: MemoryWatch,
    /// Processes that were asked to leave, and why.
    told_to_leave: HashMap<Pid, LeaveReason>,
    closing_wait: ClosingWait,
    /// Words of the server's life that a full line did not take.
    news_missed: u64,
    /// Programs that are to go, and the first generation of workers that does not know them.
    retiring: Vec<(ChildId, u64)>,
    /// Places that programs have left, and the first generation of workers that does not know these.
    freed: HashMap<ChildId, u64>,
    /// Programs whose next process the callers of a reload wait for.
    awaited: HashSet<ChildId>,
    /// What the program of a place said last when it ended before it was ready.
    last_words: HashMap<ChildId, String>,
    /// One of them did not come up.
    reload_failed: bool,
    stopping: bool,
    failure: Option<StartError>,
    done: bool,
}

/// What the master keeps of a slot, whoever is in it.
#[derive(Debug)]
struct SeatKept {
    /// Processes forked for it so far.
    forks: u64,
    /// Whose its connections are.
    tenures: lost::Tenures,
    /// Those of them that may live, the youngest last.
    processes: Vec<Pid>,
}

/// A living process.
#[derive(Debug)]
struct Child {
    role: Role,
    link: MasterLink,
    /// The pid of the program that it is the host of.
    program: Option<u32>,
    /// What the files of the program were.
    files: Option<u64>,
}

/// What a child is.
#[derive(Debug)]
enum Role {
    /// A worker, and its counters.
    Worker(WorkerStats),
    /// The side process with this place in the directory.
    Side(usize),
}

impl<F> std::fmt::Debug for Master<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Forks the workers and watches over them until all have been told to stop and have stopped.
    ///
    /// # Errors
    /// [`StartError::Workers`] and [`StartError::Program`] when they do not come up in the first place.
    pub fn run(mut self) -> Result<(), StartError> {
        title::set("wsmaster: master");
        log::info!(
            "wsmaster {} starts on {}; workers: {}; configuration: {}",
            env!("CARGO_PKG_VERSION"),
            self.listed_endpoints(),
            self.config.server.workers,
            self.config.sources
        );
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.carry_out();
            if self.done {
                break;
            }
            let backlog = !self.handle.flush();
            match self.poll.poll(&mut events, self.timeout(backlog)) {
                Ok(()) => self.attend(&events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("the poll failed: {error}; everything stops");
                    self.tell(Event::Stop);
                }
            }
            self.answer_surveys();
            self.tell_the_loads();
            self.tell(Event::Tick);
            self.hang_up_on_the_slow();
            self.systemd.beat(clock::now());
            self.turn_ticket_keys();
            self.end_hanging_workers();
            self.look_at_the_task_processes();
            self.let_programs_go();
            self.keep_the_log();
            self.hand_out_again();
            self.answer_renewers();
            self.watch_the_memory();
        }
        match self.failure {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn register(&mut self) -> io::Result<()> {
        let registry = self.poll.registry();
        self.surveys.register(registry)?;
        registry.register(&mut self.signals.wake, Source::Signals.token(), Interest::READABLE)?;
        registry.register(&mut self.control.listener, Source::Control.token(), Interest::READABLE)
    }

    /// How long nothing is due. `backlog`: news wait for a mailbox that is full.
    fn timeout(&self, backlog: bool) -> Option<Duration> {
        let now = clock::now();
        let callers = self.callers.values().filter_map(|caller| caller.deadline);
        let backlog = backlog.then(|| now + BACKLOG_RETRY);
        let next = self.supervisor.poll_timeout().into_iter().chain(callers).chain(backlog);
        let watches = [
            self.surveys.wake_at(self.started, now),
            self.systemd.wake_at(),
            self.watchdog.wake_at(),
            self.task_watchdog.wake_at(),
            self.memory.wake_at(),
            self.log_keeper.wake_at(),
            self.certificates_handover.wake_at(),
            self.ticket_keys_handover.wake_at(),
            self.tls.as_ref().map(Tls::turn_at),
        ];
        let next = next.chain(watches.into_iter().flatten()).min()?;
        Some(next.saturating_duration_since(now))
    }

    fn attend(&mut self, events: &Events) {
        for event in events {
            match Source::of(event.token()) {
                Source::Signals => {
                    for request in self.signals.take() {
                        self.obey(request);
                    }
                }
                Source::Mailbox => self.surveys.arrived(),
                Source::Control => self.take_calls(),
                Source::Caller(number) => self.advance_caller(number),
                Source::Child(pid) => self.read_link(Pid(pid)),
            }
        }
    }

    fn obey(&mut self, request: Request) {
        match request {
            Request::Stop if self.stopping => self.tell(Event::StopNow),
            Request::Stop => {
                self.stopping = true;
                self.systemd.stopping();
                self.refuse_deferred_reload();
                self.tell(Event::Stop);
            }
            Request::Reload => {
                if !self.defer_reload(Reach::Everything, None) {
                    let _ = self.begin_reload(Reach::Everything);
                }
            }
            Request::ReloadSideProcesses => {
                if !self.defer_restart_of_sides() {
                    self.restart_side_processes();
                }
            }
            Request::ReopenLogs => self.reopen_log(None),
            Request::Reap => self.reap(),
        }
    }

    fn tell(&mut self, event: Event) {
        self.supervisor.handle(event, clock::now());
    }

    /// Tells the supervisor how many connections each worker has, for the choice of one that is to have more.
    fn tell_the_loads(&mut self) {
        let children = &self.children;
        self.supervisor.weigh(|pid| match children.get(&pid).map(|child| &child.role) {
            Some(Role::Worker(stats)) => stats.read(Counter::Connections),
            Some(Role::Side(_)) | None => 0,
        });
    }

    // ----- what the supervisor asks for -----

    fn carry_out(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                Action::Fork { child, .. } => match self.fork(child) {
                    Ok(pid) => self.tell(Event::Forked { child, pid }),
                    Err(error) => {
                        if let Some(side) = usize::from(child.0).checked_sub(self.seats.len()) {
                            self.end_life_of(side);
                        }
                        self.tell(Event::ForkFailed { child, reason: error.to_string() });
                    }
                },
                Action::AskDrain { pid, why, .. } => {
                    let reason = news::leave_reason(why);
                    self.note_reason(pid, reason);
                    let drain = match self.side_of(pid) {
                        None => settings::drain(&self.config, reason),
                        Some(side) => self.stop_of(side),
                    };
                    self.send_to_child(pid, &drain);
                }
                Action::AskStop { pid } => {
                    self.note_reason(pid, LeaveReason::ServerStop);
                    let stop = match self.side_of(pid) {
                        None => settings::stop(&self.config, self.closing_wait.length()),
                        Some(side) => self.stop_of(side),
                    };
                    self.send_to_child(pid, &stop);
                }
                Action::Kill { pid, signal } => process::signal_child(
                    pid.0 as i32,
                    match signal {
                        KillSignal::Term => Kill::Term,
                        KillSignal::Kill => Kill::Kill,
                    },
                ),
                Action::Cover { child, by } => self.cover(child, by),
                Action::Uncover { child, by } => {
                    self.send_to_child(by, &ToChild::Uncover { slot: child.0 });
                }
                Action::Report(report) => self.take_note(&report),
                Action::Exit => self.done = true,
            }
        }
        if self.announce() {
            // A reload has waited for this; what it asks for must not wait for the next event.
            return self.carry_out();
        }
        self.answer_reloaders();
    }

    fn send_to_child(&self, pid: Pid, message: &ToChild) {
        if let Some(child) = self.children.get(&pid) {
            // A line that takes nothing is a child that hears nothing: the supervisor's deadline deals with it.
            child.link.send(message);
        }
    }

    fn take_note(&mut self, report: &Report) {
        let name = |child: ChildId| {
            self.supervisor.spec(child).map_or_else(String::new, |spec| spec.name.clone())
        };
        let (level, line) = report::line(report, name);
        log::log!(level, "{line}");
        if report::is_about_reload(report) {
            self.reload_lines.push(line);
        }
        self.spread(report);
        self.note_of_program(report);
        if matches!(report, Report::ReloadFinished { .. }) {
            self.close_retired_listeners();
        }
        if matches!(report, Report::StopStarted { .. }) {
            self.listeners.close();
            self.closing_wait = self.wait_before_closing();
        }
        if matches!(report, Report::ReloadStarted { .. }) {
            self.systemd.reloading();
        } else if report::is_about_reload(report) && !self.stopping {
            self.systemd.ready(&self.summary());
        }
        self.judge_the_start(report);
    }

    // ----- children -----

    fn read_link(&mut self, pid: Pid) {
        loop {
            let Some(child) = self.children.get(&pid) else { return };
            match child.link.receive() {
                Received::Message(ToMaster::Ready) => self.tell(Event::Ready { pid }),
                Received::Message(ToMaster::Draining) => self.tell(Event::Draining { pid }),
                Received::Message(ToMaster::Recycle { reason }) => {
                    let why = match reason {
                        LeaveReason::Share => RecycleReason::Share,
                        LeaveReason::Reload
                        | LeaveReason::Memory
                        | LeaveReason::Asked
                        | LeaveReason::ServerStop => RecycleReason::Asked,
                    };
                    self.tell(Event::Recycle { pid, why });
                }
                Received::Message(ToMaster::CannotCover { slot }) => {
                    self.tell(Event::CoverFailed { child: ChildId(slot), by: pid });
                }
                Received::Message(ToMaster::Taken { what, number }) => {
                    self.handover(what).taken(pid, number);
                }
                Received::Message(ToMaster::NotTaken { what, number }) => {
                    self.handover(what).refused(pid, number);
                }
                Received::Message(ToMaster::Failed { reason }) => {
                    log::error!("{}: {reason}", self.name_of(pid));
                    self.fail_the_start_of(pid, reason);
                }
                Received::Message(ToMaster::Runs { pid: program, files }) => {
                    if let Some(child) = self.children.get_mut(&pid) {
                        (child.program, child.files) = (Some(program), Some(files));
                    }
                }
                Received::Message(ToMaster::LastWords { line }) => self.note_last_words(pid, line),
                Received::Malformed => {
                    log::warn!("{} said what is not understood", self.name_of(pid));
                }
                // Its death is told by the kernel.
                Received::Empty | Received::Closed => return,
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, how)) = process::reap() {
            let Ok(pid) = u32::try_from(pid).map(Pid) else { continue };
            // What it said before it died comes first.
            self.read_link(pid);
            self.bury_in_handovers(pid);
            if let Some(child) = self.children.remove(&pid) {
                let link = child.link.as_fd().as_raw_fd();
                let _ = self.poll.registry().deregister(&mut SourceFd(&link));
                match child.role {
                    Role::Worker(stats) => {
                        self.totals.add_ended(&stats);
                        stats.clear();
                        self.tell_of_lost_connections(pid);
                        self.join_around(pid);
                    }
                    Role::Side(number) => {
                        self.end_life_of(number);
                        self.clean_up_after(pid);
                        self.tell_of_a_lost_task(number);
                    }
                }
                if self.closing_wait.ended(pid) {
                    self.have_clients_closed();
                }
            }
            let how = match how {
                Ended::Code(code) => ExitStatus::Exited(code),
                Ended::Signal(signal) => ExitStatus::Signaled { signal, core_dumped: false },
            };
            self.tell(Event::Died { pid, how });
        }
    }

    /// Ends workers that hang. What follows is what follows any death.
    fn end_hanging_workers(&mut self) {
        let limit = self.config.server.watchdog;
        let workers = self.children.iter().filter_map(|(pid, child)| match &child.role {
            Role::Worker(stats) => Some((*pid, stats.read(Counter::Turns))),
            Role::Side(_) => None,
        });
        for verdict in self.watchdog.look(limit, workers, clock::now()) {
            let (pid, signal, how) = match verdict {
                Verdict::Abort(pid) => (pid, "SIGABRT", Kill::Abort),
                Verdict::Kill(pid) => (pid, "SIGKILL", Kill::Kill),
            };
            let limit = limit.unwrap_or_default();
            let name = self.name_of(pid);
            log::error!("{name} (pid {}) hangs: no turn for {limit:?}: {signal}", pid.0);
            process::signal_child(pid.0 as i32, how);
        }
    }

    fn name_of(&self, pid: Pid) -> String {
        let child = self.supervisor.child_of(pid);
        let spec = child.and_then(|child| self.supervisor.spec(child));
        spec.map_or_else(|| format!("process {}", pid.0), |spec| spec.name.clone())
    }

    fn is_worker(&self, child: ChildId) -> bool {
        usize::from(child.0) < self.seats.len()
    }
}
