//! The push API: any program that can speak HTTP reaches any connection, and learns what really happened.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Deserializer};
use serde_json::{json, value::RawValue};
use wsmaster_protocol::{
    channels::{check_name, reply},
    close,
    frame::CLOSE_REASON_BYTES_MAX,
    http::Response,
};
use wsmaster_workers::{
    AskError, Context, HttpRequest, Message, Responder, Tally,
    ipc::{ConnectionId, Outcome, PayloadKind, handle::Publication},
};

use crate::config::{ApiConfig, Secret};

/// The longest channel name that the API publishes to, in bytes. A channel of the built-in application has a shorter bound.
const CHANNEL_BYTES_MAX: usize = 255;

/// See the module.
#[derive(Debug)]
pub(super) struct Api {
    /// `None`: the API is off.
    key: Option<Secret>,
}

/// What can be asked, by path.
enum Call<'a> {
    Push,
    Broadcast,
    Publish,
    Disconnect,
    Connection(&'a str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushBody<'a> {
    connection: u64,
    text: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    json: Option<&'a RawValue>,
    binary_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BroadcastBody<'a> {
    text: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    json: Option<&'a RawValue>,
    binary_base64: Option<String>,
    exclude: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishBody<'a> {
    channel: String,
    /// A message of the channel application: receivers get it as one of theirs, without a sender.
    #[serde(borrow, default, deserialize_with = "given")]
    message: Option<&'a RawValue>,
    text: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    json: Option<&'a RawValue>,
    binary_base64: Option<String>,
    exclude: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectBody {
    connection: u64,
    #[serde(default = "normal_closure")]
    code: u16,
    #[serde(default)]
    reason: String,
}

/// A field that is there is given, also when it is `null`: that is a JSON value like any other, and not the lack of one.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(field: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

fn normal_closure() -> u16 {
    1000
}

/// The bytes of a message, however the caller has written them.
enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

impl Payload {
    fn message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

/// A refusal: status and sentence.
struct Refused(u16, String);

impl Api {
    pub(super) fn new(config: &ApiConfig) -> Self {
        let key = (config.enabled && !config.key.is_empty()).then(|| config.key.clone());
        Self { key }
    }

    /// Answers a request whose path is `/api/` and `rest`.
    pub(super) fn on_request(
        &self,
        context: &mut Context<'_>,
        request: &HttpRequest,
        rest: &str,
        responder: Responder,
    ) {
        if let Some(response) = self.judge(request) {
            context.respond(responder, &response);
            return;
        }
        let call = match rest {
            "push" => Call::Push,
            "broadcast" => Call::Broadcast,
            "publish" => Call::Publish,
            "disconnect" => Call::Disconnect,
            rest => match rest.strip_prefix("connections/") {
                Some(id) => Call::Connection(id),
                None => {
                    let known = "there is no such call; there are push, broadcast, publish, \
                                 disconnect and connections/ID";
                    context.respond(responder, &Response::error(404, known));
                    return;
                }
            },
        };
        let allowed: &[&str] = match call {
            Call::Push | Call::Broadcast | Call::Publish | Call::Disconnect => &["POST"],
            Call::Connection(_) => &["GET", "HEAD"],
        };
        if !allowed.contains(&request.head.method()) {
            context.respond(responder, &Response::method_not_allowed(allowed));
            return;
        }
        let mut responder = Some(responder);
        let begun = match call {
            Call::Push => push(context, &request.body, &mut responder),
            Call::Broadcast => broadcast(context, &request.body, &mut responder),
            Call::Publish => publish(context, &request.body, &mut responder),
            Call::Disconnect => disconnect(context, &request.body, &mut responder),
            Call::Connection(id) => connection(context, id, &mut responder),
        };
        if let (Err(Refused(status, sentence)), Some(responder)) = (begun, responder) {
            context.respond(responder, &Response::error(status, &sentence));
        }
    }

    /// The answer to somebody who may not call, if so.
    fn judge(&self, request: &HttpRequest) -> Option<Response> {
        let Some(key) = &self.key else {
            return Some(Response::error(403, "the API is off: the configuration has no api.key"));
        };
        let presented = request.head.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if presented.is_some_and(|presented| key.matches(presented)) {
            return None;
        }
        let sentence =
            "the API wants the header Authorization: Bearer KEY, with the key of api.key";
        Some(Response::error(401, sentence).header("WWW-Authenticate", "Bearer realm=\"wsmaster\""))
    }
}

type Begun = Result<(), Refused>;

fn push(context: &mut Context<'_>, body: &[u8], responder: &mut Option<Responder>) -> Begun {
    let body: PushBody<'_> = read(body)?;
    let payload = payload(body.text, body.json, body.binary_base64)?;
    let Ok(id) = ConnectionId::try_from(body.connection) else {
        let Some(responder) = responder.take() else { return Ok(()) };
        context.respond(responder, &outcome(body.connection, Ok(Outcome::NoSuchConnection)));
        return Ok(());
    };
    let Some(responder) = responder.take() else { return Ok(()) };
    context.push_ack(id, payload.message(), move |context, result| {
        context.respond(responder, &outcome(id.as_u64(), result));
    });
    Ok(())
}

fn broadcast(context: &mut Context<'_>, body: &[u8], responder: &mut Option<Responder>) -> Begun {
    let body: BroadcastBody<'_> = read(body)?;
    let payload = payload(body.text, body.json, body.binary_base64)?;
    let exclude = body.exclude.and_then(|id| ConnectionId::try_from(id).ok());
    let Some(responder) = responder.take() else { return Ok(()) };
    context.broadcast_ack(payload.message(), exclude, move |context, result| {
        context.respond(responder, &tally(result));
    });
    Ok(())
}

fn publish(context: &mut Context<'_>, body: &[u8], responder: &mut Option<Responder>) -> Begun {
    let body: PublishBody<'_> = read(body)?;
    if let Err(code) = check_name(&body.channel, CHANNEL_BYTES_MAX) {
        return Err(Refused(400, format!("channel: {}", code.sentence())));
    }
    let payload = match body.message {
        Some(message) => {
            let none = body.text.is_none() && body.json.is_none() && body.binary_base64.is_none();
            if !none {
                return Err(Refused(400, ONE_OF_PUBLISH.to_owned()));
            }
            let mut text = Vec::new();
            reply::delivery(&mut text, &body.channel, None, message, context.unix_ms());
            match String::from_utf8(text) {
                Ok(text) => Payload::Text(text),
                Err(error) => Payload::Binary(error.into_bytes()),
            }
        }
        None => payload(body.text, body.json, body.binary_base64).map_err(
            |Refused(status, sentence)| {
                let sentence =
                    if sentence == ONE_OF { ONE_OF_PUBLISH.to_owned() } else { sentence };
                Refused(status, sentence)
            },
        )?,
    };
    let exclude = body.exclude.and_then(|id| ConnectionId::try_from(id).ok());
    let Some(responder) = responder.take() else { return Ok(()) };
    let message = payload.message();
    let publication = Publication {
        channel: &body.channel,
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

fn disconnect(context: &mut Context<'_>, body: &[u8], responder: &mut Option<Responder>) -> Begun {
    let body: DisconnectBody = read(body)?;
    if !close::is_sendable(body.code.into()) {
        let sentence = format!("code: {} may not be sent (RFC 6455, 7.4)", body.code);
        return Err(Refused(400, sentence));
    }
    if body.reason.len() > CLOSE_REASON_BYTES_MAX {
        let sentence = format!("reason: at most {CLOSE_REASON_BYTES_MAX} bytes");
        return Err(Refused(400, sentence));
    }
    let Some(responder) = responder.take() else { return Ok(()) };
    let Ok(id) = ConnectionId::try_from(body.connection) else {
        context.respond(responder, &outcome(body.connection, Ok(Outcome::NoSuchConnection)));
        return Ok(());
    };
    context.disconnect_ack(id, body.code, &body.reason, move |context, result| {
        context.respond(responder, &outcome(id.as_u64(), result));
    });
    Ok(())
}

fn connection(context: &mut Context<'_>, id: &str, responder: &mut Option<Responder>) -> Begun {
    let number: u64 = id
        .parse()
        .map_err(|_| Refused(400, "the id of a connection is a whole number".to_owned()))?;
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

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    if body.is_empty() {
        return Err(Refused(400, "the body is empty: expected a JSON object".to_owned()));
    }
    // serde would also take an array with the fields' values in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refused(400, "the body: expected a JSON object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| Refused(400, format!("the body: {error}")))
}

const ONE_OF: &str = "expected exactly one of text, json and binary_base64";
const ONE_OF_PUBLISH: &str = "expected exactly one of message, text, json and binary_base64";

fn payload(
    text: Option<String>,
    json: Option<&RawValue>,
    binary_base64: Option<String>,
) -> Result<Payload, Refused> {
    match (text, json, binary_base64) {
        (Some(text), None, None) => Ok(Payload::Text(text)),
        (None, Some(json), None) => Ok(Payload::Text(json.get().to_owned())),
        (None, None, Some(encoded)) => BASE64
            .decode(encoded)
            .map(Payload::Binary)
            .map_err(|error| Refused(400, format!("binary_base64: {error}"))),
        _ => Err(Refused(400, ONE_OF.to_owned())),
    }
}

/// What became of a command for one connection.
fn outcome(connection: u64, result: Result<Outcome, AskError>) -> Response {
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
fn tally(result: Result<Tally, AskError>) -> Response {
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

fn ask_error(error: AskError) -> (u16, &'static str) {
    match error {
        AskError::MailboxFull => (503, "mailbox_full"),
        AskError::Busy => (503, "busy"),
        AskError::Unanswered => (504, "unanswered"),
    }
}
