//! The push API: any program that can speak HTTP reaches any connection, and learns what really happened.

use serde_json::json;
use wsmaster_protocol::{
    api::{Broadcast, CallError, Disconnect, Payload, Publish, Published, Push},
    channels::reply,
    http::{RequestHead, Response},
    word_list,
};
use wsmaster_workers::{
    Context, DeliveryCount, HttpRequest, Message, RequestError, Responder,
    ipc::{ConnectionId, Outcome, PayloadKind, handle::Publication},
};

use crate::config::{ApiConfig, Secret};

/// See the module.
#[derive(Debug)]
pub(super) struct Api {
    /// `None`: the API is off.
    key: Option<Secret>,
}

/// A call: where it is, how it is asked for, and what it does.
struct Route {
    /// The path below `/api/`. `ID` at its end stands for any text, which the call is told.
    path: &'static str,
    methods: &'static [&'static str],
    run: fn(&mut Context<'_>, &Call<'_>, &mut Option<Responder>) -> Begun,
}

/// All calls. To add one, add its row and its function here, and what its body may hold to `wsmaster_protocol::api`.
const ROUTES: &[Route] = &[
    Route { path: "push", methods: &["POST"], run: push },
    Route { path: "broadcast", methods: &["POST"], run: broadcast },
    Route { path: "publish", methods: &["POST"], run: publish },
    Route { path: "disconnect", methods: &["POST"], run: disconnect },
    Route { path: "connections/ID", methods: &["GET", "HEAD"], run: connection },
];

/// What a caller sent.
struct Call<'a> {
    /// What stands in the place of `ID` in the path; empty where there is none.
    id: &'a str,
    body: &'a [u8],
}

/// A call that is wrong leaves the responder where it is.
type Begun = Result<(), CallError>;

impl Route {
    /// The call at that path, and what stands there in the place of `ID`.
    fn find(rest: &str) -> Option<(&'static Self, &str)> {
        ROUTES.iter().find_map(|route| match route.path.strip_suffix("ID") {
            Some(before) => Some((route, rest.strip_prefix(before)?)),
            None => (route.path == rest).then_some((route, "")),
        })
    }
}

impl Api {
    pub(super) fn new(config: &ApiConfig) -> Self {
        let key = (config.enabled && !config.key.is_empty()).then(|| config.key.clone());
        Self { key }
    }

    /// What a request whose path is `/api/` and `rest` hears for its head alone, if it is refused for that.
    pub(super) fn refusal(&self, head: &RequestHead, rest: &str) -> Option<Response> {
        if let Some(response) = self.judge(head) {
            return Some(response);
        }
        let Some((route, _)) = Route::find(rest) else { return Some(unknown_call()) };
        let is_allowed = route.methods.contains(&head.method());
        (!is_allowed).then(|| Response::method_not_allowed(route.methods))
    }

    /// Answers a request whose path is `/api/` and `rest`, and which is not [refused](Self::refusal).
    pub(super) fn on_request(
        &self,
        context: &mut Context<'_>,
        request: &HttpRequest,
        rest: &str,
        responder: Responder,
    ) {
        let Some((route, id)) = Route::find(rest) else {
            context.respond(responder, &unknown_call());
            return;
        };
        let mut responder = Some(responder);
        let begun = (route.run)(context, &Call { id, body: &request.body }, &mut responder);
        if let (Err(error), Some(responder)) = (begun, responder) {
            context.respond(responder, &Response::error(400, &error.sentence));
        }
    }

    /// The answer to somebody who may not call, if so.
    fn judge(&self, head: &RequestHead) -> Option<Response> {
        let Some(key) = &self.key else {
            return Some(Response::error(403, "the API is off: the configuration has no api.key"));
        };
        let presented = head.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if presented.is_some_and(|presented| key.matches(presented)) {
            return None;
        }
        let sentence =
            "the API needs the header Authorization: Bearer KEY, with the key of api.key";
        Some(Response::error(401, sentence).header("WWW-Authenticate", "Bearer realm=\"wsmaster\""))
    }
}

fn unknown_call() -> Response {
    let paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    let known = word_list::with_and(&paths);
    Response::error(404, &format!("there is no such call; there are {known}"))
}

fn push(context: &mut Context<'_>, call: &Call<'_>, responder: &mut Option<Responder>) -> Begun {
    let Push { connection, payload } = Push::read(call.body)?;
    let Some(responder) = responder.take() else { return Ok(()) };
    let Ok(id) = ConnectionId::try_from(connection) else {
        context.respond(responder, &outcome(connection, Ok(Outcome::NoSuchConnection)));
        return Ok(());
    };
    context.push_ack(id, message(&payload), move |context, result| {
        context.respond(responder, &outcome(id.as_u64(), result));
    });
    Ok(())
}

fn broadcast(
    context: &mut Context<'_>,
    call: &Call<'_>,
    responder: &mut Option<Responder>,
) -> Begun {
    let Broadcast { payload, exclude } = Broadcast::read(call.body)?;
    let exclude = exclude.and_then(|id| ConnectionId::try_from(id).ok());
    let Some(responder) = responder.take() else { return Ok(()) };
    context.broadcast_ack(message(&payload), exclude, move |context, result| {
        context.respond(responder, &tally(result));
    });
    Ok(())
}

