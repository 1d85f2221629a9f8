//! What several processes of one slot do together, while one of them leaves: see [`crate::lineage`].

use std::os::fd::OwnedFd;

use wsmaster_ipc::{
    Answer, AskTicket, Command, ConnectionId, Outcome, Part, PostError,
    board::Counter,
    command::Group,
    handle::Publication,
    relay::{Flushed, Relay, Unsent},
    wire,
};

use super::Core;
use crate::{asks::Tally, handler::Message, lineage::Owner};

/// What the process after this one has of the answer to the command that comes next.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    delivered: u64,
    dropped: u64,
    ids: Vec<u8>,
}

impl Core {
    /// Takes a command that is not this worker's alone.
    pub(crate) fn share(&mut self, command: &Command<'_>) {
        match self.lineage.owner(command) {
            Owner::Ours => self.execute(command),
            Owner::All => self.take_part(command, true),
            Owner::Elder => self.pass_on_one(command),
            Owner::Nobody => self.answer_nobodys(command),
        }
    }

    /// The process that asked is gone: whoever answers it may want to know.
    fn answer_nobodys(&mut self, command: &Command<'_>) {
        if let Command::Answer { ticket: Some(ticket), .. } = command {
            let answer = Answer::One(Outcome::NoSuchConnection);
            self.answer(ticket.reply_to, ticket.request, answer);
        }
    }

    /// Keeps what the process after this one says of the next command's answer.
    pub(crate) fn carry(&mut self, part: Part<'_>) {
        match part {
            Part::Many { delivered, dropped } => {
                self.carried = Carried { delivered, dropped, ids: Vec::new() };
            }
            Part::Ids(json) => self.carried = Carried { ids: json.to_vec(), ..Carried::default() },
        }
    }

    /// Does this worker's part of a command for all processes of the slot, if it is to do any, and passes it on or answers.
    fn take_part(&mut self, command: &Command<'_>, here: bool) {
        let carried = std::mem::take(&mut self.carried);
        let is_new = |core: &Self, ticket: Option<AskTicket>| {
            here && !ticket.is_some_and(|ticket| core.lineage.has_asked(ticket))
        };
        let (tally, ticket) = match *command {
            Command::Broadcast { group, kind, payload, exclude, ticket }
                if is_new(self, ticket) =>
            {
                (self.broadcast_here(group, Message::from_parts(kind, payload), exclude), ticket)
            }
            Command::Publish { channel, kind, payload, exclude, only, ticket }
                if is_new(self, ticket) =>
            {
                let message = Message::from_parts(kind, payload);
                (self.publish_here(channel, message, exclude, only), ticket)
            }
            Command::Broadcast { ticket, .. } | Command::Publish { ticket, .. } => {
                (Tally::default(), ticket)
            }
            Command::List { ticket } => return self.list(ticket, &carried, here),
            Command::Push { .. }
            | Command::Disconnect { .. }
            | Command::Info { .. }
            | Command::Survey { .. }
            | Command::Answer { .. }
            | Command::Message { .. }
            | Command::Task { .. }
            | Command::Part(_)
            | Command::Event { .. } => return,
        };
        let delivered = carried.delivered + tally.delivered;
        let dropped = carried.dropped + tally.dropped;
        if self.lineage.has_elder() {
            let part = Command::Part(Part::Many { delivered, dropped });
            // When it is refused nobody answers: it is not known how many of the elder's should have had it.
            let _ = match ticket {
                Some(_) => self.pass_on(&[part, command.clone()]),
                None => self.pass_on(std::slice::from_ref(command)),
            };
        } else if let Some(ticket) = ticket {
            self.answer(ticket.reply_to, ticket.request, Answer::Many { delivered, dropped });
        }
    }

    fn list(&mut self, ticket: AskTicket, carried: &Carried, here: bool) {
        let mut ids: Vec<ConnectionId> = serde_json::from_slice(&carried.ids).unwrap_or_default();
        if here {
            ids.extend(self.registry.ids());
        }
        let json = serde_json::to_vec(&ids).unwrap_or_default();
        if self.lineage.has_elder() {
            let part = Command::Part(Part::Ids(&json));
            let _ = self.pass_on(&[part, Command::List { ticket }]);
        } else {
            self.answer(ticket.reply_to, ticket.request, Answer::Info(&json));
        }
    }

