//! The pipe on which a program reads events, with the lines that wait for it.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use wsmaster_ipc::Moment;

use wsmaster_ipc::sys::spawn;

use super::{line_queue::LineQueue, watchdog::Watchdog};

/// Our end of it, which does not block.
pub(super) struct EventPipe {
    /// `None`: the program has closed its end.
    file: Option<File>,
    pub(super) queue: LineQueue,
    /// Bytes that the pipe has taken.
    written: u64,
    /// Some of them, or others, are not read yet.
    has_unread: bool,
    watchdog: Watchdog,
}

impl EventPipe {
    pub(super) fn new(end: OwnedFd, queue: LineQueue, now: Moment) -> Self {
        let file = Some(File::from(end));
        Self { file, queue, written: 0, has_unread: false, watchdog: Watchdog::new(now) }
    }

    /// Writes what the pipe takes. How many lines it has taken to their ends.
    pub(super) fn write(&mut self) -> u64 {
        let Some(file) = &mut self.file else { return 0 };
        let before = self.queue.len();
        while !self.queue.is_empty() {
            match file.write(self.queue.front()) {
                Ok(0) => break,
                Ok(count) => {
                    self.queue.wrote(count);
                    self.written += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The program may go on writing. A descriptor that is closed leaves the poll: no other process has this end.
                    self.file = None;
                    break;
                }
            }
        }
        (before - self.queue.len()) as u64
    }

    /// Whether the program has read nothing for this long although it could.
    pub(super) fn is_stuck(&mut self, limit: Duration, now: Moment) -> bool {
        let Some(file) = &self.file else { return false };
        let unread = spawn::unread_bytes(file.as_fd()).unwrap_or(0);
        self.has_unread = unread > 0 || !self.queue.is_empty();
        let read = self.written.saturating_sub(unread as u64);
        self.watchdog.is_stuck(read, self.has_unread, limit, now)
    }

    /// When it may be stuck. A program that has read everything is looked at again with the next event.
    pub(super) fn watchdog_deadline(&self, limit: Duration) -> Option<Moment> {
        self.has_unread.then(|| self.watchdog.deadline(limit))
    }
}