fn publish(context: &mut Context<'_>, call: &Call<'_>, responder: &mut Option<Responder>) -> Begun {
    let Publish { channel, what, exclude } = Publish::read(call.body)?;
    let payload = match what {
        // Receivers get it as a message of theirs, without a sender.
        Published::Message(inner) => {
            let mut text = Vec::new();
            reply::delivery(&mut text, &channel, None, inner, context.unix_ms());
            match String::from_utf8(text) {
                Ok(text) => Payload::Text(text),
                Err(error) => Payload::Binary(error.into_bytes()),
            }
        }
        Published::Payload(payload) => payload,
    };
    let exclude = exclude.and_then(|id| ConnectionId::try_from(id).ok());
    let Some(responder) = responder.take() else { return Ok(()) };
    let message = message(&payload);
    let publication = Publication {
        channel: &channel,
        kind: match message {
            Message::Text(_) => PayloadKind::Text,
            Message::Binary(_) => PayloadKind::Binary,
        },
        payload: message.payload(),
        exclude,
        only: &[],
    };
    context.publish_ack(&publication, move |context, result| {
        context.respond(responder, &tally(result));
    });
    Ok(())
}

fn disconnect(
    context: &mut Context<'_>,
    call: &Call<'_>,
    responder: &mut Option<Responder>,
) -> Begun {
    let Disconnect { connection, code, reason } = Disconnect::read(call.body)?;
    let Some(responder) = responder.take() else { return Ok(()) };
    let Ok(id) = ConnectionId::try_from(connection) else {
        context.respond(responder, &outcome(connection, Ok(Outcome::NoSuchConnection)));
        return Ok(());
    };
    context.disconnect_ack(id, code, &reason, move |context, result| {
        context.respond(responder, &outcome(id.as_u64(), result));
    });
    Ok(())
}

fn connection(
    context: &mut Context<'_>,
    call: &Call<'_>,
    responder: &mut Option<Responder>,
) -> Begun {
    let none = || CallError { sentence: "the id of a connection is a whole number".to_owned() };
    let number: u64 = call.id.parse().map_err(|_| none())?;
    let Some(responder) = responder.take() else { return Ok(()) };
    let Ok(id) = ConnectionId::try_from(number) else {
        context.respond(responder, &outcome(number, Ok(Outcome::NoSuchConnection)));
        return Ok(());
    };
    context.info(id, move |context, result| {
        let response = match result {
            Ok(Some(json)) => Response::new(200).body("application/json", json),
            Ok(None) => outcome(number, Ok(Outcome::NoSuchConnection)),
            Err(error) => outcome(number, Err(error)),
        };
        context.respond(responder, &response);
    });
    Ok(())
}

fn message(payload: &Payload) -> Message<'_> {
    match payload {
        Payload::Text(text) => Message::Text(text),
        Payload::Binary(bytes) => Message::Binary(bytes),
    }
}

/// What became of a command for one connection.
fn outcome(connection: u64, result: Result<Outcome, RequestError>) -> Response {
    let (status, word, sentence) = match result {
        Ok(Outcome::Delivered) => {
            let body = json!({ "success": true, "result": "delivered", "connection": connection });
            return Response::new(200).json(&body);
        }
        Ok(Outcome::NoSuchConnection) => (
            404,
            "no_such_connection",
            "no connection has this id: it is closed, or never was one".to_owned(),
        ),
        Ok(Outcome::Closing) => (409, "closing", "the connection is being closed".to_owned()),
        Ok(Outcome::OutboxFull) => (
            503,
            "outbox_full",
            "the client reads too slowly: its outbox has no room for this".to_owned(),
        ),
        Ok(Outcome::TooLarge) => (
            413,
            "too_large",
            "the message is larger than limits.outbox_bytes_max: no client can be sent it"
                .to_owned(),
        ),
        Ok(Outcome::MailboxFull) => {
            let (status, word) = ask_error(RequestError::MailboxFull);
            (status, word, RequestError::MailboxFull.to_string())
        }
        Err(error) => {
            let (status, word) = ask_error(error);
            (status, word, error.to_string())
        }
    };
    Response::new(status).json(&json!({
        "success": false,
        "status": status,
        "result": word,
        "error": sentence,
        "connection": connection,
    }))
}

/// What became of a message for many.
fn tally(result: Result<DeliveryCount, RequestError>) -> Response {
    match result {
        Ok(tally) if tally.unanswered.is_empty() => Response::new(200).json(&json!({
            "success": true,
            "delivered": tally.delivered,
            "dropped": tally.dropped,
        })),
        Ok(tally) => Response::new(504).json(&json!({
            "success": false,
            "status": 504,
            "result": "unanswered",
            "error": "some workers did not answer in time; how many of their connections have the \
                      message is not known",
            "delivered": tally.delivered,
            "dropped": tally.dropped,
            "unanswered": tally.unanswered,
        })),
        Err(error) => {
            let (status, word) = ask_error(error);
            Response::new(status).json(&json!({
                "success": false,
                "status": status,
                "result": word,
                "error": error.to_string(),
            }))
        }
    }
}

fn ask_error(error: RequestError) -> (u16, &'static str) {
    match error {
        RequestError::MailboxFull => (503, "mailbox_full"),
        RequestError::NoRoom => (503, "no_room"),
        RequestError::Busy => (503, "busy"),
        RequestError::Unanswered => (504, "unanswered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_row_and_no_other() {
        let found = |path: &str| Route::find(path).map(|(route, id)| (route.path, id.to_owned()));
        for route in ROUTES {
            assert_eq!(found(route.path).map(|(path, _)| path), Some(route.path));
        }
        assert_eq!(found("connections/7"), Some(("connections/ID", "7".to_owned())));
        assert_eq!(found("connections/"), Some(("connections/ID", String::new())));
        for path in ["", "pus", "push/", "push/7", "connections", "Push"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
