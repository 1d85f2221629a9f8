//! What other processes have sent.

use wsmaster_ipc::{
    Answer, Command, Note, Outcome,
    inbox::{Closed, Incoming},
    shared_state::Counter,
};

use super::{MailboxOwner, Worker, budgets::PACKETS_PER_TURN_MAX, calls::Calls};
use crate::{handler::Handler, lifecycle::Life, lineage::Owner, vocabulary::Message};

impl<H: Handler> Worker<H> {
    pub(super) fn take_mail(&mut self) {
        let Self { inbox, state, callbacks, handler, .. } = self;
        let is_shared = state.fx.peers.lineage.is_shared();
        let taken = inbox.inbox.take(PACKETS_PER_TURN_MAX, is_shared, |incoming| {
            let mut calls = Calls { state, callbacks, handler };
            match incoming {
                Incoming::Command(command) => {
                    calls.state.fx.stats.add(Counter::CommandsIn, 1);
                    calls.carry_out(&command);
                }
                Incoming::Bodiless(command) => {
                    calls.state.answer_bodiless(&command);
                    calls.run_callbacks();
                }
                Incoming::Bad => calls.state.fx.stats.add(Counter::BadPackets, 1),
            }
        });
        match (taken, self.inbox.owner) {
            (Ok(()), _) | (Err(Closed), MailboxOwner::Successor) => {}
            (Err(Closed), MailboxOwner::Us) => self.state.lifecycle.life = Life::Orphaned,
            // The successor is gone; if there is another one, the master says so.
            (Err(Closed), MailboxOwner::SuccessorRelays) => {
                self.stop_reading_mail();
                self.inbox.owner = MailboxOwner::Successor;
            }
        }
    }
}

impl<H: Handler> Calls<'_, H> {
    /// Does what one command says, and all that comes of it: the next one of the same sender finds it done.
    fn carry_out(&mut self, command: &Command<'_>) {
        match self.state.fx.peers.lineage.owner(command) {
            Owner::Ours => {}
            Owner::All | Owner::Predecessor | Owner::Nobody => {
                self.state.share(command);
                self.run_callbacks();
                return;
            }
        }
        match *command {
            Command::Note(Note::Part(part)) => self.state.fx.peers.carry(part),
            Command::Answer { from, request, ref answer, ticket } => {
                let done = self.state.fx.requests.requester.answered(request, from, answer);
                let waited = done.is_some_and(|(done, reply)| self.finish(done, reply));
                if let Some(ticket) = ticket {
                    let outcome =
                        if waited { Outcome::Delivered } else { Outcome::NoSuchConnection };
                    self.state.fx.answer(ticket, Answer::One(outcome));
                }
            }
            Command::Note(Note::Message { from, kind, payload }) => {
                let message = Message::from_parts(kind, payload);
                self.guarded(None, |handler, context| {
                    handler.on_process_message(context, from, message);
                });
            }
            Command::Request { request, ticket } => self.state.execute(request, ticket),
        }
        self.run_callbacks();
    }
}
