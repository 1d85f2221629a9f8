//! Frames that many connections wait for, each of which is in memory once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// Counts the bytes of frames that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct SharedFrames {
    alive_bytes: Arc<AtomicUsize>,
}

/// A frame that is counted until the last outbox lets go of it.
struct CountedFrame {
    frame: Vec<u8>,
    alive_bytes: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for CountedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for CountedFrame {
    fn drop(&mut self) {
        self.alive_bytes.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}

impl SharedFrames {
    /// Shares a frame.
    pub(crate) fn share(&self, frame: Vec<u8>) -> Bytes {
        self.alive_bytes.fetch_add(frame.len(), Ordering::Relaxed);
        Bytes::from_owner(CountedFrame { frame, alive_bytes: Arc::clone(&self.alive_bytes) })
    }

    /// Bytes of all frames that somebody waits for.
    pub(crate) fn alive_bytes(&self) -> usize {
        self.alive_bytes.load(Ordering::Relaxed)
    }
}
