//! What other processes ask of this worker.

use std::borrow::Cow;

use wsmaster_ipc::{
    Answer, Command, ConnectionId, Outcome, ReplyTo, Request, shared_state::Counter,
};
use wsmaster_protocol::close::CloseCode;

use super::WorkerState;
use crate::{
    callback_id::CallbackId, effects::Effects, inspect::answer, pending::Reply,
    requester::Requested, vocabulary::Message,
};

impl WorkerState {
    /// Does what another process asks of this one alone, and answers. What is for all processes of the slot, events and tasks come
    /// another way.
    pub(crate) fn execute(&mut self, request: Request<'_>, ticket: Option<ReplyTo>) {
        let Some(ticket) = ticket else {
            self.perform(request);
            return;
        };
        if let Request::Inspect { question } = request {
            self.fx.requests.inspections.push((ticket, question.to_vec()));
        } else if let Some(reply) = self.perform(request)
            && let Some(answer) = reply.as_answer()
        {
            self.fx.answer(ticket, answer);
        }
    }

    /// Does what this worker's application asks for a connection, if it is here, or asks the worker that has it.
    pub(crate) fn request(&mut self, id: ConnectionId, request: Request<'_>, done: CallbackId) {
        let known = self.fx.peers.is_here(id).then(|| self.perform(request)).flatten();
        let Effects { requests, now_ms, .. } = &mut self.fx;
        let asked = match known {
            Some(reply) => Requested::Known(done, reply),
            None => requests.requester.request(request, *now_ms, done),
        };
        requests.keep(asked);
    }

    /// Does what is asked for a connection of this worker; `None` for anything else.
    pub(crate) fn perform(&mut self, request: Request<'_>) -> Option<Reply> {
        Some(match request {
            Request::Push { id, kind, payload } => {
                Reply::One(self.push_here(id, Message::from_parts(kind, payload)))
            }
            Request::Disconnect { id, code, reason } => {
                Reply::One(self.disconnect_here(id, code, reason))
            }
            Request::Info { id } => match self.describe(id) {
                Some(json) => Reply::Info(json),
                None => Reply::One(Outcome::NoSuchConnection),
            },
            Request::Broadcast { .. }
            | Request::Publish { .. }
            | Request::List
            | Request::Inspect { .. }
            | Request::Task { .. }
            | Request::Event { .. } => return None,
        })
    }

    /// Says of a command whose body did not arrive that it is not carried out, and counts it: this process is out of
    /// descriptors.
    pub(crate) fn answer_bodiless(&mut self, command: &Command<'_>) {
        self.fx.stats.add(Counter::DroppedNoDescriptors, 1);
        self.fx.warn(Counter::DroppedNoDescriptors, || {
            "a large message of another process was lost: no descriptor was left to take it"
                .to_owned()
        });
        let dropped = match *command {
            // All of these should have had the message.
            Command::Request { request: Request::Broadcast { group, exclude, .. }, ticket } => {
                Some(ticket.map_or(0, |_| self.count_group(group, exclude)))
            }
            Command::Request {
                request: Request::Publish { channel, exclude, only, .. }, ..
            } => Some(self.count_members(channel, exclude, only)),
            Command::Answer { from, request, ref answer, ticket: _ } => {
                let unanswered = self.fx.requests.requester.unreadable(request, from, answer);
                self.fx.requests.answered.extend(unanswered);
                None
            }
            Command::Request { .. } | Command::Note(_) => None,
        };
        if let Some(ticket) = command.ticket() {
            let answer = match dropped {
                Some(dropped) => Answer::Many { delivered: 0, dropped },
                None => Answer::NoRoom,
            };
            self.fx.answer(ticket, answer);
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
    pub(crate) fn answer(&mut self, ticket: ReplyTo, answer: Answer<'_>) {
        if self.peers.lineage.is_mark(ticket) {
            return;
        }
        if self.peers.lineage.has_asked(ticket) {
            let from = self.requests.handle().own_address();
            let done = self.requests.requester.answered(ticket.request, from, &answer);
            self.requests.answered.extend(done);
            return;
        }
        // When the mailbox is full, which is counted, the requester's deadline tells it.
        let _ = self.requests.handle().answer(ticket, answer);
    }
}
