//! The stable codes of refusals, and what the reader of a part of a request says of it.

use std::borrow::Cow;

/// The stable word for a refusal, for programs; `ProtocolError::sentence` is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The text is not JSON (RFC 8259), or is followed by more than white space, or has where it must be read what no
    /// reader can hold: half of a surrogate pair, a number beyond a double.
    InvalidJson,
    /// It is JSON, but not a request: a field is missing, given twice or of the wrong type.
    InvalidRequest,
    /// `action` is none of those that exist.
    UnknownAction,
    /// The channel name breaks the rule of [`check_name`](super::check_name).
    InvalidChannel,
    /// The channel is `private.*` or `presence.*` and the connection has no permission for it.
    ChannelNeedsPermission,
    /// More recipients than [`ChannelLimits::recipients_max`](super::ChannelLimits::recipients_max).
    TooManyRecipients,
    /// Arrays and objects nested deeper than
    /// [`ChannelLimits::message_depth_max`](super::ChannelLimits::message_depth_max).
    MessageTooDeep,
    /// The request needs a subscription to the channel that the connection does not have.
    NotSubscribed,
    /// The connection has as many subscriptions as it may have.
    TooManySubscriptions,
    /// The connection sent too much in too short a time.
    RateLimited,
    /// A queue of the server is full; the request had no effect, or not on every receiver.
    Overloaded,
    /// The server failed, not the client.
    InternalError,
}

impl ErrorCode {
    /// The value of `code` in the reply.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::UnknownAction => "unknown_action",
            Self::InvalidChannel => "invalid_channel",
            Self::ChannelNeedsPermission => "channel_needs_permission",
            Self::TooManyRecipients => "too_many_recipients",
            Self::MessageTooDeep => "message_too_deep",
            Self::NotSubscribed => "not_subscribed",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::InternalError => "internal_error",
        }
    }

    /// The value of `error` in the reply where nothing more exact is known.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidJson => "The message is not valid JSON.",
            Self::InvalidRequest => "The message is not a request.",
            Self::UnknownAction => "Unknown action.",
            Self::InvalidChannel => {
                "Invalid channel name. Use letters, digits, '_' and '-' in parts separated by single dots."
            }
            Self::ChannelNeedsPermission => {
                "This channel needs a permission that the connection does not have."
            }
            Self::TooManyRecipients => "Too many recipients.",
            Self::MessageTooDeep => "The field \"data.message\" is nested too deep.",
            Self::NotSubscribed => "Not subscribed to this channel.",
            Self::TooManySubscriptions => "Too many subscriptions on this connection.",
            Self::RateLimited => "Rate limit exceeded. Please slow down.",
            Self::Overloaded => "The server is overloaded. Please try again later.",
            Self::InternalError => "Internal server error",
        }
    }
}

/// What is wrong with a request, without the request.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: ErrorCode,
    pub(super) sentence: Cow<'static, str>,
}

impl Problem {
    pub(super) fn invalid(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::InvalidRequest, sentence: sentence.into() }
    }
}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self { code, sentence: Cow::Borrowed(code.sentence()) }
    }
}
