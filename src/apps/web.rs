//! HTTP on the WebSocket port: the playground, the health checks, and the way to the API. What is not the server's own is
//! left to the applications.

use serde_json::json;
use wsmaster_protocol::http::Response;
use wsmaster_workers::{Context, HttpHead, HttpRequest, Responder};

use super::api::Api;
use crate::config::{Config, HttpEndpoint};

const PLAYGROUND: &str = include_str!("../pages/playground.html");

/// The page connects to its own server only, and no page may frame it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// See the module.
#[derive(Debug)]
pub(super) struct Web {
    api: Api,
}

/// What a path leads to.
pub(super) enum Place<'a> {
    /// The server as a whole: the target `*`, which only OPTIONS may have (RFC 9110, 9.3.7).
    Server,
    Health,
    Live,
    Ready,
    Api(&'a str),
}

impl<'a> Place<'a> {
    /// What of the server itself is at a decoded path.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "*" => Place::Server,
            "/health" => Place::Health,
            "/health/live" => Place::Live,
            "/health/ready" => Place::Ready,
            path => Place::Api(path.strip_prefix("/api/")?),
        })
    }
}

impl Web {
    pub(super) fn new(config: &Config) -> Self {
        Self { api: Api::new(&config.api) }
    }

    /// What is answered for the head of a request alone, if it is refused for that.
    pub(super) fn refusal(&self, head: &HttpHead<'_>, place: &Place<'_>) -> Option<Response> {
        let endpoint = match place {
            Place::Server => None,
            Place::Health | Place::Live | Place::Ready => Some(HttpEndpoint::Health),
            Place::Api(_) => Some(HttpEndpoint::Api),
        };
        if endpoint.is_some_and(|endpoint| !endpoint.is_in(head.listener_tag)) {
            return Some(elsewhere());
        }
        match place {
            Place::Server => None,
            Place::Health | Place::Live | Place::Ready => {
                (!is_read(head)).then(|| Response::method_not_allowed(&["GET", "HEAD"]))
            }
            Place::Api(rest) => self.api.refusal(head.head, rest),
        }
    }

    pub(super) fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: &HttpRequest,
        place: Place<'_>,
        responder: Responder,
    ) {
        if let Some(response) = self.refusal(&request.facts(), &place) {
            context.respond(responder, &response);
            return;
        }
        let response = match place {
            Place::Api(rest) => {
                self.api.on_request(context, request, rest, responder);
                return;
            }
            Place::Server => Response::new(204).header("Allow", "GET, HEAD, POST, OPTIONS"),
            Place::Live => Response::new(200).json(&json!({ "live": true })),
            Place::Health | Place::Ready => {
                let ready = !context.is_stopping();
                let status = if ready { 200 } else { 503 };
                let worker = context.slot();
                let body = json!({ "live": true, "ready": ready, "worker": worker });
                Response::new(status).header("Cache-Control", "no-store").json(&body)
            }
        };
        context.respond(responder, &response);
    }
}

fn is_read(request: &HttpHead<'_>) -> bool {
    matches!(request.head.method(), "GET" | "HEAD")
}

/// The page on which the channel application can be tried.
pub(super) fn playground(request: &HttpHead<'_>) -> Response {
    if !HttpEndpoint::Playground.is_in(request.listener_tag) {
        return elsewhere();
    }
    if !is_read(request) {
        return Response::method_not_allowed(&["GET", "HEAD"]);
    }
    Response::new(200)
        .header("Content-Security-Policy", PAGE_POLICY)
        .header("Cache-Control", "no-cache")
        .header("Referrer-Policy", "no-referrer")
        .html(PLAYGROUND)
}

/// What is said where the listener does not serve something.
fn elsewhere() -> Response {
    Response::error(404, "this address does not serve that")
}

/// What is at a path that leads to WebSockets only.
pub(super) fn websocket_only(request: &HttpHead<'_>) -> Response {
    if !HttpEndpoint::Playground.is_in(request.listener_tag) {
        return elsewhere();
    }
    if !is_read(request) {
        return Response::method_not_allowed(&["GET", "HEAD"]);
    }
    Response::error(426, "this address speaks WebSocket: connect with a WebSocket client")
}

/// What is at a path where nothing is.
pub(super) fn nothing() -> Response {
    Response::error(404, "there is nothing here; the API is under /api/")
}
