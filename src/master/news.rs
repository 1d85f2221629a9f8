//! News of the server's life, for the side processes that want to know.

use wsmaster_protocol::plugin::{self, EventKind};
use wsmaster_workers::Handler;

use super::{Master, report};
use crate::{server::WorkerInfo, supervisor::Report};

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Spreads what a report is about, if anybody wants to know. A mailbox that is full misses it.
    pub(super) fn spread(&self, report: &Report) {
        let mut line = Vec::new();
        let kind = match report {
            Report::Ready { child, pid, .. } if self.is_worker(*child) => {
                plugin::worker(&mut line, EventKind::WorkerStart, child.0, pid.0, None);
                EventKind::WorkerStart
            }
            Report::Died { child, pid, how, phase, .. } if self.is_worker(*child) => {
                if report::is_orderly(*phase) {
                    plugin::worker(&mut line, EventKind::WorkerStop, child.0, pid.0, None);
                    EventKind::WorkerStop
                } else {
                    let how = report::ended(*how);
                    plugin::worker(&mut line, EventKind::WorkerError, child.0, pid.0, Some(&how));
                    EventKind::WorkerError
                }
            }
            Report::ReloadStarted { .. } => {
                plugin::reload(&mut line, EventKind::ReloadStart);
                EventKind::ReloadStart
            }
            Report::ReloadFinished { .. } | Report::ReloadFailed { .. } => {
                plugin::reload(&mut line, EventKind::ReloadEnd);
                EventKind::ReloadEnd
            }
            Report::StopStarted { .. } => {
                plugin::server(&mut line, EventKind::ServerStop);
                EventKind::ServerStop
            }
            Report::Ready { .. }
            | Report::Died { .. }
            | Report::Started { .. }
            | Report::ForkFailed { .. }
            | Report::Leaving { .. }
            | Report::Recycling { .. }
            | Report::Overdue { .. }
            | Report::BackingOff { .. }
            | Report::GivenUp { .. }
            | Report::Covered { .. }
            | Report::Uncovered { .. }
            | Report::ReloadQueued
            | Report::AllStopped { .. } => return,
        };
        self.send_news(kind, &line);
        if kind == EventKind::ServerStop {
            // It is to be there before the word that it is time to stop, which takes another way.
            self.handle.flush();
        }
    }

    /// All workers serve, for the first time.
    pub(super) fn spread_start(&self) {
        let mut line = Vec::new();
        plugin::server(&mut line, EventKind::ServerStart);
        self.send_news(EventKind::ServerStart, &line);
    }

    fn send_news(&self, kind: EventKind, line: &[u8]) {
        for listener in self.directory.listeners(kind) {
            for address in listener.all() {
                if self.handle.notify(address, line).is_err() {
                    log::warn!(
                        "{} misses news: its mailbox is full",
                        self.directory.name_of(address)
                    );
                }
            }
        }
    }
}
