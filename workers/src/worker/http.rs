//! Whole HTTP requests: those that want to become WebSockets, and the others.

use std::fmt;

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{
    handshake::{self, Refusal, Upgrade},
    http::{CONTINUE, RequestHead, Response},
    origin::AllowedOrigins,
    peer::Peer,
    proxy::forwarded,
    session::{Extension, Session},
};

use super::calls::Calls;
use crate::{
    conn_index::ConnIndex,
    connection::{Connection, ConnectionInfo, LAST, State},
    effects::Effects,
    handler::Handler,
    http1::{RequestState, ResponseOptions},
    listening::Proxies,
    vocabulary::{HttpHead, HttpRequest, Responder, Undecided, Verdict},
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

impl<H: Handler> Calls<'_, H> {
    /// A request is whole.
    pub(super) fn on_request(&mut self, index: ConnIndex, head: RequestHead, body: Vec<u8>) {
        if handshake::wants_upgrade(head.headers()) {
            self.on_upgrade(index, head);
            return;
        }
        let options =
            ResponseOptions { keep_alive: head.keep_alive(), head_only: head.method() == "HEAD" };
        let Some((connection, fx)) = self.state.lend(index) else { return };
        connection.messages_in += 1;
        let number = connection.messages_in as u32;
        let (peer, secure, listener_tag) = client_of(&connection.info, fx, &head);
        log::debug!("{peer}: {} {}", head.method(), Shown(head.path_redacted().as_bytes()));
        connection.state = State::Http(RequestState::Answering { number, options });
        connection.timers().restart(fx);
        let responder = Responder { key: connection.key, number };
        let request = HttpRequest { head, body, peer, secure, listener_tag };
        let called = self.call(None, |handler, context| {
            handler.on_request(context, request, responder);
        });
        if called.is_none()
            && let Some((connection, fx)) = self.state.lend(index)
        {
            connection.http().respond(number, &internal_error(), fx);
        }
    }

    /// Judges a request by its head, whose body has not all come: it is refused, or the body is waited for.
    pub(super) fn on_request_head(&mut self, index: ConnIndex) {
        let Some((connection, fx)) = self.state.lend(index) else { return };
        let before = std::mem::replace(&mut connection.state, State::Http(RequestState::new()));
        let State::Http(RequestState::Body { head, reader }) = before else {
            connection.state = before;
            return;
        };
        if handshake::wants_upgrade(head.headers()) {
            // Refused for the body that it should not have, or for something worse.
            self.on_upgrade(index, *head);
            return;
        }
        let (peer, secure, listener_tag) = client_of(&connection.info, fx, &head);
        let facts = HttpHead { head: &head, peer, secure, listener_tag };
        let refusal = self.call(None, |handler, context| handler.on_request_head(context, &facts));
        let Some((connection, fx)) = self.state.lend(index) else { return };
        match refusal.unwrap_or_else(|| Some(internal_error())) {
            Some(response) => {
                let options = ResponseOptions { head_only: head.method() == "HEAD", ..LAST };
                fx.stats.add(Counter::Requests, 1);
                connection.http().write_response(&response, options, fx);
                connection.linger(fx);
            }
            None => {
                if head.expects_continue()
                    && let Some(cork) = fx.delivery.cork.of(index)
                {
                    cork.extend_from_slice(CONTINUE);
                }
                connection.state = State::Http(RequestState::Body { head, reader });
            }
        }
    }

    fn on_upgrade(&mut self, index: ConnIndex, head: RequestHead) {
        let Some((connection, fx)) = self.state.lend(index) else { return };
        let upgrade = match may_upgrade(connection, &head, fx) {
            Ok(upgrade) => upgrade,
            Err(response) => {
                let options = ResponseOptions { head_only: head.method() == "HEAD", ..LAST };
                fx.stats.add(Counter::RefusedRequests, 1);
                connection.http().write_response(&response, options, fx);
                connection.linger(fx);
                return;
            }
        };
        connection.messages_in += 1;
        let number = connection.messages_in as u32;
        // What it has asked for meanwhile is answered when it has said its last word about this handshake.
        let verdict =
            self.guarded(Some(index), |handler, context| handler.on_handshake(context, &head));
        match verdict {
            Some(Verdict::Accept { subprotocol, headers }) => {
                let agreed = self.agree(index, upgrade, subprotocol, &headers);
                self.open(index, head, agreed);
            }
            Some(Verdict::Reject(response)) => self.refuse_upgrade(index, &response),
            Some(Verdict::Later) => {
                if let Some((connection, fx)) = self.state.lend(index) {
                    let head = Box::new(head);
                    connection.state = State::Http(RequestState::Undecided { number, head });
                    connection.timers().restart(fx);
                }
            }
            None => self.refuse_upgrade(index, &internal_error()),
        }
        self.run_callbacks();
    }
}

