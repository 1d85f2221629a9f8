//! The loop of a host, and the program's life in it.

use std::time::Duration;

use wsmaster_ipc::{
    Moment,
    command::Group,
    link::ToMaster,
    side_status::{SideCounter, SideStatus},
    sys::{
        clock,
        process::{self, Ended},
    },
};
use wsmaster_protocol::plugin::{self, EventKind};

use super::{
    child::Child, commands::Pending, event_pipe::EventPipe, event_sequencer::EventSequencer,
    line_reader::LineReader, output::Output, pending_requests::PendingRequests, phase::Phase,
    ticker::Ticker,
};
use crate::{config::ProcessConfig, side::process_loop::ProcessLoop};

/// From the start of a program to its word that it is ready.
pub(super) const READY_TIME: Duration = Duration::from_secs(10);
/// Turns in which the last commands are read of a program that has ended: more than the largest pipe has.
const LAST_TURNS_MAX: usize = 64;

/// What a host watches beside its mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The pipe of events has room, or is closed.
    Events,
    /// The program has written commands.
    Commands,
    /// It has printed something.
    Output,
    /// It has ended.
    Child,
}

pub(super) struct Host<'c> {
    pub(super) process_loop: ProcessLoop<Pending, Source>,
    pub(super) config: &'c ProcessConfig,
    /// The file that the program is configured in, for messages.
    pub(super) config_file: &'c str,
    pub(super) child: Child,
    pub(super) phase: Phase,
    pub(super) events: EventPipe,
    pub(super) sequencer: EventSequencer,
    pub(super) requests: PendingRequests,
    /// What the host shows of itself in shared memory.
    pub(super) status: SideStatus,
    /// The group of the program's connections; `None`: it is not an application.
    pub(super) group: Option<Group>,
    /// The events that the program wants.
    pub(super) wanted: Vec<EventKind>,
    pub(super) commands: LineReader,
    /// Invalid commands, one after the other.
    pub(super) invalid_lines: u32,
    /// Its stderr, and its stdout unless that is for commands.
    pub(super) outputs: Vec<Output>,
    pub(super) ticker: Option<Ticker>,
}

