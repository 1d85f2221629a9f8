//! What holds for the bytes of every compressed message.

/// What every compressed message ends with and no compressed message carries (section 7.2.1).
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The most that a message of this length becomes when it cannot be compressed: nine bits for a byte, and the heads of
/// blocks.
pub(crate) fn grown_bytes_max(message_bytes: usize) -> usize {
    message_bytes.saturating_add(message_bytes / 8).saturating_add(64)
}
