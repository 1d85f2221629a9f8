//! What the state of a connection says of itself.

use wsmaster_protocol::{
    deflate::Agreement,
    session::{Extension, Phase},
};

use super::State;
use crate::{
    delivery::Form,
    http1::{RequestState, ResponseOptions},
};

impl State {
    /// In which form it gets a message that [is compressed](crate::delivery::Delivery::compresses).
    pub(super) fn form(&self) -> Form {
        match self.agreement() {
            Some(agreement) if agreement.server_takeover => Form::InContext,
            Some(agreement) => Form::Alone(agreement.server_window),
            None => Form::Plain,
        }
    }

    pub(super) fn agreement(&self) -> Option<Agreement> {
        let Self::WebSocket(session) = self else { return None };
        match session.extension() {
            Extension::Deflate(agreement) if session.can_send() => Some(agreement),
            Extension::Deflate(_) | Extension::None => None,
        }
    }

    /// The options of the answer to the request with this number, if it waits for one.
    pub(crate) fn awaits_answer(&self, number: u32) -> Option<ResponseOptions> {
        match self {
            Self::Http(RequestState::Answering { number: awaited, options }) => {
                (*awaited == number).then_some(*options)
            }
            Self::Http(_) | Self::WebSocket(_) | Self::Lingering { .. } => None,
        }
    }

    /// Whether its client waits for the handshake with this number to be decided.
    pub(crate) fn awaits_verdict(&self, number: u32) -> bool {
        match self {
            Self::Http(RequestState::Undecided { number: awaited, .. }) => *awaited == number,
            Self::Http(_) | Self::WebSocket(_) | Self::Lingering { .. } => false,
        }
    }

    /// Whether messages may be put into its outbox.
    #[inline]
    pub(crate) fn can_send(&self) -> bool {
        match self {
            Self::WebSocket(session) => session.can_send(),
            Self::Http(_) | Self::Lingering { .. } => false,
        }
    }

    /// Whether nothing more is said but what is in the outbox, and nothing more heard but the peer's end.
    #[inline]
    pub(crate) fn is_ending(&self) -> bool {
        match self {
            Self::WebSocket(session) => match session.phase() {
                Phase::Open => false,
                Phase::CloseSent | Phase::Closed => true,
            },
            Self::Lingering { .. } => true,
            Self::Http(_) => false,
        }
    }
}
