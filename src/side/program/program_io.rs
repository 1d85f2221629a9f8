//! What a host and its program say to each other: events and questions to it, commands and answers from it.
//!
//! What is for a program that is nobody's application is dropped and counted when it does not read. Of an application
//! nothing is dropped here: the host takes no more mail, so that the mailbox fills and those who post to it wait.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::value::RawValue;
use wsmaster_ipc::{
    AskTicket, Command, ConnectionId, EventHeader, LostConnections, Slot,
    link::ToMaster,
    side_status::{Decider, SideCounter, SideStatus},
};
use wsmaster_protocol::plugin::{self, EventKind, Level};
use wsmaster_workers::Message;

use super::{Host, LINE_BYTES_MAX, Phase, Source};
use crate::side::{
    commands::{self, NO_SUCH_REQUEST, Ready},
    event::EventLine,
    known_connections::KNOWN_CONNECTIONS_MAX,
    line_reader::Taken,
    pending_requests::PendingRequest,
    process_loop::{MasterIsDead, PACKETS_PER_TURN_MAX, ProcessLoop},
    ready_check::ConfiguredEvents,
};

/// Bytes of commands read in one turn.
const READ_BYTES_PER_TURN_MAX: usize = 256 * 1024;
/// Lines that are no commands, one after the other, that end a program.
const INVALID_LINES_MAX: u32 = 100;
/// Turns' worth of mail that is looked through for what was sent before a stop.
const LAST_MAIL_TURNS_MAX: usize = 16;

/// The kinds of questions.
const QUESTIONS: [EventKind; 2] = [EventKind::Handshake, EventKind::Request];

/// Of a line that was refused, how many characters the log repeats.
const SHOWN_CHARS_MAX: usize = 200;

/// What became of a line of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Obeyed {
    /// It was a command, or empty.
    Done,
    /// It was no command.
    Refused,
}

/// What came out of a packet.
enum Arrived {
    /// A line for the program, or for its predecessor.
    Line { line: EventLine, is_old: bool },
    /// A worker has told of all connections.
    Introduced(Slot),
    /// A worker has ended, and these connections with it.
    Lost(LostConnections),
    /// Somebody waits for what the program says to this.
    PendingRequest { kind: EventKind, fields: Vec<u8>, ticket: AskTicket },
}

impl Arrived {
    /// What an event is to a program that wants these kinds. `lives`: the life it was sent to, and the present one.
    fn of_event(
        header: EventHeader,
        payload: &[u8],
        lives: (u64, u64),
        ticket: Option<AskTicket>,
        wanted: &[EventKind],
    ) -> Option<Self> {
        let (incarnation, own_incarnation) = lives;
        let (code, connection) = match header {
            EventHeader::Line { code, connection } => (code, connection),
            EventHeader::Synced { worker } => {
                return (incarnation == own_incarnation).then_some(Self::Introduced(worker));
            }
            EventHeader::Lost(lost) => return Some(Self::Lost(lost)),
        };
        let kind = EventKind::of_code(code.0);
        let Some(ticket) = ticket else {
            let kind = kind.filter(|kind| wanted.contains(kind))?;
            let subject = connection.map(|id| (kind, id));
            let line = EventLine { subject, text: payload.to_vec() };
            return Some(Self::Line { line, is_old: incarnation < own_incarnation });
        };
        let Some(kind) = kind.filter(|kind| QUESTIONS.contains(kind)) else {
            log::warn!("malformed request event ignored: event code {}", code.0);
            return None;
        };
        Some(Self::PendingRequest { kind, fields: payload.to_vec(), ticket })
    }
}

