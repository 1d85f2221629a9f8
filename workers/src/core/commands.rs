//! What other processes ask of this worker.

use std::borrow::Cow;

use wsmaster_ipc::{Address, Answer, AskTicket, Command, ConnectionId, Outcome, board::Counter};
use wsmaster_protocol::{close::CloseCode, session::Extension};

use super::Core;
use crate::handler::Message;

impl Core {
    /// Does what another process, or this one, asks for a connection of this worker.
    pub(crate) fn execute(&mut self, command: &Command<'_>) {
        match *command {
            Command::Push { id, kind, payload, ticket } => {
                let outcome = self.push_here(id, Message::from_parts(kind, payload));
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Disconnect { id, code, reason, ticket } => {
                let outcome = self.disconnect_here(id, code, reason);
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Info { id, ticket } => match self.describe(id) {
                Some(json) => self.answer(ticket.reply_to, ticket.request, Answer::Info(&json)),
                None => {
                    let answer = Answer::One(Outcome::NoSuchConnection);
                    self.answer(ticket.reply_to, ticket.request, answer);
                }
            },
            Command::Survey { question, ticket } => self.surveys.push((ticket, question.to_vec())),
            // Those are for the application, or are told by the last worker of the slot. A worker asks for no events and does no
            // tasks.
            Command::Broadcast { .. }
            | Command::Publish { .. }
            | Command::List { .. }
            | Command::Part(_)
            | Command::Answer { .. }
            | Command::Message { .. }
            | Command::Task { .. }
            | Command::Event { .. } => {}
        }
    }

    /// Says of a command whose body did not arrive that it is not carried out, and counts it: this process is out of
    /// descriptors.
    pub(crate) fn answer_bodiless(&mut self, command: &Command<'_>) {
        self.cell.add(Counter::DroppedNoDescriptors, 1);
        self.complain(Counter::DroppedNoDescriptors, || {
            "a large message of another process was lost: no descriptor was left to take it"
                .to_owned()
        });
        match *command {
            Command::Push { ticket, .. } | Command::Event { ticket, .. } => {
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::NoRoom);
                }
            }
            Command::Broadcast { group, exclude, ticket, .. } => {
                let members = self.registry.indexes_of(group);
                self.answer_missed(&members, exclude, ticket);
            }
            Command::Publish { channel, exclude, only, ticket, .. } => {
                let members = self.members_of(channel, only);
                self.answer_missed(&members, exclude, ticket);
                self.members = members;
            }
            Command::Survey { ticket, .. } => {
                self.answer(ticket.reply_to, ticket.request, Answer::NoRoom);
            }
            Command::Answer { from, request, ref answer, ticket } => {
                let unanswered = self.asker.unreadable(request, from, answer);
                self.finished.extend(unanswered);
                if let Some(ticket) = ticket {
                    self.answer(ticket.reply_to, ticket.request, Answer::NoRoom);
                }
            }
            // These have no body, or nobody who waits for an answer.
            Command::Disconnect { .. }
            | Command::Info { .. }
            | Command::List { .. }
            | Command::Message { .. }
            | Command::Part(_)
            | Command::Task { .. } => {}
        }
    }

    /// All of these should have had a message that did not arrive.
    fn answer_missed(
        &mut self,
        members: &[u32],
        exclude: Option<ConnectionId>,
        ticket: Option<AskTicket>,
    ) {
        let Some(ticket) = ticket else { return };
        let is_meant = |index: &&u32| {
            let connection = self.registry.at(**index).filter(|connection| connection.can_send());
            connection.is_some_and(|connection| Some(connection.durable.id) != exclude)
        };
        let dropped = members.iter().filter(is_meant).count() as u64;
        self.answer(ticket.reply_to, ticket.request, Answer::Many { delivered: 0, dropped });
    }

    pub(crate) fn push_here(&mut self, id: ConnectionId, message: Message<'_>) -> Outcome {
        match self.registry.find(id) {
            Some(index) => self.send(index, message),
            None => {
                self.cell.add(Counter::StaleCommands, 1);
                Outcome::NoSuchConnection
            }
        }
    }

    pub(crate) fn disconnect_here(&mut self, id: ConnectionId, code: u16, reason: &str) -> Outcome {
        let Some(index) = self.registry.find(id) else {
            self.cell.add(Counter::StaleCommands, 1);
            return Outcome::NoSuchConnection;
        };
        if self.close_with(index, CloseCode::from(code), Cow::Owned(reason.to_owned())) {
            Outcome::Delivered
        } else {
            Outcome::Closing
        }
    }

    /// What is known of a connection, as a JSON object. The query of its target is shown without secrets.
    pub(crate) fn describe(&self, id: ConnectionId) -> Option<Vec<u8>> {
        let index = self.registry.find(id)?;
        let connection = self.registry.at(index)?;
        let head = connection.durable.head.as_ref();
        let mut channels: Vec<&str> = self.topics.of_connection(index).collect();
        channels.sort_unstable();
        let json = serde_json::json!({
            "connection": id,
            "worker": self.slot,
            "state": if connection.can_send() { "open" } else { "closing" },
            "address": connection.durable.peer.address(),
            "port": connection.durable.peer.port(),
            "secure": connection.durable.secure,
            "listener": self.listeners.rules(connection.durable.listener).map(|rules| &rules.name),
            "opened_at": connection.durable.opened_unix_ms as f64 / 1000.0,
            "target": head.map(|head| head.target_redacted()),
            "user_agent": head.and_then(|head| head.header("user-agent")),
            "sec_websocket_key": head.and_then(|head| head.header("sec-websocket-key")),
            "subprotocol": connection.durable.subprotocol,
            "compressed": match connection.durable.extension {
                Extension::None => false,
                Extension::Deflate(_) => true,
            },
            "channels": channels,
            "messages_in": connection.messages_in,
            "messages_out": connection.messages_out,
            "tls": connection.durable.tls,
            "queued_bytes": connection.waiting_bytes(),
            "idle_ms": self.now_ms.saturating_sub(connection.times.received_ms),
            "memory_bytes": connection.memory_bytes(),
        });
        serde_json::to_vec(&json).ok()
    }

    pub(crate) fn answer(&mut self, to: Address, request: u64, answer: Answer<'_>) {
        let from = self.asker.handle().own_address();
        let ticket = AskTicket { reply_to: to, request };
        if self.lineage.is_mark(ticket) {
            return;
        }
        if self.lineage.has_asked(ticket) {
            let done = self.asker.answered(request, from, &answer);
            self.finished.extend(done);
            return;
        }
        // When the mailbox is full, which is counted, the asker's deadline tells it.
        let answer = Command::Answer { from, request, answer, ticket: None };
        let _ = self.asker.handle().post(to, &answer);
    }
}
