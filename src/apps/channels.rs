//! The channel application: clients subscribe to channels and send messages to them. Its JSON is
//! [`wsmaster_protocol::channels`]'s; who is subscribed is the worker's to know.

use serde_json::value::RawValue;
use wsmaster_protocol::channels::{
    Action, ChannelLimits, ErrorCode, ProtocolError, Request, parse, reply,
};
use wsmaster_protocol::plugin::EventKind;
use wsmaster_workers::{
    Context, Message, SubscribeError,
    ipc::{ConnectionId, PayloadKind, handle::Publication},
};

use super::event_fanout::EventFanout;
use crate::config::Config;

/// See the module.
#[derive(Debug)]
pub(super) struct Channels {
    limits: ChannelLimits,
    heartbeat_interval_s: u32,
    /// The text that is being written, kept for its memory.
    text: Vec<u8>,
}

impl Channels {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            limits: ChannelLimits {
                channel_bytes_max: config.limits.channel_bytes_max,
                ..ChannelLimits::default()
            },
            heartbeat_interval_s: config.channels.heartbeat_interval.as_secs() as u32,
            text: Vec::new(),
        }
    }

    /// What each action does. That its channel is one that clients may name was seen to when the request was read.
    fn carry_out(
        &mut self,
        context: &mut Context<'_>,
        request: &Request<'_>,
        fanout: &mut EventFanout,
    ) -> Result<(), ErrorCode> {
        match &request.action {
            Action::Subscribe { channel } => {
                match context.subscribe(channel) {
                    Ok(true) => fanout.on_channel(context, EventKind::Subscribe, channel),
                    Ok(false) => {}
                    Err(SubscribeError::TooMany) => return Err(ErrorCode::TooManySubscriptions),
                    // Nobody reads an answer any more.
                    Err(SubscribeError::Closing) => return Ok(()),
                }
                self.success(request);
            }
            Action::Unsubscribe { channel } => {
                if !context.unsubscribe(channel) {
                    return Err(ErrorCode::NotSubscribed);
                }
                fanout.on_channel(context, EventKind::Unsubscribe, channel);
                self.success(request);
            }
            Action::Message { channel, message, recipients } => {
                self.publish(context, channel, message, recipients.as_deref())?;
                fanout.on_publish(context, channel, message);
                self.success(request);
            }
            Action::Ping => reply::pong(&mut self.text, request.id),
            // The client's answer to a ping: that it came is all there is to it.
            Action::Pong => {}
        }
        Ok(())
    }

    /// Sends a message of the current connection to the subscribers of a channel, or to those of them that are named.
    fn publish(
        &mut self,
        context: &mut Context<'_>,
        channel: &str,
        message: &RawValue,
        recipients: Option<&[u64]>,
    ) -> Result<(), ErrorCode> {
        if !context.is_subscribed(channel) {
            return Err(ErrorCode::NotSubscribed);
        }
        let sender = context.current().map(ConnectionId::as_u64);
        reply::delivery(&mut self.text, channel, sender, message, context.unix_ms());
        let recipients = recipients.map(|numbers| {
            let ids = numbers.iter().filter_map(|id| ConnectionId::try_from(*id).ok());
            ids.collect::<Vec<_>>()
        });
        let nobody = recipients.as_ref().is_some_and(Vec::is_empty);
        let publication = Publication {
            channel,
            kind: PayloadKind::Text,
            payload: &self.text,
            exclude: None,
            only: recipients.as_deref().unwrap_or_default(),
        };
        let taken = nobody || context.publish(&publication);
        self.text.clear();
        if taken { Ok(()) } else { Err(ErrorCode::Overloaded) }
    }

    /// Answers that a request was carried out.
    fn success(&mut self, request: &Request<'_>) {
        let action = &request.action;
        let channel = action.channel().unwrap_or_default();
        reply::success(&mut self.text, action.name(), channel, request.id);
    }

    fn refuse(&mut self, error: &ProtocolError<'_>) {
        self.text.clear();
        reply::error(&mut self.text, error);
    }

    /// Sends what has been written.
    fn send(&mut self, context: &mut Context<'_>) {
        if self.text.is_empty() {
            return;
        }
        match std::str::from_utf8(&self.text) {
            Ok(text) => drop(context.reply(Message::Text(text))),
            Err(_) => debug_assert!(false, "a reply that is no UTF-8"),
        }
        self.text.clear();
    }
}

impl Channels {
    pub(super) fn on_open(&mut self, context: &mut Context<'_>) {
        let Some(id) = context.current() else { return };
        let worker = context.slot().number();
        reply::welcome(&mut self.text, id.as_u64(), self.heartbeat_interval_s, false, worker);
        self.send(context);
    }

    /// What is no request of this protocol gets an error reply, unless a program reads what clients send: then it is left
    /// to that.
    pub(super) fn on_message(
        &mut self,
        context: &mut Context<'_>,
        message: Message<'_>,
        fanout: &mut EventFanout,
    ) {
        self.text.clear();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) if fanout.has_message_subscribers() => return,
            Message::Binary(_) => {
                let mut error = ProtocolError::new(ErrorCode::InvalidRequest);
                error.sentence = "messages are JSON in text frames, and this one was binary".into();
                self.refuse(&error);
                self.send(context);
                return;
            }
        };
        match parse(text, &self.limits) {
            Ok(request) => {
                if let Err(code) = self.carry_out(context, &request, fanout) {
                    self.refuse(&request.error(code));
                }
            }
            Err(error) if error.request_action.is_none() && fanout.has_message_subscribers() => {
                return;
            }
            Err(error) => self.refuse(&error),
        }
        self.send(context);
    }
}
