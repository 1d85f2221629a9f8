//! How a server comes up: what it is to run, what it needs before any fork, and why it may not come up.

use std::{
    collections::{HashMap, HashSet},
    io,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mio::Poll;
use wsmaster_ipc::{
    Handle,
    inbox::Inbox,
    mailbox::MailboxPair,
    mailbox_sender::MailboxSender,
    shared_state::{SerialClock, SharedState},
    side_status::SideStatus,
    sys::{clock, process, random, reserve, title},
};
use wsmaster_workers::Handler;

use super::{
    Master, PassedSockets, SeatKept, clock_check,
    closing_wait::ClosingWait,
    coming_up::ComingUp,
    control::Control,
    forking,
    handover::Handover,
    listeners::{Endpoint, Listeners},
    log_keeper::LogKeeper,
    memory::MemoryWatch,
    pid_file::{PidFile, PidFileError, control_path},
    settings,
    signals::Signals,
    surroundings,
    surveys::Surveys,
    systemd::Systemd,
    tls::{self, Tls},
    watchdog::Watchdog,
};
use crate::{
    config::{Config, ConfigErrors, ListenerConfig, MAIN_LISTENER},
    logging, programs,
    side::{Body, Directory, Installed, Process, SideProcess, TaskMaker},
    status::WorkerCounters,
    supervisor::{ChildSpec, RestartPolicy, Supervisor},
    tls::{Certificate, load_in_process},
    worker_info::WorkerInfo,
};

/// News that wait for a side process whose mailbox is full, in bytes.
const NEWS_BYTES_MAX: usize = 1024 * 1024;
/// Instances of programs that reloads can bring to a server that runs, as long as no earlier ones go. Each has a mailbox that
/// is made before the first fork: two descriptors of the master and one of every other process.
const PROGRAMS_TO_COME_MAX: u16 = 16;

/// What a master is to run.
pub struct Plan {
    config: Config,
    reload: Option<ReadConfig>,
    on_serving: Option<OnServing>,
    in_background: bool,
    built_in: bool,
    processes: Vec<Process>,
    tasks: Option<TaskMaker>,
    passed: Option<PassedSockets>,
}

pub(super) type ReadConfig = Box<dyn Fn() -> Result<Config, ConfigErrors>>;
pub(super) type OnServing = Box<dyn FnOnce(&Serving)>;

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Plan {
    /// Runs with this configuration, which a reload does not change.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            reload: None,
            on_serving: None,
            in_background: false,
            built_in: false,
            processes: Vec::new(),
            tasks: None,
            passed: None,
        }
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

    /// Runs these closures beside the workers.
    #[must_use]
    pub fn side_processes(mut self, processes: Vec<Process>) -> Self {
        self.processes = processes;
        self
    }

    /// Runs task processes with this handler, as many as the configuration says.
    #[must_use]
    pub(crate) fn tasks(mut self, tasks: Option<TaskMaker>) -> Self {
        self.tasks = tasks;
        self
    }

    /// Listens on these sockets instead of the address of the configuration.
    #[must_use]
    pub fn passed_sockets(mut self, passed: Option<PassedSockets>) -> Self {
        self.passed = passed;
        self
    }

    /// The application is the one that the configuration names: the status says which.
    #[must_use]
    pub fn built_in(mut self) -> Self {
        self.built_in = true;
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
    /// Its listeners and where they listen: the ports are the real ones. The first is that of `[server]`.
    pub listeners: Vec<(ListenerConfig, Endpoint)>,
    /// The pid of the master.
    pub master: i32,
    /// The pids of the workers, in the order of their slots.
    pub workers: Vec<i32>,
    /// The configuration in force.
    pub config: Config,
    /// What its clients are shown; empty when connections are not encrypted.
    pub certificates: Vec<Certificate>,
}

/// Why a server did not come up, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host name of an address leads nowhere; the name of its listener.
    #[error("cannot listen on {0}: {2}; check {place} (--listen)", place = place(.1))]
    Resolve(String, String, io::Error),
    /// An address cannot be bound; the name of its listener.
    #[error("cannot listen on {0}: {2}{hint}", hint = bind_hint(.0, .1, .2))]
    Bind(String, String, io::Error),
    /// See [`PidFileError`].
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The control socket cannot be made.
    #[error(
        "the control socket {0} cannot be made: {1}; choose another --pid-file, beside which it stands"
    )]
    Control(String, io::Error),
    /// What systemd has passed cannot be listened on.
    #[error("{0}")]
    Passed(String),
    /// The user or group is not there, or cannot be taken on.
    #[error("server.user and server.group: {0}")]
    User(io::Error),
    /// What a setting asks for is not permitted, or not there.
    #[error("{0}")]
    Surroundings(String),
    /// What the configuration names, certificates and programs, cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The process has further threads, of which workers that are forked from it would have copies of the locks and nothing
    /// that ever opens them.
    #[error(
        "the process has {0} threads and workers can be forked from a process with one only: run the server before anything \
         starts a thread (an async runtime, a logger, a metrics exporter), or make these in Handler::on_start"
    )]
    Threads(usize),
    /// The system has no more of something.
    #[error("{0}: {1}{advice}", advice = advice(.1))]
    System(&'static str, io::Error),
    /// The workers do not come up.
    #[error("the workers do not come up: {0}")]
    Workers(String),
    /// A side process does not come up: its name, and why.
    #[error("the process \"{0}\" does not come up: {1}")]
    Program(String, String),
}

