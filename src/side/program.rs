//! The host of a program: the process between the server's mailboxes and a program's pipes.
//!
//! It turns words of workers into lines for the program and the program's lines into commands. The program can do what it
//! likes: not read, not write, flood, or die; the host bounds all of it, and only the program's own events suffer.

mod program_io;

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use wsmaster_ipc::{
    Slot,
    command::Group,
    link::ToMaster,
    side_status::{Decider, SideCounter, SideStatus},
    sys::{
        inheritance::Inheritance,
        marked,
        process::{self, Ended, Kill, Process},
        spawn::{self, Program, Running},
        user::Identity,
    },
};
use wsmaster_protocol::plugin::{self, EventKind};

use super::{
    commands::Pending,
    connection_sync::ConnectionSync,
    directory::Installed,
    known_connections::{KNOWN_CONNECTIONS_MAX, KnownConnections},
    line_queue::LineQueue,
    line_reader::LineReader,
    output::Output,
    pending_requests::PendingRequests,
    process_loop::{ProcessLoop, SideSetup},
    stale_events::StaleEvents,
    watchdog::Watchdog,
};
use crate::{
    apps::group_of,
    config::{App, Config, ProcessConfig},
    logging, programs,
};

/// The longest line of a program, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the host waits for the end of what it has killed before it ends itself.
const KILLED_TIME: Duration = Duration::from_secs(1);
/// Turns in which the last commands are read of a program that has ended: more than the largest pipe has.
const LAST_TURNS_MAX: usize = 64;
/// From the start of a program to its word that it is ready.
const READY_TIME: Duration = Duration::from_secs(10);

/// How long a program that was started again waits for the last worker to tell which connections it has there: a worker
/// that hangs, or that starts just now, has nothing to tell.
const SYNC_TIME: Duration = Duration::from_secs(1);

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

/// What a host watches beside its mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// The pipe of events has room, or is closed.
    Events,
    /// The program has written commands.
    Commands,
    /// It has printed something.
    Output,
    /// It has ended.
    Life,
}

/// How far the program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It has not said that it is ready.
    Starting { until: Instant },
    /// It is told of events.
    Ready,
    /// It has been told to end; it is terminated at the first moment, and killed at the second.
    Stopping { terminate: Option<Instant>, until: Instant },
    /// It has been killed, and its death is awaited.
    Killed,
}

struct Host<'c> {
    process_loop: ProcessLoop<Pending, Source>,
    config: &'c ProcessConfig,
    /// The file that it is configured in.
    config_file: &'c str,
    mark: String,
    pid: i32,
    life: Process,
    phase: Phase,
    events: Option<File>,
    queue: LineQueue,
    requests: PendingRequests,
    stale_events: StaleEvents,
    known: KnownConnections,
    /// When the last of them are given up.
    stale_until: Instant,
    sync: ConnectionSync,
    sync_until: Instant,
    /// Bytes of events that the pipe has taken.
    written: u64,
    /// Some of them, or others, are not read yet.
    waits: bool,
    watchdog: Watchdog,
    /// What it shows of all this.
    status: SideStatus,
    dropped_shown: u64,
    /// It has connections of its own.
    is_application: bool,
    /// The group of these.
    own: Option<Group>,
    wanted: Vec<EventKind>,
    commands: LineReader,
    invalid_lines: u32,
    /// Its stderr, and its stdout unless that is for commands.
    outputs: Vec<Output>,
    tick: Option<(Duration, Instant, u64)>,
}

/// What an application is told of its connections without having asked for it.
const OF_APPLICATIONS: [EventKind; 4] =
    [EventKind::Open, EventKind::Message, EventKind::Close, EventKind::Request];

/// Runs a program in this process, which is its own, until it ends. The exit code is the program's; 128 and the number of
/// the signal that killed it.
pub(crate) fn host(
    seat: SideSetup,
    config: &Config,
    program: &Installed,
    mark: &str,
    inheritance: Inheritance,
) -> i32 {
    logging::set_role(&seat.side.full_name());
    // When the master dies the line to it ends, and there is time to end what the program has started.
    if let Err(error) = process::outlive_parent() {
        log::warn!("what the program starts may outlive the server: {error}");
    }
    // What it starts stays in one group with it, and can be ended with it.
    if let Err(error) = process::lead_own_group() {
        log::warn!("it has no process group of its own: {error}");
    }
    match begin(seat, config, program, mark_of(mark, process::own_pid()), inheritance) {
        Ok(Some(host)) => host.run(),
        // As a shell says it.
        Ok(None) => 127,
        Err(error) => {
            log::error!("its host cannot begin: {error}");
            1
        }
    }
}

