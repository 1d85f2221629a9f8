//! The host of a program: the process between the server's mailboxes and a program's pipes.
//!
//! It turns words of workers into lines for the program and the program's lines into commands. The program can do what it
//! likes: not read, not write, flood, or die; the host bounds all of it, and only the program's own events suffer.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wsmaster_ipc::{
    Command,
    link::ToMaster,
    sys::{
        process::{self, Ended, Kill, Process},
        spawn::{self, Program, Running},
        user::Identity,
    },
};
use wsmaster_protocol::plugin::{self, EventKind};
use wsmaster_workers::Message;

use super::{
    lines::LineReader,
    orders::{self, Pending},
    queue::LineQueue,
    station::{SideSeat, Station},
};
use crate::{config::ProcessConfig, logging};

/// The longest line of a program, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest line of its stdout or stderr that goes to the log whole.
const LOG_LINE_BYTES_MAX: usize = 4096;
/// Lines of its stdout and stderr that go to the log in a second; more are counted.
const LOG_LINES_PER_SECOND_MAX: u32 = 500;
/// Bytes read from one of its pipes in one turn.
const READ_BYTES_PER_TURN_MAX: usize = 256 * 1024;
/// Lines that are no commands, one after the other, that end a program.
const INVALID_LINES_MAX: u32 = 100;
/// From the start of a program to its word that it is ready.
const READY_TIME: Duration = Duration::from_secs(10);

const EVENTS: usize = 0;
const COMMANDS: usize = 1;
const STDOUT: usize = 2;
const STDERR: usize = 3;
const LIFE: usize = 4;

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
    station: Station<Pending>,
    config: &'c ProcessConfig,
    pid: i32,
    life: Process,
    phase: Phase,
    events: Option<File>,
    queue: LineQueue,
    wanted: Vec<EventKind>,
    commands: Pipe,
    invalid_lines: u32,
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    log: LogBudget,
    tick: Option<(Duration, Instant, u64)>,
}

/// A pipe that the program writes to.
struct Pipe {
    file: Option<File>,
    lines: LineReader,
    readable: bool,
}

impl Pipe {
    fn new(end: OwnedFd, line_bytes_max: usize) -> Self {
        Self { file: Some(File::from(end)), lines: LineReader::new(line_bytes_max), readable: true }
    }
}

/// Lines for the log, so many a second.
struct LogBudget {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// Runs a program in this process, which is its own, until it ends. The exit code is the program's; 128 and the number of
/// the signal that killed it.
pub(crate) fn host(seat: SideSeat, config: &ProcessConfig, mark: &str) -> i32 {
    logging::set_role(&seat.side.full_name());
    // What it starts stays in one group with it, and can be ended with it.
    if let Err(error) = process::lead_own_group() {
        log::warn!("it has no process group of its own: {error}");
    }
    match begin(seat, config, mark) {
        Ok(host) => host.run(),
        Err(error) => {
            log::error!("{} cannot be started: {error}", config.command.display());
            127
        }
    }
}

fn begin<'c>(seat: SideSeat, config: &'c ProcessConfig, mark: &str) -> io::Result<Host<'c>> {
    let side = seat.side.clone();
    let workers = seat.handle.board().slots();
    let station = Station::new(seat)?;
    let identity = Identity::look_up(config.user.as_deref(), None)?;
    let Running { pid, events, commands, stdout, stderr } = spawn::spawn(&Program {
        command: &config.command,
        args: &config.args,
        env: &environment(config, &side, mark),
        env_hidden_prefix: "WSMASTER_",
        cwd: config.cwd.as_deref(),
        identity,
        stdio: config.stdio,
    })?;
    let life = Process::open(pid)?;
    station.watch(EVENTS, events.as_raw_fd())?;
    station.watch(COMMANDS, commands.as_raw_fd())?;
    station.watch(STDERR, stderr.as_raw_fd())?;
    station.watch(LIFE, life.as_fd().as_raw_fd())?;
    if let Some(stdout) = &stdout {
        station.watch(STDOUT, stdout.as_raw_fd())?;
    }
    let mut queue = LineQueue::new(config.queue_bytes_max);
    let mut line = Vec::new();
    plugin::hello(
        &mut line,
        &plugin::Hello {
            server: concat!("wsmaster ", env!("CARGO_PKG_VERSION")),
            name: &side.name,
            instance: side.instance,
            instances: side.instances,
            workers,
            events: &config.events,
            tick_ms: config.tick.map_or(0, |tick| tick.as_millis() as u64),
            line_bytes_max: LINE_BYTES_MAX,
        },
    );
    queue.push_answer(line);
    let now = Instant::now();
    Ok(Host {
        station,
        config,
        pid,
        life,
        phase: Phase::Starting { until: now + READY_TIME },
        events: Some(File::from(events)),
        queue,
        wanted: config.events.clone(),
        commands: Pipe::new(commands, LINE_BYTES_MAX),
        invalid_lines: 0,
        stdout: stdout.map(|stdout| Pipe::new(stdout, LOG_LINE_BYTES_MAX)),
        stderr: Some(Pipe::new(stderr, LOG_LINE_BYTES_MAX)),
        log: LogBudget { since: now, lines: 0, dropped: 0 },
        tick: config.tick.map(|tick| (tick, now + tick, 0)),
    })
}

