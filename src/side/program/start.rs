//! The start of a program: what it gets, and the host that is made for it.

use std::{ffi::OsStr, io, os::fd::AsFd};

use wsmaster_ipc::{
    Slot,
    command::Group,
    link::ToMaster,
    side_status::{Decider, SideStatus},
    sys::{
        clock,
        inheritance::Inheritance,
        process,
        spawn::{self, Program, Running},
        user::Identity,
    },
};
use wsmaster_protocol::plugin::{self, EventKind};

use super::{
    child::{Child, mark_of},
    command_line::LINE_BYTES_MAX,
    event_pipe::EventPipe,
    event_sequencer::{EventSequencer, Sequence},
    host::{Host, READY_TIME, Source},
    line_queue::LineQueue,
    line_reader::LineReader,
    output::Output,
    pending_requests::PendingRequests,
    phase::Phase,
    ticker::Ticker,
};
use crate::{
    config::{App, Config, ProcessConfig},
    logging, programs,
    side::{
        directory::{Installed, SideProcess},
        process_loop::{ProcessLoop, SideSetup},
    },
};

/// sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). A program that took them for its own would say in the server's name
/// that it is ready or alive, and take its descriptors for sockets.
const OF_THE_SERVICE_MANAGER: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// The events that an application gets without having asked for them.
const OF_APPLICATIONS: [EventKind; 4] =
    [EventKind::Open, EventKind::Message, EventKind::Close, EventKind::Request];

/// Runs a program in this process, which is its own, until it ends. The exit code is the program's; 128 and the number of
/// the signal that killed it.
pub(crate) fn host(
    setup: SideSetup,
    config: &Config,
    program: &Installed,
    mark: &str,
    inheritance: Inheritance,
) -> i32 {
    logging::set_role(&setup.side.full_name());
    // When the master dies the link to it ends, and there is time to end what the program has started.
    if let Err(error) = process::outlive_parent() {
        log::warn!(
            "cannot outlive the master: {error}; what the side process starts may outlive the server"
        );
    }
    // What it starts stays in one group with it, and can be ended with it.
    if let Err(error) = process::lead_own_group() {
        log::warn!(
            "no process group of its own: {error}; what the side process starts may outlive it"
        );
    }
    let start = Start { config, program, mark: mark_of(mark, process::own_pid()), inheritance };
    match start.begin(setup) {
        Ok(Some(host)) => host.run(),
        // As a shell says it.
        Ok(None) => 127,
        Err(error) => {
            log::error!("host of the side process cannot start: {error}");
            1
        }
    }
}

/// What a program is started with.
struct Start<'c> {
    config: &'c Config,
    program: &'c Installed,
    mark: String,
    inheritance: Inheritance,
}

