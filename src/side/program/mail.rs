//! What comes in the mailbox of a host: events and requests for the program, and answers to its commands.
//!
//! Events for a program that is not an application are dropped and counted when it does not read. Of an application nothing is
//! dropped here: the host takes no more mail, so that the mailbox fills and the senders wait.

use wsmaster_ipc::{
    Command, EventHeader, LostConnections, Note, ReplyTo, Request, Slot, side_status::SideCounter,
};
use wsmaster_protocol::plugin::{self, Answer, EventKind};
use wsmaster_workers::Message;

use super::{
    commands, event_line::EventLine, host::Host, known_connections::KNOWN_CONNECTIONS_MAX,
    pending_requests::PendingRequest,
};
use crate::side::process_loop::{MasterIsDead, PACKETS_PER_TURN_MAX};

/// Turns' worth of mail that is looked through for what was sent before a stop.
const LAST_MAIL_TURNS_MAX: usize = 16;

/// The events that are requests: the program answers them.
pub(super) const REQUESTS: [EventKind; 2] = [EventKind::Handshake, EventKind::Request];

/// What came out of a packet.
enum Arrived {
    /// A line for the program, or for its predecessor.
    Line { line: EventLine, is_stale: bool },
    /// A worker has told of all connections.
    Synced(Slot),
    /// A worker has ended, and these connections with it.
    Lost(LostConnections),
    /// A worker waits for the program's answer to this.
    Request { kind: EventKind, fields: Vec<u8>, ticket: ReplyTo },
}

impl Arrived {
    /// What an event is to a program that wants these kinds. `incarnations`: the one that it was sent to, and the present one.
    fn of_event(
        header: EventHeader,
        payload: &[u8],
        incarnations: (u64, u64),
        ticket: Option<ReplyTo>,
        wanted: &[EventKind],
    ) -> Option<Self> {
        let (meant, present) = incarnations;
        let (code, connection) = match header {
            EventHeader::Line { code, connection } => (code, connection),
            EventHeader::Synced { worker } => {
                return (meant == present).then_some(Self::Synced(worker));
            }
            EventHeader::Lost(lost) => return Some(Self::Lost(lost)),
        };
        let kind = EventKind::of_code(code.0);
        let Some(ticket) = ticket else {
            let kind = kind.filter(|kind| wanted.contains(kind))?;
            let subject = connection.map(|id| (kind, id));
            let line = EventLine { subject, text: payload.to_vec() };
            return Some(Self::Line { line, is_stale: meant < present });
        };
        let Some(kind) = kind.filter(|kind| REQUESTS.contains(kind)) else {
            log::warn!("malformed request event ignored: event code {}", code.0);
            return None;
        };
        Some(Self::Request { kind, fields: payload.to_vec(), ticket })
    }
}

impl Host<'_> {
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
        self.phase.takes_events() && self.group.is_some() && self.events.queue.is_over()
    }

    fn take_packet(&mut self) -> Result<(), MasterIsDead> {
        let mut replies = Vec::new();
        let mut arrived = Vec::new();
        let wanted = &self.wanted;
        let present = self.status.incarnation().number;
        self.process_loop.take_packets(
            1,
            |pending, reply| replies.extend(commands::reply(&pending, &reply)),
            |directory, command| match *command {
                Command::Request {
                    request: Request::Event { header, payload, incarnation },
                    ticket,
                } => {
                    let incarnations = (incarnation, present);
                    arrived.extend(Arrived::of_event(
                        header,
                        payload,
                        incarnations,
                        ticket,
                        wanted,
                    ));
                }
                Command::Note(Note::Message { from, kind, payload }) => {
                    let mut text = Vec::new();
                    let message = Message::from_parts(kind, payload).text();
                    plugin::from_process(&mut text, &directory.name_of(from), message);
                    let line = EventLine { subject: None, text };
                    arrived.push(Arrived::Line { line, is_stale: false });
                }
                // It owns no connections.
                Command::Request { .. } | Command::Answer { .. } | Command::Note(Note::Part(_)) => {
                }
            },
            |_| self.status.add(SideCounter::DroppedEvents, 1),
        )?;
        for line in replies {
            self.events.queue.push_answer(line);
        }
        for arrived in arrived {
            self.pass_on(arrived);
        }
        Ok(())
    }

    fn pass_on(&mut self, arrived: Arrived) {
        let takes_events = self.phase.takes_events();
        let queue = &mut self.events.queue;
        match arrived {
            Arrived::Line { line, is_stale } if takes_events => {
                self.sequencer.take(line, is_stale, queue);
            }
            Arrived::Line { .. } => self.status.add(SideCounter::DroppedEvents, 1),
            Arrived::Synced(worker) => self.sequencer.synced(worker, queue),
            Arrived::Lost(lost) if takes_events => {
                let untracked = self.sequencer.lose(&lost, queue);
                if untracked > 0 {
                    log::warn!(
                        "close events missing after the end of worker {}: {untracked} connections beyond the \
                         {KNOWN_CONNECTIONS_MAX} that are tracked",
                        lost.worker
                    );
                }
            }
            Arrived::Lost(_) => {}
            Arrived::Request { kind, fields, ticket } if takes_events => {
                self.request(kind, &fields, ticket);
            }
            Arrived::Request { ticket, .. } => self.answer(ticket, &Answer::Ended),
        }
    }

    /// Passes a request on to the program, or answers it in its place.
    fn request(&mut self, kind: EventKind, fields: &[u8], ticket: ReplyTo) {
        // Whether the program decides about handshakes is known when it has said what it handles.
        let is_early = kind == EventKind::Handshake && self.phase.is_starting();
        let is_wanted = self.wanted.contains(&kind);
        if !is_wanted && !is_early {
            self.answer(ticket, &Answer::Unwanted);
        } else if self.events.queue.is_over() || !self.requests.has_room() {
            self.answer(ticket, &Answer::Full);
        } else {
            let request = PendingRequest { kind, ticket };
            let number = self.requests.keep(request, self.process_loop.now_ms());
            if is_wanted {
                let mut line = Vec::new();
                plugin::question(&mut line, kind, number, fields);
                self.events.queue.push_kept(line);
            }
        }
    }

    /// Answers a worker in the place of the program.
    pub(super) fn answer(&mut self, ticket: ReplyTo, answer: &Answer) {
        let now_ms = self.process_loop.now_ms();
        commands::answer(&mut self.process_loop.requester, ticket, answer, None, now_ms);
    }

    /// Answers all requests that wait: the program has ended.
    pub(super) fn answer_all_as_ended(&mut self) {
        for request in self.requests.take(&REQUESTS) {
            self.answer(request.ticket, &Answer::Ended);
        }
    }
}
