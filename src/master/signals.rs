//! Signals that the master acts on. A handler only sets a flag and wakes the loop; the loop decides.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mio::net::UnixStream;
use signal_hook::{flag, low_level::pipe};
use wsmaster_ipc::sys::signal::{number, real_time_min};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// TERM, INT, QUIT.
    Stop,
    /// HUP, USR1.
    Reload,
    /// USR2.
    ReloadSideProcesses,
    /// The first real-time signal.
    ReopenLogs,
    /// CHLD.
    Reap,
}

/// The flags and the line that wakes the loop.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) wake: UnixStream,
    flags: Vec<(Request, Arc<AtomicBool>)>,
}

impl Signals {
    /// From now on these signals no longer have their default action.
    pub(super) fn listen() -> io::Result<Self> {
        let (wake, waker) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for (signal, request) in [
            (number::TERM, Request::Stop),
            (number::INT, Request::Stop),
            (number::QUIT, Request::Stop),
            (number::HUP, Request::Reload),
            (number::USR1, Request::Reload),
            (number::USR2, Request::ReloadSideProcesses),
            (real_time_min(), Request::ReopenLogs),
            (number::CHLD, Request::Reap),
        ] {
            let raised = Arc::new(AtomicBool::new(false));
            // The flag first: when the loop wakes, it is set.
            flag::register(signal, raised.clone())?;
            pipe::register(signal, waker.try_clone()?)?;
            flags.push((request, raised));
        }
        Ok(Self { wake: UnixStream::from_std(wake), flags })
    }

    /// What has been asked for since the last call, each at most once for each signal.
    pub(super) fn take(&mut self) -> Vec<Request> {
        let mut drain = [0; 256];
        while self.wake.read(&mut drain).is_ok_and(|count| count > 0) {}
        self.flags
            .iter()
            .filter(|(_, raised)| raised.swap(false, Ordering::AcqRel))
            .map(|(request, _)| *request)
            .collect()
    }
}
