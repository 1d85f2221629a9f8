//! Calls of the application.
//!
//! They need nothing of a worker but its core, so a call can be made for each command of a packet while the packet lies in
//! the mailbox's buffer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wsmaster_ipc::board::Counter;

use super::Worker;
use crate::{
    asks::Reply,
    close_reason::CloseReason,
    context::Context,
    core::{Completion, Core},
    handler::Handler,
};

/// See the module.
pub(super) struct Calls<'w, H> {
    pub(super) core: &'w mut Core,
    pub(super) handler: &'w mut H,
}

impl<H: Handler> Calls<'_, H> {
    /// Calls the application, and then tells it of what the call has brought about. A panic costs the connection it
    /// happened on.
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        index: Option<u32>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let result = self.guarded(index, call);
        self.settle();
        result
    }

    pub(super) fn guarded<R>(
        &mut self,
        index: Option<u32>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut context = Context::new(self.core, index);
        let handler = &mut self.handler;
        let result = catch_unwind(AssertUnwindSafe(|| call(handler, &mut context)));
        if result.is_err() {
            self.core.cell.add(Counter::HandlerPanics, 1);
            if let Some(index) = index {
                self.core.close(index, CloseReason::HandlerPanic);
            }
        }
        result.ok()
    }

    /// Does what an answer was waited for. Whether somebody still waited.
    pub(super) fn finish(&mut self, done: Completion, reply: Reply) -> bool {
        self.guarded(None, |_, context| done(context, reply)).unwrap_or(false)
    }

    /// Tells the application of ends and answers, until there are none left.
    #[inline]
    pub(super) fn settle(&mut self) {
        while !self.core.endings.is_empty()
            || !self.core.finished.is_empty()
            || !self.core.ended_jobs.is_empty()
            || !self.core.decisions.is_empty()
        {
            if let Some((index, closed)) = self.core.endings.pop_front() {
                self.guarded(Some(index), |handler, context| handler.on_close(context, &closed));
            }
            if let Some((done, reply)) = self.core.finished.pop_front() {
                self.finish(done, reply);
            }
            if let Some(job) = self.core.ended_jobs.pop_front() {
                let index = job.connection.and_then(|id| self.core.find_open(id));
                self.guarded(index, |_, context| (job.end)(context, job.result));
            }
            if let Some((undecided, verdict)) = self.core.decisions.pop_front() {
                self.conclude(&undecided, verdict);
            }
        }
    }
}

impl<H: Handler> Worker<H> {
    pub(super) fn calls(&mut self) -> Calls<'_, H> {
        Calls { core: &mut self.core, handler: &mut self.handler }
    }

    /// As [`Calls::call`].
    #[inline]
    pub(super) fn call<R>(
        &mut self,
        index: Option<u32>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.calls().call(index, call)
    }

    /// As [`Calls::settle`].
    #[inline]
    pub(super) fn settle(&mut self) {
        self.calls().settle();
    }
}
