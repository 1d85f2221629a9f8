//! What a client asks for, read from its text and checked against the limits. Owns the rules of a request; the shape of
//! the JSON is read in `fields`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::depth::is_deeper;
use super::error::{ErrorCode, ProtocolError};
use super::fields::{self, Envelope, Field};
use super::name;

/// What a request may cost. The size of a whole request is bounded before it comes here, by the message limit of the
/// session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Bytes of a channel name.
    pub channel_bytes_max: usize,
    /// Entries of `recipients`.
    pub recipients_max: usize,
    /// Bytes of `id` as it stands in the JSON text, quotes and escapes included.
    pub id_bytes_max: usize,
    /// Arrays and objects inside one another in `message`; 0 allows strings, numbers, booleans and null only.
    ///
    /// The server itself does not descend into `message`. The limit is for the receivers: most JSON readers give up,
    /// and some crash, at a depth between 100 and 1000, and one client must not be able to do that to all others.
    pub message_depth_max: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            channel_bytes_max: 200,
            recipients_max: 100,
            id_bytes_max: 64,
            message_depth_max: 64,
        }
    }
}

/// A request that keeps every rule of this protocol. Whether it is allowed is for the application to say.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The client's own mark, to be repeated in the answer.
    pub id: Option<RequestId<'a>>,
    /// What to do.
    pub action: Action<'a>,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub enum Action<'a> {
    /// Receive what is sent to `channel`.
    Subscribe {
        /// A valid channel name.
        channel: Cow<'a, str>,
    },
    /// No longer receive what is sent to `channel`.
    Unsubscribe {
        /// A valid channel name.
        channel: Cow<'a, str>,
    },
    /// Send `message` to those who are subscribed to `channel`.
    Message {
        /// A valid channel name.
        channel: Cow<'a, str>,
        /// Any JSON value, as the client wrote it: to be passed on byte for byte.
        ///
        /// It keeps the grammar of RFC 8259. What that grammar allows and some readers refuse (half of a surrogate pair
        /// in an escape, numbers beyond a double) is in it as sent.
        message: &'a RawValue,
        /// If given, only those of the subscribers whose connection id is in it; sorted, each id once. An empty list is
        /// nobody, since a sender that computed "nobody" must not reach everybody.
        recipients: Option<Vec<u64>>,
    },
    /// Answer with `pong`.
    Ping,
    /// The answer to the server's `ping`.
    Pong,
}

/// An [`Action`] without what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionName {
    /// `subscribe`
    Subscribe,
    /// `unsubscribe`
    Unsubscribe,
    /// `message`
    Message,
    /// `ping`
    Ping,
    /// `pong`
    Pong,
}

impl ActionName {
    /// The value of `action` in requests, and of `request_action` in errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Message => "message",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// The value of `action` in the answer that it was carried out. That of a message differs from the action of a delivery,
    /// so that a client tells them apart by this field alone.
    pub const fn in_answer(self) -> &'static str {
        match self {
            Self::Message => "message_sent",
            Self::Subscribe | Self::Unsubscribe | Self::Ping | Self::Pong => self.as_str(),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Subscribe, Self::Unsubscribe, Self::Message, Self::Ping, Self::Pong]
            .into_iter()
            .find(|name| name.as_str() == text)
    }
}

/// The client's own mark on a request: a JSON string or number, kept as the text it was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// The JSON text, as the client wrote it.
    pub const fn as_json(self) -> &'a str {
        self.0
    }
}

impl<'a> Action<'a> {
    /// Which action it is.
    pub const fn name(&self) -> ActionName {
        match self {
            Self::Subscribe { .. } => ActionName::Subscribe,
            Self::Unsubscribe { .. } => ActionName::Unsubscribe,
            Self::Message { .. } => ActionName::Message,
            Self::Ping => ActionName::Ping,
            Self::Pong => ActionName::Pong,
        }
    }

    /// The channel it is about, if it is about one.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Subscribe { channel }
            | Self::Unsubscribe { channel }
            | Self::Message { channel, .. } => Some(channel),
            Self::Ping | Self::Pong => None,
        }
    }
}

impl<'a> Request<'a> {
    /// The refusal of this request: names its action, channel and id.
    pub fn error(&self, code: ErrorCode) -> ProtocolError<'_> {
        ProtocolError {
            request_action: Some(Cow::Borrowed(self.action.name().as_str())),
            channel: self.action.channel().map(Cow::Borrowed),
            id: self.id,
            ..ProtocolError::new(code)
        }
    }
}

/// Reads one text message of a client.
///
/// Borrows from `text` all that needs no unescaping; allocates for `recipients` only (at most
/// [`ChannelLimits::recipients_max`] entries) and for names written with escapes.
///
/// # Errors
///
/// A [`ProtocolError`] that names what of the request could be read, so that a client can tell which of its requests it
/// answers. Never closes the connection: what to do about a client that sends nothing but errors is not decided here.
pub fn parse<'a>(text: &'a str, limits: &ChannelLimits) -> Result<Request<'a>, ProtocolError<'a>> {
    let envelope = fields::read(text)?;
    let id = match read_id(&envelope, limits) {
        Ok(id) => id,
        Err(problem) => return Err(problem.in_request(&envelope, None)),
    };
    match read_action(&envelope, limits) {
        Ok(action) => Ok(Request { id, action }),
        Err(problem) => Err(problem.in_request(&envelope, id)),
    }
}

