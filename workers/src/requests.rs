//! What this worker has asked other processes and what it is asked by those who look at it: the requests under way, and
//! the answers that the application has to be given.

use std::collections::VecDeque;

use wsmaster_ipc::{Handle, ReplyTo};

use crate::{
    callback_id::CallbackId,
    pending::Reply,
    requester::{Requested, Requester},
};

/// See the module.
pub(crate) struct Requests {
    /// What the loop asks others, and sends with: it gathers until the end of the turn.
    pub(crate) requester: Requester<CallbackId>,
    /// What other threads may send with: nothing waits for the loop.
    pub(crate) thread_handle: Handle,
    /// Answers that are complete, and of which the application has not been told.
    pub(crate) answered: VecDeque<(CallbackId, Reply)>,
    /// Requests to look over connections or channels, to be answered at the end of the turn.
    pub(crate) inspections: Vec<(ReplyTo, Vec<u8>)>,
}

impl Requests {
    /// None yet. The numbers of requests begin with `first_request`, and their answers are awaited for `timeout_ms`.
    pub(crate) fn new(handle: Handle, first_request: u64, timeout_ms: u64) -> Self {
        Self {
            requester: Requester::new(handle.for_a_loop(), first_request, timeout_ms),
            thread_handle: handle,
            answered: VecDeque::new(),
            inspections: Vec::new(),
        }
    }

    /// What the loop sends with: it gathers until the end of the turn.
    #[inline]
    pub(crate) fn handle(&self) -> &Handle {
        self.requester.handle()
    }

    /// Keeps an answer that is known at once until the application's present call is over.
    pub(crate) fn keep(&mut self, asked: Requested<CallbackId>) {
        match asked {
            Requested::Waiting => {}
            Requested::Known(callback, reply) => self.answered.push_back((callback, reply)),
        }
    }
}
