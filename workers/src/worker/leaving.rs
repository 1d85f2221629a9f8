//! What the master says, and how a worker leaves.

use std::{
    borrow::Cow,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use mio::unix::SourceFd;
use wsmaster_ipc::{
    LeaveReason, Slot,
    board::Counter,
    link::{Handed, Heard, ToChild, ToMaster},
    sys::listener::Listener,
};
use wsmaster_protocol::close::CloseCode;

use super::{Life, Post, Worker};
use crate::{connection::State, exchange::Exchange, handler::Handler, listening::ListenerRules};

/// How long a leaving worker waits for answers of other workers before its successor may start.
const HAND_OVER_MS_MAX: u64 = 200;

impl<H: Handler> Worker<H> {
    pub(super) fn hear(&mut self) {
        loop {
            let (heard, descriptor) = self.link.hear_with();
            match heard {
                Heard::Message(ToChild::Drain { reason, reconnect_spread_ms, deadline_ms }) => {
                    self.leave(reason, deadline_ms, Some(reconnect_spread_ms));
                    self.post = match self.post {
                        Post::Ours => {
                            Post::HandingOver { until_ms: self.core.now_ms + HAND_OVER_MS_MAX }
                        }
                        other @ (Post::HandingOver { .. } | Post::Successors) => other,
                    };
                }
                Heard::Message(ToChild::Stop { deadline_ms }) => {
                    self.leave(LeaveReason::ServerStop, deadline_ms, None);
                }
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
            Ok(()) => self.core.listeners.learn(rules, &self.core.limits.session),
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

    /// Stops taking anything new and tells every client: to come back within the spread, or that the server goes away.
    pub(super) fn leave(
        &mut self,
        reason: LeaveReason,
        deadline_ms: u64,
        reconnect_spread_ms: Option<u64>,
    ) {
        let deadline_ms = self.core.now_ms.saturating_add(deadline_ms);
        match self.life {
            Life::Serving | Life::Recycling => {}
            Life::Leaving { deadline_ms: earlier, reason } => {
                self.life = Life::Leaving { deadline_ms: deadline_ms.min(earlier), reason };
                return;
            }
            Life::Orphaned => return,
        }
        // What the application says now still comes before the close.
        self.call(None, |handler, context| handler.on_leave(context, reason));
        self.life = Life::Leaving { deadline_ms, reason };
        self.core.leaving = true;
        // The listener is the slot's: who comes from now on is the successor's. Those of slots that are down go to others.
        self.doors.close_all(self.poll.registry());
        for index in self.core.registry.indexes() {
            let (code, reason) = match reconnect_spread_ms {
                Some(spread) => {
                    let wait_ms = self.core.random.u64(0..=spread);
                    let reason = format!("restarting; retry_after_ms={wait_ms}");
                    (CloseCode::Restart, Cow::Owned(reason))
                }
                None => (CloseCode::Away, Cow::Borrowed("the server stops")),
            };
            let began = self.core.close_with(index, code, reason);
            // A first request may be on its way: with a successor at hand it is waited for and answered, the last one.
            let keeps_new = reconnect_spread_ms.is_some();
            let idle = !began
                && self.core.registry.at(index).is_some_and(|connection| {
                    matches!(connection.state, State::Http(Exchange::Head { .. }))
                        && !connection.has_input()
                        && !(keeps_new && connection.messages_in == 0)
                });
            if idle {
                self.core.linger(index);
            }
        }
        self.settle();
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

    /// Leaves the mailbox to the successor, when what this worker has asked others is answered or has had its time; and only
    /// then lets the master start the successor, which would take the answers for its own.
    pub(super) fn hand_over(&mut self) {
        let until_ms = match self.post {
            Post::HandingOver { until_ms } => until_ms,
            Post::Ours | Post::Successors => return,
        };
        if !self.core.asker.is_empty() && self.core.now_ms < until_ms {
            return;
        }
        self.post = Post::Successors;
        self.mail_waits = false;
        let mailbox = self.mailbox.as_fd().as_raw_fd();
        let _ = self.poll.registry().deregister(&mut SourceFd(&mailbox));
        while let Some(unanswered) = self.core.asker.expire(u64::MAX) {
            self.core.cell.add(Counter::UnansweredAsks, 1);
            self.core.finished.push_back(unanswered);
        }
        let tasks = self.core.asker.abandon_tasks();
        self.core.finished.extend(tasks);
        self.settle();
        self.link.say(&ToMaster::Draining);
    }

    pub(super) fn takes_mail(&self) -> bool {
        match self.post {
            Post::Ours | Post::HandingOver { .. } => true,
            Post::Successors => false,
        }
    }
}
