//! The master: the process that holds what outlives a worker, forks workers into their seats, and carries out what the
//! supervisor decides.
//!
//! It owns the listeners, the mailboxes, the shared board, the PID file and the control socket. It never waits for a child,
//! carries no message of a client, and decides nothing that the [`Supervisor`] decides.

mod control;
mod forking;
mod pid_file;
mod report;
mod settings;
mod signals;
mod status;
mod token;

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Events, Interest, Poll, unix::SourceFd};
use wsmaster_ipc::{
    Slot,
    board::{Board, Cell, SerialClock},
    link::{Heard, MasterLink, ToChild, ToMaster},
    mailbox::MailboxPair,
    sys::{
        process::{self, Ended, Kill},
        random, resource, socket, title,
        user::Identity,
    },
};
use wsmaster_workers::Handler;

pub(crate) use self::control::{Question, ReloadAnswer, ask};
pub use self::pid_file::PidFileError;
pub(crate) use self::pid_file::{FindError, Found, control_path, find};
use self::{
    control::{CALLERS_MAX, Caller, Control, Progress},
    pid_file::PidFile,
    signals::{Request, Signals},
    status::Totals,
    token::Source,
};
use crate::{
    config::{Config, ConfigErrors},
    logging,
    server::WorkerInfo,
    supervisor::{
        Action, ChildId, ChildSpec, Event, ExitStatus, KillSignal, Pid, Report, RestartPolicy,
        Supervisor,
    },
};

/// Deaths of workers before the server has ever served that make the start a failure.
const START_DEATHS_MAX: u32 = 3;
const EVENTS_MAX: usize = 256;
/// How long the workers of a killed master may hold the port: the kernel ends them, after all their sockets.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(1);
/// The time between two looks at a port that they hold.
const ORPHANS_STEP: Duration = Duration::from_millis(10);

/// What a master is to run.
pub struct Plan {
    config: Config,
    reload: Option<ReadConfig>,
    on_serving: Option<OnServing>,
    in_background: bool,
}

type ReadConfig = Box<dyn Fn() -> Result<Config, ConfigErrors>>;
type OnServing = Box<dyn FnOnce(&Serving)>;

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Plan {
    /// Runs with this configuration, which a reload does not change.
    pub fn new(config: Config) -> Self {
        Self { config, reload: None, on_serving: None, in_background: false }
    }

    /// Reads the configuration again like this at every reload.
    #[must_use]
    pub fn reload_with(
        mut self,
        read: impl Fn() -> Result<Config, ConfigErrors> + 'static,
    ) -> Self {
        self.reload = Some(Box::new(read));
        self
    }

    /// Calls this once, when every worker serves.
    #[must_use]
    pub fn on_serving(mut self, call: impl FnOnce(&Serving) + 'static) -> Self {
        self.on_serving = Some(Box::new(call));
        self
    }

    /// The master has left the terminal, or will when it serves: no worker that serves keeps the terminal's streams.
    #[must_use]
    pub fn in_background(mut self, in_background: bool) -> Self {
        self.in_background = in_background;
        self
    }
}

/// A server that has come up.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where it listens: the port is the real one.
    pub address: SocketAddr,
    /// The pid of the master.
    pub master: i32,
    /// The pids of the workers, in the order of their slots.
    pub workers: Vec<i32>,
    /// The configuration in force.
    pub config: Config,
}

/// Why a server did not come up, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host name leads nowhere.
    #[error("cannot listen on {0}: {1}; check server.host (--listen)")]
    Resolve(String, io::Error),
    /// The address cannot be bound.
    #[error("cannot listen on {0}: {1}{hint}", hint = bind_hint(.1))]
    Bind(SocketAddr, io::Error),
    /// See [`PidFileError`].
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The control socket cannot be made.
    #[error("the control socket {0} cannot be made: {1}; choose another --pid-file, it stands beside it")]
    Control(String, io::Error),
    /// The user or group is not there, or cannot be taken on.
    #[error("server.user and server.group: {0}")]
    User(io::Error),
    /// The system has no more of something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The workers do not come up.
    #[error("the workers do not come up: {0}")]
    Workers(String),
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program uses the address: stop it, or choose another one with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// See the module.
pub struct Master<F> {
    config: Config,
    reload: Option<ReadConfig>,
    on_serving: Option<OnServing>,
    in_background: bool,
    make: F,
    identity: Option<Identity>,
    address: SocketAddr,
    started: Instant,
    poll: Poll,
    signals: Signals,
    control: Control,
    pid_file: PidFile,
    board: Board,
    seats: Vec<SeatKept>,
    children: HashMap<Pid, Child>,
    supervisor: Supervisor,
    callers: HashMap<u32, Caller>,
    next_caller: u32,
    /// Callers that wait for the end of a reload.
    reloaders: Vec<u32>,
    reload_lines: Vec<String>,
    totals: Totals,
    deaths_before_serving: u32,
    stopping: bool,
    failure: Option<String>,
    done: bool,
}

