//! What callers of the HTTP API ask for: the JSON bodies of its calls.
//!
//! Owns the reading of a body, and the sentence that says what is wrong with one. A number of a connection is not checked
//! here: one that belongs to nobody is answered like one that is closed.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{
    channels::check_name,
    close::{self, CloseCode},
    digits,
    frame::CLOSE_REASON_BYTES_MAX,
};

/// The longest name of a channel that is published to, in bytes. A channel of the built-in application has a shorter bound.
pub const CHANNEL_BYTES_MAX: usize = 255;

const ONE_OF: &str = "expected exactly one of text, json and binary_base64";
const ONE_OF_PUBLISH: &str = "expected exactly one of message, text, json and binary_base64";

/// Why a call asks for nothing: one sentence that names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct CallError {
    /// The sentence.
    pub sentence: String,
}

impl CallError {
    fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into() }
    }
}

/// The bytes of a message, however the caller has written them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Sent as text.
    Text(String),
    /// Sent as binary.
    Binary(Vec<u8>),
}

/// What subscribers of a channel get.
#[derive(Debug, Clone)]
pub enum Published<'a> {
    /// A message of the channel application: its envelope has to be put around it.
    Message(&'a RawValue),
    /// A message as it is.
    Payload(Payload),
}

/// A message for one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The connection's number, not yet checked.
    pub connection: u64,
    /// The message.
    pub payload: Payload,
}

/// A message for every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// The message.
    pub payload: Payload,
    /// The number of a connection that does not get it.
    pub exclude: Option<u64>,
}

/// A message for the subscribers of a channel.
#[derive(Debug, Clone)]
pub struct Publish<'a> {
    /// The channel: a name of at most [`CHANNEL_BYTES_MAX`].
    pub channel: String,
    /// The message.
    pub what: Published<'a>,
    /// The number of a connection that does not get it.
    pub exclude: Option<u64>,
}

/// The end of a connection. Without a code it is 1000, without a reason none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// The connection's number, not yet checked.
    #[serde(deserialize_with = "connection")]
    pub connection: u64,
    /// A code that may be sent (RFC 6455, 7.4).
    #[serde(default = "normal_closure", deserialize_with = "code")]
    pub code: u16,
    /// At most [`CLOSE_REASON_BYTES_MAX`].
    #[serde(default)]
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushBody<'a> {
    #[serde(deserialize_with = "connection")]
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
    #[serde(default, deserialize_with = "exclude")]
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
    #[serde(default, deserialize_with = "exclude")]
    exclude: Option<u64>,
}

