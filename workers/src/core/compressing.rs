//! Who gets a message compressed, and from which compressor.
//!
//! A message to many is compressed once for each size of window among those who keep no context, which is nearly always
//! one, and the frame is shared. Who keeps context gets a frame of its own, because what it may refer to is its own.

use bytes::Bytes;
use wsmaster_ipc::{Outcome, board::Counter};
use wsmaster_protocol::{
    deflate::{Agreement, Deflater, WindowBits},
    frame::{encode_compressed, header_len},
    handshake::Upgrade,
    session::Extension,
};

use super::{
    Core,
    relief::SharedFrames,
    sending::{message_kind, plain_frame},
};
use crate::{
    connection::State,
    handler::Message,
    limits::{CompressionLimits, SlowClient},
};

/// What a worker compresses with.
#[derive(Debug)]
pub(crate) struct Compressor {
    limits: CompressionLimits,
    deflater: Deflater,
    /// What the open connections may keep in their windows.
    promised_bytes: usize,
}

impl Compressor {
    /// What is compressed with earlier messages can only be read after them, so the server keeps no context where waiting
    /// messages may be dropped.
    pub(super) fn new(mut limits: CompressionLimits, slow_client: SlowClient) -> Self {
        limits.policy.server_takeover &= match slow_client {
            SlowClient::Close | SlowClient::DropNewest => true,
            SlowClient::DropOldest | SlowClient::KeepLatest => false,
        };
        Self { limits, deflater: Deflater::new(limits.level), promised_bytes: 0 }
    }

    pub(super) fn promised_bytes(&self) -> usize {
        self.promised_bytes
    }
}

/// In which form a connection gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// Compressed by itself, as all others get it with this window.
    Alone(WindowBits),
    /// Compressed with what this connection was told before.
    InContext,
}

/// A message to many, in the forms that were asked for so far.
pub(super) struct Fanout<'a> {
    pub(super) message: Message<'a>,
    plain: Option<Bytes>,
    alone: [Compressed; WindowBits::MAX.bits() as usize + 1],
}

/// What has become of a compression.
enum Compressed {
    NotTried,
    NotShorter,
    Frame(Bytes),
}

impl<'a> Fanout<'a> {
    pub(super) fn new(message: Message<'a>) -> Self {
        Self {
            message,
            plain: None,
            alone: [const { Compressed::NotTried }; WindowBits::MAX.bits() as usize + 1],
        }
    }

    pub(super) fn plain(&mut self, shared: &SharedFrames) -> &Bytes {
        self.plain.get_or_insert_with(|| plain_frame(self.message, shared))
    }
}

impl Core {
    /// Agrees with a client on compression, as far as it offers any and there is room for contexts.
    pub(crate) fn agree_on_extension(
        &mut self,
        index: u32,
        upgrade: &mut Upgrade<'_>,
    ) -> Extension {
        let Some(compressor) = &mut self.compressor else { return Extension::None };
        let Some(connection) = self.registry.at_mut(index) else { return Extension::None };
        let rules = self.listeners.rules(connection.durable.listener);
        if rules.is_some_and(|rules| !rules.compression) {
            return Extension::None;
        }
        let policy = compressor.limits.policy;
        let room_bytes =
            compressor.limits.context_bytes_max.saturating_sub(compressor.promised_bytes);
        let Some(agreement) = upgrade.agree_on_deflate(&policy, room_bytes) else {
            if upgrade.offers_deflate() {
                self.cell.add(Counter::CompressionDeclined, 1);
            }
            return Extension::None;
        };
        compressor.promised_bytes += agreement.context_bytes();
        connection.durable.extension = Extension::Deflate(agreement);
        connection.durable.extension
    }

    /// A connection is gone, and with it what it kept.
    pub(super) fn release_context(&mut self, extension: Extension) {
        match (extension, &mut self.compressor) {
            (Extension::Deflate(agreement), Some(compressor)) => {
                compressor.promised_bytes -= agreement.context_bytes();
            }
            (Extension::Deflate(_) | Extension::None, _) => {}
        }
    }

