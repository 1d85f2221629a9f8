//! What a client can ask for: one row for each action, and the fields of `data`. Owns the rules of an action; the shape of the
//! JSON is read in `fields`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::depth::is_deeper;
use super::error_code::{ErrorCode, Problem};
use super::fields::{self, Envelope, Field, text_of};
use super::limits::ChannelLimits;
use super::name;
use crate::word_list;

/// The fields that `data` may have. Others are passed over.
pub(super) const DATA_FIELDS: [&str; 3] = ["channel", "message", "recipients"];
pub(super) const CHANNEL: usize = 0;
const MESSAGE: usize = 1;
const RECIPIENTS: usize = 2;

/// Declares each action once: its meaning, its name, its name in the answer if that is another one, whether it needs a channel,
/// and its other fields with what reads each of them.
macro_rules! actions {
    ($(
        $(#[doc = $doc:literal])+
        $Action:ident $name:literal $(answered $answered:literal)? $({
            $(needs $channel:ident,)?
            $($(#[doc = $field_doc:literal])+ $field:ident: $Type:ty = $read:ident,)*
        })?;
    )*) => {
        /// What a client asks for.
        #[derive(Debug, Clone)]
        pub enum Action<'a> {
            $($(#[doc = $doc])+ $Action $({
                $(
                    /// A valid channel name.
                    $channel: Cow<'a, str>,
                )?
                $($(#[doc = $field_doc])+ $field: $Type,)*
            })?,)*
        }

        /// An [`Action`] without what it is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ActionName {
            $(#[doc = concat!("`", $name, "`")] $Action,)*
        }

        impl ActionName {
            /// All actions, with the values of `action` in requests.
            const ALL: [(Self, &'static str); [$($name),*].len()] = [$((Self::$Action, $name)),*];

            /// The value of `action` in requests, and of `request_action` in errors.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Action => $name,)*
                }
            }

            /// The value of `action` in the answer that it was carried out. That of a message differs from the action of a
            /// delivery, so that a client tells them apart by this field alone.
            pub const fn in_answer(self) -> &'static str {
                match self {
                    $(Self::$Action => [$($answered,)? $name][0],)*
                }
            }
        }

        impl<'a> Action<'a> {
            /// Which action it is.
            pub const fn name(&self) -> ActionName {
                match self {
                    $(Self::$Action { .. } => ActionName::$Action,)*
                }
            }

            /// The channel it is about, if it is about one.
            pub fn channel(&self) -> Option<&str> {
                match self {
                    $(Self::$Action { $($($channel,)?)? .. } => None$($(.or(Some(&**$channel)))?)?,)*
                }
            }

            fn read_fields(
                name: ActionName,
                envelope: &Envelope<'a>,
                limits: &ChannelLimits,
            ) -> Result<Self, Problem> {
                Ok(match name {
                    $(ActionName::$Action => Self::$Action $({
                        $($channel: read_channel(envelope, limits)?,)?
                        $($field: $read(envelope, limits)?,)*
                    })?,)*
                })
            }
        }
    };
}

actions! {
    /// Receive what is sent to `channel`.
    Subscribe "subscribe" { needs channel, };
    /// No longer receive what is sent to `channel`.
    Unsubscribe "unsubscribe" { needs channel, };
    /// Send `message` to those who are subscribed to `channel`.
    Message "message" answered "message_sent" {
        needs channel,
        /// Any JSON value, as the client wrote it: to be passed on byte for byte.
        ///
        /// It keeps the grammar of RFC 8259. What that grammar allows and some readers refuse (half of a surrogate pair
        /// in an escape, numbers beyond a double) is in it as sent.
        message: &'a RawValue = read_message,
        /// If given, only those of the subscribers whose connection id is in it; sorted, each id once. An empty list is
        /// nobody, since a sender that computed "nobody" must not reach everybody.
        recipients: Option<Vec<u64>> = read_recipients,
    };
    /// Answer with `pong`.
    Ping "ping";
    /// The answer to the server's `ping`.
    Pong "pong";
}

impl<'a> Action<'a> {
    /// Reads the action that a request names, with its fields.
    pub(super) fn read(envelope: &Envelope<'a>, limits: &ChannelLimits) -> Result<Self, Problem> {
        if let Some(name) = &envelope.twice {
            return Err(Problem::invalid(format!("The field \"{name}\" is given twice.")));
        }
        let text = match text_of(envelope.action) {
            Field::Absent => return Err(Problem::invalid("The field \"action\" is missing.")),
            Field::IllTyped => {
                return Err(Problem::invalid("The field \"action\" must be a string."));
            }
            Field::Given(text) => text,
        };
        let (name, _) = ActionName::ALL
            .into_iter()
            .find(|(_, name)| *name == text)
            .ok_or_else(unknown_action)?;
        if envelope.data == Field::IllTyped {
            return Err(Problem::invalid("The field \"data\" must be an object."));
        }
        Self::read_fields(name, envelope, limits)
    }
}

fn unknown_action() -> Problem {
    let code = ErrorCode::UnknownAction;
    let known = word_list::with_and(&ActionName::ALL.map(|(_, name)| name));
    Problem { code, sentence: format!("{} Known are {known}.", code.sentence()).into() }
}

fn read_channel<'a>(
    envelope: &Envelope<'a>,
    limits: &ChannelLimits,
) -> Result<Cow<'a, str>, Problem> {
    let channel = match text_of(envelope.data(CHANNEL)) {
        Field::Absent => return Err(Problem::invalid("The field \"data.channel\" is missing.")),
        Field::IllTyped => {
            return Err(Problem::invalid("The field \"data.channel\" must be a string."));
        }
        Field::Given(channel) => channel,
    };
    if let Err(code) = name::check_name(&channel, limits.channel_bytes_max) {
        let sentence = format!(
            "Invalid channel name. Use 1 to {} letters, digits, '_' and '-', in parts separated by single dots.",
            limits.channel_bytes_max
        );
        return Err(Problem { code, sentence: sentence.into() });
    }
    if name::needs_permission(&channel) {
        return Err(ErrorCode::ChannelNeedsPermission.into());
    }
    Ok(channel)
}

fn read_message<'a>(
    envelope: &Envelope<'a>,
    limits: &ChannelLimits,
) -> Result<&'a RawValue, Problem> {
    let Some(message) = envelope.data(MESSAGE) else {
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
    let Some(json) = envelope.data(RECIPIENTS) else {
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
