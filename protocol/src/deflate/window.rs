//! How far back a compressed message may refer, and the bytes it may refer to.

use serde::{Deserialize, Serialize};

/// The exponent of a window's size: 8 to 15, for 256 bytes to 32 KiB (RFC 7692, section 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WindowBits(u8);

impl WindowBits {
    /// The smallest window: 256 bytes.
    pub const MIN: Self = Self(8);
    /// 1 KiB: what is kept of a client that can be asked for a small window, where the server would rather keep nothing.
    pub const NARROW: Self = Self(10);
    /// The largest window, and the one of who says nothing: 32 KiB.
    pub const MAX: Self = Self(15);

    /// `None` below 8 and above 15.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The exponent.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The size.
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

impl From<WindowBits> for u8 {
    fn from(window: WindowBits) -> Self {
        window.0
    }
}

impl TryFrom<u8> for WindowBits {
    type Error = &'static str;

    fn try_from(bits: u8) -> Result<Self, &'static str> {
        Self::new(bits).ok_or("a window has 8 to 15 bits")
    }
}

/// The last plain bytes of one direction of a connection: what its next message may refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Window {
    bytes: Vec<u8>,
}

impl Window {
    /// What is remembered, the oldest byte first.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Remembers `said`, and forgets what is then more than `size` bytes ago.
    pub fn slide(&mut self, said: &[u8], size: WindowBits) {
        let size = size.bytes();
        let said = &said[said.len().saturating_sub(size)..];
        let surplus = (self.bytes.len() + said.len()).saturating_sub(size);
        self.bytes.drain(..surplus.min(self.bytes.len()));
        let needed = self.bytes.len() + said.len();
        if needed > self.bytes.capacity() {
            // Twice what it has, but never more than it may become.
            let target = needed.max(2 * self.bytes.capacity()).min(size);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(said);
    }
}

impl From<Window> for Vec<u8> {
    fn from(window: Window) -> Self {
        window.bytes
    }
}

/// A suspended window is believed only if it is no larger than one.
impl TryFrom<Vec<u8>> for Window {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, &'static str> {
        if bytes.len() > WindowBits::MAX.bytes() {
            return Err("a window has 32 KiB at most");
        }
        Ok(Self { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_end_of_what_was_said_and_no_more_memory_than_its_size() {
        let size = WindowBits::MIN;
        let mut window = Window::default();
        let mut all = Vec::new();
        for length in [0, 1, 100, 155, 1, 300, 256, 255, 3, 0, 700, 40] {
            let said: Vec<u8> = (0..length).map(|n| (all.len() + n) as u8).collect();
            window.slide(&said, size);
            all.extend_from_slice(&said);
            assert_eq!(window.bytes(), &all[all.len().saturating_sub(256)..]);
            assert!(window.memory_bytes() <= 256, "{} bytes", window.memory_bytes());
        }
    }

    #[test]
    fn no_other_exponents() {
        for bits in 0..=u8::MAX {
            assert_eq!(WindowBits::new(bits).is_some(), (8..=15).contains(&bits), "{bits}");
        }
        assert_eq!((WindowBits::MIN.bytes(), WindowBits::MAX.bytes()), (256, 32 * 1024));
        assert!(serde_json::from_str::<WindowBits>("16").is_err());
        assert!(Window::try_from(vec![0; 32 * 1024]).is_ok());
        assert!(Window::try_from(vec![0; 32 * 1024 + 1]).is_err());
    }
}