    /// Whether messages of this length are compressed for those who have agreed to it.
    #[inline]
    pub(super) fn compresses(&self, payload_bytes: usize) -> bool {
        self.compressor
            .as_ref()
            .is_some_and(|compressor| payload_bytes >= compressor.limits.message_bytes_min)
    }

    /// In which form a connection gets a message that [is compressed](Self::compresses).
    pub(super) fn form(&self, index: u32) -> Form {
        match self.agreement(index) {
            Some(agreement) if agreement.server_takeover => Form::InContext,
            Some(agreement) => Form::Alone(agreement.server_window),
            None => Form::Plain,
        }
    }

    /// Compresses a message for one connection and puts it into its outbox. `None` when it has to be sent as it is.
    #[inline(never)]
    pub(super) fn send_compressed(&mut self, index: u32, message: Message<'_>) -> Option<Outcome> {
        let agreement = self.agreement(index)?;
        let payload = message.payload();
        let Self { compressor, registry, scratch, cell, .. } = self;
        let State::WebSocket(session) = &registry.at(index)?.state else { return None };
        cell.add(Counter::Compressions, 1);
        let context = session.sent_context();
        let deflater = &mut compressor.as_mut()?.deflater;
        let compressed = deflater.deflate(payload, agreement.server_window, context)?;
        scratch.clear();
        encode_compressed(message_kind(message.kind()), compressed, scratch);
        let frame = std::mem::take(&mut self.scratch);
        let outcome = self.send_frame(index, &frame);
        if outcome == Outcome::Delivered {
            self.count_compressed(payload.len(), frame.len());
            if let Some(connection) = self.registry.at_mut(index)
                && let State::WebSocket(session) = &mut connection.state
            {
                session.sent_compressed(payload);
            }
        }
        self.scratch = frame;
        Some(outcome)
    }

    /// Puts a message that others get too into a connection's outbox.
    #[inline(never)]
    pub(super) fn send_form(&mut self, index: u32, form: Form, fanout: &mut Fanout<'_>) -> Outcome {
        match form {
            Form::InContext => self.send(index, fanout.message),
            Form::Plain => self.send_shared(index, fanout.plain(&self.shared)),
            Form::Alone(window) => match self.compressed_alone(window, fanout) {
                Some(frame) => {
                    let outcome = self.send_shared(index, &frame);
                    if outcome == Outcome::Delivered {
                        self.count_compressed(fanout.message.payload().len(), frame.len());
                    }
                    outcome
                }
                None => self.send_shared(index, fanout.plain(&self.shared)),
            },
        }
    }

    /// The frame for all who have this window and no context; made when the first of them asks.
    fn compressed_alone(&mut self, window: WindowBits, fanout: &mut Fanout<'_>) -> Option<Bytes> {
        let message = fanout.message;
        let entry = fanout.alone.get_mut(usize::from(window.bits()))?;
        if let Compressed::NotTried = entry {
            self.cell.add(Counter::Compressions, 1);
            let deflater = &mut self.compressor.as_mut()?.deflater;
            *entry = match deflater.deflate(message.payload(), window, &[]) {
                Some(compressed) => {
                    let length = header_len(compressed.len()) + compressed.len();
                    let mut frame = Vec::with_capacity(length);
                    encode_compressed(message_kind(message.kind()), compressed, &mut frame);
                    Compressed::Frame(self.shared.frame(frame))
                }
                None => Compressed::NotShorter,
            };
        }
        match entry {
            Compressed::Frame(frame) => Some(frame.clone()),
            Compressed::NotShorter | Compressed::NotTried => None,
        }
    }

    fn agreement(&self, index: u32) -> Option<Agreement> {
        let State::WebSocket(session) = &self.registry.at(index)?.state else { return None };
        match session.extension() {
            Extension::Deflate(agreement) if session.can_send() => Some(agreement),
            Extension::Deflate(_) | Extension::None => None,
        }
    }

    fn count_compressed(&self, payload_bytes: usize, frame_bytes: usize) {
        let plain_bytes = header_len(payload_bytes) + payload_bytes;
        self.cell.add(Counter::MessagesCompressed, 1);
        self.cell.add(Counter::CompressionSavedBytes, (plain_bytes - frame_bytes) as u64);
    }
}
