//! What several processes of one slot do together, while one of them leaves: see [`crate::lineage`].

use std::os::fd::OwnedFd;

use wsmaster_ipc::{
    Answer, Command, ConnectionId, Note, Outcome, Part, ReplyTo, Request, SendError,
    relay::{Relay, Unsent},
    wire,
};

use super::WorkerState;
use crate::{
    effects::Effects,
    lineage::Owner,
    pending::DeliveryCount,
    slot_peers::{Carried, SlotPeers},
};

impl WorkerState {
    /// Takes a command that is not this worker's alone.
    pub(crate) fn share(&mut self, command: &Command<'_>) {
        match self.fx.peers.lineage.owner(command) {
            Owner::Ours => {}
            Owner::All => self.take_part(command, true),
            Owner::Predecessor => self.pass_on_one(command),
            Owner::Nobody => self.answer_nobodys(command),
        }
    }

    /// The process that asked is gone: whoever answers it may want to know.
    fn answer_nobodys(&mut self, command: &Command<'_>) {
        if let Command::Answer { ticket: Some(ticket), .. } = *command {
            self.fx.answer(ticket, Answer::One(Outcome::NoSuchConnection));
        }
    }

    /// Does this worker's part of a request to all processes of the slot, if it is to do any, and passes it on or answers.
    fn take_part(&mut self, command: &Command<'_>, here: bool) {
        let Command::Request { ticket, request } = *command else { return };
        let carried = std::mem::take(&mut self.fx.peers.carried);
        if request == Request::List {
            return self.list(ticket, &carried, here);
        }
        let is_own = ticket.is_some_and(|ticket| self.fx.peers.lineage.has_asked(ticket));
        let tally = if here && !is_own { self.fan_out(request) } else { DeliveryCount::default() };
        let delivered = carried.delivered + tally.delivered;
        let dropped = carried.dropped + tally.dropped;
        if self.fx.peers.lineage.has_predecessor() {
            let part = Command::Note(Note::Part(Part::Many { delivered, dropped }));
            // When it is refused nobody answers: it is not known how many of the predecessor's should have had it.
            let _ = match ticket {
                Some(_) => self.fx.pass_on(&[part, *command]),
                None => self.fx.pass_on(std::slice::from_ref(command)),
            };
        } else if let Some(ticket) = ticket {
            self.fx.answer(ticket, Answer::Many { delivered, dropped });
        }
    }

    fn list(&mut self, ticket: Option<ReplyTo>, carried: &Carried, here: bool) {
        let Some(ticket) = ticket else { return };
        let mut ids: Vec<ConnectionId> = serde_json::from_slice(&carried.ids).unwrap_or_default();
        if here {
            ids.extend(self.fx.ids.iter());
        }
        let json = serde_json::to_vec(&ids).unwrap_or_default();
        if self.fx.peers.lineage.has_predecessor() {
            let part = Command::Note(Note::Part(Part::Ids(&json)));
            let list = Command::Request { ticket: Some(ticket), request: Request::List };
            let _ = self.fx.pass_on(&[part, list]);
        } else {
            self.fx.answer(ticket, Answer::Info(&json));
        }
    }

    /// Passes on what is the predecessor's alone. When it does not keep up, whoever asked is told so.
    fn pass_on_one(&mut self, command: &Command<'_>) {
        if self.fx.pass_on(std::slice::from_ref(command)).is_ok() {
            return;
        }
        if let Some(ticket) = command.ticket() {
            self.fx.answer(ticket, Answer::One(Outcome::MailboxFull));
        }
    }

    /// The worker before is gone. What it did not take is answered in its place: it has no connections any more.
    pub(crate) fn lose_predecessor(&mut self) {
        let Some(predecessor) = self.fx.peers.predecessor.take() else { return };
        self.fx.peers.lineage.lose_predecessor();
        for Unsent { bytes, attachment } in predecessor.into_unsent() {
            for command in wire::decode(&bytes, attachment.as_deref()).flatten() {
                match (self.fx.peers.lineage.owner(&command), &command) {
                    (_, Command::Note(Note::Part(part))) => self.fx.peers.carry(*part),
                    (Owner::Ours, Command::Request { request, ticket }) => {
                        self.execute(*request, *ticket);
                    }
                    (Owner::Ours, Command::Answer { .. } | Command::Note(_)) => {}
                    (Owner::All, _) => self.take_part(&command, false),
                    (Owner::Nobody, _) => self.answer_nobodys(&command),
                    (Owner::Predecessor, _) => {}
                }
            }
        }
        self.fx.peers.carried = Carried::default();
        if !self.fx.peers.lineage.has_handed_over() {
            self.fx.channels.show_own_interest(self.fx.requests.handle().shared_state());
        }
    }

    /// A worker before the one that is gone still lives, and reads the other end of this line.
    pub(crate) fn find_predecessor(&mut self, line: OwnedFd) {
        self.lose_predecessor();
        let backlog_bytes_max = self.fx.limits.backlog_bytes_max;
        let SlotPeers { slot, lineage, predecessor, .. } = &mut self.fx.peers;
        *predecessor = Some(Relay::new(line, backlog_bytes_max));
        lineage.find_predecessor();
        // What it is interested in was given up with the one between, and is known to itself alone.
        self.fx.requests.handle().shared_state().show_all_interest(*slot);
    }
}

impl Effects {
    /// As [`SlotPeers::pass_on`].
    fn pass_on(&mut self, commands: &[Command<'_>]) -> Result<(), SendError> {
        let Self { peers, requests, stats, now_ms, .. } = self;
        peers.pass_on(commands, requests.handle(), stats, *now_ms)
    }
}
