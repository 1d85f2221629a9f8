//! Descriptor numbers that a process keeps for its own needs, so that it can take what another process passes to it (a log
//! file, certificates, the body of a large message) also when connections have used up all others (RLIMIT_NOFILE).
//!
//! The reserve is of placeholders: duplicates of one memory file. One of them is closed for the moment in which a descriptor
//! is needed, and opened again when a number is free. There is one reserve in a process, since the limit is the process's too.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    errno::Errno,
    sys::memfd::{MFdFlags, memfd_create},
};

use super::io_error;

/// Descriptors in reserve, as long as they are no more than a quarter of what the process can open.
pub const RESERVE_DESCRIPTORS_MAX: usize = 8;

static RESERVE: Mutex<Reserve> = Mutex::new(Reserve { held: Vec::new(), wanted: 0 });
/// Whether some of the reserve is missing: looked at before each accept, without the lock.
static IS_SHORT: AtomicBool = AtomicBool::new(false);

struct Reserve {
    held: Vec<OwnedFd>,
    wanted: usize,
}

/// Begins to keep a reserve in this process. A second call changes nothing.
///
/// # Errors
/// No descriptor at all can be opened.
pub fn begin() -> io::Result<()> {
    let mut reserve = lock();
    if reserve.wanted > 0 {
        return Ok(());
    }
    let first = memfd_create(c"wsmaster-reserve", MFdFlags::MFD_CLOEXEC).map_err(io_error)?;
    reserve.held.push(first);
    // How many are free is found by opening some, since a limit says nothing of what is open already.
    reserve.wanted = 4 * RESERVE_DESCRIPTORS_MAX;
    reserve.fill();
    reserve.wanted = (reserve.held.len() / 4).clamp(1, RESERVE_DESCRIPTORS_MAX);
    let wanted = reserve.wanted;
    reserve.held.truncate(wanted);
    IS_SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// Runs `take` while one number of the reserve is free, for the descriptor that may come.
pub fn with_one_free<R>(take: impl FnOnce() -> R) -> R {
    drop(lock().held.pop());
    let result = take();
    lock().fill();
    result
}

/// Runs `make`, and once more with one of the reserve when the process is out of descriptors.
///
/// # Errors
/// What `make` says.
pub fn or_with_one<R>(mut make: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    match make() {
        Err(error) if is_out_of_descriptors(&error) => {
            drop(lock().held.pop());
            let result = make();
            lock().fill();
            result
        }
        other => other,
    }
}

/// Whether the reserve is whole, after an attempt to make it so: otherwise nothing else should take a descriptor.
pub fn is_whole() -> bool {
    !IS_SHORT.load(Ordering::Relaxed) || lock().fill()
}

/// The process has reached its own limit of descriptors.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EMFILE as i32)
}

impl Reserve {
    /// Opens what is missing. Whether nothing is.
    fn fill(&mut self) -> bool {
        while self.held.len() < self.wanted {
            let again = match self.held.first() {
                Some(one) => one.as_fd().try_clone_to_owned(),
                None => memfd_create(c"wsmaster-reserve", MFdFlags::MFD_CLOEXEC).map_err(io_error),
            };
            match again {
                Ok(one) => self.held.push(one),
                Err(_) => break,
            }
        }
        let is_whole = self.held.len() >= self.wanted;
        IS_SHORT.store(!is_whole, Ordering::Relaxed);
        is_whole
    }
}

fn lock() -> MutexGuard<'static, Reserve> {
    // What a panicking thread left behind is a list of descriptors like any other.
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A forked child has closed what it was not given: these numbers are not its own any more.
pub(super) fn forget_after_fork() {
    if let Ok(mut reserve) = RESERVE.try_lock() {
        reserve.wanted = 0;
        reserve.held.drain(..).for_each(std::mem::forget);
    }
    IS_SHORT.store(false, Ordering::Relaxed);
}
