//! What other processes ask of this worker.

use std::borrow::Cow;

use wsmaster_ipc::{
    Address, Answer, Command, ConnectionId, Outcome, ReplyTo, shared_state::Counter,
};
use wsmaster_protocol::close::CloseCode;

use super::WorkerState;
use crate::{effects::Effects, inspect::answer, vocabulary::Message};

impl WorkerState {
    /// Does what another process, or this one, asks for a connection of this worker.
    pub(crate) fn execute(&mut self, command: &Command<'_>) {
        match *command {
            Command::Push { id, kind, payload, ticket } => {
                let outcome = self.push_here(id, Message::from_parts(kind, payload));
                if let Some(ticket) = ticket {
                    self.fx.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Disconnect { id, code, reason, ticket } => {
                let outcome = self.disconnect_here(id, code, reason);
                if let Some(ticket) = ticket {
                    self.fx.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Info { id, ticket } => {
                let json = self.describe(id);
                let answer = match &json {
                    Some(json) => Answer::Info(json),
                    None => Answer::One(Outcome::NoSuchConnection),
                };
                self.fx.answer(ticket.reply_to, ticket.request, answer);
            }
            Command::Inspect { question, ticket } => {
                self.fx.requests.inspections.push((ticket, question.to_vec()));
            }
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
        self.fx.stats.add(Counter::DroppedNoDescriptors, 1);
        self.fx.warn(Counter::DroppedNoDescriptors, || {
            "a large message of another process was lost: no descriptor was left to take it"
                .to_owned()
        });
        let (ticket, answer) = match *command {
            Command::Push { ticket, .. } | Command::Event { ticket, .. } => {
                (ticket, Answer::NoRoom)
            }
            // All of these should have had the message.
            Command::Broadcast { group, exclude, ticket, .. } => {
                let dropped = ticket.map_or(0, |_| self.count_group(group, exclude));
                (ticket, Answer::Many { delivered: 0, dropped })
            }
            Command::Publish { channel, exclude, only, ticket, .. } => {
                let dropped = self.count_members(channel, exclude, only);
                (ticket, Answer::Many { delivered: 0, dropped })
            }
            Command::Inspect { ticket, .. } => (Some(ticket), Answer::NoRoom),
            Command::Answer { from, request, ref answer, ticket } => {
                let unanswered = self.fx.requests.requester.unreadable(request, from, answer);
                self.fx.requests.answered.extend(unanswered);
                (ticket, Answer::NoRoom)
            }
            // These have no body, or nobody who waits for an answer.
            Command::Disconnect { .. }
            | Command::Info { .. }
            | Command::List { .. }
            | Command::Message { .. }
            | Command::Part(_)
            | Command::Task { .. } => return,
        };
        if let Some(ReplyTo { reply_to, request }) = ticket {
            self.fx.answer(reply_to, request, answer);
        }
    }

    /// Begins the close handshake of the WebSocket with this id.
    pub(crate) fn disconnect_here(&mut self, id: ConnectionId, code: u16, reason: &str) -> Outcome {
        let Some((connection, fx)) = self.lend_id(id) else {
            self.fx.stats.add(Counter::StaleCommands, 1);
            return Outcome::NoSuchConnection;
        };
        if connection.close_with(CloseCode::from(code), Cow::Owned(reason.to_owned()), fx) {
            Outcome::Delivered
        } else {
            Outcome::Closing
        }
    }

    /// What is known of a connection, as a JSON object.
    pub(crate) fn describe(&self, id: ConnectionId) -> Option<Vec<u8>> {
        answer::describe(self.connections.at(self.fx.ids.find(id)?)?, &self.fx)
    }
}

impl Effects {
    /// Answers a request of another process, or of this one.
    pub(crate) fn answer(&mut self, to: Address, request: u64, answer: Answer<'_>) {
        let from = self.requests.handle().own_address();
        let ticket = ReplyTo { reply_to: to, request };
        if self.peers.lineage.is_mark(ticket) {
            return;
        }
        if self.peers.lineage.has_asked(ticket) {
            let done = self.requests.requester.answered(request, from, &answer);
            self.requests.answered.extend(done);
            return;
        }
        // When the mailbox is full, which is counted, the requester's deadline tells it.
        let answer = Command::Answer { from, request, answer, ticket: None };
        let _ = self.requests.handle().send(to, &answer);
    }
}