    /// Passes on what is the elder's alone. When it does not keep up, whoever asked is told so.
    fn pass_on_one(&mut self, command: &Command<'_>) {
        if self.pass_on(std::slice::from_ref(command)).is_ok() {
            return;
        }
        let ticket = match command {
            Command::Push { ticket, .. } | Command::Disconnect { ticket, .. } => *ticket,
            Command::Answer { ticket, .. } => *ticket,
            Command::Info { ticket, .. } => Some(*ticket),
            Command::Broadcast { .. }
            | Command::Publish { .. }
            | Command::List { .. }
            | Command::Survey { .. }
            | Command::Message { .. }
            | Command::Task { .. }
            | Command::Part(_)
            | Command::Event { .. } => None,
        };
        if let Some(ticket) = ticket {
            self.answer(ticket.reply_to, ticket.request, Answer::One(Outcome::MailboxFull));
        }
    }

    fn pass_on(&mut self, commands: &[Command<'_>]) -> Result<(), PostError> {
        let handle = self.asker.handle();
        let (own, board) = (handle.own_address(), handle.board());
        let bytes: usize = commands.iter().map(|command| wire::body(command).len()).sum();
        let waiting = board.attached_bytes(own);
        let is_full = bytes > wire::INLINE_BODY_BYTES_MAX
            && waiting > 0
            && waiting + bytes as u64 > wire::ATTACHED_WAITING_BYTES_MAX;
        let result = match &mut self.elder {
            Some(_) if is_full => Err(PostError::Full),
            Some(elder) => elder.pass_on(commands),
            None => Err(PostError::NoSuchProcess),
        };
        match result {
            Ok(attached_bytes) => {
                // What waits for any process of the slot counts as waiting for the slot.
                board.add_attached(own, attached_bytes);
                self.cell.add(Counter::Relayed, 1);
                Ok(())
            }
            Err(error) => {
                self.cell.add(Counter::DroppedRelayFull, 1);
                self.complain(Counter::DroppedRelayFull, || {
                    "the worker before, which is leaving, does not keep up: messages for its clients are lost"
                        .to_owned()
                });
                Err(error)
            }
        }
    }

    /// Sends what is to be passed on. Whether nothing waits.
    pub(crate) fn flush_relay(&mut self) -> bool {
        let Some(elder) = &mut self.elder else { return true };
        match elder.flush() {
            Flushed::Whole => true,
            Flushed::Waiting => false,
            Flushed::Closed => {
                self.lose_elder();
                true
            }
        }
    }

    /// The worker before is gone. What it did not take is answered in its place: it has no connections any more.
    pub(crate) fn lose_elder(&mut self) {
        let Some(elder) = self.elder.take() else { return };
        self.lineage.lose_elder();
        for Unsent { bytes, attachment } in elder.into_unsent() {
            for command in wire::decode(&bytes, attachment.as_deref()).flatten() {
                match (self.lineage.owner(&command), &command) {
                    (_, Command::Part(part)) => self.carry(*part),
                    (Owner::Ours, _) => self.execute(&command),
                    (Owner::All, _) => self.take_part(&command, false),
                    (Owner::Nobody, _) => self.answer_nobodys(&command),
                    (Owner::Elder, _) => {}
                }
            }
        }
        self.carried = Carried::default();
        if !self.lineage.has_handed_over() {
            self.show_own_interest();
        }
    }

    /// A worker before the one that is gone still lives, and reads the other end of this line.
    pub(crate) fn find_elder(&mut self, line: OwnedFd) {
        self.lose_elder();
        self.elder = Some(Relay::new(line, self.limits.backlog_bytes_max));
        self.lineage.find_elder();
        // What it is interested in was given up with the one between, and is known to itself alone.
        self.asker.handle().board().show_all_interest(self.slot);
    }

    /// Whether a connection could only be here.
    pub(crate) fn is_here(&self, id: ConnectionId) -> bool {
        id.slot() == self.slot && self.lineage.is_own_serial(id.serial())
    }

    /// Sends a message to the connections that other processes of this slot have. Whether the mailbox took it.
    pub(crate) fn broadcast_in_slot(
        &self,
        group: Option<Group>,
        message: Message<'_>,
        exclude: Option<ConnectionId>,
    ) -> bool {
        if !self.lineage.is_shared() {
            return true;
        }
        let (kind, payload, ticket) =
            (message.kind(), message.payload(), Some(self.lineage.mark()));
        let command = Command::Broadcast { group, kind, payload, exclude, ticket };
        self.asker.handle().post(self.slot.address(), &command).is_ok()
    }

    /// As [`Self::broadcast_in_slot`], for the subscribers of a channel.
    pub(crate) fn publish_in_slot(&self, publication: &Publication<'_>) -> bool {
        let handle = self.asker.handle();
        let bit = handle.board().interest_bit(publication.channel);
        if !self.lineage.is_shared() || !handle.board().is_interested(self.slot, bit) {
            return true;
        }
        let request = Some(self.lineage.mark().request);
        let posted = handle.publish(std::iter::once(self.slot), publication, request);
        posted.is_ok_and(|posted| posted.iter().all(|one| one.result.is_ok()))
    }
}