fn environment(config: &ProcessConfig, side: &super::Side, mark: &str) -> Vec<(String, String)> {
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
            self.station.flush();
            own.clear();
            let patience = self.patience();
            let noted = match self.station.wait(patience, &mut own) {
                Ok(noted) => noted,
                Err(error) => {
                    log::error!("its poll failed: {error}");
                    return self.give_up();
                }
            };
            if noted.orphaned {
                return self.give_up();
            }
            if noted.reopen_log {
                logging::reopen();
            }
            if let Some(left) = noted.stop {
                self.stop(left.min(self.config.stop_timeout));
            }
            for number in &own {
                match *number {
                    COMMANDS => self.commands.readable = true,
                    STDOUT => wake(&mut self.stdout),
                    STDERR => wake(&mut self.stderr),
                    // The events pipe is tried, and the life looked at, in every turn.
                    _ => {}
                }
            }
            if self.take_mail().is_err() {
                return self.give_up();
            }
            self.read_commands();
            self.read_logs();
            self.look_at_the_clock();
            if let Some(code) = self.look_at_the_program() {
                return code;
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let more = self.commands.readable;
        let more_logs =
            [&self.stdout, &self.stderr].into_iter().flatten().any(|pipe| pipe.readable);
        if more || more_logs {
            return Some(Duration::ZERO);
        }
        let phase = match self.phase {
            Phase::Starting { until } => Some(until),
            Phase::Stopping { terminate, until } => terminate.or(Some(until)),
            Phase::Ready | Phase::Killed => None,
        };
        let tick = self.tick.map(|(_, next, _)| next);
        let next = phase.into_iter().chain(tick).min()?;
        Some(next.saturating_duration_since(now))
    }

    // ----- words for the program -----

    fn take_mail(&mut self) -> io::Result<()> {
        let Self { station, queue, wanted, phase, .. } = self;
        let mut answers = Vec::new();
        let mut lines = Vec::new();
        station.take_mail(
            |pending, reply| answers.extend(orders::answer(&pending, reply)),
            |directory, command| match *command {
                Command::Event { payload } => {
                    if is_wanted(payload, wanted) {
                        lines.push(payload.to_vec());
                    }
                }
                Command::Message { from, kind, payload } => {
                    let mut line = Vec::new();
                    let message = match Message::from_parts(kind, payload) {
                        Message::Text(text) => Ok(text),
                        Message::Binary(bytes) => Err(bytes),
                    };
                    plugin::from_process(&mut line, &directory.name_of(from), message);
                    lines.push(line);
                }
                // It owns no connections.
                Command::Push { .. }
                | Command::Broadcast { .. }
                | Command::Publish { .. }
                | Command::Disconnect { .. }
                | Command::Info { .. }
                | Command::List { .. }
                | Command::Answer { .. } => {}
            },
        )?;
        for line in answers {
            queue.push_answer(line);
        }
        let listens = match phase {
            Phase::Starting { .. } | Phase::Ready => true,
            Phase::Stopping { .. } | Phase::Killed => false,
        };
        for line in lines.into_iter().filter(|_| listens) {
            queue.push_event(line, plugin::dropped);
        }
        Ok(())
    }

    fn write_events(&mut self) {
        let Some(file) = &mut self.events else { return };
        while !self.queue.is_empty() {
            match file.write(self.queue.front()) {
                Ok(0) => break,
                Ok(count) => self.queue.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // It has closed its end; it may go on writing.
                    self.station.unwatch(file.as_raw_fd());
                    self.events = None;
                    return;
                }
            }
        }
    }

    // ----- words of the program -----

    fn read_commands(&mut self) {
        let mut left = READ_BYTES_PER_TURN_MAX;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let count = match read(&mut self.commands, &mut buffer) {
                Some(0) => {
                    self.close_commands();
                    return;
                }
                Some(count) => count,
                None => return,
            };
            left = left.saturating_sub(count);
            let mut lines = Vec::new();
            let taken =
                self.commands.lines.take(&buffer[..count], |line| lines.push(line.to_vec()));
            for line in lines {
                self.obey(&line);
            }
            if taken.is_err() {
                log::error!("it wrote a line of more than {LINE_BYTES_MAX} bytes, and is ended");
                self.kill();
                return;
            }
        }
    }

    fn obey(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let now_ms = self.station.now_ms();
        let line = String::from_utf8_lossy(line);
        let Station { asker, directory, .. } = &mut self.station;
        let effect = orders::carry_out(&line, asker, directory, now_ms, unix_ms());
        if let Some(answer) = effect.answer {
            self.queue.push_answer(answer);
        }
        if let Some(events) = effect.ready {
            if let Some(events) = events {
                self.wanted.retain(|kind| events.contains(kind));
            }
            if let Phase::Starting { .. } = self.phase {
                self.phase = Phase::Ready;
                self.station.link.say(&ToMaster::Ready);
            }
        }
        if effect.invalid {
            self.invalid_lines += 1;
            if self.invalid_lines == INVALID_LINES_MAX {
                log::error!(
                    "it wrote {INVALID_LINES_MAX} lines that are no commands, and is ended"
                );
                self.kill();
            }
        } else {
            self.invalid_lines = 0;
        }
    }

    fn close_commands(&mut self) {
        if let Some(file) = self.commands.file.take() {
            self.station.unwatch(file.as_raw_fd());
        }
    }

    fn read_logs(&mut self) {
        let mut buffer = vec![0; 16 * 1024];
        for (pipe, level) in
            [(&mut self.stdout, log::Level::Info), (&mut self.stderr, log::Level::Warn)]
        {
            let Some(open) = pipe else { continue };
            let mut left = READ_BYTES_PER_TURN_MAX;
            while left > 0 {
                let Some(count) = read(open, &mut buffer) else { break };
                let log = &mut self.log;
                if count == 0 {
                    let rest = open.lines.rest();
                    if !rest.is_empty() {
                        log.write(level, &rest);
                    }
                    if let Some(file) = open.file.take() {
                        self.station.unwatch(file.as_raw_fd());
                    }
                    *pipe = None;
                    break;
                }
                left = left.saturating_sub(count);
                let taken = open.lines.take(&buffer[..count], |line| log.write(level, line));
                if taken.is_err() {
                    log.write(level, b"(a line that is too long was left out)");
                }
            }
        }
    }

    // ----- life -----

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Starting { until } if now >= until => {
                log::error!(
                    "it did not say that it is ready within {READY_TIME:?} ({{\"do\":\"ready\"}}), and is ended"
                );
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
        let mut how = None;
        while let Some((pid, ended)) = process::reap() {
            if pid == self.pid {
                how = Some(ended);
            }
        }
        self.commands.readable = self.commands.file.is_some();
        self.read_commands();
        self.read_logs();
        self.station.flush();
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
        1
    }
}

