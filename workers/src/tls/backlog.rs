//! What is encrypted already and was not taken by its socket: of one connection, and of all connections of a worker together.

use std::{
    cell::Cell,
    io::{self, Write},
    rc::Rc,
};

/// The sums over all connections of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlogs(Rc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    waiting_bytes: Cell<usize>,
    held_bytes: Cell<usize>,
}

impl Backlogs {
    /// Bytes that have to leave.
    #[inline]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.0.waiting_bytes.get()
    }

    /// Bytes of memory: what has left of a piece is given back with the rest of it.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.0.held_bytes.get()
    }

    /// One connection more, for which nothing waits.
    pub(super) fn join(&self) -> Backlog {
        Backlog { bytes: Vec::new(), sent: 0, all: self.clone() }
    }
}

/// Of one connection.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// How many of them have left.
    sent: usize,
    all: Backlogs,
}

impl Backlog {
    /// Bytes that have to leave.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Lets `put` append to it.
    pub(super) fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        put(&mut self.bytes);
        let more = self.bytes.len() - before;
        let Sums { waiting_bytes, held_bytes } = &*self.all.0;
        waiting_bytes.set(waiting_bytes.get() + more);
        held_bytes.set(held_bytes.get() + more);
    }

    /// Writes what there is. Whether all of it has left.
    pub(super) fn push(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match socket.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent += count;
                    let waiting_bytes = &self.all.0.waiting_bytes;
                    waiting_bytes.set(waiting_bytes.get() - count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.clear();
        Ok(true)
    }

    /// Throws away what there is.
    pub(super) fn clear(&mut self) {
        let Sums { waiting_bytes, held_bytes } = &*self.all.0;
        waiting_bytes.set(waiting_bytes.get() - self.len());
        held_bytes.set(held_bytes.get() - self.bytes.len());
        self.bytes = Vec::new();
        self.sent = 0;
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and then none.
    struct Socket(usize);

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.0);
            self.0 -= count;
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_sums_are_those_of_all_that_wait() {
        let all = Backlogs::default();
        let (mut one, mut other) = (all.join(), all.join());
        one.append(|bytes| bytes.extend_from_slice(&[1; 100]));
        other.append(|bytes| bytes.extend_from_slice(&[2; 50]));
        assert_eq!((all.waiting_bytes(), all.held_bytes()), (150, 150));
        assert!(!one.push(&mut Socket(30)).expect("a socket"));
        assert_eq!((one.len(), all.waiting_bytes(), all.held_bytes()), (70, 120, 150));
        one.append(|bytes| bytes.push(3));
        assert!(one.push(&mut Socket(71)).expect("a socket"));
        assert_eq!((one.memory_bytes(), all.waiting_bytes(), all.held_bytes()), (0, 50, 50));
        assert!(!other.push(&mut Socket(1)).expect("a socket"));
        drop((one, other));
        assert_eq!((all.waiting_bytes(), all.held_bytes()), (0, 0));
    }
}
