//! From a message to its compressed form, if that is shorter (RFC 7692, section 7.2.1).
//!
//! One deflater serves all connections of a worker, message by message. It never decides whether a message should be
//! compressed.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::{
    format::{TAIL, grown_bytes_max},
    window::WindowBits,
};

/// The smallest window that the compressor can be kept to. zlib takes 8 for 9, and promises nothing about how far back it
/// refers then, so for a client with the smallest window only messages are compressed that fit into it whole.
const ENGINE_BITS_MIN: u8 = 9;
const ENGINES: usize = (WindowBits::MAX.bits() - ENGINE_BITS_MIN + 1) as usize;
/// A buffer that grew beyond this is given back before the next message.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Compresses one message after the other. Holds nothing on the heap before the first; then about 300 KiB for each size of
/// window that is in use.
#[derive(Debug)]
pub struct Deflater {
    level: Compression,
    engines: [Option<Compress>; ENGINES],
    out: Vec<u8>,
}

impl Deflater {
    /// A deflater of this level: 1 is the fastest, 9 the densest; others are cut to these.
    pub fn new(level: u8) -> Self {
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        Self { level, engines: [const { None }; ENGINES], out: Vec::new() }
    }

    /// The payload of a compressed message, or `None` when it would not be shorter than the message.
    ///
    /// `window` are the last plain bytes before it that it may refer to; empty without context takeover.
    pub fn deflate(&mut self, message: &[u8], size: WindowBits, window: &[u8]) -> Option<&[u8]> {
        let bits = size.bits().max(ENGINE_BITS_MIN);
        if size.bits() < ENGINE_BITS_MIN && window.len() + message.len() > size.bytes() {
            return None;
        }
        let place = self.engines.get_mut(usize::from(bits - ENGINE_BITS_MIN))?;
        let mut engine =
            place.take().unwrap_or_else(|| Compress::new_with_window_bits(self.level, false, bits));
        engine.reset();
        if !window.is_empty() {
            engine.set_dictionary(window).ok()?;
        }
        if self.out.len() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        let room_bytes = grown_bytes_max(message.len()) + TAIL.len();
        if self.out.len() < room_bytes {
            self.out.resize(room_bytes, 0);
        }
        let result = engine.compress(message, &mut self.out[..room_bytes], FlushCompress::Sync);
        let made = engine.total_out() as usize;
        let is_whole = engine.total_in() == message.len() as u64 && made < room_bytes;
        match result {
            // Only a compressor that has said all it had to say begins anew without a rest of it.
            Ok(Status::Ok) if is_whole => *place = Some(engine),
            Ok(Status::Ok | Status::BufError | Status::StreamEnd) | Err(_) => return None,
        }
        self.out[..made].strip_suffix(&TAIL).filter(|payload| payload.len() < message.len())
    }
}
