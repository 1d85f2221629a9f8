//! What the kernel thinks of its own clock.

use std::mem::MaybeUninit;

use nix::libc;

use crate::moment::Moment;

/// Whether something keeps the machine's clock right (adjtimex(2)); `None` where a container may not ask.
pub fn is_synchronised() -> Option<bool> {
    let mut facts = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero is a value of this plain structure, and with `modes` 0 the kernel changes nothing but it.
    let state = unsafe { libc::adjtimex(facts.as_mut_ptr()) };
    if state < 0 {
        return None;
    }
    // SAFETY: it was zeroed, and the kernel has filled it.
    let facts = unsafe { facts.assume_init() };
    Some(state != libc::TIME_ERROR && facts.status & libc::STA_UNSYNC == 0)
}

/// The present moment of CLOCK_MONOTONIC. Nothing else reads that clock where the moment outlives the call.
pub fn now() -> Moment {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    // It cannot fail for this clock (clock_gettime(2)).
    let ms = time.map_or(0, |time| time.tv_sec() as u64 * 1000 + time.tv_nsec() as u64 / 1_000_000);
    Moment::at_ms(ms)
}