/// The variable that marks what the program of one host has started: that of the whole run, and the pid of the host.
pub(crate) fn mark_of(run: &str, host: i32) -> String {
    format!("{run}-{host}")
}

/// Starts the program; `None` when it cannot be executed, of which the master has been told then.
fn begin<'c>(
    seat: SideSetup,
    whole: &'c Config,
    program: &'c Installed,
    mark: String,
    inheritance: Inheritance,
) -> io::Result<Option<Host<'c>>> {
    let Installed { config, is_application } = program;
    let is_application = *is_application;
    let side = seat.side.clone();
    let workers = seat.handle.shared_state().slots();
    let mut process_loop = ProcessLoop::new(seat)?;
    // Before the execution: what comes into its place later is another one.
    let files = programs::fingerprint(config);
    let running = Identity::look_up(config.user.as_deref(), None).and_then(|identity| {
        spawn::spawn(&Program {
            command: &config.command,
            args: &config.args,
            env: &environment(config, &side, &mark),
            is_hidden,
            cwd: config.cwd.as_deref(),
            identity,
            inheritance,
            stdio: config.stdio,
        })
    });
    let Running { pid, events, commands, stdout, stderr } = match running {
        Ok(running) => running,
        Err(error) => {
            let reason = format!("{} cannot be started: {error}", config.command.display());
            log::error!("{reason}");
            process_loop.link.send(&ToMaster::Failed { reason });
            return Ok(None);
        }
    };
    process_loop.link.send(&ToMaster::Runs { pid: pid.unsigned_abs(), files });
    let life = Process::open(pid)?;
    process_loop.watch(Source::Events, events.as_fd())?;
    process_loop.watch(Source::Commands, commands.as_fd())?;
    process_loop.watch(Source::Output, stderr.as_fd())?;
    process_loop.watch(Source::Life, life.as_fd())?;
    if let Some(stdout) = &stdout {
        process_loop.watch(Source::Output, stdout.as_fd())?;
    }
    let mut queue = LineQueue::new(config.queue_bytes_max);
    let mut wanted = config.events.clone();
    if is_application {
        wanted.extend(OF_APPLICATIONS.iter().filter(|kind| !config.events.contains(kind)));
    }
    let mut line = Vec::new();
    plugin::hello(
        &mut line,
        &plugin::Hello {
            server: concat!("wsmaster ", env!("CARGO_PKG_VERSION")),
            name: &side.name,
            instance: side.instance,
            instances: side.instances,
            workers,
            events: &wanted,
            tick_ms: config.tick.map_or(0, |tick| tick.as_millis() as u64),
            line_bytes_max: LINE_BYTES_MAX,
        },
    );
    queue.push_answer(line);
    let status = program_io::status_of(&process_loop);
    status.set_decider(Decider::Unknown);
    // Nobody has connections for the first one.
    let is_successor = is_application && status.incarnation().number > 1;
    let introducers = (0..workers).filter(|_| is_successor).filter_map(Slot::new);
    let now = Instant::now();
    let mut errors = Output::new(stderr, log::Level::Warn);
    errors.keep_last(true);
    Ok(Some(Host {
        process_loop,
        config,
        config_file: whole.sources.file.as_deref().unwrap_or("the configuration"),
        mark,
        pid,
        life,
        phase: Phase::Starting { until: now + READY_TIME },
        events: Some(File::from(events)),
        queue,
        stale_events: StaleEvents::new(config.queue_bytes_max),
        known: KnownConnections::new(&wanted, KNOWN_CONNECTIONS_MAX),
        stale_until: now + config.answer_timeout,
        sync: ConnectionSync::of(introducers, config.queue_bytes_max),
        sync_until: now + SYNC_TIME,
        written: 0,
        waits: false,
        watchdog: Watchdog::new(now),
        requests: PendingRequests::new(config.answer_timeout.as_millis() as u64),
        status,
        dropped_shown: 0,
        is_application,
        own: is_application.then(|| group_of(&App::Plugin(config.name.clone()))),
        wanted,
        commands: LineReader::new(commands, LINE_BYTES_MAX),
        invalid_lines: 0,
        outputs: stdout
            .map(|end| Output::new(end, log::Level::Info))
            .into_iter()
            .chain([errors])
            .collect(),
        tick: config.tick.map(|tick| (tick, now + tick, 0)),
    }))
}

