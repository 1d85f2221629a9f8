//! The entry to the library: an application of one's own, on a server with workers, supervision and reload.

use std::path::PathBuf;

use wsmaster_ipc::sys::resource;
use wsmaster_workers::Handler;

use crate::{
    config::{AddressError, Config, ListenAddress, Machine},
    master::{self, Master, PassedSockets, Plan},
    side::{Process, TaskHandler, TaskInfo, TaskMaker},
    worker_info::WorkerInfo,
};

/// As many task processes as the configuration may name.
const TASK_WORKERS_MAX: usize = 256;

/// A server with an application.
#[derive(Debug)]
pub struct Server;

/// What can go wrong with a server as a whole. Each says in one line what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address to listen on is none.
    #[error("{0:?} is not an address: expected {1}")]
    Address(String, AddressError),
    /// See [`master::StartError`].
    #[error(transparent)]
    Start(#[from] master::StartError),
}

impl Server {
    /// A server with the default settings and no application yet.
    pub fn builder() -> Builder {
        let machine = Machine::new(
            &std::env::vars().collect::<Vec<_>>(),
            resource::effective_uid(),
            resource::cpus_available(),
        );
        Builder {
            config: Config::defaults(&machine),
            address: None,
            processes: Vec::new(),
            tasks: None,
        }
    }
}

/// Settings of a server that has no application yet.
#[derive(Clone, Debug)]
pub struct Builder {
    config: Config,
    address: Option<String>,
    processes: Vec<Process>,
    tasks: Option<TaskMaker>,
}

impl Builder {
    /// Takes all settings from a configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Listens on this address, `HOST:PORT` or `unix:/PATH`; port 0 lets the kernel choose. Further ones are in
    /// [`Config::listeners`]. Sockets that systemd has passed stand in the place of this one.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// Runs this many workers, at least 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.server.workers = workers.max(1);
        self
    }

    /// Uses this PID file. Two servers on one machine need two.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.server.pid_file = path.into();
        self
    }

    /// Runs a process beside the workers.
    #[must_use]
    pub fn add_process(mut self, process: Process) -> Self {
        self.processes.push(process);
        self
    }

    /// Runs this many task processes, at most 256. They need a handler: [`Self::tasks`].
    #[must_use]
    pub fn task_workers(mut self, processes: usize) -> Self {
        self.config.server.task_workers = processes.min(TASK_WORKERS_MAX);
        self
    }

    /// What task processes do: `make` is called in each of them, after the fork. How many there are is
    /// [`Self::task_workers`], or the setting `server.task_workers`.
    #[must_use]
    pub fn tasks<H: TaskHandler + 'static>(
        mut self,
        make: impl Fn(&TaskInfo) -> H + 'static,
    ) -> Self {
        self.tasks = Some(TaskMaker::new(make));
        self
    }

    /// The application: `make` is called in each worker, after the fork.
    pub fn handler<H, F>(self, make: F) -> ServerWith<F>
    where
        H: Handler,
        F: Fn(&WorkerInfo) -> H,
    {
        ServerWith { builder: self, make }
    }
}

/// A server with its application, ready to run.
#[derive(Debug)]
pub struct ServerWith<F> {
    builder: Builder,
    make: F,
}

impl<F> ServerWith<F> {
    /// Runs the server in this process, as its master, until it is told to stop (SIGTERM, SIGINT). The process must
    /// have one thread, and have no other as long as this runs: workers are forked from it.
    ///
    /// # Errors
    /// See [`ServerError`]; [`master::StartError::Threads`] when the process has more than one thread.
    pub fn run<H>(self) -> Result<(), ServerError>
    where
        H: Handler,
        F: Fn(&WorkerInfo) -> H,
    {
        let mut config = self.builder.config;
        if let Some(address) = self.builder.address {
            let parsed: Result<ListenAddress, _> = address.parse();
            let parsed = parsed.map_err(|error| ServerError::Address(address, error))?;
            (config.server.host, config.server.port) = parsed.host_and_port();
        }
        let plan = Plan::new(config)
            .side_processes(self.builder.processes)
            .tasks(self.builder.tasks)
            .passed_sockets(PassedSockets::take()?);
        Ok(Master::prepare(plan, self.make)?.run()?)
    }
}
