//! Random bytes from the kernel. Every process asks for its own: a generator that was seeded before a fork would go on
//! identically in parent and child.

use std::io;

/// As many random bytes as asked for.
///
/// # Errors
/// None that a correct kernel gives after boot.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A seed for a generator of this process.
///
/// # Errors
/// As [`bytes()`].
pub fn seed() -> io::Result<u64> {
    bytes().map(u64::from_ne_bytes)
}
