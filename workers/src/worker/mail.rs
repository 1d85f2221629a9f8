//! What other processes have sent.

use wsmaster_ipc::{Answer, Command, Outcome, mailbox::Mail, shared_state::Counter, wire};

use super::{Life, MailboxOwner, PACKETS_PER_TURN_MAX, Worker, calls::Calls};
use crate::{
    handler::{Handler, Message},
    lineage::Owner,
};

impl<H: Handler> Worker<H> {
    pub(super) fn take_mail(&mut self) {
        if !self.inbox.waits {
            return;
        }
        for _ in 0..PACKETS_PER_TURN_MAX {
            let shared_state = self.state.fx.requests.handle().shared_state();
            let may_have_body =
                shared_state.attached_bytes(self.state.fx.requests.handle().own_address()) > 0;
            match self.inbox.mailbox.receive(may_have_body) {
                Mail::Empty => {
                    if !self.state.fx.peers.lineage.is_shared() {
                        let handle = self.state.fx.requests.handle();
                        handle.shared_state().no_attached(handle.own_address());
                    }
                    self.inbox.waits = false;
                    break;
                }
                Mail::Bad => self.state.fx.stats.add(Counter::BadPackets, 1),
                Mail::Packet(packet) => {
                    if let Some(body) = &packet.attachment {
                        let handle = self.state.fx.requests.handle();
                        handle
                            .shared_state()
                            .take_attached(handle.own_address(), body.len() as u64);
                    }
                    let mut calls = Calls { state: &mut self.state, handler: &mut self.handler };
                    let mut commands = wire::decode(packet.bytes, packet.attachment.as_deref());
                    let mut taken = 0;
                    for command in &mut commands {
                        let Ok(command) = command else {
                            calls.state.fx.stats.add(Counter::BadPackets, 1);
                            break;
                        };
                        taken += 1;
                        calls.carry_out(&command);
                    }
                    self.state.fx.stats.add(Counter::CommandsIn, taken);
                }
                Mail::Bodiless(bytes) => match wire::bodiless(bytes) {
                    Ok((command, body_bytes)) => {
                        let handle = self.state.fx.requests.handle();
                        handle
                            .shared_state()
                            .take_attached(handle.own_address(), body_bytes as u64);
                        self.state.answer_bodiless(&command);
                        self.run_callbacks();
                    }
                    Err(_) => self.state.fx.stats.add(Counter::BadPackets, 1),
                },
                Mail::Closed => {
                    self.inbox.waits = false;
                    match self.inbox.owner {
                        MailboxOwner::Us => self.life = Life::Orphaned,
                        // The successor is gone; if there is another one, the master says so.
                        MailboxOwner::SuccessorRelays => {
                            self.stop_reading_mail();
                            self.inbox.owner = MailboxOwner::Successor;
                        }
                        MailboxOwner::Successor => {}
                    }
                    break;
                }
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
            Command::Part(part) => self.state.fx.peers.carry(part),
            Command::Answer { from, request, ref answer, ticket } => {
                let done = self.state.fx.requests.requester.answered(request, from, answer);
                let waited = done.is_some_and(|(done, reply)| self.finish(done, reply));
                if let Some(ticket) = ticket {
                    let outcome =
                        if waited { Outcome::Delivered } else { Outcome::NoSuchConnection };
                    self.state.fx.answer(ticket.reply_to, ticket.request, Answer::One(outcome));
                }
            }
            Command::Message { from, kind, payload } => {
                let message = Message::from_parts(kind, payload);
                self.guarded(None, |handler, context| {
                    handler.on_process_message(context, from, message);
                });
            }
            Command::Push { .. }
            | Command::Broadcast { .. }
            | Command::Publish { .. }
            | Command::Disconnect { .. }
            | Command::Info { .. }
            | Command::List { .. }
            | Command::Task { .. }
            | Command::Inspect { .. }
            | Command::Event { .. } => self.state.execute(command),
        }
        self.run_callbacks();
    }
}
