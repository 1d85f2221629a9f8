//! Whole HTTP requests: those that want to become WebSockets, and the others.

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{
    handshake,
    http::{RequestHead, Response},
    peer::Peer,
    proxy::forwarded,
    session::Session,
};

use super::Worker;
use crate::{
    connection::{Durable, State},
    core::LAST,
    exchange::{Exchange, Manner},
    handler::{Handler, HttpRequest, Responder, Verdict},
    listening::Proxies,
};

impl<H: Handler> Worker<H> {
    pub(super) fn on_request(&mut self, index: u32, head: RequestHead, body: Vec<u8>) {
        if handshake::wants_upgrade(head.headers()) {
            self.on_upgrade(index, head);
            return;
        }
        let key = self.core.registry.key_of(index);
        let manner = Manner { keep_alive: head.keep_alive(), head_only: head.method() == "HEAD" };
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.messages_in += 1;
        let number = connection.messages_in as u32;
        let durable = &connection.durable;
        let (peer, secure) = client_of(durable, &self.core.proxies, &head);
        let rules = self.core.listeners.rules(durable.listener);
        let listener_tag = rules.map_or(0, |rules| rules.tag);
        connection.state = State::Http(Exchange::Answering { number, manner });
        self.core.restart_patience(index);
        let responder = Responder { key, number };
        let request = HttpRequest { head, body, peer, secure, listener_tag };
        let called = self.call(None, |handler, context| {
            handler.on_request(context, request, responder);
        });
        if called.is_none() {
            let responder = Responder { key, number };
            let response = Response::error(500, "the server made a mistake");
            self.core.respond(responder, &response);
        }
    }

    pub(super) fn on_upgrade(&mut self, index: u32, head: RequestHead) {
        let manner = Manner { head_only: head.method() == "HEAD", ..LAST };
        let refuse = |worker: &mut Self, response: &Response| {
            worker.core.cell.add(Counter::RefusedRequests, 1);
            worker.core.write_response(index, response, manner);
            worker.core.linger(index);
        };
        let mut upgrade = match handshake::check(head.method(), head.http_minor(), head.headers()) {
            Ok(upgrade) => upgrade,
            Err(refusal) => {
                let mut response = Response::error(refusal.status(), &refusal.to_string());
                if refusal.status() != 426 {
                    for (name, value) in refusal.headers() {
                        response = response.header(*name, value);
                    }
                }
                return refuse(self, &response);
            }
        };
        if self.core.leaving {
            let response = Response::error(503, "the server restarts").header("Retry-After", "1");
            return refuse(self, &response);
        }
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        let durable = &mut connection.durable;
        let rules = self.core.listeners.rules(durable.listener);
        if rules.is_some_and(|rules| !rules.websocket) {
            let sentence = "this address does not speak WebSocket; another one of this server may";
            return refuse(self, &Response::error(403, sentence));
        }
        (durable.peer, durable.secure) = client_of(durable, &self.core.proxies, &head);
        let verdict =
            self.call(Some(index), |handler, context| handler.on_handshake(context, &head));
        let (answer, subprotocol, extension) = match verdict {
            Some(Verdict::Accept { subprotocol, headers }) => {
                let extra = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let chosen = subprotocol
                    .filter(|chosen| upgrade.subprotocols().any(|offered| offered == chosen));
                let extension = self.core.agree(index, &mut upgrade);
                let answer = upgrade.response(chosen.as_deref(), extra);
                (answer, chosen.map(String::into_boxed_str), extension)
            }
            Some(Verdict::Reject(response)) => return refuse(self, &response),
            None => return refuse(self, &Response::error(500, "the server made a mistake")),
        };
        drop(upgrade);
        self.core.cork.extend_from_slice(&answer);
        self.core.cork_plain = self.core.cork.len();
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.state = State::WebSocket(Session::with(extension));
        connection.messages_in = 0;
        connection.flags.open = true;
        connection.durable.head = Some(head);
        connection.durable.subprotocol = subprotocol;
        let id = connection.durable.id;
        self.core.registry.publish_id(id, index);
        self.core.restart_patience(index);
        self.call(Some(index), |handler, context| handler.on_open(context));
    }
}

/// Whom a request comes from, and whether over TLS. A proxy may pass the requests of many clients on over one connection, so
/// each request says so for itself.
fn client_of(durable: &Durable, proxies: &Proxies, head: &RequestHead) -> (Peer, bool) {
    if proxies.trust.is_empty() {
        return (durable.peer, durable.secure);
    }
    let origin = forwarded::origin(durable.peer, head.headers(), proxies.header, &proxies.trust);
    (origin.peer, origin.secure.unwrap_or(durable.secure))
}
