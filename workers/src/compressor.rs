//! What a worker compresses with, and what it has promised to remember.
//!
//! A message to many is compressed once for each size of window among those who keep no context, which is nearly always
//! one, and the frame is shared. Who keeps context gets a frame of its own, because what it may refer to is its own.

use wsmaster_protocol::{
    deflate::{Agreement, Deflater, WindowBits},
    handshake::Upgrade,
    session::Extension,
};

use crate::limits::{CompressionLimits, SlowClient};

/// The compressor of a worker, if its limits have compression.
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
    pub(crate) fn new(mut limits: CompressionLimits, slow_client: SlowClient) -> Self {
        limits.policy.server_takeover &= match slow_client {
            SlowClient::Close | SlowClient::DropNewest => true,
            SlowClient::DropOldest | SlowClient::KeepLatest => false,
        };
        Self { limits, deflater: Deflater::new(limits.level), promised_bytes: 0 }
    }

    /// Bytes of all windows that open connections may fill.
    pub(crate) fn promised_bytes(&self) -> usize {
        self.promised_bytes
    }

    /// Whether a message of this length is compressed for those who have agreed to it.
    #[inline]
    pub(crate) fn compresses(&self, payload_bytes: usize) -> bool {
        payload_bytes >= self.limits.message_bytes_min
    }

    /// Agrees with a client on compression, as far as it offers any and there is room for contexts.
    pub(crate) fn agree(&mut self, upgrade: &mut Upgrade<'_>) -> Option<Agreement> {
        let room_bytes = self.limits.context_bytes_max.saturating_sub(self.promised_bytes);
        let agreement = upgrade.agree_on_deflate(&self.limits.policy, room_bytes)?;
        self.promised_bytes += agreement.context_bytes();
        Some(agreement)
    }

    /// A connection comes with what it has agreed on elsewhere.
    pub(crate) fn adopt(&mut self, extension: Extension) {
        match extension {
            Extension::Deflate(agreement) => self.promised_bytes += agreement.context_bytes(),
            Extension::None => {}
        }
    }

    /// A connection is gone, and with it what it kept.
    pub(crate) fn release(&mut self, extension: Extension) {
        match extension {
            Extension::Deflate(agreement) => self.promised_bytes -= agreement.context_bytes(),
            Extension::None => {}
        }
    }

    /// The compressed payload, if it is shorter; it may refer to the bytes of `window`.
    pub(crate) fn deflate(
        &mut self,
        payload: &[u8],
        bits: WindowBits,
        window: &[u8],
    ) -> Option<&[u8]> {
        self.deflater.deflate(payload, bits, window)
    }
}
