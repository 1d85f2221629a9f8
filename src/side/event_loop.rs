//! A poll whose tokens are the values of an enum: what a side process watches.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};

/// Events taken from the kernel at a time.
const EVENTS_MAX: usize = 64;

/// A poll and the sources that it watches. Several descriptors may be one source.
#[derive(Debug)]
pub(super) struct EventLoop<S> {
    poll: Poll,
    events: Events,
    /// The number of a token is a place here.
    sources: Vec<S>,
}

/// In which directions a descriptor is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Watch {
    /// For something to read.
    Readable,
    /// For something to read, and for room to write.
    Both,
}

impl<S: Copy> EventLoop<S> {
    pub(super) fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(EVENTS_MAX));
        Ok(Self { poll, events, sources: Vec::new() })
    }

    /// Watches a descriptor until it is closed. A change of its state is told once (edge-triggered).
    pub(super) fn watch(
        &mut self,
        source: S,
        descriptor: BorrowedFd<'_>,
        watch: Watch,
    ) -> io::Result<()> {
        let interest = match watch {
            Watch::Readable => Interest::READABLE,
            Watch::Both => Interest::READABLE | Interest::WRITABLE,
        };
        let token = Token(self.sources.len());
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, interest)?;
        self.sources.push(source);
        Ok(())
    }

    /// Waits until something happens, no longer than `timeout`, and adds the sources that it happened to. A signal ends the
    /// wait with none.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        happened: &mut Vec<S>,
    ) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        let places = self.events.iter().map(|event| event.token().0);
        happened.extend(places.filter_map(|place| self.sources.get(place)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd, os::unix::net::UnixStream};

    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Source {
        First,
        Second,
    }

    #[test]
    fn each_descriptor_is_told_by_the_name_of_its_source_until_it_is_closed() {
        let mut event_loop = EventLoop::new().unwrap();
        let (mut one, one_end) = UnixStream::pair().unwrap();
        let (mut other, other_end) = UnixStream::pair().unwrap();
        event_loop.watch(Source::First, one_end.as_fd(), Watch::Readable).unwrap();
        event_loop.watch(Source::Second, other_end.as_fd(), Watch::Both).unwrap();
        let now = Some(Duration::ZERO);
        let mut happened = Vec::new();
        event_loop.wait(now, &mut happened).unwrap();
        assert_eq!(happened, [Source::Second], "it has room");
        one.write_all(b"x").unwrap();
        other.write_all(b"x").unwrap();
        drop(other_end);
        happened.clear();
        event_loop.wait(Some(Duration::from_secs(5)), &mut happened).unwrap();
        assert_eq!(happened, [Source::First]);
        happened.clear();
        event_loop.wait(now, &mut happened).unwrap();
        assert_eq!(happened, [], "each change is told once");
    }
}
