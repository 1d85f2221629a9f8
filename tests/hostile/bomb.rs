//! A message that is small on the wire and huge once it is inflated.

use std::sync::LazyLock;

use crate::wire::{FIN, RSV1, TEXT, frame};

/// Repetitions of 258 bytes: 16 MiB in all.
const REPETITIONS: usize = 65_000;

/// A frame with 16 MiB of the letter x, in about 100 KiB.
///
/// Written by hand as one block with fixed codes (RFC 1951, 3.2.6): the letter once, then "the last 258 bytes again, from
/// one byte before", over and over.
pub(crate) static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bits = Bits::default();
    // Not the last block; fixed codes.
    bits.push(0, 1);
    bits.push(0b01, 2);
    bits.push_code(0x30 + u32::from(b'x'), 8);
    for _ in 0..REPETITIONS {
        // Length 258 is symbol 285, the distance 1 is symbol 0.
        bits.push_code(0b1100_0000 + (285 - 280), 8);
        bits.push_code(0, 5);
    }
    // The end of the block, and an empty stored one of which the sender leaves out the last four bytes (RFC 7692, 7.2.1).
    bits.push_code(0, 7);
    bits.push(0, 3);
    frame(FIN | RSV1 | TEXT, &bits.bytes)
});

/// Bits in the order of DEFLATE (RFC 1951, 3.1.1): the first one is the lowest of its byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    /// A number, its lowest bit first.
    fn push(&mut self, number: u32, count: usize) {
        for place in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (number >> place & 1) as u8;
            *self.bytes.last_mut().expect("just pushed") |= bit << (self.used % 8);
            self.used += 1;
        }
    }

    /// A code of Huffman's, its highest bit first.
    fn push_code(&mut self, code: u32, count: usize) {
        for place in (0..count).rev() {
            self.push(code >> place & 1, 1);
        }
    }
}
