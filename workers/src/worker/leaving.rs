//! What the master says, and how a worker leaves.

use std::{
    borrow::Cow,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use mio::{Interest, unix::SourceFd};
use wsmaster_ipc::{
    LeaveReason, Slot,
    link::{Handed, Received, ToChild, ToMaster},
    shared_state::Counter,
    sys::listener::Listener,
};
use wsmaster_protocol::close::CloseCode;

use super::{MailboxOwner, Worker, calls::Calls};
use crate::{
    close_reason::CloseReason,
    conn_index::ConnIndex,
    connection::State,
    drain_schedule::DrainSchedule,
    handler::Handler,
    http1::RequestState,
    lifecycle::{Life, Parting},
    listening::ListenerRules,
    token::Source,
};

/// How often mail is taken before clients are closed, at a stop: enough for a full mailbox, and an end if others go on posting.
const MAIL_TURNS_BEFORE_CLOSING_MAX: usize = 64;

impl<H: Handler> Worker<H> {
    pub(super) fn read_link(&mut self) {
        loop {
            let (received, descriptor) = self.state.lifecycle.link.receive_with();
            match received {
                Received::Message(ToChild::Drain {
                    reason,
                    reconnect_spread_ms: spread_ms,
                    close_code,
                    deadline_ms,
                }) => {
                    let code = CloseCode::from(close_code);
                    let parting = Parting::ComeBack { code, spread_ms };
                    self.leave(reason, deadline_ms, 0, parting);
                    self.hand_over();
                }
                Received::Message(ToChild::Relay) => self.read_relay(descriptor),
                Received::Message(ToChild::Elder) => {
                    self.state.fx.peers.next_predecessor = descriptor;
                }
                Received::Message(ToChild::Stop { wait_ms, spread_ms, deadline_ms }) => {
                    let reason = LeaveReason::ServerStop;
                    self.leave(reason, deadline_ms, wait_ms, Parting::GoneAway { spread_ms });
                }
                Received::Message(ToChild::CloseClients) => self.close_clients(),
                Received::Message(ToChild::Cover { slot, rules }) => {
                    self.cover(slot, rules, descriptor);
                }
                Received::Message(ToChild::Retire { listener }) => {
                    self.accept_sockets.retire(listener);
                }
                Received::Message(ToChild::Uncover { slot }) => {
                    if let Some(slot) =
                        Slot::new(slot).filter(|slot| *slot != self.state.fx.peers.slot)
                    {
                        self.accept_sockets.close(self.poll.registry(), slot);
                    }
                }
                Received::Message(ToChild::TakeLog { number }) => {
                    let come = descriptor.map(|file| (self.take_log)(file));
                    self.confirm(Handed::Log, number, come.is_some());
                }
                Received::Message(ToChild::Life { what }) => {
                    self.call(None, |handler, context| handler.on_life(context, what));
                }
                // Its successor will know the side processes as they are then.
                Received::Message(ToChild::Names) => {}
                Received::Message(ToChild::Certificates { number }) => {
                    let come = descriptor.map(|file| self.renew_certificates(file));
                    self.confirm(Handed::Certificates, number, come.is_some());
                }
                Received::Message(ToChild::TicketKeys { number }) => {
                    let come = descriptor.map(|file| self.turn_ticket_keys(file));
                    self.confirm(Handed::TicketKeys, number, come.is_some());
                }
                Received::Malformed => {
                    log::warn!("the master said something that is not understood");
                }
                Received::Empty => return,
                Received::Closed => {
                    self.state.lifecycle.life = Life::Orphaned;
                    return;
                }
            }
        }
    }

    /// Takes a further listener: of a slot that is down, or a new one of its own.
    fn cover(&mut self, number: u16, rules: serde_json::Value, socket: Option<OwnedFd>) {
        match self.state.lifecycle.life {
            Life::Serving | Life::Recycling => {}
            // Somebody else is asked as soon as the master knows.
            Life::Leaving { .. } | Life::Orphaned => return,
        }
        let name = rules["name"].as_str().unwrap_or_default().to_owned();
        let rules = serde_json::from_value::<ListenerRules>(rules);
        let (Some(socket), Some(slot), Ok(rules)) = (socket, Slot::new(number), rules) else {
            log::warn!("the listener {name} of worker {number} has not come: out of descriptors");
            self.state.lifecycle.link.send(&ToMaster::CannotCover { slot: number });
            return;
        };
        let opened = Listener::try_from(socket).and_then(|socket| {
            self.accept_sockets.open(self.poll.registry(), slot, rules.number, socket)
        });
        match opened {
            Ok(()) => self.state.fx.rules.listeners.learn(rules, &self.state.fx.limits.session()),
            Err(error) => {
                log::warn!("the listener {name} of worker {number} is not served: {error}");
                self.state.lifecycle.link.send(&ToMaster::CannotCover { slot: number });
            }
        }
    }

    /// Tells the master whether this process has what it was handed; where it has no descriptor for it, the master tries again.
    fn confirm(&self, what: Handed, number: u64, has_come: bool) {
        self.state.lifecycle.link.send(&if has_come {
            ToMaster::Taken { what, number }
        } else {
            ToMaster::NotTaken { what, number }
        });
    }

    fn renew_certificates(&mut self, file: OwnedFd) {
        let Some(tls) = self.tls.as_mut() else { return };
        if let Err(error) = tls.renew(file) {
            log::error!("the new certificates cannot be used: {error}; the old ones stay");
        }
    }

    fn turn_ticket_keys(&mut self, file: OwnedFd) {
        let Some(tls) = self.tls.as_ref() else { return };
        if let Err(error) = tls.turn(file) {
            log::error!("the new keys of session tickets cannot be used: {error}");
        }
    }

    /// Stops taking anything new, and tells every client at its moment.
    /// `wait_ms`: nobody is told before.
    fn leave(&mut self, reason: LeaveReason, deadline_ms: u64, wait_ms: u64, parting: Parting) {
        let now_ms = self.state.fx.now_ms;
        let mut ends_ms = now_ms.saturating_add(deadline_ms);
        let mut reason = reason;
        match self.state.lifecycle.life {
            // What the application says now still comes before the close.
            Life::Serving | Life::Recycling => {
                self.call(None, |handler, context| handler.on_leave(context, reason));
            }
            // A deadline may be brought forward, never put off.
            Life::Leaving { deadline_ms: earlier_ms, reason: first, parting: before } => {
                ends_ms = ends_ms.min(earlier_ms);
                reason = first;
                if before == parting || is_end(before) {
                    self.state.lifecycle.life =
                        Life::Leaving { deadline_ms: ends_ms, reason, parting: before };
                    return;
                }
            }
            Life::Orphaned => return,
        }
        self.state.lifecycle.life = Life::Leaving { deadline_ms: ends_ms, reason, parting };
        self.state.fx.drain.is_leaving = true;
        if is_end(parting) {
            self.state.fx.drain.is_stopping = true;
            // Who waits in the listener would be reset with it.
            self.accept();
        }
        // The listener is the slot's: who comes from now on is the successor's. Those of slots that are down go to others.
        self.accept_sockets.close_all(self.poll.registry());
        self.begin_drain(now_ms.saturating_add(wait_ms), ends_ms, parting);
    }

    /// What side processes have sent before they ended arrives, and then the clients are told.
    fn close_clients(&mut self) {
        let (deadline_ms, parting) = match self.state.lifecycle.life {
            Life::Leaving { deadline_ms, parting, .. } => (deadline_ms, parting),
            Life::Serving | Life::Recycling | Life::Orphaned => return,
        };
        if self.state.fx.drain.schedule.waits_at(self.state.fx.now_ms) {
            self.inbox.inbox.set_has_mail(self.takes_mail());
            for _ in 0..MAIL_TURNS_BEFORE_CLOSING_MAX {
                if !self.inbox.inbox.has_mail() {
                    break;
                }
                self.take_mail();
            }
            self.begin_drain(self.state.fx.now_ms, deadline_ms, parting);
        }
    }

    /// Chooses a moment for each client, `from_ms` at the earliest.
    fn begin_drain(&mut self, from_ms: u64, ends_ms: u64, parting: Parting) {
        let (Parting::ComeBack { spread_ms, .. } | Parting::GoneAway { spread_ms }) = parting;
        self.state.fx.drain.schedule = DrainSchedule::begin(
            from_ms,
            spread_ms,
            self.state.fx.ids.len(),
            ends_ms.saturating_sub(from_ms),
            self.state.fx.limits.close_timeout.as_millis() as u64,
        );
        for connection in self.state.connections.iter() {
            connection.schedule_drain(&mut self.state.fx);
        }
    }

    /// Tells those whose moment has come.
    pub(super) fn drain_clients(&mut self) {
        let parting = match self.state.lifecycle.life {
            Life::Leaving { parting, .. } => parting,
            Life::Serving | Life::Recycling | Life::Orphaned => return,
        };
        while let Some(key) = self.state.fx.drain.schedule.take(self.state.fx.now_ms) {
            let Some((connection, fx)) = self.state.lend_key(key) else { continue };
            match connection.state {
                State::WebSocket(_) => match parting {
                    Parting::ComeBack { code, spread_ms } => {
                        let wait_ms = fx.random.u64(0..=spread_ms);
                        let reason = format!("restarting; retry_after_ms={wait_ms}");
                        connection.close_with(code, Cow::Owned(reason), fx);
                    }
                    Parting::GoneAway { .. } => connection.close(CloseReason::ServerStop, fx),
                },
                State::Http(RequestState::Head { .. }) => {
                    // What has come by now is answered: the kernel tells of it a moment later.
                    connection.flags.readable = true;
                    let Self { state, callbacks, handler, buffers, .. } = self;
                    Calls { state, callbacks, handler }.serve(key.index, buffers);
                    self.end_if_idle(key.index, parting);
                }
                // What is unfinished has its own deadline, and the answer ends the connection.
                State::Http(
                    RequestState::Body { .. }
                    | RequestState::Answering { .. }
                    | RequestState::Undecided { .. },
                )
                | State::Lingering { .. } => {}
            }
        }
        self.run_callbacks();
    }

    /// Ends a connection on which no request has begun. With a successor at hand a first one is waited for.
    fn end_if_idle(&mut self, index: ConnIndex, parting: Parting) {
        let keeps_new = match parting {
            Parting::ComeBack { .. } => true,
            Parting::GoneAway { .. } => false,
        };
        let Some((connection, fx)) = self.state.lend(index) else { return };
        if matches!(connection.state, State::Http(RequestState::Head { .. }))
            && !connection.has_input()
            && !(keeps_new && connection.messages_in == 0)
        {
            connection.linger(fx);
        }
    }

    /// Leaves the mailbox to the successor, and lets the master start it. What is for this worker is passed on from then on.
    fn hand_over(&mut self) {
        match self.inbox.owner {
            MailboxOwner::Us => {}
            MailboxOwner::Successor | MailboxOwner::SuccessorRelays => return,
        }
        self.stop_reading_mail();
        self.inbox.owner = MailboxOwner::Successor;
        let last_serial =
            self.state.fx.requests.handle().shared_state().last_serial(self.state.fx.peers.slot);
        self.state.fx.peers.lineage.hand_over(last_serial);
        self.state.lifecycle.link.send(&ToMaster::Draining);
    }

    /// Reads from now on what the successor passes on.
    fn read_relay(&mut self, line: Option<OwnedFd>) {
        match self.inbox.owner {
            MailboxOwner::Us => return,
            MailboxOwner::SuccessorRelays => self.stop_reading_mail(),
            MailboxOwner::Successor => {}
        }
        let Some(line) = line else {
            log::warn!("what is for this worker's clients cannot be heard: out of descriptors");
            self.inbox.owner = MailboxOwner::Successor;
            return;
        };
        let descriptor = line.as_raw_fd();
        let token = Source::Mailbox.token();
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)
        {
            log::warn!("what is for this worker's clients cannot be heard: {error}");
            self.inbox.owner = MailboxOwner::Successor;
            return;
        }
        self.inbox.inbox.read_from(line);
        self.inbox.owner = MailboxOwner::SuccessorRelays;
    }

    /// Passes on from now on to the worker that the master has found. Not while the events of a turn are looked at: the end of
    /// the line before may be among them.
    pub(super) fn take_next_predecessor(&mut self) {
        let Some(line) = self.state.fx.peers.next_predecessor.take() else { return };
        let descriptor = line.as_raw_fd();
        let either = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Predecessor.token();
        match self.poll.registry().register(&mut SourceFd(&descriptor), token, either) {
            Ok(()) => self.state.find_predecessor(line),
            Err(error) => log::warn!("an earlier worker of this slot is not joined: {error}"),
        }
        self.run_callbacks();
    }

    /// The worker before is gone. The mailbox is looked at, since bodies that it did not take count as waiting until it is empty.
    pub(super) fn lose_predecessor(&mut self) {
        self.state.lose_predecessor();
        self.inbox.inbox.set_has_mail(self.takes_mail());
    }

    pub(super) fn stop_reading_mail(&mut self) {
        self.inbox.inbox.set_has_mail(false);
        let mailbox = self.inbox.inbox.as_fd().as_raw_fd();
        let _ = self.poll.registry().deregister(&mut SourceFd(&mailbox));
    }

    /// Waits no longer for what this worker has asked.
    pub(super) fn end_questions(&mut self) {
        while let Some(unanswered) = self.state.fx.requests.requester.expire(u64::MAX) {
            self.state.fx.stats.add(Counter::UnansweredAsks, 1);
            self.state.fx.requests.answered.push_back(unanswered);
        }
        let tasks = self.state.fx.requests.requester.abandon_tasks();
        self.state.fx.requests.answered.extend(tasks);
        self.run_callbacks();
    }

    /// Answers what the successor has passed on until now; it hears that no more is taken, and answers the rest itself.
    pub(super) fn end_mail(&mut self) {
        match self.inbox.owner {
            MailboxOwner::SuccessorRelays => {}
            MailboxOwner::Us | MailboxOwner::Successor => return,
        }
        self.inbox.inbox.end_reading();
        while self.inbox.inbox.has_mail() {
            self.take_mail();
        }
    }

    pub(super) fn takes_mail(&self) -> bool {
        match self.inbox.owner {
            MailboxOwner::Us | MailboxOwner::SuccessorRelays => true,
            MailboxOwner::Successor => false,
        }
    }
}

/// Whether nobody follows this worker.
fn is_end(parting: Parting) -> bool {
    match parting {
        Parting::ComeBack { .. } => false,
        Parting::GoneAway { .. } => true,
    }
}