/// The setting that says where the listener with this name listens.
fn place(listener: &str) -> String {
    match listener {
        MAIN_LISTENER => "server.host".to_owned(),
        name => format!("the address of the listener \"{name}\""),
    }
}

fn bind_hint(address: &str, listener: &str, error: &io::Error) -> String {
    let is_unix = address.starts_with("unix:");
    match error.kind() {
        io::ErrorKind::AddrInUse if listener == MAIN_LISTENER => {
            "; another program uses the address: stop it, or choose another one with --listen"
                .to_owned()
        }
        io::ErrorKind::AddrInUse => {
            format!(
                "; another program uses the address: stop it, or choose another one for the listener \"{listener}\""
            )
        }
        io::ErrorKind::PermissionDenied if is_unix => {
            "; the directory is not ours to write in, or the owner is not ours to choose".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address".to_owned(),
        io::ErrorKind::NotFound if is_unix => "; make its directory first".to_owned(),
        _ => String::new(),
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
        let Plan { config, reload, on_serving, in_background, built_in, processes, tasks, passed } =
            plan;
        // What follows, every fork above all, is sound in a process with one thread only. Without /proc nobody can tell.
        if let Ok(threads @ 2..) = process::thread_count() {
            return Err(StartError::Threads(threads));
        }
        title::prepare();
        programs::check(&config)?;
        let surroundings = surroundings::settle(&config)?;
        let tls = load_in_process(&config, tls::now_unix_s())?;
        for warning in tls.iter().flat_map(|loaded| &loaded.summary.warnings) {
            log::warn!("{warning}");
        }
        let system = |what| move |error| StartError::System(what, error);
        // Before anybody can read whom to send them to.
        let signals = Signals::listen().map_err(system("signals"))?;
        let pid_file = PidFile::take(&config.server.pid_file)?;
        let workers = config.server.workers;
        let listeners = Listeners::bind(&config, pid_file.was_left_behind(), passed)?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(warning) = clock_check::warning(since_1970, program_made()) {
            log::warn!("{warning}");
        }
        let seed = random::seed().map_err(system("random numbers"))?;
        let names: Vec<&str> = processes.iter().map(|process| process.name.as_str()).collect();
        let directory = Rc::new(Directory::new(
            workers as u16,
            &names,
            Installed::all_of(&config),
            task_processes(&config, tasks.as_ref()),
            // A configuration that cannot be read again brings no programs.
            if reload.is_some() { PROGRAMS_TO_COME_MAX } else { 0 },
        ));
        // Rounded up: a serial number must never be ahead of the clock of a server that starts later.
        let clock = SerialClock::new(clock::now().ms() + 1, since_1970);
        let shared_state = SharedState::new(workers as u16, directory.mailboxes(), clock, seed)
            .map_err(system("shared memory"))?;
        logging::count_losses_on(&shared_state);
        let is_somebody = |side: &&SideProcess| side.body != Body::Vacant;
        for side in directory.sides().iter().filter(is_somebody) {
            // What comes for them before they are forked waits for them.
            SideStatus::of(&shared_state, side.address).begin_incarnation();
        }
        let mailboxes = (0..directory.mailboxes())
            .map(|_| MailboxPair::new())
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("mailboxes"))?;
        let writers = mailboxes
            .iter()
            .map(|mailbox| mailbox.writer.try_clone())
            .collect::<io::Result<Vec<_>>>()
            .map_err(system("mailboxes"))?;
        let sender = MailboxSender::new(writers, NEWS_BYTES_MAX);
        let handle = Handle::new(directory.master(), shared_state.clone(), sender);
        let surveys = surveys(&handle, &mailboxes, seed).map_err(system("mailboxes"))?;
        let seats = (0..workers)
            .map(|_| SeatKept {
                forks: 0,
                tenures: super::lost::Tenures::default(),
                processes: Vec::new(),
            })
            .collect();
        if directory.sides().iter().any(|side| is_somebody(&side)) {
            process::adopt_orphans().map_err(system("adopting orphans"))?;
        }
        let vacant = directory.sides().iter().filter(|side| !is_somebody(side)).count();
        let specs = specs(&config, &processes, &directory);
        let sides = forking::stop_timeout_max(&config, &processes, &directory);
        let policy = settings::policy(&config, sides);
        let control_file = control_path(pid_file.path());
        let control = Control::open(&control_file)
            .map_err(|error| StartError::Control(control_file.display().to_string(), error))?;
        let mut master = Self {
            supervisor: Supervisor::new(specs, policy, seed).with_vacant_slots(vacant),
            signals,
            poll: Poll::new().map_err(system("the poll"))?,
            started: clock::now(),
            config,
            reload,
            coming_up: Some(ComingUp::new(on_serving)),
            in_background,
            built_in,
            make,
            surroundings,
            tls: tls
                .map(|loaded| Tls::new(loaded, clock::now()))
                .transpose()
                .map_err(system("keys for TLS tickets"))?,
            listeners,
            control,
            pid_file,
            shared_state,
            mailboxes,
            seats,
            processes,
            tasks,
            directory,
            handle,
            surveys,
            mark: format!("WSMASTER_PLUGIN_RUN={seed:016x}"),
            children: HashMap::new(),
            callers: HashMap::new(),
            next_caller: 0,
            reloaders: Vec::new(),
            reload_lines: Vec::new(),
            log_keeper: LogKeeper::default(),
            reopeners: Vec::new(),
            certificates_handover: Handover::default(),
            ticket_keys_handover: Handover::default(),
            renewers: Vec::new(),
            totals: WorkerCounters::zero(),
            systemd: Systemd::new(clock::now()),
            watchdog: Watchdog::default(),
            task_watchdog: Watchdog::default(),
            memory: MemoryWatch::default(),
            told_to_leave: HashMap::new(),
            closing_wait: ClosingWait::default(),
            news_missed: 0,
            retiring: Vec::new(),
            freed: HashMap::new(),
            awaited: HashSet::new(),
            reload_failed: false,
            last_words: HashMap::new(),
            stopping: false,
            failure: None,
            done: false,
        };
        master.register().map_err(system("the poll"))?;
        Ok(master)
    }
}