/// A field that is there is given, also when it is `null`: that is a JSON value like any other, and not the lack of one.
fn given<'de: 'a, 'a, D: Deserializer<'de>>(field: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

fn connection<'de, D: Deserializer<'de>>(field: D) -> Result<u64, D::Error> {
    digits::required(field, "connection")
}

fn exclude<'de, D: Deserializer<'de>>(field: D) -> Result<Option<u64>, D::Error> {
    digits::optional(field, "exclude")
}

fn code<'de, D: Deserializer<'de>>(field: D) -> Result<u16, D::Error> {
    digits::required(field, "code")
}

fn normal_closure() -> u16 {
    CloseCode::Normal.into()
}

impl Push {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// Not a JSON object of these fields, or not exactly one message.
    pub fn read(body: &[u8]) -> Result<Self, CallError> {
        let PushBody { connection, text, json, binary_base64 } = read(body)?;
        Ok(Self { connection, payload: payload(text, json, binary_base64, ONE_OF)? })
    }
}

impl Broadcast {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// Not a JSON object of these fields, or not exactly one message.
    pub fn read(body: &[u8]) -> Result<Self, CallError> {
        let BroadcastBody { text, json, binary_base64, exclude } = read(body)?;
        Ok(Self { payload: payload(text, json, binary_base64, ONE_OF)?, exclude })
    }
}

impl<'a> Publish<'a> {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// Not a JSON object of these fields, no name of a channel, or not exactly one message.
    pub fn read(body: &'a [u8]) -> Result<Self, CallError> {
        let body: PublishBody<'a> = read(body)?;
        let PublishBody { channel, message, text, json, binary_base64, exclude } = body;
        if let Err(code) = check_name(&channel, CHANNEL_BYTES_MAX) {
            return Err(CallError::new(format!("channel: {}", code.sentence())));
        }
        let is_bare = text.is_none() && json.is_none() && binary_base64.is_none();
        let what = match message {
            Some(message) if is_bare => Published::Message(message),
            Some(_) => return Err(CallError::new(ONE_OF_PUBLISH)),
            None => Published::Payload(payload(text, json, binary_base64, ONE_OF_PUBLISH)?),
        };
        Ok(Self { channel, what, exclude })
    }
}

impl Disconnect {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// Not a JSON object of these fields, a code that may not be sent, or a reason that no close frame has room for.
    pub fn read(body: &[u8]) -> Result<Self, CallError> {
        let call: Self = read(body)?;
        if !close::is_sendable(call.code.into()) {
            let sentence = format!("code: {} may not be sent (RFC 6455, 7.4)", call.code);
            return Err(CallError::new(sentence));
        }
        if call.reason.len() > CLOSE_REASON_BYTES_MAX {
            let sentence = format!("reason: at most {CLOSE_REASON_BYTES_MAX} bytes");
            return Err(CallError::new(sentence));
        }
        Ok(call)
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, CallError> {
    if body.is_empty() {
        return Err(CallError::new("the body is empty: expected a JSON object"));
    }
    // serde would also take an array with the fields' values in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(CallError::new("the body: expected a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| CallError::new(format!("the body: {error}")))
}

fn payload(
    text: Option<String>,
    json: Option<&RawValue>,
    binary_base64: Option<String>,
    one_of: &str,
) -> Result<Payload, CallError> {
    match (text, json, binary_base64) {
        (Some(text), None, None) => Ok(Payload::Text(text)),
        (None, Some(json), None) => Ok(Payload::Text(json.get().to_owned())),
        (None, None, Some(encoded)) => BASE64
            .decode(encoded)
            .map(Payload::Binary)
            .map_err(|error| CallError::new(format!("binary_base64: {error}"))),
        _ => Err(CallError::new(one_of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_in_one_of_several_ways() {
        let text = |text: &str| Some(Payload::Text(text.to_owned()));
        let table: [(&str, Option<Payload>); 14] = [
            (r#""text":"a\nb""#, text("a\nb")),
            (r#""text":"""#, text("")),
            (r#""json":{"a": 1e2}"#, text(r#"{"a": 1e2}"#)),
            (r#""json":null"#, text("null")),
            (r#""binary_base64":"AP8=""#, Some(Payload::Binary(vec![0, 255]))),
            (r#""binary_base64":"""#, Some(Payload::Binary(Vec::new()))),
            (r#""binary_base64":"AP8""#, None),
            (r#""binary_base64":"AP9=""#, None),
            (r#""text":"a","json":null"#, None),
            (r#""text":"a","binary_base64":"""#, None),
            (r#""text":1"#, None),
            (r#""text":null"#, None),
            (r#""text":"a","text":"b""#, None),
            (r#""text":"a","more":1"#, None),
        ];
        for (fields, expected) in table {
            let push = Push::read(format!(r#"{{"connection":7,{fields}}}"#).as_bytes());
            assert_eq!(push.ok().map(|push| push.payload), expected, "{fields}");
            let broadcast = Broadcast::read(format!("{{{fields}}}").as_bytes());
            assert_eq!(broadcast.ok().map(|call| call.payload), expected, "{fields}");
            let body = format!(r#"{{"channel":"news",{fields}}}"#);
            let published = match Publish::read(body.as_bytes()).map(|call| call.what) {
                Ok(Published::Payload(payload)) => Some(payload),
                Ok(Published::Message(_)) | Err(_) => None,
            };
            assert_eq!(published, expected, "{fields}");
        }
    }

    #[test]
    fn a_body_is_one_object_and_nothing_else() {
        for body in
            ["", " ", "[7,\"a\"]", "7", "null", "{", "{}x", "{\"text\":\"a\"}", "\u{feff}{}"]
        {
            assert!(Push::read(body.as_bytes()).is_err(), "{body}");
        }
        let error = Push::read(b"[7]").unwrap_err();
        assert_eq!(error.to_string(), "the body: expected a JSON object");
        assert!(Push::read(b"{\"connection\":7,\"text\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_number_is_understood_as_its_digits_too() {
        for number in ["7", "\"7\""] {
            let push = Push::read(format!(r#"{{"connection":{number},"text":"a"}}"#).as_bytes());
            assert_eq!(push.unwrap().connection, 7);
            let call = Broadcast::read(format!(r#"{{"text":"a","exclude":{number}}}"#).as_bytes());
            assert_eq!(call.unwrap().exclude, Some(7));
            let body = format!(r#"{{"channel":"a","text":"a","exclude":{number}}}"#);
            assert_eq!(Publish::read(body.as_bytes()).unwrap().exclude, Some(7));
            let body = format!(r#"{{"connection":{number},"code":"4000"}}"#);
            let call = Disconnect::read(body.as_bytes()).unwrap();
            assert_eq!((call.connection, call.code), (7, 4000));
        }
        for number in ["\"\"", "\"7a\"", "-7", "7.5", "null", "[7]"] {
            let body = format!(r#"{{"connection":{number},"text":"a"}}"#);
            let error = Push::read(body.as_bytes()).unwrap_err().sentence;
            assert!(error.contains("the field \"connection\" is no whole number"), "{error}");
        }
        let error = Push::read(br#"{"text":"a"}"#).unwrap_err().sentence;
        assert!(error.contains("missing field `connection`"), "{error}");
    }

    #[test]
    fn a_channel_has_a_name() {
        let name = |length: usize| "c".repeat(length);
        for (channel, expected) in [
            ("news".to_owned(), true),
            (name(CHANNEL_BYTES_MAX), true),
            (name(CHANNEL_BYTES_MAX + 1), false),
            (String::new(), false),
            ("a\\u0000b".to_owned(), false),
        ] {
            let body = format!(r#"{{"channel":"{channel}","message":[1]}}"#);
            let call = Publish::read(body.as_bytes());
            assert_eq!(call.is_ok(), expected, "{channel}");
            let is_message = call.is_ok_and(|call| matches!(call.what, Published::Message(_)));
            assert_eq!(is_message, expected, "{channel}");
        }
        let both = Publish::read(br#"{"channel":"a","message":1,"text":"b"}"#).unwrap_err();
        assert_eq!(both.sentence, ONE_OF_PUBLISH);
    }

    #[test]
    fn a_close_frame_has_a_code_that_may_be_sent_and_room_for_its_reason() {
        for (fields, expected) in [
            ("", Some((1000, 0))),
            (r#","code":4999,"reason":"bye""#, Some((4999, 3))),
            (r#","code":1005"#, None),
            (r#","code":999"#, None),
            (r#","code":70000"#, None),
        ] {
            let body = format!(r#"{{"connection":1{fields}}}"#);
            let call = Disconnect::read(body.as_bytes()).ok();
            assert_eq!(call.map(|call| (call.code, call.reason.len())), expected, "{fields}");
        }
        for (length, expected) in
            [(CLOSE_REASON_BYTES_MAX, true), (CLOSE_REASON_BYTES_MAX + 1, false)]
        {
            let body = format!(r#"{{"connection":1,"reason":"{}"}}"#, "r".repeat(length));
            assert_eq!(Disconnect::read(body.as_bytes()).is_ok(), expected, "{length}");
        }
    }
}
