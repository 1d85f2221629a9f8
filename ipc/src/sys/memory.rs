//! Memory that processes share: a table of atomic words, and sealed files that carry one large body.

use std::{
    ffi::CStr,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap, munmap},
    },
};

use super::io_error;

const BODY_SEALS: SealFlag =
    SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW);

/// Nobody may shrink it under a mapping: an access behind the end would be a SIGBUS.
const WORDS_SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

/// A table of 64-bit words, mapped shared: a forked child sees the parent's stores and the other way round.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
    file: OwnedFd,
}

// SAFETY: the mapping is not bound to a thread, and all access to it goes through atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above; `&SharedWords` gives out `&[AtomicU64]` only, which is `Sync`.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// `count` words, all zero.
    ///
    /// # Errors
    /// What memfd_create(2), ftruncate(2) or mmap(2) say.
    pub fn zeroed(count: usize) -> io::Result<Self> {
        let count = count.max(1);
        let length = count * size_of::<AtomicU64>();
        let file = memfd_create(
            c"wsmaster-shared_state",
            MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
        )
        .map_err(io_error)?;
        nix::unistd::ftruncate(&file, length as i64).map_err(io_error)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(WORDS_SEALS | SealFlag::F_SEAL_SEAL))
            .map_err(io_error)?;
        Self::map(file, count)
    }

    /// The words in a file that another process has made with [`Self::zeroed`].
    ///
    /// # Errors
    /// What fcntl(2) or mmap(2) say; `InvalidData` for a file that could be made shorter, or is no whole number of words long.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(io_error)?;
        let length = nix::sys::stat::fstat(&file).map_err(io_error)?.st_size as usize;
        let is_sealed = SealFlag::from_bits_truncate(seals).contains(WORDS_SEALS);
        if !is_sealed || !length.is_multiple_of(size_of::<AtomicU64>()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::map(file, length / size_of::<AtomicU64>())
    }

    fn map(file: OwnedFd, count: usize) -> io::Result<Self> {
        let bytes = std::num::NonZeroUsize::new(count * size_of::<AtomicU64>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the kernel chooses the address, the length is that of the file, which is sealed against shrinking, and
        // nothing else knows the mapping.
        let start = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                &file,
                0,
            )
        }
        .map_err(io_error)?;
        Ok(Self { start: start.cast(), count, file })
    }

    /// All words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `count` words long, zero-initialised, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    /// The memory file, for a child that is to keep it.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: address and length are those of the mapping, and no reference outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.count * size_of::<AtomicU64>()) };
        debug_assert!(unmapped.is_ok());
    }
}

/// A memory file with these bytes that nobody can change any more.
///
/// # Errors
/// Out of descriptors or of memory.
pub fn sealed_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    const NAME: &CStr = c"wsmaster-body";
    let fd = memfd_create(NAME, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
        .map_err(io_error)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(BODY_SEALS | SealFlag::F_SEAL_SEAL)).map_err(io_error)?;
    Ok(file.into())
}

/// The bytes of a file made by [`sealed_file`].
///
/// # Errors
/// `InvalidData` for a file that is not sealed or larger than `bytes_max`: it is then not read at all.
pub fn read_sealed_file(fd: OwnedFd, bytes_max: usize) -> io::Result<Vec<u8>> {
    let seals = fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(io_error)?;
    let file = File::from(fd);
    let length = file.metadata()?.len();
    if !SealFlag::from_bits_truncate(seals).contains(BODY_SEALS) || length > bytes_max as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_start_at_zero_and_keep_what_is_stored() {
        let shared = SharedWords::zeroed(1000).unwrap();
        assert!(shared.words().iter().all(|word| word.load(Ordering::Relaxed) == 0));
        shared.words()[999].store(7, Ordering::Relaxed);
        assert_eq!(shared.words()[999].load(Ordering::Relaxed), 7);
    }

    #[test]
    fn a_sealed_file_comes_back_and_a_large_or_open_one_does_not() {
        let body = vec![5; 100_000];
        assert_eq!(read_sealed_file(sealed_file(&body).unwrap(), 100_000).unwrap(), body);
        assert!(read_sealed_file(sealed_file(&body).unwrap(), 99_999).is_err());
        let open = memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(read_sealed_file(open, 10).is_err());
    }
}