/// When the file of this program was made, since 1970.
fn program_made() -> Option<Duration> {
    let made = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    made.duration_since(UNIX_EPOCH).ok()
}

/// What the master asks workers with.
/// What to do about an error of the system, where that is known.
fn advice(error: &io::Error) -> &'static str {
    if reserve::is_out_of_descriptors(error) {
        "; raise server.rlimit_nofile, or the limit of the shell or service manager (ulimit -n)"
    } else {
        ""
    }
}

fn surveys(handle: &Handle, mailboxes: &[MailboxPair], seed: u64) -> io::Result<Surveys> {
    let own = usize::from(handle.own_address().0);
    let own = mailboxes.get(own).ok_or(io::ErrorKind::NotFound)?;
    let reader = own.reader.try_clone()?;
    let inbox = Inbox::new(reader, handle.own_address(), handle.shared_state().clone());
    Ok(Surveys::new(handle, inbox, seed / 2))
}

fn specs(config: &Config, processes: &[Process], directory: &Directory) -> Vec<ChildSpec> {
    let workers = (0..config.server.workers).map(|number| ChildSpec {
        name: format!("worker {number}"),
        restart: RestartPolicy::Always,
        reloadable: true,
        listens: true,
        stop_timeout: None,
    });
    let sides = directory.sides().iter().enumerate();
    // These are the last ones, and have slots of their own kind.
    let sides = sides.take_while(|(_, side)| side.body != Body::Vacant);
    let sides = sides.map(|(number, _)| forking::spec(config, processes, directory, number));
    workers.chain(sides).collect()
}

/// How many task processes there are to be.
fn task_processes(config: &Config, tasks: Option<&TaskMaker>) -> u16 {
    let wanted = config.server.task_workers;
    if tasks.is_none() && wanted > 0 {
        log::warn!(
            "server.task_workers is {wanted}, and the application does no tasks: there are no task processes"
        );
        return 0;
    }
    u16::try_from(wanted).unwrap_or(u16::MAX)
}
