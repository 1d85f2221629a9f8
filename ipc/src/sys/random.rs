//! Random bytes from the kernel (getrandom(2)). Every process asks for its own: a generator that was seeded before a fork
//! would go on identically in parent and child.

use std::io;

/// As many random bytes as asked for, at most 256.
///
/// # Errors
/// None that a correct kernel gives after boot.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    const { assert!(N <= 256, "longer reads may be interrupted") };
    let mut bytes = [0; N];
    // SAFETY: the pointer and the length are those of `bytes`.
    let got = unsafe { nix::libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    if got == N as isize { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// A seed for a generator of this process.
///
/// # Errors
/// As [`bytes()`].
pub fn seed() -> io::Result<u64> {
    bytes().map(u64::from_ne_bytes)
}
