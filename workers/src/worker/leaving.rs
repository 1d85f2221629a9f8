//! What the master says, and how a worker leaves.

use std::{
    borrow::Cow,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use mio::{Interest, unix::SourceFd};
use wsmaster_ipc::{
    LeaveReason, Slot,
    board::Counter,
    link::{Handed, Heard, ToChild, ToMaster},
    mailbox::Mailbox,
    sys::listener::Listener,
};
use wsmaster_protocol::close::CloseCode;

use super::{Life, Parting, Post, Worker};
use crate::{
    close_reason::CloseReason, connection::State, exchange::Exchange, farewells::Farewells,
    handler::Handler, listening::ListenerRules, token::Source,
};

/// How often mail is taken before clients are closed, at a stop: enough for a full mailbox, and an end if others go on posting.
const MAIL_TURNS_BEFORE_CLOSING_MAX: usize = 64;

impl<H: Handler> Worker<H> {
    pub(super) fn hear(&mut self) {
        loop {
            let (heard, descriptor) = self.link.hear_with();
            match heard {
                Heard::Message(ToChild::Drain {
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
                Heard::Message(ToChild::Relay) => self.read_relay(descriptor),
                Heard::Message(ToChild::Elder) => self.next_elder = descriptor,
                Heard::Message(ToChild::Stop { wait_ms, spread_ms, deadline_ms }) => {
                    let reason = LeaveReason::ServerStop;
                    self.leave(reason, deadline_ms, wait_ms, Parting::GoneAway { spread_ms });
                }
                Heard::Message(ToChild::CloseClients) => self.close_clients(),
                Heard::Message(ToChild::Cover { slot, rules }) => {
                    self.cover(slot, rules, descriptor);
                }
                Heard::Message(ToChild::Retire { listener }) => self.doors.retire(listener),
                Heard::Message(ToChild::Uncover { slot }) => {
                    if let Some(slot) = Slot::new(slot).filter(|slot| *slot != self.core.slot) {
                        self.doors.close(self.poll.registry(), slot);
                    }
                }
                Heard::Message(ToChild::TakeLog { number }) => {
                    let come = descriptor.map(|file| (self.take_log)(file));
                    self.confirm(Handed::Log, number, come.is_some());
                }
                Heard::Message(ToChild::Life { what }) => {
                    self.call(None, |handler, context| handler.on_life(context, what));
                }
                // Its successor will know the side processes as they are then.
                Heard::Message(ToChild::Names) => {}
                Heard::Message(ToChild::Certificates { number }) => {
                    let come = descriptor.map(|file| self.renew_certificates(file));
                    self.confirm(Handed::Certificates, number, come.is_some());
                }
                Heard::Message(ToChild::TicketKeys { number }) => {
                    let come = descriptor.map(|file| self.turn_ticket_keys(file));
                    self.confirm(Handed::TicketKeys, number, come.is_some());
                }
                Heard::Noise => log::warn!("the master said something that is not understood"),
                Heard::Silence => return,
                Heard::Closed => {
                    self.life = Life::Orphaned;
                    return;
                }
            }
        }
    }

    /// Takes a further listener: of a slot that is down, or a new one of its own.
    fn cover(&mut self, number: u16, rules: serde_json::Value, socket: Option<OwnedFd>) {
        match self.life {
            Life::Serving | Life::Recycling => {}
            // Somebody else is asked as soon as the master knows.
            Life::Leaving { .. } | Life::Orphaned => return,
        }
        let name = rules["name"].as_str().unwrap_or_default().to_owned();
        let rules = serde_json::from_value::<ListenerRules>(rules);
        let (Some(socket), Some(slot), Ok(rules)) = (socket, Slot::new(number), rules) else {
            log::warn!("the listener {name} of worker {number} has not come: out of descriptors");
            self.link.say(&ToMaster::CannotCover { slot: number });
            return;
        };
        let opened = Listener::try_from(socket)
            .and_then(|socket| self.doors.open(self.poll.registry(), slot, rules.number, socket));
        match opened {
            Ok(()) => self.core.listeners.learn(rules, &self.core.limits.session()),
            Err(error) => {
                log::warn!("the listener {name} of worker {number} is not served: {error}");
                self.link.say(&ToMaster::CannotCover { slot: number });
            }
        }
    }

    /// Tells the master whether this process has what it was handed; where it has no descriptor for it, the master tries again.
    fn confirm(&self, what: Handed, number: u64, has_come: bool) {
        self.link.say(&if has_come {
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
        let now_ms = self.core.now_ms;
        let mut ends_ms = now_ms.saturating_add(deadline_ms);
        let mut reason = reason;
        match self.life {
            // What the application says now still comes before the close.
            Life::Serving | Life::Recycling => {
                self.call(None, |handler, context| handler.on_leave(context, reason));
            }
            // A deadline may be brought forward, never put off.
            Life::Leaving { deadline_ms: earlier_ms, reason: first, parting: before } => {
                ends_ms = ends_ms.min(earlier_ms);
                reason = first;
                if before == parting || is_end(before) {
                    self.life = Life::Leaving { deadline_ms: ends_ms, reason, parting: before };
                    return;
                }
            }
            Life::Orphaned => return,
        }
        self.life = Life::Leaving { deadline_ms: ends_ms, reason, parting };
        self.core.leaving = true;
        if is_end(parting) {
            self.core.stopping = true;
            // Who waits in the listener would be reset with it.
            self.accept();
        }
        // The listener is the slot's: who comes from now on is the successor's. Those of slots that are down go to others.
        self.doors.close_all(self.poll.registry());
        self.begin_farewells(now_ms.saturating_add(wait_ms), ends_ms, parting);
    }

    /// What side processes have posted before they ended arrives, and then the clients are told.
    fn close_clients(&mut self) {
        let (deadline_ms, parting) = match self.life {
            Life::Leaving { deadline_ms, parting, .. } => (deadline_ms, parting),
            Life::Serving | Life::Recycling | Life::Orphaned => return,
        };
        if self.core.farewells.waits_at(self.core.now_ms) {
            self.mail_waits |= self.takes_mail();
            for _ in 0..MAIL_TURNS_BEFORE_CLOSING_MAX {
                if !self.mail_waits {
                    break;
                }
                self.take_mail();
            }
            self.begin_farewells(self.core.now_ms, deadline_ms, parting);
        }
    }

    /// Chooses a moment for each client, `from_ms` at the earliest.
    fn begin_farewells(&mut self, from_ms: u64, ends_ms: u64, parting: Parting) {
        let (Parting::ComeBack { spread_ms, .. } | Parting::GoneAway { spread_ms }) = parting;
        self.core.farewells = Farewells::begin(
            from_ms,
            spread_ms,
            self.core.registry.websockets(),
            ends_ms.saturating_sub(from_ms),
            self.core.limits.close_timeout.as_millis() as u64,
        );
        for index in self.core.registry.indexes() {
            self.core.schedule_farewell(index);
        }
    }

    /// Tells those whose moment has come.
    pub(super) fn say_farewells(&mut self) {
        let parting = match self.life {
            Life::Leaving { parting, .. } => parting,
            Life::Serving | Life::Recycling | Life::Orphaned => return,
        };
        while let Some(key) = self.core.farewells.take(self.core.now_ms) {
            let Some(index) = self.core.registry.index_of(key) else { continue };
            let Some(connection) = self.core.registry.at_mut(index) else { continue };
            match connection.state {
                State::WebSocket(_) => match parting {
                    Parting::ComeBack { code, spread_ms } => {
                        let wait_ms = self.core.random.u64(0..=spread_ms);
                        let reason = format!("restarting; retry_after_ms={wait_ms}");
                        self.core.close_with(index, code, Cow::Owned(reason));
                    }
                    Parting::GoneAway { .. } => self.core.close(index, CloseReason::ServerStop),
                },
                State::Http(Exchange::Head { .. }) => {
                    // What has come by now is answered: the kernel tells of it a moment later.
                    connection.flags.readable = true;
                    self.serve(index);
                    self.end_if_idle(index, parting);
                }
                // What is unfinished has its own deadline, and the answer ends the connection.
                State::Http(
                    Exchange::Body { .. } | Exchange::Answering { .. } | Exchange::Undecided { .. },
                )
                | State::Lingering { .. } => {}
            }
        }
        self.settle();
    }

    /// Ends a connection on which no request has begun. With a successor at hand a first one is waited for.
    fn end_if_idle(&mut self, index: u32, parting: Parting) {
        let keeps_new = match parting {
            Parting::ComeBack { .. } => true,
            Parting::GoneAway { .. } => false,
        };
        let idle = self.core.registry.at(index).is_some_and(|connection| {
            matches!(connection.state, State::Http(Exchange::Head { .. }))
                && !connection.has_input()
                && !(keeps_new && connection.messages_in == 0)
        });
        if idle {
            self.core.linger(index);
        }
    }

    pub(super) fn ask_for_a_successor(&mut self, reason: LeaveReason) {
        match self.life {
            Life::Serving => {
                self.link.say(&ToMaster::Recycle { reason });
                self.life = Life::Recycling;
            }
            Life::Recycling | Life::Leaving { .. } | Life::Orphaned => {}
        }
    }

    /// Leaves the mailbox to the successor, and lets the master start it. What is for this worker is passed on from then on.
    fn hand_over(&mut self) {
        match self.post {
            Post::Ours => {}
            Post::HandedOver | Post::Relayed => return,
        }
        self.stop_reading_mail();
        self.post = Post::HandedOver;
        let last_serial = self.core.loop_handle().board().last_serial(self.core.slot);
        self.core.lineage.hand_over(last_serial);
        self.link.say(&ToMaster::Draining);
    }

    /// Reads from now on what the successor passes on.
    fn read_relay(&mut self, line: Option<OwnedFd>) {
        match self.post {
            Post::Ours => return,
            Post::Relayed => self.stop_reading_mail(),
            Post::HandedOver => {}
        }
        let Some(line) = line else {
            log::warn!("what is for this worker's clients cannot be heard: out of descriptors");
            self.post = Post::HandedOver;
            return;
        };
        let descriptor = line.as_raw_fd();
        let token = Source::Mailbox.token();
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)
        {
            log::warn!("what is for this worker's clients cannot be heard: {error}");
            self.post = Post::HandedOver;
            return;
        }
        self.mailbox = Mailbox::new(line);
        self.post = Post::Relayed;
        self.mail_waits = true;
    }

    /// Passes on from now on to the worker that the master has found. Not while the events of a turn are looked at: the end of
    /// the line before may be among them.
    pub(super) fn take_next_elder(&mut self) {
        let Some(line) = self.next_elder.take() else { return };
        let descriptor = line.as_raw_fd();
        let either = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Elder.token();
        match self.poll.registry().register(&mut SourceFd(&descriptor), token, either) {
            Ok(()) => self.core.find_elder(line),
            Err(error) => log::warn!("an earlier worker of this slot is not joined: {error}"),
        }
        self.settle();
    }

    /// The worker before is gone. The mailbox is looked at, since bodies that it did not take count as waiting until it is empty.
    pub(super) fn lose_elder(&mut self) {
        self.core.lose_elder();
        self.mail_waits = self.takes_mail();
    }

    pub(super) fn stop_reading_mail(&mut self) {
        self.mail_waits = false;
        let mailbox = self.mailbox.as_fd().as_raw_fd();
        let _ = self.poll.registry().deregister(&mut SourceFd(&mailbox));
    }

    /// Waits no longer for what this worker has asked.
    pub(super) fn end_questions(&mut self) {
        while let Some(unanswered) = self.core.asker.expire(u64::MAX) {
            self.core.cell.add(Counter::UnansweredAsks, 1);
            self.core.finished.push_back(unanswered);
        }
        let tasks = self.core.asker.abandon_tasks();
        self.core.finished.extend(tasks);
        self.settle();
    }

    /// Answers what the successor has passed on until now; it hears that no more is taken, and answers the rest itself.
    pub(super) fn end_mail(&mut self) {
        match self.post {
            Post::Relayed => {}
            Post::Ours | Post::HandedOver => return,
        }
        self.mailbox.end_reading();
        self.mail_waits = true;
        while self.mail_waits {
            self.take_mail();
        }
    }

    pub(super) fn takes_mail(&self) -> bool {
        match self.post {
            Post::Ours | Post::Relayed => true,
            Post::HandedOver => false,
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