impl Host<'_> {
    /// Runs until the program has ended. The exit code.
    pub(super) fn run(mut self) -> i32 {
        let mut own = Vec::new();
        loop {
            self.write_events();
            self.show();
            self.process_loop.flush();
            own.clear();
            let timeout = self.timeout();
            let turn = match self.process_loop.wait(timeout, &mut own) {
                Ok(turn) => turn,
                Err(error) => {
                    log::error!("poll failed: {error}; killing the side process");
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
                    Source::Events | Source::Child => {}
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
            self.expire(clock::now());
            if self.child.has_ended() {
                return self.finish();
            }
        }
    }

    // ----- time -----

    fn timeout(&self) -> Option<Duration> {
        if self.commands.is_readable() || self.outputs.iter().any(Output::is_readable) {
            return Some(Duration::ZERO);
        }
        let ready = self.phase == Phase::Ready;
        let tick = self.ticker.filter(|_| ready).map(|ticker| ticker.next());
        let watchdog = self.config.watchdog.filter(|_| ready);
        let watchdog = watchdog.and_then(|limit| self.events.watchdog_deadline(limit));
        let outputs = self.outputs.iter().filter_map(Output::next);
        let next = outputs
            .chain(self.phase.deadline())
            .chain(self.sequencer.deadline())
            .chain(tick)
            .chain(watchdog)
            .min()?;
        Some(next.saturating_duration_since(clock::now()))
    }

    fn expire(&mut self, now: Moment) {
        for output in &mut self.outputs {
            if output.next().is_some_and(|at| now >= at) {
                output.tell_dropped();
            }
        }
        self.sequencer.expire(now, &mut self.events.queue);
        self.check_watchdog(now);
        self.expire_phase(now);
        let ticker = self.ticker.as_mut().filter(|_| self.phase == Phase::Ready);
        if let Some(number) = ticker.and_then(|ticker| ticker.take(now)) {
            let mut line = Vec::new();
            plugin::tick(&mut line, number);
            self.events.queue.push_event(line, plugin::dropped);
        }
    }

    fn expire_phase(&mut self, now: Moment) {
        match self.phase {
            Phase::Starting { until } if now >= until => {
                let reason = format!(
                    "not ready within {READY_TIME:?}: no {{\"do\":\"ready\"}} received; killing the side process"
                );
                self.fail(reason);
            }
            Phase::Stopping { terminate: Some(at), until } if now >= at && now < until => {
                self.phase = Phase::Stopping { terminate: None, until };
                process::terminate_group(process::own_pid());
            }
            Phase::Stopping { until, .. } if now >= until => {
                log::warn!("stop timeout: still running; killing the side process");
                self.kill();
            }
            Phase::Starting { .. } | Phase::Stopping { .. } | Phase::Ready | Phase::Killed => {}
        }
    }

    /// Kills a program that reads no events, if there is a limit to that.
    fn check_watchdog(&mut self, now: Moment) {
        let Some(limit) = self.config.watchdog else { return };
        if self.events.is_stuck(limit, now) && self.phase == Phase::Ready {
            log::error!("watchdog timeout: no event read for {limit:?}; killing the side process");
            self.kill();
        }
    }

    // ----- the program's end -----

    fn stop(&mut self, left: Duration) {
        if !self.phase.takes_events() {
            return;
        }
        let now = clock::now();
        // The event comes first: a program without a handler of SIGTERM would be gone before it could read it.
        self.phase = Phase::Stopping { terminate: Some(now + left / 2), until: now + left };
        let mut line = Vec::new();
        plugin::stop(&mut line, left.as_millis() as u64);
        self.events.queue.push_answer(line);
        self.write_events();
    }

    pub(super) fn kill(&mut self) {
        self.phase = Phase::Killed;
        self.child.kill();
    }

    /// Kills a program that does not come up, and tells the master why.
    pub(super) fn fail(&mut self, reason: String) {
        log::error!("{reason}");
        self.process_loop.link.send(&ToMaster::Failed { reason });
        self.kill();
    }

    /// The program has ended: does what is left to do. The exit code for the master.
    fn finish(&mut self) -> i32 {
        let (was_starting, was_asked) = (self.phase.is_starting(), self.phase.is_stopping());
        let how = self.child.reap();
        self.child.kill_descendants();
        self.read_last_commands();
        for output in &mut self.outputs {
            output.wake();
            output.read();
            output.tell_dropped();
        }
        if was_starting && let Some(line) = self.outputs.iter().find_map(Output::last) {
            self.process_loop.link.send(&ToMaster::LastWords { line });
        }
        self.answer_all_as_ended();
        self.sequencer.end();
        self.status.add(SideCounter::DroppedEvents, self.events.queue.len() as u64);
        self.show();
        self.process_loop.flush();
        let dropped = self.events.queue.dropped_in_all();
        if dropped > 0 {
            log::warn!("{dropped} events dropped: the side process did not read them in time");
        }
        match how {
            Some(Ended::Code(code)) => code,
            // An answer to being asked to end.
            Some(Ended::Signal(15)) if was_asked => 0,
            Some(Ended::Signal(signal)) => 128 + signal,
            None => 1,
        }
    }

    /// What came after the last look at the pipe.
    fn read_last_commands(&mut self) {
        self.commands.wake();
        for _ in 0..LAST_TURNS_MAX {
            if !self.commands.is_readable() {
                break;
            }
            self.read_commands();
        }
        self.execute_unended_line();
    }

    /// Nothing can be done for the program any more.
    fn give_up(&mut self) -> i32 {
        self.kill();
        self.answer_all_as_ended();
        self.process_loop.flush();
        self.child.kill_descendants();
        // What is in the group without the mark, and this process too.
        process::kill_group(process::own_pid());
        1
    }

    // ----- what it shows -----

    fn write_events(&mut self) {
        let lines = self.events.write();
        self.status.add(SideCounter::Events, lines);
    }

    /// Shows its counters, and whether senders that can wait should.
    fn show(&mut self) {
        let queue = &mut self.events.queue;
        let dropped = self.sequencer.take_dropped() + queue.take_uncounted();
        self.status.add(SideCounter::DroppedEvents, dropped);
        self.status.set(SideCounter::QueuedBytes, queue.bytes() as u64);
        self.status.set(SideCounter::OpenQuestions, self.requests.len() as u64);
        // What comes while the program ends is for its successor.
        let is_full = !self.phase.takes_events() || queue.is_filling(self.status.is_full());
        self.status.set_full(is_full);
    }
}