impl Host<'_> {
    // ----- words for the program -----

    /// Takes mail, as much as a turn may and the program has room for.
    pub(super) fn take_mail(&mut self) -> Result<(), MasterIsDead> {
        for _ in 0..PACKETS_PER_TURN_MAX {
            if !self.process_loop.has_mail() || self.leaves_mail() {
                break;
            }
            self.take_packet()?;
        }
        self.requests.forget_late(self.process_loop.now_ms());
        let leaves = self.leaves_mail();
        self.process_loop.pause_mail(leaves);
        Ok(())
    }

    /// Takes what was sent before the word that it is time to stop.
    pub(super) fn take_last_mail(&mut self) -> Result<(), MasterIsDead> {
        for _ in 0..LAST_MAIL_TURNS_MAX {
            if !self.process_loop.has_mail() || self.leaves_mail() {
                break;
            }
            self.take_mail()?;
        }
        Ok(())
    }

    /// Whether mail stays where it is. While a program ends it may still wait for replies, which come among it.
    fn leaves_mail(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Ready => self.is_application && self.queue.is_over(),
            Phase::Stopping { .. } | Phase::Killed => false,
        }
    }

    fn take_packet(&mut self) -> Result<(), MasterIsDead> {
        let mut answers = Vec::new();
        let mut arrived = Vec::new();
        let wanted = &self.wanted;
        let own_incarnation = self.status.incarnation().number;
        self.process_loop.take_packets(
            1,
            |pending, reply| answers.extend(commands::answer(&pending, reply)),
            |directory, command| match *command {
                Command::Event { header, payload, incarnation, ticket } => {
                    let lives = (incarnation, own_incarnation);
                    arrived.extend(Arrived::of_event(header, payload, lives, ticket, wanted));
                }
                Command::Message { from, kind, payload } => {
                    let mut text = Vec::new();
                    let message = Message::from_parts(kind, payload).text();
                    plugin::from_process(&mut text, &directory.name_of(from), message);
                    let line = EventLine { subject: None, text };
                    arrived.push(Arrived::Line { line, is_old: false });
                }
                // It owns no connections.
                Command::Push { .. }
                | Command::Broadcast { .. }
                | Command::Publish { .. }
                | Command::Disconnect { .. }
                | Command::Info { .. }
                | Command::List { .. }
                | Command::Survey { .. }
                | Command::Part(_)
                | Command::Task { .. }
                | Command::Answer { .. } => {}
            },
            |_| self.status.add(SideCounter::DroppedEvents, 1),
        )?;
        for line in answers {
            self.queue.push_answer(line);
        }
        let listens = match self.phase {
            Phase::Starting { .. } | Phase::Ready => true,
            Phase::Stopping { .. } | Phase::Killed => false,
        };
        for word in arrived {
            match word {
                Arrived::Line { line, is_old } if listens => self.tell(line, is_old),
                Arrived::Line { .. } => self.status.add(SideCounter::DroppedEvents, 1),
                Arrived::Introduced(worker) => {
                    let Self { sync, queue, .. } = self;
                    sync.come_from(worker, |line| queue.push_kept(line));
                }
                Arrived::Lost(lost) if listens => self.lose(&lost),
                Arrived::Lost(_) => {}
                Arrived::PendingRequest { kind, fields, ticket } if listens => {
                    self.put(kind, &fields, ticket);
                }
                Arrived::PendingRequest { ticket, .. } => {
                    self.settle(ticket, &plugin::Answer::Ended);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, line: EventLine, is_old: bool) {
        let Self { queue, stale_events, sync, known, .. } = self;
        if !self.is_application {
            if queue.push_event(line.text, plugin::dropped) {
                known.tell(line.subject);
            }
            return;
        }
        let pass = |line: EventLine| {
            known.tell(line.subject);
            sync.pass(line, |line| queue.push_kept(line));
        };
        if is_old {
            stale_events.take_old(line, pass);
        } else {
            stale_events.take_new(line, pass);
        }
    }

    /// Tells the program of the ends that their worker did not tell of before its own.
    fn lose(&mut self, lost: &LostConnections) {
        let end = |id: ConnectionId| {
            let mut text = Vec::new();
            let (reason, by) = ("the worker has ended", plugin::ClosedBy::Lost);
            plugin::closed(&mut text, id.as_u64(), None, reason, by);
            EventLine { subject: Some((EventKind::Close, id)), text }
        };
        let Self { queue, stale_events, sync, .. } = self;
        // A beginning that waits is known of nowhere else. It is passed on with its end, or neither is.
        stale_events.lose(lost, end, |line| sync.pass(line, |line| queue.push_kept(line)));
        for id in self.known.lose(lost) {
            self.tell(end(id), false);
        }
        let passed_over = self.known.take_passed_over();
        if passed_over > 0 {
            log::warn!(
                "it has had {KNOWN_CONNECTIONS_MAX} connections at a time and {passed_over} more: \
                 of these it is not told which have ended with worker {}",
                lost.worker
            );
            self.queue.count_dropped(passed_over);
        }
    }

    /// Puts a question to the program, or answers it in its place.
    fn put(&mut self, kind: EventKind, fields: &[u8], ticket: AskTicket) {
        // Who may come in is known when the program has said what it handles.
        let is_early = kind == EventKind::Handshake && matches!(self.phase, Phase::Starting { .. });
        let is_put = self.wanted.contains(&kind);
        if !is_put && !is_early {
            self.settle(ticket, &plugin::Answer::Unwanted);
        } else if self.queue.is_over() || !self.requests.has_room() {
            self.settle(ticket, &plugin::Answer::Full);
        } else {
            let number =
                self.requests.keep(PendingRequest { kind, ticket }, self.process_loop.now_ms());
            if is_put {
                let mut line = Vec::new();
                plugin::question(&mut line, kind, number, fields);
                self.queue.push_kept(line);
            }
        }
    }

    /// Tells whoever asked.
    fn settle(&mut self, ticket: AskTicket, answer: &plugin::Answer) {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        let now_ms = self.process_loop.now_ms();
        commands::settle(&mut self.process_loop.asker, ticket, &bytes, None, now_ms);
    }

    /// Tells all who wait that no answer comes from this program.
    pub(super) fn settle_all(&mut self) {
        for question in self.requests.take(&QUESTIONS) {
            self.settle(question.ticket, &plugin::Answer::Ended);
        }
    }

    pub(super) fn write_events(&mut self) {
        let Some(file) = &mut self.events else { return };
        let before = self.queue.len();
        while !self.queue.is_empty() {
            match file.write(self.queue.front()) {
                Ok(0) => break,
                Ok(count) => {
                    self.queue.wrote(count);
                    self.written += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // It has closed its end; it may go on writing.
                    self.process_loop.unwatch(file.as_fd());
                    self.events = None;
                    break;
                }
            }
        }
        self.status.add(SideCounter::Events, (before - self.queue.len()) as u64);
    }

    /// Shows how it is, and whether those who can wait should.
    pub(super) fn show(&mut self) {
        self.status.add(SideCounter::DroppedEvents, self.stale_events.take_dropped());
        let dropped = self.queue.dropped_in_all();
        self.status.add(SideCounter::DroppedEvents, dropped - self.dropped_shown);
        self.dropped_shown = dropped;
        self.status.set(SideCounter::QueuedBytes, self.queue.bytes() as u64);
        self.status.set(SideCounter::OpenQuestions, self.requests.len() as u64);
        // What comes while it ends is for its successor.
        let rests = match self.phase {
            Phase::Starting { .. } | Phase::Ready => self.queue.wants_a_rest(self.status.is_full()),
            Phase::Stopping { .. } | Phase::Killed => true,
        };
        self.status.set_full(rests);
    }

    // ----- words of the program -----

    pub(super) fn read_commands(&mut self) {
        let mut left = READ_BYTES_PER_TURN_MAX;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let mut lines = Vec::new();
            let taken = self.commands.read(&mut buffer, |line| lines.push(line.to_vec()));
            for line in lines {
                self.obey(&line);
            }
            match taken {
                Taken::Bytes(count) => left = left.saturating_sub(count),
                Taken::TooLong(_) => {
                    log::error!(
                        "it wrote a line of more than {LINE_BYTES_MAX} bytes, and is ended"
                    );
                    self.kill();
                    return;
                }
                Taken::Nothing => return,
                // What is closed has left the poll by that: nobody else has this end.
                Taken::End => {
                    self.obey_the_rest();
                    return;
                }
            }
        }
    }

    /// The last command of a program that has closed its commands, or has ended, without the end of its line.
    pub(super) fn obey_the_rest(&mut self) {
        let rest = self.commands.rest();
        if self.obey(&rest) == Obeyed::Refused {
            // Its reply may find nobody any more.
            let shown: String =
                String::from_utf8_lossy(&rest).chars().take(SHOWN_CHARS_MAX).collect();
            log::warn!("its last line has no end and is no command, and was refused: {shown}");
        }
    }

    fn obey(&mut self, line: &[u8]) -> Obeyed {
        if line.is_empty() {
            return Obeyed::Done;
        }
        let now_ms = self.process_loop.now_ms();
        let line = String::from_utf8_lossy(line);
        let ProcessLoop { asker, directory, .. } = &mut self.process_loop;
        let effect = commands::carry_out(&line, self.own, asker, directory, now_ms, unix_ms());
        if let Some(answer) = effect.answer {
            self.queue.push_answer(answer);
        }
        if let Some((request, answer, id)) = effect.settled {
            self.take_answer(request, &answer, id.as_deref());
        }
        if let Some((level, text)) = effect.log {
            log::log!(log_level(level), "{text}");
        }
        if let Some(ready) = effect.ready {
            self.is_ready(&ready);
        }
        if !effect.invalid {
            self.status.add(SideCounter::Commands, 1);
            self.invalid_lines = 0;
            return Obeyed::Done;
        }
        self.status.add(SideCounter::InvalidCommands, 1);
        self.invalid_lines += 1;
        if self.invalid_lines == INVALID_LINES_MAX {
            log::error!("it wrote {INVALID_LINES_MAX} lines that are no commands, and is ended");
            self.kill();
        }
        Obeyed::Refused
    }

    fn is_ready(&mut self, ready: &Ready) {
        let given = ConfiguredEvents {
            process: &self.config.name,
            file: self.config_file,
            is_application: self.is_application,
            asks: self.config.events.contains(&EventKind::Handshake),
        };
        if let Some(reason) = given.contradiction(ready) {
            log::error!("{reason}");
            self.process_loop.link.send(&ToMaster::Failed { reason });
            self.kill();
            return;
        }
        if let Some(events) = &ready.events {
            self.wanted.retain(|kind| events.contains(kind));
            self.known.want(&self.wanted);
        }
        let unwanted: Vec<EventKind> =
            QUESTIONS.into_iter().filter(|kind| !self.wanted.contains(kind)).collect();
        for question in self.requests.take(&unwanted) {
            self.settle(question.ticket, &plugin::Answer::Unwanted);
        }
        let decides = self.wanted.contains(&EventKind::Handshake);
        self.status.set_decider(if decides { Decider::Program } else { Decider::Nobody });
        if let Phase::Starting { .. } = self.phase {
            self.phase = Phase::Ready;
            self.outputs.iter_mut().for_each(|output| output.keep_last(false));
            self.process_loop.link.send(&ToMaster::Ready);
        }
    }

    fn take_answer(&mut self, number: u64, answer: &plugin::Answer, id: Option<&RawValue>) {
        let accepts = matches!(answer, plugin::Answer::Accept { .. });
        let line = match self.requests.of(number) {
            None => commands::unsettled(id, NO_SUCH_REQUEST.0, NO_SUCH_REQUEST.1),
            Some(PendingRequest { kind: EventKind::Request, .. }) if accepts => {
                let error = "a request is answered with respond: only a handshake is accepted";
                commands::unsettled(id, "invalid", error)
            }
            Some(question) => {
                self.requests.close(number);
                let mut bytes = Vec::new();
                answer.encode(&mut bytes);
                let now_ms = self.process_loop.now_ms();
                commands::settle(&mut self.process_loop.asker, question.ticket, &bytes, id, now_ms)
            }
        };
        if let Some(line) = line {
            self.queue.push_answer(line);
        }
    }
}

/// The counters of a host, with what its predecessors have left there.
pub(super) fn status_of(process_loop: &ProcessLoop<commands::Pending, Source>) -> SideStatus {
    let handle = process_loop.asker.handle();
    SideStatus::of(handle.shared_state(), handle.own_address())
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