/// What the master keeps of a slot, whoever is in it.
#[derive(Debug)]
struct SeatKept {
    listener: TcpListener,
    mailbox: MailboxPair,
    /// Processes forked for it so far.
    forks: u64,
}

/// A living process.
#[derive(Debug)]
struct Child {
    slot: Slot,
    link: MasterLink,
    cell: Cell,
}

impl<F> std::fmt::Debug for Master<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Takes everything that a server needs, before any fork: what cannot be had is told here.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn prepare(plan: Plan, make: F) -> Result<Self, StartError> {
        let Plan { config, reload, on_serving, in_background } = plan;
        title::prepare();
        let identity =
            Identity::look_up(config.server.user.as_deref(), config.server.group.as_deref())
                .map_err(StartError::User)?;
        if let Some(identity) = &identity
            && resource::effective_uid() != 0
            && resource::effective_uid() != identity.uid()
        {
            let error = io::Error::new(io::ErrorKind::PermissionDenied, "only root can change them");
            return Err(StartError::User(error));
        }
        let address = resolve(&config)?;
        let pid_file = PidFile::take(&config.server.pid_file)?;
        let system = |what| move |error| StartError::System(what, error);
        resource::raise_descriptor_limit().map_err(system("the limit of open files"))?;
        let workers = config.server.workers;
        let listeners = listen(address, &config, pid_file.was_left_behind())
            .map_err(|error| StartError::Bind(address, error))?;
        let address = listeners
            .first()
            .ok_or_else(|| StartError::Workers("there are none".to_owned()))?
            .local_addr()
            .map_err(|error| StartError::Bind(address, error))?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = random::seed().map_err(system("random numbers"))?;
        let board = Board::new(workers as u16, workers as u16, SerialClock::new(Instant::now(), since_1970), seed)
            .map_err(system("shared memory"))?;
        let seats = listeners
            .into_iter()
            .map(|listener| Ok(SeatKept { listener, mailbox: MailboxPair::new()?, forks: 0 }))
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("mailboxes"))?;
        let control_file = control_path(pid_file.path());
        let control = Control::open(&control_file)
            .map_err(|error| StartError::Control(control_file.display().to_string(), error))?;
        let mut master = Self {
            supervisor: Supervisor::new(specs(workers), settings::policy(&config), seed),
            signals: Signals::listen().map_err(system("signals"))?,
            poll: Poll::new().map_err(system("the poll"))?,
            started: Instant::now(),
            config,
            reload,
            on_serving,
            in_background,
            make,
            identity,
            address,
            control,
            pid_file,
            board,
            seats,
            children: HashMap::new(),
            callers: HashMap::new(),
            next_caller: 0,
            reloaders: Vec::new(),
            reload_lines: Vec::new(),
            totals: Totals::default(),
            deaths_before_serving: 0,
            stopping: false,
            failure: None,
            done: false,
        };
        master.register().map_err(system("the poll"))?;
        Ok(master)
    }

    /// Forks the workers and watches over them until all have been told to stop and have stopped.
    ///
    /// # Errors
    /// [`StartError::Workers`] when they do not come up in the first place.
    pub fn run(mut self) -> Result<(), StartError> {
        title::set("wsmaster: master");
        log::info!(
            "wsmaster {} starts on {} with {} workers; configuration: {}",
            env!("CARGO_PKG_VERSION"),
            self.address,
            self.config.server.workers,
            self.config.sources
        );
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.carry_out();
            if self.done {
                break;
            }
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => self.attend(&events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::error!("the poll failed: {error}; everything stops");
                    self.tell(Event::Stop);
                }
            }
            self.tell(Event::Tick);
            self.hang_up_on_the_slow();
        }
        match self.failure {
            Some(reason) => Err(StartError::Workers(reason)),
            None => Ok(()),
        }
    }

    fn register(&mut self) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut self.signals.wake, Source::Signals.token(), Interest::READABLE)?;
        registry.register(&mut self.control.listener, Source::Control.token(), Interest::READABLE)
    }

    fn timeout(&self) -> Option<Duration> {
        let callers = self.callers.values().filter_map(|caller| caller.deadline);
        let next = self.supervisor.poll_timeout().into_iter().chain(callers).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn attend(&mut self, events: &Events) {
        for event in events {
            match Source::of(event.token()) {
                Source::Signals => {
                    for request in self.signals.take() {
                        self.obey(request);
                    }
                }
                Source::Control => self.take_calls(),
                Source::Caller(number) => self.advance_caller(number),
                Source::Child(pid) => self.hear(Pid(pid)),
            }
        }
    }

    fn obey(&mut self, request: Request) {
        match request {
            Request::Stop if self.stopping => self.tell(Event::StopNow),
            Request::Stop => {
                self.stopping = true;
                self.tell(Event::Stop);
            }
            Request::Reload => {
                let _ = self.begin_reload();
            }
            Request::ReloadSideProcesses => log::info!("there are no side processes to reload"),
            Request::ReopenLogs => {
                logging::reopen();
                for child in self.children.values() {
                    child.link.say(&ToChild::ReopenLog);
                }
                log::info!("the log was opened again");
            }
            Request::Reap => self.reap(),
        }
    }

    fn tell(&mut self, event: Event) {
        self.supervisor.handle(event, Instant::now());
    }

    // ----- what the supervisor asks for -----

    fn carry_out(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                Action::Fork { child, .. } => match self.fork(child) {
                    Ok(pid) => self.tell(Event::Forked { child, pid }),
                    Err(error) => {
                        self.tell(Event::ForkFailed { child, reason: error.to_string() });
                    }
                },
                Action::AskDrain { pid, .. } => {
                    let drain = settings::drain(&self.config);
                    self.say(pid, &drain);
                }
                Action::AskStop { pid } => {
                    let stop = settings::stop(&self.config);
                    self.say(pid, &stop);
                }
                Action::Kill { pid, signal } => process::signal_child(pid.0 as i32, match signal {
                    KillSignal::Term => Kill::Term,
                    KillSignal::Kill => Kill::Kill,
                }),
                Action::Report(report) => self.take_note(&report),
                Action::Exit => self.done = true,
            }
        }
        self.announce();
        self.answer_reloaders();
    }

    fn say(&self, pid: Pid, message: &ToChild) {
        if let Some(child) = self.children.get(&pid) {
            // A line that takes nothing is a child that hears nothing: the supervisor's deadline deals with it.
            child.link.say(message);
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
        if let Report::Died { how, .. } = report
            && self.on_serving.is_some()
        {
            self.deaths_before_serving += 1;
            if self.deaths_before_serving >= START_DEATHS_MAX {
                self.fail(format!("they die at once ({how}); the log says more"));
            }
        }
    }

    /// The first time that all workers serve, says so.
    fn announce(&mut self) {
        if self.on_serving.is_none() || !self.supervisor.all_ready() || self.failure.is_some() {
            return;
        }
        let workers = self.supervisor.children(Instant::now());
        let workers = workers.filter_map(|child| child.pid).map(|pid| pid.0 as i32).collect();
        let serving = Serving {
            address: self.address,
            master: process::own_pid(),
            workers,
            config: self.config.clone(),
        };
        log::info!("all workers serve");
        if let Some(call) = self.on_serving.take() {
            call(&serving);
        }
    }

    /// Gives the start up.
    fn fail(&mut self, reason: String) {
        if self.failure.is_none() {
            self.failure = Some(reason);
            self.stopping = true;
            self.tell(Event::Stop);
        }
    }

    // ----- children -----

    fn hear(&mut self, pid: Pid) {
        loop {
            let Some(child) = self.children.get(&pid) else { return };
            match child.link.hear() {
                Heard::Message(ToMaster::Ready) => self.tell(Event::Ready { pid }),
                Heard::Message(ToMaster::Draining) => self.tell(Event::Draining { pid }),
                Heard::Message(ToMaster::Recycle) => self.tell(Event::Recycle { pid }),
                Heard::Message(ToMaster::Failed { reason }) => {
                    log::error!("worker {}: {reason}", child.slot);
                    if self.on_serving.is_some() {
                        self.fail(reason);
                    }
                }
                Heard::Noise => log::warn!("worker {} said what is not understood", child.slot),
                // Its death is told by the kernel.
                Heard::Silence | Heard::Closed => return,
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, how)) = process::reap() {
            let Ok(pid) = u32::try_from(pid).map(Pid) else { continue };
            // What it said before it died comes first.
            self.hear(pid);
            if let Some(child) = self.children.remove(&pid) {
                let link = child.link.as_fd().as_raw_fd();
                let _ = self.poll.registry().deregister(&mut SourceFd(&link));
                self.totals.bury(&child.cell);
            }
            let how = match how {
                Ended::Code(code) => ExitStatus::Exited(code),
                Ended::Signal(signal) => ExitStatus::Signaled { signal, core_dumped: false },
            };
            self.tell(Event::Died { pid, how });
        }
    }

    // ----- reload -----

    /// Reads the configuration and begins to replace the workers.
    fn begin_reload(&mut self) -> Result<(), Vec<String>> {
        if self.stopping {
            return Err(vec!["the server is stopping".to_owned()]);
        }
        if let Some(read) = &self.reload {
            match read() {
                Ok(new) => {
                    for line in settings::adopt(&mut self.config, new) {
                        log::warn!("{line}");
                        self.reload_lines.push(line);
                    }
                    self.supervisor.set_policy(settings::policy(&self.config));
                    logging::set_level(self.config.server.log_level.into());
                }
                Err(errors) => {
                    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                    for line in &lines {
                        log::error!("{line}");
                    }
                    log::error!("nothing was reloaded: the configuration is wrong");
                    return Err(lines);
                }
            }
        }
        self.tell(Event::Reload);
        Ok(())
    }

    fn answer_reloaders(&mut self) {
        if self.supervisor.is_reloading() {
            return;
        }
        let lines = std::mem::take(&mut self.reload_lines);
        if self.reloaders.is_empty() {
            return;
        }
        let ok = self.supervisor.all_ready() && !self.stopping && !report::tell_of_failure(&lines);
        let answer = ReloadAnswer { ok, lines, refused: false };
        for number in std::mem::take(&mut self.reloaders) {
            self.answer(number, &answer);
        }
    }

    // ----- the control socket -----

    fn take_calls(&mut self) {
        while let Some(mut caller) = self.control.accept(Instant::now()) {
            if self.callers.len() >= CALLERS_MAX {
                log::warn!("too many callers at the control socket: one was hung up on");
                continue;
            }
            let number = self.next_caller;
            self.next_caller = self.next_caller.wrapping_add(1);
            let interests = Interest::READABLE | Interest::WRITABLE;
            let token = Source::Caller(number).token();
            if self.poll.registry().register(&mut caller.stream, token, interests).is_ok() {
                self.callers.insert(number, caller);
                self.advance_caller(number);
            }
        }
    }

    fn advance_caller(&mut self, number: u32) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.advance() {
            Progress::Waiting => {}
            Progress::Over => drop(self.callers.remove(&number)),
            Progress::Asked(Question::Status) => {
                let status = self.status();
                self.answer(number, &status);
            }
            Progress::Asked(Question::Reload) => match self.begin_reload() {
                Ok(()) => {
                    caller_waits(&mut self.callers, number);
                    self.reloaders.push(number);
                }
                Err(lines) => {
                    let refused = !self.stopping;
                    self.answer(number, &ReloadAnswer { ok: false, lines, refused });
                }
            },
        }
    }

    fn answer(&mut self, number: u32, answer: &impl serde::Serialize) {
        let Some(caller) = self.callers.get_mut(&number) else { return };
        match caller.answer(answer, Instant::now()) {
            Progress::Waiting => {}
            Progress::Over | Progress::Asked(_) => drop(self.callers.remove(&number)),
        }
    }

    fn hang_up_on_the_slow(&mut self) {
        let now = Instant::now();
        self.callers.retain(|_, caller| caller.deadline.is_none_or(|deadline| now < deadline));
    }
}

fn caller_waits(callers: &mut HashMap<u32, Caller>, number: u32) {
    if let Some(caller) = callers.get_mut(&number) {
        caller.deadline = None;
    }
}

fn specs(workers: usize) -> Vec<ChildSpec> {
    (0..workers)
        .map(|number| ChildSpec {
            name: format!("worker {number}"),
            restart: RestartPolicy::Always,
            reloadable: true,
        })
        .collect()
}

/// One listener per worker. After a master that was killed, an address in use may be that of its last processes: they are
/// waited for.
fn listen(address: SocketAddr, config: &Config, after_a_kill: bool) -> io::Result<Vec<TcpListener>> {
    let begun = Instant::now();
    loop {
        match socket::listeners(address, config.server.backlog, config.server.workers) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && after_a_kill
                    && begun.elapsed() < ORPHANS_PATIENCE =>
            {
                std::thread::sleep(ORPHANS_STEP);
            }
            done => return done,
        }
    }
}

fn resolve(config: &Config) -> Result<SocketAddr, StartError> {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let failed = |error| StartError::Resolve(config.server.authority(), error);
    (host, port)
        .to_socket_addrs()
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
