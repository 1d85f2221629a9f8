//! HTTP on the WebSocket port: the playground, the health checks, and the way to the API.

use serde_json::json;
use wsmaster_protocol::http::{Response, decode_path};
use wsmaster_workers::{Context, HttpRequest, Responder};

use super::api::Api;
use crate::config::{App, Config, Door};

const PLAYGROUND: &str = include_str!("../pages/playground.html");

/// The page talks to its own server only, and nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
    style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// See the module.
#[derive(Debug)]
pub(super) struct Web {
    app: App,
    api: Api,
}

/// What a path leads to.
enum Place<'a> {
    /// The server as a whole: the target `*`, which only OPTIONS may have (RFC 9110, 9.3.7).
    Server,
    Front,
    Health,
    Live,
    Ready,
    Api(&'a str),
    Nothing,
}

impl Web {
    pub(super) fn new(config: &Config) -> Self {
        Self { app: config.server.app, api: Api::new(&config.api) }
    }

    pub(super) fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: &HttpRequest,
        responder: Responder,
    ) {
        let Some(path) = decode_path(request.head.path()) else {
            context.respond(responder, &Response::error(400, "the path is malformed"));
            return;
        };
        let place = match path.as_str() {
            "*" => Place::Server,
            "/" => Place::Front,
            "/health" => Place::Health,
            "/health/live" => Place::Live,
            "/health/ready" => Place::Ready,
            path => path.strip_prefix("/api/").map_or(Place::Nothing, Place::Api),
        };
        let door = match place {
            Place::Server | Place::Nothing => None,
            Place::Front => Some(Door::Playground),
            Place::Health | Place::Live | Place::Ready => Some(Door::Health),
            Place::Api(_) => Some(Door::Api),
        };
        if door.is_some_and(|door| !door.is_in(request.listener_tag)) {
            context.respond(responder, &Response::error(404, "this address does not serve that"));
            return;
        }
        let response = match place {
            Place::Api(rest) => {
                self.api.on_request(context, request, rest, responder);
                return;
            }
            Place::Server => Response::new(204).header("Allow", "GET, HEAD, POST, OPTIONS"),
            Place::Nothing => Response::error(404, "there is nothing here; the API is under /api/"),
            Place::Front | Place::Health | Place::Live | Place::Ready
                if !matches!(request.head.method(), "GET" | "HEAD") =>
            {
                Response::method_not_allowed(&["GET", "HEAD"])
            }
            Place::Front => self.front(),
            Place::Live => Response::new(200).json(&json!({ "live": true })),
            Place::Health | Place::Ready => {
                let ready = context.is_serving();
                let status = if ready { 200 } else { 503 };
                let worker = context.slot();
                let body = json!({ "live": true, "ready": ready, "worker": worker });
                Response::new(status).header("Cache-Control", "no-store").json(&body)
            }
        };
        context.respond(responder, &response);
    }

    fn front(&self) -> Response {
        match self.app {
            App::Channels => Response::new(200)
                .header("Content-Security-Policy", PAGE_POLICY)
                .header("Cache-Control", "no-cache")
                .header("Referrer-Policy", "no-referrer")
                .html(PLAYGROUND),
            App::Echo | App::Broadcast => Response::error(
                426,
                "this address speaks WebSocket: connect with a WebSocket client",
            ),
        }
    }
}