/// Whether a request may make a WebSocket of its connection, as far as the rules of the server go; else what to answer.
fn may_upgrade<'h>(
    connection: &mut Connection,
    head: &'h RequestHead,
    fx: &mut Effects,
) -> Result<Upgrade<'h>, Response> {
    let upgrade = check(head).map_err(|refusal| {
        let mut response = Response::error(refusal.status(), &refusal.to_string());
        if refusal.status() != 426 {
            for (name, value) in refusal.headers() {
                response = response.header(*name, value);
            }
        }
        response
    })?;
    let rules = fx.rules.listeners.rules(connection.info.listener);
    if rules.is_some_and(|rules| !rules.websocket) {
        let sentence = "this address does not speak WebSocket; another one of this server may";
        return Err(Response::error(403, sentence));
    }
    (connection.info.peer, connection.info.secure, _) = client_of(&connection.info, fx, head);
    if let Some(response) = connection.recount_client(fx) {
        return Err(response);
    }
    if !comes_from_an_allowed_origin(connection, head, fx) {
        let sentence = "this Origin may not open a WebSocket here; if it should, list it in the \
                        setting server.allowed_origins";
        return Err(Response::error(403, sentence));
    }
    Ok(upgrade)
}

/// Whether the origin that asks for a WebSocket may have one. A client that names none is no browser.
fn comes_from_an_allowed_origin(
    connection: &Connection,
    head: &RequestHead,
    fx: &mut Effects,
) -> bool {
    let is_origin = |(name, _): &(&str, &[u8])| name.eq_ignore_ascii_case("origin");
    let mut origins = head.headers().filter(is_origin).map(|(_, value)| value);
    let allowed = &fx.rules.handshakes.allowed_origins;
    if allowed.allows(origins.clone(), head.host()) {
        return true;
    }
    fx.stats.add(Counter::RefusedOrigins, 1);
    let origin = Shown(origins.next().unwrap_or_default());
    let remedy = "if it may open a WebSocket, list it in server.allowed_origins";
    let does = match allowed {
        AllowedOrigins::SameHost => {
            let host = Shown(head.host().unwrap_or_default().as_bytes());
            format!(
                "is refused: its Origin {origin} is not of its Host {host}; {remedy}, and a proxy \
                 in front has to pass Host on"
            )
        }
        AllowedOrigins::Listed(_) | AllowedOrigins::Any => {
            format!("is refused: its Origin {origin} is not listed; {remedy}")
        }
    };
    fx.warn_client(connection.info.peer, Counter::RefusedOrigins, does);
    false
}

