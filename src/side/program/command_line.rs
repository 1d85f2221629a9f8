//! The lines that a program writes: commands, and answers to requests.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use wsmaster_ipc::{
    link::ToMaster,
    side_status::{Decider, SideCounter},
};
use wsmaster_protocol::plugin::{Answer, EventKind, Level};

use super::{
    commands::{self, Effect, Executor, NO_SUCH_REQUEST, Ready},
    host::Host,
    line_reader::Taken,
    mail::REQUESTS,
    output::Output,
    pending_requests::PendingRequest,
    phase::Phase,
    ready_check::ConfiguredEvents,
};
use crate::side::process_loop::ProcessLoop;

/// The longest line of a program, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of commands read in one turn.
const READ_BYTES_PER_TURN_MAX: usize = 256 * 1024;
/// Invalid commands, one after the other, that end a program.
const INVALID_LINES_MAX: u32 = 100;
/// Of a line that was refused, how many characters the log repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// What a line of the program was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Executed {
    /// A command, or empty.
    Done,
    /// No command.
    Invalid,
}

impl Host<'_> {
    pub(super) fn read_commands(&mut self) {
        let mut left = READ_BYTES_PER_TURN_MAX;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let mut lines = Vec::new();
            let taken = self.commands.read(&mut buffer, |line| lines.push(line.to_vec()));
            for line in lines {
                self.execute(&line);
            }
            match taken {
                Taken::Bytes(count) => left = left.saturating_sub(count),
                Taken::TooLong(_) => {
                    log::error!(
                        "command longer than {LINE_BYTES_MAX} bytes; killing the side process"
                    );
                    self.kill();
                    return;
                }
                Taken::Nothing => return,
                // A descriptor that is closed leaves the poll: no other process has this end.
                Taken::End => {
                    self.execute_unended_line();
                    return;
                }
            }
        }
    }

    /// The last command of a program that has closed its commands, or has ended, without the end of its line.
    pub(super) fn execute_unended_line(&mut self) {
        let rest = self.commands.rest();
        if self.execute(&rest) == Executed::Invalid {
            // The program may not read its reply any more.
            let shown: String =
                String::from_utf8_lossy(&rest).chars().take(SHOWN_CHARS_MAX).collect();
            log::warn!("invalid command ignored, the last line has no end: {shown}");
        }
    }

    fn execute(&mut self, line: &[u8]) -> Executed {
        if line.is_empty() {
            return Executed::Done;
        }
        let now_ms = self.process_loop.now_ms();
        let ProcessLoop { requester, directory, .. } = &mut self.process_loop;
        let own = self.group;
        let mut executor = Executor { own, requester, directory, now_ms, unix_ms: unix_ms() };
        match executor.execute(&String::from_utf8_lossy(line)) {
            Effect::Nothing => {}
            Effect::Reply(reply) => self.events.queue.push_answer(reply),
            Effect::Ready(ready) => self.is_ready(&ready),
            Effect::Answer { request, answer, id } => {
                self.take_answer(request, &answer, id.as_deref());
            }
            Effect::Log { level, text, reply } => {
                log::log!(log_level(level), "{text}");
                if let Some(reply) = reply {
                    self.events.queue.push_answer(reply);
                }
            }
            Effect::Invalid(reply) => {
                self.events.queue.push_answer(reply);
                self.count_invalid();
                return Executed::Invalid;
            }
        }
        self.status.add(SideCounter::Commands, 1);
        self.invalid_lines = 0;
        Executed::Done
    }

    fn count_invalid(&mut self) {
        self.status.add(SideCounter::InvalidCommands, 1);
        self.invalid_lines += 1;
        if self.invalid_lines == INVALID_LINES_MAX {
            log::error!("{INVALID_LINES_MAX} invalid commands in a row; killing the side process");
            self.kill();
        }
    }

    fn is_ready(&mut self, ready: &Ready) {
        let configured = ConfiguredEvents {
            process: &self.config.name,
            file: self.config_file,
            is_application: self.group.is_some(),
            asks: self.config.events.contains(&EventKind::Handshake),
        };
        if let Some(reason) = configured.contradiction(ready) {
            self.fail(reason);
            return;
        }
        if let Some(events) = &ready.events {
            self.wanted.retain(|kind| events.contains(kind));
            self.sequencer.want(&self.wanted);
        }
        let unwanted: Vec<EventKind> =
            REQUESTS.into_iter().filter(|kind| !self.wanted.contains(kind)).collect();
        for request in self.requests.take(&unwanted) {
            self.answer(request.ticket, &Answer::Unwanted);
        }
        let decides = self.wanted.contains(&EventKind::Handshake);
        self.status.set_decider(if decides { Decider::Program } else { Decider::Nobody });
        if self.phase.is_starting() {
            self.phase = Phase::Ready;
            self.outputs.iter_mut().for_each(|output: &mut Output| output.keep_last(false));
            self.process_loop.link.send(&ToMaster::Ready);
        }
    }

    fn take_answer(&mut self, number: u64, answer: &Answer, id: Option<&RawValue>) {
        let accepts = matches!(answer, Answer::Accept { .. });
        let line = match self.requests.of(number) {
            None => commands::refusal(id, NO_SUCH_REQUEST.0, NO_SUCH_REQUEST.1),
            Some(PendingRequest { kind: EventKind::Request, .. }) if accepts => {
                let error = "a request is answered with respond: only a handshake is accepted";
                commands::refusal(id, "invalid", error)
            }
            Some(request) => {
                self.requests.close(number);
                let now_ms = self.process_loop.now_ms();
                commands::answer(
                    &mut self.process_loop.requester,
                    request.ticket,
                    answer,
                    id,
                    now_ms,
                )
            }
        };
        if let Some(line) = line {
            self.events.queue.push_answer(line);
        }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn log_level(level: Level) -> log::Level {
    match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
        Level::Trace => log::Level::Trace,
    }
}
