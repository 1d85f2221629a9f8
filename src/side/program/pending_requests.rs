//! Requests of workers that a program has not answered yet: who asked, and under which number the program answers. Pure.

use std::collections::{HashMap, VecDeque};

use wsmaster_ipc::ReplyTo;
use wsmaster_protocol::plugin::EventKind;

/// Requests to one program that may be open at a time.
pub(super) const REQUESTS_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct PendingRequests {
    open: HashMap<u64, PendingRequest>,
    /// Deadlines and numbers in the order of asking. Answered ones are passed over.
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
    /// None yet. Whoever asks waits `timeout_ms` for an answer.
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

    /// Keeps a question until it is answered, or nobody waits any more. The number under which it is answered.
    pub(super) fn keep(&mut self, question: PendingRequest, now_ms: u64) -> u64 {
        let number = self.next;
        self.open.insert(number, question);
        self.order.push_back((now_ms + self.timeout_ms, number));
        self.next += 1;
        number
    }

    /// The question with this number, as long as somebody waits for its answer.
    pub(super) fn of(&self, number: u64) -> Option<PendingRequest> {
        self.open.get(&number).copied()
    }

    /// The question is answered.
    pub(super) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Forgets those that nobody waits for any more: who asked has its own clock.
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
        let is_meant = |question: &PendingRequest| kinds.contains(&question.kind);
        self.open
            .extract_if(|_, question| is_meant(question))
            .map(|(_, question)| question)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use wsmaster_ipc::Address;

    use super::*;

    fn question(kind: EventKind, request: u64) -> PendingRequest {
        PendingRequest { kind, ticket: ReplyTo { reply_to: Address(0), request } }
    }

    #[test]
    fn questions_are_answered_once_and_forgotten_in_time() {
        let mut questions = PendingRequests::new(100);
        let (first, second) = (question(EventKind::Request, 7), question(EventKind::Handshake, 8));
        questions.keep(first, 0);
        questions.keep(second, 50);
        assert_eq!(questions.of(1), Some(first));
        questions.close(1);
        assert_eq!((questions.of(1), questions.len()), (None, 1));
        questions.forget_late(149);
        assert_eq!(questions.of(2), Some(second));
        questions.forget_late(150);
        assert_eq!((questions.of(2), questions.len()), (None, 0));
        assert!(questions.order.is_empty());
        questions.keep(first, 150);
        questions.keep(second, 150);
        assert_eq!(questions.take(&[EventKind::Handshake]), [second]);
        assert_eq!(questions.of(3), Some(first));
    }

    #[test]
    fn there_is_a_bound() {
        let mut questions = PendingRequests::new(100);
        for request in 0..REQUESTS_MAX as u64 {
            assert!(questions.has_room());
            questions.keep(question(EventKind::Request, request), 0);
        }
        assert!(!questions.has_room());
        questions.forget_late(100);
        assert!(questions.has_room());
    }
}