fn read_id<'a>(
    envelope: &Envelope<'a>,
    limits: &ChannelLimits,
) -> Result<Option<RequestId<'a>>, Problem> {
    let Some(id) = envelope.id.map(RawValue::get).filter(|json| *json != "null") else {
        return Ok(None);
    };
    if !id.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit()) {
        return Err(Problem::invalid("The field \"id\" must be a string or a number."));
    }
    if id.len() > limits.id_bytes_max {
        let bytes_max = limits.id_bytes_max;
        return Err(Problem::invalid(format!(
            "The field \"id\" is longer than {bytes_max} bytes."
        )));
    }
    Ok(Some(RequestId(id)))
}

fn read_action<'a>(envelope: &Envelope<'a>, limits: &ChannelLimits) -> Result<Action<'a>, Problem> {
    if let Some(name) = envelope.twice {
        return Err(Problem::invalid(format!("The field \"{name}\" is given twice.")));
    }
    let name = match &envelope.action {
        Field::Absent => return Err(Problem::invalid("The field \"action\" is missing.")),
        Field::IllTyped => return Err(Problem::invalid("The field \"action\" must be a string.")),
        Field::Given(text) => ActionName::from_text(text).ok_or(ErrorCode::UnknownAction)?,
    };
    if envelope.data == Field::IllTyped {
        return Err(Problem::invalid("The field \"data\" must be an object."));
    }
    Ok(match name {
        ActionName::Subscribe => Action::Subscribe { channel: read_channel(envelope, limits)? },
        ActionName::Unsubscribe => Action::Unsubscribe { channel: read_channel(envelope, limits)? },
        ActionName::Message => Action::Message {
            channel: read_channel(envelope, limits)?,
            message: read_message(envelope, limits)?,
            recipients: read_recipients(envelope, limits)?,
        },
        ActionName::Ping => Action::Ping,
        ActionName::Pong => Action::Pong,
    })
}

fn read_channel<'a>(
    envelope: &Envelope<'a>,
    limits: &ChannelLimits,
) -> Result<Cow<'a, str>, Problem> {
    let channel = match &envelope.channel {
        Field::Absent => return Err(Problem::invalid("The field \"data.channel\" is missing.")),
        Field::IllTyped => {
            return Err(Problem::invalid("The field \"data.channel\" must be a string."));
        }
        Field::Given(channel) => channel,
    };
    if let Err(code) = name::check_name(channel, limits.channel_bytes_max) {
        let sentence = format!(
            "Invalid channel name. Use 1 to {} letters, digits, '_' and '-', in parts separated by single dots.",
            limits.channel_bytes_max
        );
        return Err(Problem { code, sentence: sentence.into() });
    }
    if name::needs_permission(channel) {
        return Err(ErrorCode::ChannelNeedsPermission.into());
    }
    Ok(channel.clone())
}

fn read_message<'a>(
    envelope: &Envelope<'a>,
    limits: &ChannelLimits,
) -> Result<&'a RawValue, Problem> {
    let Some(message) = envelope.message else {
        return Err(Problem::invalid("The field \"data.message\" is missing."));
    };
    if is_deeper(message.get(), limits.message_depth_max) {
        let sentence = format!(
            "The field \"data.message\" is nested too deep; at most {} levels.",
            limits.message_depth_max
        );
        return Err(Problem { code: ErrorCode::MessageTooDeep, sentence: sentence.into() });
    }
    Ok(message)
}

fn read_recipients(
    envelope: &Envelope<'_>,
    limits: &ChannelLimits,
) -> Result<Option<Vec<u64>>, Problem> {
    let Some(json) = envelope.recipients else {
        return Ok(None);
    };
    match fields::read_recipients(json, limits.recipients_max) {
        Ok(Field::Absent) => Ok(None),
        Ok(Field::Given(ids)) => Ok(Some(ids)),
        Ok(Field::IllTyped) => Err(Problem::invalid(
            "The field \"data.recipients\" must be an array of connection ids.",
        )),
        Err(code) => Err(Problem {
            code,
            sentence: format!("Too many recipients; at most {}.", limits.recipients_max).into(),
        }),
    }
}

/// What is wrong with a request, without the request.
struct Problem {
    code: ErrorCode,
    sentence: Cow<'static, str>,
}

impl Problem {
    fn invalid(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::InvalidRequest, sentence: sentence.into() }
    }

    /// The error that names all that could be read of the request.
    fn in_request<'a>(
        self,
        envelope: &Envelope<'a>,
        id: Option<RequestId<'a>>,
    ) -> ProtocolError<'a> {
        ProtocolError {
            code: self.code,
            sentence: self.sentence,
            request_action: envelope.action.given().cloned(),
            channel: envelope.channel.given().cloned(),
            id,
            retry_after_s: None,
        }
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self { code, sentence: Cow::Borrowed(code.sentence()) }
    }
}
