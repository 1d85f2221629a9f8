//! Takes the mask off a client's payload (RFC 6455, section 5.3).
//!
//! Owns the arithmetic only; where a payload begins and which key it has is the frame's business.

const WORD: usize = size_of::<u64>();
const HALF: usize = size_of::<u32>();

/// Applies the mask `key` to `payload` in place; `offset` is how many payload bytes of the same frame came before.
///
/// Applying it twice gives the payload back, so it masks as well as unmasks.
#[inline]
pub fn unmask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotate(key, offset);
    // Whole words are the same for every alignment: the array copies compile to plain, vectorised loads.
    let key_half = u32::from_ne_bytes(key);
    let key_word = u64::from(key_half) << 32 | u64::from(key_half);
    let (words, tail) = payload.as_chunks_mut::<WORD>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_word).to_ne_bytes();
    }
    let (halves, tail) = tail.as_chunks_mut::<HALF>();
    for half in halves {
        *half = (u32::from_ne_bytes(*half) ^ key_half).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip(key) {
        *byte ^= key_byte;
    }
}

/// The key as it meets the byte after the next `bytes` payload bytes.
#[inline]
pub(crate) fn rotate(mut key: [u8; 4], bytes: usize) -> [u8; 4] {
    key.rotate_left(bytes % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bytes_agree_for_every_alignment_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..80_u8).map(|n| n.wrapping_mul(37)).collect();
        for start in 0..8 {
            for len in 0..=70 {
                for offset in 0..=70 {
                    let mut masked = plain.clone();
                    unmask(&mut masked[start..start + len], key, offset);
                    let mut expected = plain.clone();
                    for (index, byte) in expected[start..start + len].iter_mut().enumerate() {
                        *byte ^= key[(index + offset) % 4];
                    }
                    assert_eq!(masked, expected, "start {start} len {len} offset {offset}");
                }
            }
        }
    }

    #[test]
    fn a_payload_in_pieces_is_the_payload_in_one() {
        let key = [1, 2, 3, 4];
        let mut whole = [7_u8; 33];
        unmask(&mut whole, key, 0);
        for cut in 0..=33 {
            let mut pieces = [7_u8; 33];
            let (first, second) = pieces.split_at_mut(cut);
            unmask(first, key, 0);
            unmask(second, rotate(key, cut), 0);
            assert_eq!(pieces, whole, "cut {cut}");
        }
    }
}
