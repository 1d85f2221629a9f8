//! Requests to a side process: whether a client may become a WebSocket, and what an HTTP request is answered.
//!
//! It writes the request, and makes of the answer what the client gets. It keeps nothing between the two.

use std::time::Duration;

use wsmaster_protocol::{
    handshake,
    http::{RequestHead, Response},
    plugin::{self, Answer, Asked, EventKind},
};
use wsmaster_workers::{
    Context, HttpRequest, RequestError, Responder, Verdict,
    ipc::{Address, side_status::SideStatus},
};

use crate::side::{Instances, event_header};

/// See the module.
#[derive(Debug)]
pub(super) struct ProgramRequests {
    instances: Instances,
    timeout: Duration,
    /// The instance that gets the next request that belongs to no connection.
    next: u16,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
}

impl ProgramRequests {
    pub(super) fn new(instances: Instances, timeout: Duration) -> Self {
        Self { instances, timeout, next: 0, line: Vec::new() }
    }

    /// Asks whether the client of this call may become a WebSocket.
    pub(super) fn handshake(
        &mut self,
        context: &mut Context<'_>,
        head: &RequestHead,
        instance: Address,
    ) -> Verdict {
        let worker = context.slot().number();
        let facts = context.connection().map(|connection| (connection.id, connection.peer));
        let (Some((id, peer)), Some(undecided)) = (facts, context.undecided()) else {
            return Verdict::Reject(absent());
        };
        let timeout_ms = self.timeout.as_millis() as u64;
        let checked = handshake::check(head.method(), head.http_minor(), head.headers());
        let offered: Vec<&str> =
            checked.iter().flat_map(|upgrade| upgrade.subprotocols()).collect();
        self.line.clear();
        let asked = Asked { worker, peer, head, timeout_ms };
        plugin::handshake(&mut self.line, id.as_u64(), &offered, &asked);
        let header = event_header(EventKind::Handshake, Some(id));
        context.ask(instance, header, &self.line, self.timeout, move |context, said| {
            let verdict = match read(said) {
                Ok(Answer::Accept { subprotocol, headers }) => {
                    Verdict::Accept { subprotocol, headers }
                }
                Ok(Answer::Unwanted) => Verdict::accept(),
                Ok(Answer::Respond { status, headers, body }) => {
                    Verdict::Reject(plugin::response(status, &headers, body))
                }
                Ok(Answer::Full) => Verdict::Reject(busy()),
                Ok(Answer::Ended) => Verdict::Reject(absent()),
                Err(response) => Verdict::Reject(response),
            };
            let waits = context.awaits_verdict(&undecided);
            context.decide(undecided, verdict);
            waits
        });
        Verdict::Later
    }

    /// The answer to a request that no instance can take now.
    pub(super) fn refusal(&self, context: &Context<'_>) -> Option<Response> {
        let shared_state = context.handle().shared_state();
        let statuses = (0..self.instances.count())
            .map(|number| SideStatus::of(shared_state, self.instances.of_number(number)))
            .filter(|status| status.incarnation().is_alive);
        let mut are_full = statuses.map(|status| status.is_full()).peekable();
        match are_full.peek() {
            None => Some(absent()),
            Some(_) => are_full.all(|is_full| is_full).then(busy),
        }
    }

    /// Has the next instance answer a request.
    pub(super) fn request(
        &mut self,
        context: &mut Context<'_>,
        request: &HttpRequest,
        responder: Responder,
    ) {
        let Some(instance) = self.next_instance(context) else {
            context.respond(responder, &absent());
            return;
        };
        if SideStatus::of(context.handle().shared_state(), instance).is_full() {
            context.respond(responder, &busy());
            return;
        }
        let asked = Asked {
            worker: context.slot().number(),
            peer: request.peer,
            head: &request.head,
            timeout_ms: self.timeout.as_millis() as u64,
        };
        self.line.clear();
        plugin::request(&mut self.line, &request.body, &asked);
        let header = event_header(EventKind::Request, None);
        context.ask(instance, header, &self.line, self.timeout, move |context, said| {
            let response = match read(said) {
                Ok(Answer::Respond { status, headers, body }) => {
                    plugin::response(status, &headers, body)
                }
                // Only a handshake is accepted, and its host has made sure of that.
                Ok(Answer::Accept { .. } | Answer::Unwanted) => {
                    Response::error(404, "there is nothing here")
                }
                Ok(Answer::Full) => busy(),
                Ok(Answer::Ended) => absent(),
                Err(response) => response,
            };
            let waits = context.awaits_answer(&responder);
            context.respond(responder, &response);
            waits
        });
    }

    /// The next instance that lives; of these, one that has room before one that has none.
    fn next_instance(&mut self, context: &Context<'_>) -> Option<Address> {
        let count = self.instances.count();
        let first = self.next;
        self.next = (first + 1) % count;
        let in_turn = (0..count).map(|step| self.instances.of_number((first + step) % count));
        let shared_state = context.handle().shared_state();
        let living: Vec<(Address, SideStatus)> = in_turn
            .map(|address| (address, SideStatus::of(shared_state, address)))
            .filter(|(_, status)| status.incarnation().is_alive)
            .collect();
        let with_room = living.iter().find(|(_, status)| !status.is_full());
        with_room.or(living.first()).map(|(address, _)| *address)
    }
}

fn read(said: Result<Vec<u8>, RequestError>) -> Result<Answer, Response> {
    match said {
        Ok(bytes) => Answer::decode(&bytes)
            .ok_or_else(|| Response::error(500, "the answer of the application cannot be read")),
        Err(RequestError::MailboxFull | RequestError::NoRoom | RequestError::Busy) => Err(busy()),
        Err(RequestError::Unanswered) => {
            Err(Response::error(504, "the application did not answer in time"))
        }
    }
}

/// The answer while no instance lives.
pub(super) fn absent() -> Response {
    Response::error(503, "the application is not running; it is being started again")
}

/// The answer while too much waits for the side process.
pub(super) fn busy() -> Response {
    Response::error(503, "the application does not keep up")
}
