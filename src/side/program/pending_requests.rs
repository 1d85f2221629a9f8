//! Requests that a program has not answered yet: where the answer goes, and under which number the program answers. Pure.

use std::collections::{HashMap, VecDeque};

use wsmaster_ipc::ReplyTo;
use wsmaster_protocol::plugin::EventKind;

/// Requests to one program that may be open at a time.
pub(super) const REQUESTS_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct PendingRequests {
    open: HashMap<u64, PendingRequest>,
    /// Deadlines and numbers in the order of arrival. Answered ones are passed over.
    order: VecDeque<(u64, u64)>,
    next: u64,
    timeout_ms: u64,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PendingRequest {
    /// [`EventKind::Handshake`] or [`EventKind::Request`].
    pub(super) kind: EventKind,
    /// Where the answer goes.
    pub(super) ticket: ReplyTo,
}

impl PendingRequests {
    /// The workers wait `timeout_ms` for an answer.
    pub(super) fn new(timeout_ms: u64) -> Self {
        Self { open: HashMap::new(), order: VecDeque::new(), next: 1, timeout_ms }
    }

    /// Whether one more may be open.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < REQUESTS_MAX
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Keeps a request until it is answered, or no worker waits any more. The number under which it is answered.
    pub(super) fn keep(&mut self, request: PendingRequest, now_ms: u64) -> u64 {
        let number = self.next;
        self.open.insert(number, request);
        self.order.push_back((now_ms + self.timeout_ms, number));
        self.next += 1;
        number
    }

    /// The request with this number, as long as a worker waits for its answer.
    pub(super) fn of(&self, number: u64) -> Option<PendingRequest> {
        self.open.get(&number).copied()
    }

    /// The request is answered.
    pub(super) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Forgets those that no worker waits for any more: each has its own deadline.
    pub(super) fn forget_late(&mut self, now_ms: u64) {
        while let Some((deadline_ms, number)) = self.order.front().copied() {
            if deadline_ms > now_ms && self.open.contains_key(&number) {
                return;
            }
            self.order.pop_front();
            self.open.remove(&number);
        }
    }

    /// Takes all of these kinds out.
    pub(super) fn take(&mut self, kinds: &[EventKind]) -> Vec<PendingRequest> {
        let is_meant = |request: &PendingRequest| kinds.contains(&request.kind);
        self.open.extract_if(|_, request| is_meant(request)).map(|(_, request)| request).collect()
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::Address;

    use super::*;

    fn pending(kind: EventKind, request: u64) -> PendingRequest {
        PendingRequest { kind, ticket: ReplyTo { reply_to: Address(0), request } }
    }

    #[test]
    fn requests_are_answered_once_and_forgotten_in_time() {
        let mut requests = PendingRequests::new(100);
        let (first, second) = (pending(EventKind::Request, 7), pending(EventKind::Handshake, 8));
        requests.keep(first, 0);
        requests.keep(second, 50);
        assert_eq!(requests.of(1), Some(first));
        requests.close(1);
        assert_eq!((requests.of(1), requests.len()), (None, 1));
        requests.forget_late(149);
        assert_eq!(requests.of(2), Some(second));
        requests.forget_late(150);
        assert_eq!((requests.of(2), requests.len()), (None, 0));
        assert!(requests.order.is_empty());
        requests.keep(first, 150);
        requests.keep(second, 150);
        assert_eq!(requests.take(&[EventKind::Handshake]), [second]);
        assert_eq!(requests.of(3), Some(first));
    }

    #[test]
    fn there_is_a_bound() {
        let mut requests = PendingRequests::new(100);
        for request in 0..REQUESTS_MAX as u64 {
            assert!(requests.has_room());
            requests.keep(pending(EventKind::Request, request), 0);
        }
        assert!(!requests.has_room());
        requests.forget_late(100);
        assert!(requests.has_room());
    }
}
