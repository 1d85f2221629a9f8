//! Whole HTTP requests: those that want to become WebSockets, and the others.

use std::fmt;

use wsmaster_ipc::board::Counter;
use wsmaster_protocol::{
    handshake::{self, Refusal, Upgrade},
    http::{CONTINUE, RequestHead, Response},
    origin::AllowedOrigins,
    peer::Peer,
    proxy::forwarded,
    session::{Extension, Session},
};

use super::{Worker, calls::Calls};
use crate::{
    connection::{Durable, State},
    core::LAST,
    exchange::{Exchange, Manner},
    handler::{Handler, HttpHead, HttpRequest, Responder, Undecided, Verdict},
    listening::Proxies,
};

/// How much of an origin that is refused is shown in the log.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// What a handshake has come to.
struct Agreed {
    /// The head of the answer 101.
    answer: Vec<u8>,
    subprotocol: Option<String>,
    extension: Extension,
}

impl<H: Handler> Worker<H> {
    pub(super) fn on_request(&mut self, index: u32, head: RequestHead, body: Vec<u8>) {
        if let Some(connection) = self.core.registry.at_mut(index) {
            self.core.admission.has_asked(&mut connection.counted);
        }
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
        log::debug!("{peer}: {} {}", head.method(), Shown(head.path_redacted().as_bytes()));
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

    /// Judges a request by its head, whose body has not all come: it is refused, or the body is waited for.
    pub(super) fn on_request_head(&mut self, index: u32) {
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        let before = std::mem::replace(&mut connection.state, State::Http(Exchange::new()));
        let State::Http(Exchange::Body { head, reader }) = before else {
            connection.state = before;
            return;
        };
        if handshake::wants_upgrade(head.headers()) {
            // Refused for the body that it should not have, or for something worse.
            self.on_upgrade(index, *head);
            return;
        }
        let durable = &connection.durable;
        let (peer, secure) = client_of(durable, &self.core.proxies, &head);
        let rules = self.core.listeners.rules(durable.listener);
        let listener_tag = rules.map_or(0, |rules| rules.tag);
        let facts = HttpHead { head: &head, peer, secure, listener_tag };
        let refusal = self.call(None, |handler, context| handler.on_request_head(context, &facts));
        let mistake = || Some(Response::error(500, "the server made a mistake"));
        match refusal.unwrap_or_else(mistake) {
            Some(response) => {
                let manner = Manner { head_only: head.method() == "HEAD", ..LAST };
                self.core.cell.add(Counter::Requests, 1);
                self.core.write_response(index, &response, manner);
                self.core.linger(index);
            }
            None => {
                if head.expects_continue() {
                    self.core.cork.extend_from_slice(CONTINUE);
                }
                if let Some(connection) = self.core.registry.at_mut(index) {
                    connection.state = State::Http(Exchange::Body { head, reader });
                }
            }
        }
    }

    pub(super) fn on_upgrade(&mut self, index: u32, head: RequestHead) {
        let manner = Manner { head_only: head.method() == "HEAD", ..LAST };
        let refuse = |worker: &mut Self, response: &Response| {
            worker.core.cell.add(Counter::RefusedRequests, 1);
            worker.core.write_response(index, response, manner);
            worker.core.linger(index);
        };
        let upgrade = match check(&head) {
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
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        let durable = &mut connection.durable;
        let rules = self.core.listeners.rules(durable.listener);
        if rules.is_some_and(|rules| !rules.websocket) {
            let sentence = "this address does not speak WebSocket; another one of this server may";
            return refuse(self, &Response::error(403, sentence));
        }
        (durable.peer, durable.secure) = client_of(durable, &self.core.proxies, &head);
        if let Some(response) = self.core.judge_client(index) {
            return refuse(self, &response);
        }
        if !self.comes_from_an_allowed_origin(index, &head) {
            let sentence = "this Origin may not open a WebSocket here; if it should, list it in the \
                            setting server.allowed_origins";
            return refuse(self, &Response::error(403, sentence));
        }
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        connection.messages_in += 1;
        let number = connection.messages_in as u32;
        let mut calls = self.calls();
        // What it has asked for meanwhile is answered when it has said its last word about this handshake.
        let verdict =
            calls.guarded(Some(index), |handler, context| handler.on_handshake(context, &head));
        match verdict {
            Some(Verdict::Accept { subprotocol, headers }) => {
                let agreed = calls.agree(index, upgrade, subprotocol, &headers);
                calls.open(index, head, agreed);
            }
            Some(Verdict::Reject(response)) => calls.refuse_upgrade(index, &response),
            Some(Verdict::Later) => {
                if let Some(connection) = calls.core.registry.at_mut(index) {
                    let head = Box::new(head);
                    connection.state = State::Http(Exchange::Undecided { number, head });
                    calls.core.restart_patience(index);
                }
            }
            None => {
                let response = Response::error(500, "the server made a mistake");
                calls.refuse_upgrade(index, &response);
            }
        }
        calls.settle();
    }

    /// Whether the origin that asks for a WebSocket may have one. A client that names none is no browser.
    fn comes_from_an_allowed_origin(&mut self, index: u32, head: &RequestHead) -> bool {
        let is_origin = |(name, _): &(&str, &[u8])| name.eq_ignore_ascii_case("origin");
        let mut origins = head.headers().filter(is_origin).map(|(_, value)| value);
        let allowed = &self.core.handshakes.allowed_origins;
        if allowed.allows(origins.clone(), head.host()) {
            return true;
        }
        self.core.cell.add(Counter::RefusedOrigins, 1);
        let origin = Shown(origins.next().unwrap_or_default());
        let remedy = "if it may open a WebSocket, list it in server.allowed_origins";
        match allowed {
            AllowedOrigins::SameHost => {
                let host = Shown(head.host().unwrap_or_default().as_bytes());
                let does = format_args!(
                    "is refused: its Origin {origin} is not of its Host {host}; {remedy}, and a proxy \
                     in front has to pass Host on"
                );
                self.core.complain_of(index, Counter::RefusedOrigins, does);
            }
            AllowedOrigins::Listed(_) | AllowedOrigins::Any => {
                let does = format_args!("is refused: its Origin {origin} is not listed; {remedy}");
                self.core.complain_of(index, Counter::RefusedOrigins, does);
            }
        }
        false
    }
}

impl<H: Handler> Calls<'_, H> {
    /// Carries out what the application has decided after a while.
    pub(super) fn conclude(&mut self, undecided: &Undecided, verdict: Verdict) {
        let Some(index) = self.core.registry.index_of(undecided.key) else { return };
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        match &connection.state {
            State::Http(Exchange::Undecided { number, .. }) if *number == undecided.number => {}
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => return,
        }
        let before = std::mem::replace(&mut connection.state, State::Http(Exchange::new()));
        let State::Http(Exchange::Undecided { head, .. }) = before else { return };
        match verdict {
            Verdict::Accept { subprotocol, headers } => {
                // It has been found good before; only what was read from it then could not wait with it.
                if let Ok(upgrade) = check(&head) {
                    let agreed = self.agree(index, upgrade, subprotocol, &headers);
                    self.open(index, *head, agreed);
                }
            }
            Verdict::Reject(response) => self.refuse_upgrade(index, &response),
            Verdict::Later => {
                let response = Response::error(500, "the server made a mistake");
                self.refuse_upgrade(index, &response);
            }
        }
        if self.core.registry.at(index).is_some_and(|connection| connection.has_input()) {
            self.core.make_ready(index);
        }
    }

    /// Settles what a connection will speak as a WebSocket, and the answer that tells the client.
    fn agree(
        &mut self,
        index: u32,
        mut upgrade: Upgrade<'_>,
        subprotocol: Option<String>,
        headers: &[(String, String)],
    ) -> Agreed {
        let ours = &self.core.handshakes.subprotocols;
        let subprotocol = match subprotocol {
            Some(chosen) => Some(chosen)
                .filter(|chosen| upgrade.subprotocols().any(|offered| offered == chosen)),
            None => ours.choose(upgrade.subprotocols()).map(str::to_owned),
        };
        let extension = self.core.agree_on_extension(index, &mut upgrade);
        let extra = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let answer = upgrade.response(subprotocol.as_deref(), extra);
        Agreed { answer, subprotocol, extension }
    }

    /// Makes a WebSocket of a connection whose request has been found good.
    fn open(&mut self, index: u32, head: RequestHead, agreed: Agreed) {
        self.core.write_upgrade(index, &agreed.answer);
        let Some(connection) = self.core.registry.at_mut(index) else { return };
        log::debug!(
            "{}: is a WebSocket at {} now",
            connection.durable.peer,
            Shown(head.path_redacted().as_bytes())
        );
        connection.state = State::WebSocket(Session::with(agreed.extension));
        connection.messages_in = 0;
        connection.flags.open = true;
        connection.durable.head = Some(head);
        connection.durable.subprotocol = agreed.subprotocol.map(String::into_boxed_str);
        let id = connection.durable.id;
        self.core.registry.publish_id(id, index);
        self.core.restart_patience(index);
        self.guarded(Some(index), |handler, context| handler.on_open(context));
        if self.core.leaving {
            self.core.schedule_farewell(index);
        }
    }

    fn refuse_upgrade(&mut self, index: u32, response: &Response) {
        self.core.cell.add(Counter::RefusedRequests, 1);
        self.core.write_response(index, response, LAST);
        self.core.linger(index);
    }
}

/// An origin as it is shown in the log: quoted, and cut where it is too long.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let text: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
        write!(f, "{text:?}")
    }
}

fn check(head: &RequestHead) -> Result<Upgrade<'_>, Refusal> {
    handshake::check(head.method(), head.http_minor(), head.headers())
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