impl<'c> Start<'c> {
    /// Starts the program; `None` when it cannot be executed, of which the master has been told then.
    fn begin(self, setup: SideSetup) -> io::Result<Option<Host<'c>>> {
        let Installed { config, is_application } = self.program;
        let (side, shared_state) = (setup.side.clone(), setup.handle.shared_state().clone());
        let status = SideStatus::of(&shared_state, side.address);
        let mut process_loop = ProcessLoop::new(setup)?;
        // Before the execution: what comes into its place later is another one.
        let files = programs::fingerprint(config);
        let running = match self.spawn(&side) {
            Ok(running) => running,
            Err(error) => {
                let reason = format!("{} cannot be started: {error}", config.command.display());
                log::error!("{reason}");
                process_loop.link.send(&ToMaster::Failed { reason });
                return Ok(None);
            }
        };
        let pid = running.pid.unsigned_abs();
        process_loop.link.send(&ToMaster::Runs { pid, files });
        let child = Child::open(running.pid, self.mark)?;
        process_loop.watch(Source::Child, child.as_fd())?;
        watch_pipes(&mut process_loop, &running)?;
        let Running { events, commands, stdout, stderr, .. } = running;
        let mut errors = Output::new(stderr, log::Level::Warn);
        errors.keep_last(true);
        let output = stdout.map(|end| Output::new(end, log::Level::Info));
        let wanted = wanted(config, *is_application);
        let mut queue = LineQueue::new(config.queue_bytes_max);
        queue.push_answer(hello(config, &side, shared_state.slots(), &wanted));
        status.set_decider(Decider::Unknown);
        // No worker has connections of the first incarnation.
        let is_successor = *is_application && status.incarnation().number > 1;
        let workers = (0..shared_state.slots()).filter(|_| is_successor).filter_map(Slot::new);
        let now = clock::now();
        let sequence = Sequence {
            is_application: *is_application,
            wanted: &wanted,
            workers: workers.collect(),
            bytes_max: config.queue_bytes_max,
            stale_time: config.answer_timeout,
        };
        Ok(Some(Host {
            process_loop,
            config,
            config_file: self.config.sources.file.as_deref().unwrap_or("the configuration"),
            child,
            phase: Phase::Starting { until: now + READY_TIME },
            events: EventPipe::new(events, queue, now),
            sequencer: EventSequencer::new(sequence, now),
            requests: PendingRequests::new(config.answer_timeout.as_millis() as u64),
            status,
            group: is_application.then(|| Group::named(&App::Plugin(config.name.clone()).name())),
            wanted,
            commands: LineReader::new(commands, LINE_BYTES_MAX),
            invalid_lines: 0,
            outputs: output.into_iter().chain([errors]).collect(),
            ticker: config.tick.map(|every| Ticker::new(every, now)),
        }))
    }

    fn spawn(&self, side: &SideProcess) -> io::Result<Running> {
        let config = &self.program.config;
        let identity = Identity::look_up(config.user.as_deref(), None)?;
        spawn::spawn(&Program {
            command: &config.command,
            args: &config.args,
            env: &environment(config, side, &self.mark),
            is_hidden,
            cwd: config.cwd.as_deref(),
            identity,
            inheritance: self.inheritance,
            stdio: config.stdio,
        })
    }
}

fn watch_pipes<D>(process_loop: &mut ProcessLoop<D, Source>, running: &Running) -> io::Result<()> {
    process_loop.watch(Source::Events, running.events.as_fd())?;
    process_loop.watch(Source::Commands, running.commands.as_fd())?;
    process_loop.watch(Source::Output, running.stderr.as_fd())?;
    match &running.stdout {
        Some(stdout) => process_loop.watch(Source::Output, stdout.as_fd()),
        None => Ok(()),
    }
}

fn wanted(config: &ProcessConfig, is_application: bool) -> Vec<EventKind> {
    let granted = OF_APPLICATIONS.iter().filter(|_| is_application);
    let granted = granted.filter(|kind| !config.events.contains(kind));
    config.events.iter().chain(granted).copied().collect()
}

fn hello(
    config: &ProcessConfig,
    side: &SideProcess,
    workers: u16,
    events: &[EventKind],
) -> Vec<u8> {
    let mut line = Vec::new();
    plugin::hello(
        &mut line,
        &plugin::Hello {
            server: concat!("wsmaster ", env!("CARGO_PKG_VERSION")),
            name: &side.name,
            instance: side.instance,
            instances: side.instances,
            workers,
            events,
            tick_ms: config.tick.map_or(0, |tick| tick.as_millis() as u64),
            line_bytes_max: LINE_BYTES_MAX,
        },
    );
    line
}

/// Variables that are the server's alone: its settings, and those that a service manager has given its first process.
fn is_hidden(name: &OsStr) -> bool {
    let own = name.as_encoded_bytes();
    own.starts_with(b"WSMASTER_")
        || OF_THE_SERVICE_MANAGER.iter().any(|hidden| hidden.as_bytes() == own)
}

fn environment(config: &ProcessConfig, side: &SideProcess, mark: &str) -> Vec<(String, String)> {
    let (events, commands) =
        if config.stdio { (0, 1) } else { (spawn::EVENTS_FD, spawn::COMMANDS_FD) };
    let own = [
        ("WSMASTER_PLUGIN_NAME", side.name.clone()),
        ("WSMASTER_PLUGIN_INSTANCE", side.instance.to_string()),
        ("WSMASTER_PLUGIN_EVENTS_FD", events.to_string()),
        ("WSMASTER_PLUGIN_COMMANDS_FD", commands.to_string()),
        ("WSMASTER_PLUGIN_PROTOCOL", plugin::PROTOCOL.to_string()),
    ];
    let mut all: Vec<(String, String)> =
        config.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    all.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    all.extend(mark.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    all
}
