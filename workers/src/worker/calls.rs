//! Calls of the application.
//!
//! They need nothing of a worker but its state, so a call can be made for each command of a packet while the packet lies in
//! the mailbox's buffer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wsmaster_ipc::shared_state::Counter;

use crate::{
    callback_id::CallbackId,
    close_reason::CloseReason,
    conn_index::ConnIndex,
    context::{Callback, Callbacks, Context},
    events::EndedJob,
    handler::Handler,
    pending::Reply,
    state::WorkerState,
};

/// The application, and what it may act on.
pub(crate) struct Calls<'w, H> {
    pub(crate) state: &'w mut WorkerState,
    pub(crate) callbacks: &'w mut Callbacks,
    pub(crate) handler: &'w mut H,
}

impl<H: Handler> Calls<'_, H> {
    /// Calls the application, and then tells it of what the call has brought about. A panic costs the connection it
    /// happened on.
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        index: Option<ConnIndex>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let result = self.guarded(index, call);
        self.run_callbacks();
        result
    }

    /// As [`Self::call`], and tells of nothing yet.
    pub(crate) fn guarded<R>(
        &mut self,
        index: Option<ConnIndex>,
        call: impl FnOnce(&mut H, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut context = Context::new(self.state, self.callbacks, index);
        let handler = &mut self.handler;
        let result = catch_unwind(AssertUnwindSafe(|| call(handler, &mut context)));
        if result.is_err() {
            self.state.fx.stats.add(Counter::HandlerPanics, 1);
            if let Some((connection, fx)) = index.and_then(|index| self.state.lend(index)) {
                connection.close(CloseReason::HandlerPanic, fx);
            }
        }
        result.ok()
    }

    /// Does what an answer was waited for. Whether somebody still waited.
    pub(crate) fn finish(&mut self, id: CallbackId, reply: Reply) -> bool {
        match self.callbacks.take(id) {
            Some(Callback::Reply(callback)) => {
                self.guarded(None, |_, context| callback(context, reply)).unwrap_or(false)
            }
            Some(Callback::JobEnd(_)) | None => {
                debug_assert!(false, "a request has another callback than its own");
                false
            }
        }
    }

    fn finish_job(&mut self, job: &EndedJob) {
        match self.callbacks.take(job.end) {
            Some(Callback::JobEnd(callback)) => {
                let index = job.connection.and_then(|id| self.state.find_open(id));
                self.guarded(index, |_, context| callback(context, job.result));
            }
            Some(Callback::Reply(_)) | None => {
                debug_assert!(false, "a job has another callback than its own");
            }
        }
    }

    /// Tells the application of ends and answers, until there are none left.
    #[inline]
    pub(crate) fn run_callbacks(&mut self) {
        while !self.state.fx.events.is_empty() || !self.state.fx.requests.answered.is_empty() {
            if let Some((index, closed)) = self.state.fx.events.closed.pop_front() {
                self.guarded(Some(index), |handler, context| handler.on_close(context, &closed));
            }
            if let Some((id, reply)) = self.state.fx.requests.answered.pop_front() {
                self.finish(id, reply);
            }
            if let Some(job) = self.state.fx.events.ended_jobs.pop_front() {
                self.finish_job(&job);
            }
            if let Some((undecided, verdict)) = self.state.fx.events.decisions.pop_front() {
                self.conclude(&undecided, verdict);
            }
        }
    }
}
