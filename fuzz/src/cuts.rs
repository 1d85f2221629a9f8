//! Where an input is cut into reads. Owns the reading of a target's first byte, which decides it, so that a fuzzer can
//! try cuts as it tries bytes.

/// The input behind the first byte, and how long each read of it is: the byte is a length, 0 is all at once.
pub fn split(data: &[u8]) -> (&[u8], usize) {
    match data.split_first() {
        Some((0, rest)) => (rest, rest.len().max(1)),
        Some((&length, rest)) => (rest, length.into()),
        None => (&[], 1),
    }
}