impl LogBudget {
    fn write(&mut self, level: log::Level, line: &[u8]) {
        let now = Instant::now();
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            if self.dropped > 0 {
                log::warn!("{} more lines of its output were left out", self.dropped);
            }
            *self = Self { since: now, lines: 0, dropped: 0 };
        }
        if self.lines >= LOG_LINES_PER_SECOND_MAX {
            self.dropped += 1;
            return;
        }
        self.lines += 1;
        log::log!(level, "{}", String::from_utf8_lossy(line));
    }
}

/// Reads once. `None`: nothing now, or no longer.
fn read(pipe: &mut Pipe, buffer: &mut [u8]) -> Option<usize> {
    let file = pipe.file.as_mut().filter(|_| pipe.readable)?;
    loop {
        match file.read(buffer) {
            Ok(count) => return Some(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                pipe.readable = false;
                return None;
            }
        }
    }
}

fn wake(pipe: &mut Option<Pipe>) {
    if let Some(pipe) = pipe {
        pipe.readable = true;
    }
}

/// Whether a line is of a kind that the program wants: each begins with its name, as this server writes them.
fn is_wanted(line: &[u8], wanted: &[EventKind]) -> bool {
    let Some(rest) = line.strip_prefix(b"{\"event\":\"") else { return false };
    wanted.iter().any(|kind| {
        rest.strip_prefix(kind.name().as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"'))
    })
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