/// Variables that are the server's alone: its settings, and what a service manager has told its first process.
fn is_hidden(name: &OsStr) -> bool {
    let own = name.as_encoded_bytes();
    own.starts_with(b"WSMASTER_")
        || OF_THE_SERVICE_MANAGER.iter().any(|hidden| hidden.as_bytes() == own)
}

fn environment(
    config: &ProcessConfig,
    side: &super::SideProcess,
    mark: &str,
) -> Vec<(String, String)> {
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

impl Host<'_> {
    fn run(mut self) -> i32 {
        let mut own = Vec::new();
        loop {
            self.write_events();
            self.show();
            self.process_loop.flush();
            own.clear();
            let patience = self.patience();
            let turn = match self.process_loop.wait(patience, &mut own) {
                Ok(noted) => noted,
                Err(error) => {
                    log::error!("its poll failed: {error}");
                    return self.give_up();
                }
            };
            if turn.orphaned {
                return self.give_up();
            }
            for source in &own {
                match source {
                    Source::Commands => self.commands.wake(),
                    Source::Output => self.outputs.iter_mut().for_each(Output::wake),
                    // The pipe is tried, and the program looked at, in every turn.
                    Source::Events | Source::Life => {}
                }
            }
            if self.take_mail().is_err() {
                return self.give_up();
            }
            if let Some(left) = turn.stop {
                if self.take_last_mail().is_err() {
                    return self.give_up();
                }
                self.stop(left.min(self.config.stop_timeout));
            }
            self.read_commands();
            self.outputs.iter_mut().for_each(Output::read);
            self.look_at_the_clock();
            if let Some(code) = self.look_at_the_program() {
                return code;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        if self.commands.is_readable() || self.outputs.iter().any(Output::is_readable) {
            return Some(Duration::ZERO);
        }
        let phase = match self.phase {
            Phase::Starting { until } => Some(until),
            Phase::Stopping { terminate, until } => terminate.or(Some(until)),
            Phase::Ready | Phase::Killed => None,
        };
        let tick = self.tick.map(|(_, next, _)| next);
        let sync = self.sync.are_missing().then_some(self.sync_until);
        let stale_events = (!self.stale_events.is_empty()).then_some(self.stale_until);
        // While it has all that it was told, the next look is at the next event.
        let watchdog = self.config.watchdog.filter(|_| self.phase == Phase::Ready && self.waits);
        let watchdog = watchdog.map(|limit| self.watchdog.deadline(limit));
        let logs = self.outputs.iter().filter_map(Output::next);
        let next = phase
            .into_iter()
            .chain(tick)
            .chain(logs)
            .chain(stale_events)
            .chain(sync)
            .chain(watchdog)
            .min()?;
        Some(next.saturating_duration_since(now))
    }

    // ----- life -----

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        for output in &mut self.outputs {
            if output.next().is_some_and(|at| now >= at) {
                output.tell_dropped();
            }
        }
        if self.sync.are_missing() && now >= self.sync_until {
            let Self { sync, queue, .. } = self;
            sync.end(|line| queue.push_kept(line));
        }
        if !self.stale_events.is_empty() && now >= self.stale_until {
            self.stale_events.give_up();
        }
        self.look_for_progress(now);
        match self.phase {
            Phase::Starting { until } if now >= until => {
                let reason = format!(
                    "it did not say that it is ready within {READY_TIME:?} ({{\"do\":\"ready\"}}), and is ended"
                );
                log::error!("{reason}");
                self.process_loop.link.send(&ToMaster::Failed { reason });
                self.kill();
            }
            Phase::Stopping { terminate: Some(at), until } if now >= at && now < until => {
                self.phase = Phase::Stopping { terminate: None, until };
                process::terminate_group(process::own_pid());
            }
            Phase::Stopping { until, .. } if now >= until => {
                log::warn!("it does not end in time, and is killed");
                self.kill();
            }
            Phase::Starting { .. } | Phase::Stopping { .. } | Phase::Ready | Phase::Killed => {}
        }
        if let (Some((every, next, number)), Phase::Ready) = (&mut self.tick, self.phase)
            && now >= *next
        {
            // What was missed is not made up for.
            *next = now + *every;
            *number += 1;
            let mut line = Vec::new();
            plugin::tick(&mut line, *number);
            self.queue.push_event(line, plugin::dropped);
        }
    }

    /// Ends a program that takes nothing of what it is told, if there is a limit to that.
    fn look_for_progress(&mut self, now: Instant) {
        let (Some(limit), Some(file)) = (self.config.watchdog, &self.events) else { return };
        let unread = spawn::unread_bytes(file.as_fd()).unwrap_or(0);
        self.waits = unread > 0 || !self.queue.is_empty();
        let taken = self.written.saturating_sub(unread as u64);
        let is_stuck = self.watchdog.is_stuck(taken, self.waits, limit, now);
        if is_stuck && self.phase == Phase::Ready {
            log::error!("it hangs: it has taken no event for {limit:?}, and is ended");
            self.kill();
        }
    }

    fn stop(&mut self, left: Duration) {
        match self.phase {
            Phase::Starting { .. } | Phase::Ready => {}
            Phase::Stopping { .. } | Phase::Killed => return,
        }
        let now = Instant::now();
        // The word comes first: a program that does not look for signals would be gone before it could read it.
        self.phase = Phase::Stopping { terminate: Some(now + left / 2), until: now + left };
        let mut line = Vec::new();
        plugin::stop(&mut line, left.as_millis() as u64);
        self.queue.push_answer(line);
        self.write_events();
    }

    fn kill(&mut self) {
        self.phase = Phase::Killed;
        process::signal_child(self.pid, Kill::Kill);
    }

    /// The exit code for the master, once the program has ended.
    fn look_at_the_program(&mut self) -> Option<i32> {
        if !self.life.wait(Duration::ZERO).unwrap_or(true) {
            return None;
        }
        let asked = match self.phase {
            Phase::Stopping { .. } => true,
            Phase::Starting { .. } | Phase::Ready | Phase::Killed => false,
        };
        let was_starting = matches!(self.phase, Phase::Starting { .. });
        let mut how = None;
        while let Some((pid, ended)) = process::reap() {
            if pid == self.pid {
                how = Some(ended);
            }
        }
        self.end_what_it_started();
        // Its last words may have come after the last look at its pipes.
        self.commands.wake();
        for _ in 0..LAST_TURNS_MAX {
            if !self.commands.is_readable() {
                break;
            }
            self.read_commands();
        }
        self.obey_the_rest();
        for output in &mut self.outputs {
            output.wake();
            output.read();
            output.tell_dropped();
        }
        if was_starting && let Some(line) = self.outputs.iter().find_map(Output::last) {
            self.process_loop.link.send(&ToMaster::LastWords { line });
        }
        self.settle_all();
        self.stale_events.give_up();
        let unread = self.queue.len() as u64;
        self.status.add(SideCounter::DroppedEvents, unread);
        self.show();
        self.process_loop.flush();
        if self.queue.dropped_in_all() > 0 {
            log::warn!("{} events were dropped: it did not read", self.queue.dropped_in_all());
        }
        Some(match how {
            Some(Ended::Code(code)) => code,
            // An answer to being asked to end.
            Some(Ended::Signal(15)) if asked => 0,
            Some(Ended::Signal(signal)) => 128 + signal,
            None => 1,
        })
    }

    /// Nothing can be done for the program any more.
    fn give_up(&mut self) -> i32 {
        self.kill();
        self.settle_all();
        self.process_loop.flush();
        self.end_what_it_started();
        // What is in the group without the mark, and this process too.
        process::kill_group(process::own_pid());
        1
    }

    /// Kills what carries the mark of this host, which the program itself may still do.
    fn end_what_it_started(&self) {
        let killed = marked::kill_marked(&self.mark);
        if !killed.is_empty() {
            log::warn!("{} processes of it were left and have been killed", killed.len());
        }
        marked::wait_for_all(&killed, KILLED_TIME);
    }
}
