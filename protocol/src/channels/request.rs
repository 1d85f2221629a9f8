//! What a client asks for, read from its text and checked against the limits.

use std::borrow::Cow;

use super::action::{Action, CHANNEL, DATA_FIELDS};
use super::error::ProtocolError;
use super::error_code::{ErrorCode, Problem};
use super::fields::{self, Envelope, text_of};
use super::id::RequestId;
use super::limits::ChannelLimits;

/// A request that keeps every rule of this protocol. Whether it is allowed is for the application to say.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The client's own mark, to be repeated in the answer.
    pub id: Option<RequestId<'a>>,
    /// What to do.
    pub action: Action<'a>,
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
    let envelope = fields::read(text, &DATA_FIELDS)?;
    let id = match RequestId::read(envelope.id, limits.id_bytes_max) {
        Ok(id) => id,
        Err(problem) => return Err(refusal(problem, &envelope, None)),
    };
    match Action::read(&envelope, limits) {
        Ok(action) => Ok(Request { id, action }),
        Err(problem) => Err(refusal(problem, &envelope, id)),
    }
}

/// The error that names all that could be read of the request.
fn refusal<'a>(
    problem: Problem,
    envelope: &Envelope<'a>,
    id: Option<RequestId<'a>>,
) -> ProtocolError<'a> {
    ProtocolError {
        code: problem.code,
        sentence: problem.sentence,
        request_action: text_of(envelope.action).given(),
        channel: text_of(envelope.data(CHANNEL)).given(),
        id,
        retry_after_s: None,
    }
}
