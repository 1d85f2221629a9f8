//! What frames are made with on their way into outboxes, and what all of them hold together: the cork, the compressor, the
//! frames that many wait for, and the sums that are compared with the bounds of the worker.

use bytes::Bytes;
use wsmaster_ipc::{PayloadKind, shared_state::Counter};
use wsmaster_protocol::{
    deflate::WindowBits,
    frame::{MessageKind, encode_compressed, encode_message, header_len},
};

use crate::{
    compressor::Compressor, cork::Cork, limits::Limits, outbox::Outbox,
    shared_frames::SharedFrames, stats::Stats, tls::Backlogs, vocabulary::Message,
};

/// What waits, in one outbox or in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Waiting {
    /// Bytes to be written.
    pub(crate) bytes: usize,
    /// Bytes in memory that are nobody else's.
    own_bytes: usize,
}

impl Waiting {
    pub(crate) fn of(outbox: &Outbox) -> Self {
        Self { bytes: outbox.len(), own_bytes: outbox.own_bytes() }
    }

    /// Of a sum: one of its parts has changed.
    pub(crate) fn replace(&mut self, old: Self, new: Self) {
        self.bytes = self.bytes + new.bytes - old.bytes;
        self.own_bytes = self.own_bytes + new.own_bytes - old.own_bytes;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) cork: Cork,
    pub(crate) compressor: Option<Compressor>,
    pub(crate) shared: SharedFrames,
    /// A buffer for one frame at a time; whoever takes it puts it back.
    pub(crate) scratch: Vec<u8>,
    /// What waits in all outboxes.
    pub(crate) waiting: Waiting,
    /// What has left them, is encrypted, and waits for its sockets.
    pub(crate) backlogs: Backlogs,
    /// What connections have sent and what could not be handled yet, in bytes.
    pub(crate) unfinished_bytes: usize,
}

impl Delivery {
    /// Nothing waits yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        let compressor = limits.compression.map(|it| Compressor::new(it, limits.slow_client));
        Self { compressor, ..Self::default() }
    }

    /// Bytes of memory that all outboxes hold, and what has left them but not this process.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting.own_bytes + self.backlogs.held_bytes() + self.shared.alive_bytes()
    }

    /// Bytes that wait for sockets to take them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.bytes + self.backlogs.waiting_bytes()
    }

    /// Whether messages of this length are compressed for those who have agreed to it.
    #[inline]
    pub(crate) fn compresses(&self, payload_bytes: usize) -> bool {
        self.compressor.as_ref().is_some_and(|compressor| compressor.compresses(payload_bytes))
    }
}

/// In which form a connection gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Compressed by itself, as all others get it with this window.
    Alone(WindowBits),
    /// Compressed with what this connection was told before.
    InContext,
}

/// A message to many, in the forms that were asked for so far.
pub(crate) struct Fanout<'a> {
    pub(crate) message: Message<'a>,
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
    pub(crate) fn new(message: Message<'a>) -> Self {
        Self {
            message,
            plain: None,
            alone: [const { Compressed::NotTried }; WindowBits::MAX.bits() as usize + 1],
        }
    }

    /// The frame of the message as it is.
    #[inline]
    pub(crate) fn plain(&mut self, shared: &SharedFrames) -> &Bytes {
        self.plain.get_or_insert_with(|| {
            let payload = self.message.payload();
            let mut frame = Vec::with_capacity(header_len(payload.len()) + payload.len());
            encode_message(message_kind(self.message.kind()), payload, &mut frame);
            shared.share(frame)
        })
    }

    /// The frame for all who have this window and no context; made when the first of them asks. `None` when it would not be
    /// shorter than the message is.
    pub(crate) fn alone(
        &mut self,
        window: WindowBits,
        delivery: &mut Delivery,
        stats: &Stats,
    ) -> Option<Bytes> {
        let entry = self.alone.get_mut(usize::from(window.bits()))?;
        if let Compressed::NotTried = entry {
            stats.add(Counter::Compressions, 1);
            let compressor = delivery.compressor.as_mut()?;
            *entry = match compressor.deflate(self.message.payload(), window, &[]) {
                Some(compressed) => {
                    let length = header_len(compressed.len()) + compressed.len();
                    let mut frame = Vec::with_capacity(length);
                    encode_compressed(message_kind(self.message.kind()), compressed, &mut frame);
                    Compressed::Frame(delivery.shared.share(frame))
                }
                None => Compressed::NotShorter,
            };
        }
        match entry {
            Compressed::Frame(frame) => Some(frame.clone()),
            Compressed::NotShorter | Compressed::NotTried => None,
        }
    }
}

pub(crate) fn message_kind(kind: PayloadKind) -> MessageKind {
    match kind {
        PayloadKind::Text => MessageKind::Text,
        PayloadKind::Binary => MessageKind::Binary,
    }
}