impl<H: Handler> Calls<'_, H> {
    /// Carries out what the application has decided after a while.
    pub(super) fn conclude(&mut self, undecided: &Undecided, verdict: Verdict) {
        let Some((connection, _)) = self.state.lend_key(undecided.key) else { return };
        if !connection.state.awaits_verdict(undecided.number) {
            return;
        }
        let index = connection.index();
        let before = std::mem::replace(&mut connection.state, State::Http(RequestState::new()));
        let State::Http(RequestState::Undecided { head, .. }) = before else { return };
        match verdict {
            Verdict::Accept { subprotocol, headers } => {
                // It has been found good before; only what was read from it then could not wait with it.
                if let Ok(upgrade) = check(&head) {
                    let agreed = self.agree(index, upgrade, subprotocol, &headers);
                    self.open(index, *head, agreed);
                }
            }
            Verdict::Reject(response) => self.refuse_upgrade(index, &response),
            Verdict::Later => self.refuse_upgrade(index, &internal_error()),
        }
        if let Some((connection, fx)) = self.state.lend(index)
            && connection.has_input()
        {
            connection.make_ready(&mut fx.schedule);
        }
    }

    /// Settles what a connection will speak as a WebSocket, and the answer that tells the client.
    fn agree(
        &mut self,
        index: ConnIndex,
        mut upgrade: Upgrade<'_>,
        subprotocol: Option<String>,
        headers: &[(String, String)],
    ) -> Agreed {
        let fx = &mut self.state.fx;
        let ours = &fx.rules.handshakes.subprotocols;
        let subprotocol = match subprotocol {
            Some(chosen) => Some(chosen)
                .filter(|chosen| upgrade.subprotocols().any(|offered| offered == chosen)),
            None => ours.choose(upgrade.subprotocols()).map(str::to_owned),
        };
        let extension = match self.state.lend(index) {
            Some((connection, fx)) => connection.http().agree_on_extension(&mut upgrade, fx),
            None => Extension::None,
        };
        let extra = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let answer = upgrade.response(subprotocol.as_deref(), extra);
        Agreed { answer, subprotocol, extension }
    }

    /// Makes a WebSocket of a connection whose request has been found good.
    fn open(&mut self, index: ConnIndex, head: RequestHead, agreed: Agreed) {
        let Some((connection, fx)) = self.state.lend(index) else { return };
        connection.http().write_upgrade(&agreed.answer, fx);
        log::debug!(
            "{}: is a WebSocket at {} now",
            connection.info.peer,
            Shown(head.path_redacted().as_bytes())
        );
        connection.state = State::WebSocket(Session::with(agreed.extension));
        connection.messages_in = 0;
        connection.flags.open = true;
        connection.info.head = Some(head);
        connection.info.subprotocol = agreed.subprotocol.map(String::into_boxed_str);
        fx.ids.insert(connection.info.id, index);
        connection.timers().restart(fx);
        self.guarded(Some(index), |handler, context| handler.on_open(context));
        if self.state.fx.drain.is_leaving
            && let Some((connection, fx)) = self.state.lend(index)
        {
            connection.schedule_drain(fx);
        }
    }

    fn refuse_upgrade(&mut self, index: ConnIndex, response: &Response) {
        let Some((connection, fx)) = self.state.lend(index) else { return };
        fx.stats.add(Counter::RefusedRequests, 1);
        connection.http().write_response(response, LAST, fx);
        connection.linger(fx);
    }
}

/// The answer where the application has panicked, or has broken the rules.
fn internal_error() -> Response {
    Response::error(500, "the server made a mistake")
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

/// Whom a request comes from, whether over TLS, and what the rules of its listener say to the application. A proxy may pass
/// the requests of many clients on over one connection, so each request says so for itself.
fn client_of(info: &ConnectionInfo, fx: &Effects, head: &RequestHead) -> (Peer, bool, u32) {
    let listener_tag = fx.rules.listeners.rules(info.listener).map_or(0, |rules| rules.tag);
    let Proxies { trust, header } = &fx.rules.proxies;
    if trust.is_empty() {
        return (info.peer, info.secure, listener_tag);
    }
    let origin = forwarded::origin(info.peer, head.headers(), *header, trust);
    (origin.peer, origin.secure.unwrap_or(info.secure), listener_tag)
}
