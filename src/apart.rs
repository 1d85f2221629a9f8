//! Work that may hang (a file on a network file system, a name that is resolved) in a process of its own, which ends at
//! once. The caller waits until a deadline and no longer.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use wsmaster_ipc::sys::{
    process::{self, Kill},
    socket::{self, Attachment, Received},
};

/// How long the process may take to end once it is killed. One that the kernel holds in a system call ends later.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// What `work` comes to, done by another process, as JSON of `bytes_max` at the most. To be called in a process with one
/// thread.
///
/// # Errors
/// `TimedOut` when there is no answer within `timeout`; that no other process can be had.
pub(crate) fn apart<T: Serialize + DeserializeOwned>(
    timeout: Duration,
    bytes_max: usize,
    work: impl FnOnce() -> T,
) -> io::Result<T> {
    let (answer, _) = ask(timeout, bytes_max, |line| {
        let Ok(answer) = serde_json::to_vec(&work()) else { return 1 };
        i32::from(!matches!(socket::send_packet(line, &answer, None), Ok(socket::Sent::Whole)))
    })?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The one packet that another process sends over the line that it is given, with what is attached to it. `body` is what
/// that process does: its exit code. To be called in a process with one thread.
///
/// # Errors
/// See [`apart`].
pub(crate) fn ask(
    timeout: Duration,
    bytes_max: usize,
    body: impl FnOnce(BorrowedFd<'_>) -> i32,
) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (ours, theirs) = socket::packet_pair(bytes_max)?;
    let line = theirs.as_raw_fd();
    let child = process::fork_child(vec![line], || body(theirs.as_fd()))?;
    // So that its end is seen.
    drop(theirs);
    let received = receive(ours.as_fd(), timeout, bytes_max);
    process::signal_child(child, Kill::Kill);
    // The line closes with the process. One that does not end is reaped with the others, whenever it does.
    if socket::wait_readable(ours.as_fd(), END_TIMEOUT).unwrap_or(false) {
        process::end_child(child);
    }
    received
}

fn receive(
    line: BorrowedFd<'_>,
    timeout: Duration,
    bytes_max: usize,
) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    if !socket::wait_readable(line, timeout)? {
        let problem = format!("not done within {} s", timeout.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
    }
    let mut buffer = vec![0; bytes_max];
    let Received::Packet { length, attachment, cut: false } =
        socket::receive_packet(line, &mut buffer)?
    else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    buffer.truncate(length);
    match attachment {
        Attachment::None => Ok((buffer, None)),
        Attachment::Descriptor(attached) => Ok((buffer, Some(attached))),
        Attachment::Lost => Err(io::Error::other("this process is out of descriptors")),
    }
}
