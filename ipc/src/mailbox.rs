//! The receiving end of a process's mailbox. It never sends, and knows nothing of what a command means.
//!
//! A mailbox is a `SOCK_SEQPACKET` pair that the master makes before the first fork. Every process has all sending ends;
//! the master keeps the receiving ends too, so a mailbox outlives its reader and its packets wait for the successor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    sys::{memory, record_lock::RecordLock, reserve, socket},
    wire,
};

/// How many bytes of packets wait in the kernel for one reader, as far as the kernel grants it.
pub const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Both ends of one mailbox, as the master makes them.
#[derive(Debug)]
pub struct MailboxPair {
    /// The end that its owner reads.
    pub reader: OwnedFd,
    /// The end that everybody writes to.
    pub writer: OwnedFd,
}

impl MailboxPair {
    /// A new mailbox.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = socket::packet_pair(QUEUE_BYTES)?;
        Ok(Self { reader, writer })
    }
}

/// The receiving end, with the one buffer that all packets are read into.
#[derive(Debug)]
pub struct Mailbox {
    reader: OwnedFd,
    buffer: Vec<u8>,
}

/// A packet that was taken: `wire::decode(packet.bytes, packet.attachment)` reads it.
#[derive(Debug)]
pub struct Packet<'m> {
    /// The packet itself.
    pub bytes: &'m [u8],
    /// The body that was attached.
    pub attachment: Option<Vec<u8>>,
}

/// What [`Mailbox::receive`] found.
#[derive(Debug)]
pub enum Mail<'m> {
    /// A packet.
    Packet(Packet<'m>),
    /// A packet whose attached body could not be taken, for lack of a descriptor: [`wire::bodiless`] reads what is left.
    Bodiless(&'m [u8]),
    /// A packet that cannot be used: too large, or its attachment is not what it should be. It is gone.
    Bad,
    /// Nothing waits.
    Empty,
    /// All writers are gone, the master first of all, and nothing waits.
    Closed,
}

impl Mailbox {
    /// The mailbox with this receiving end.
    pub fn new(reader: OwnedFd) -> Self {
        Self { reader, buffer: vec![0; wire::PACKET_BYTES_MAX] }
    }

    /// Takes the next packet, without waiting. `may_have_body`: bodies are attached to packets that wait
    /// ([`SharedState::attached_bytes`](crate::shared_state::SharedState::attached_bytes)), so a descriptor of the reserve is freed for the one
    /// that may come.
    pub fn receive(&mut self, may_have_body: bool) -> Mail<'_> {
        let Self { reader, buffer } = self;
        let taken = next_packet(reader.as_fd(), buffer, may_have_body);
        mail(buffer, taken)
    }

    /// Takes the next packet of a mailbox that several processes read, without waiting for one. `note` is given the first
    /// `N` bytes of the packet, or all of a shorter one, before it is taken, and says whether a body may be attached to it
    /// (see [`Self::receive`]). No other process takes a packet this way between `note` and the taking, and one that dies
    /// there holds nobody up.
    pub fn receive_noted<const N: usize>(&mut self, note: impl FnOnce(&[u8]) -> bool) -> Mail<'_> {
        let Self { reader, buffer } = self;
        let reader = reader.as_fd();
        let taken = RecordLock::take(reader).and_then(|_lock| {
            let mut front = [0; N];
            match socket::peek(reader, &mut front)? {
                Some(length) => {
                    let may_have_body = note(&front[..length]);
                    Ok(next_packet(reader, buffer, may_have_body))
                }
                None => Ok(None),
            }
        });
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some((0, Body::End)),
            Err(error) => {
                log_unreadable(&error);
                None
            }
        };
        mail(buffer, taken)
    }
}

/// Reads the next packet into the buffer: how long it is, and what came beside it. `None` when nothing waits.
fn next_packet(
    reader: BorrowedFd<'_>,
    buffer: &mut [u8],
    may_have_body: bool,
) -> Option<(usize, Body)> {
    let mut take = || match socket::receive_packet(reader, buffer) {
        // The file is read, and its descriptor free again, before the next one comes.
        Ok(socket::Received::Packet { length, attachment, cut: false }) => {
            Some((length, Body::of(attachment)))
        }
        Ok(socket::Received::Packet { cut: true, .. }) => Some((0, Body::Unusable)),
        Ok(socket::Received::Empty) => None,
        Ok(socket::Received::Closed) => Some((0, Body::End)),
        Err(error) => {
            log_unreadable(&error);
            None
        }
    };
    if may_have_body { reserve::with_one_free(take) } else { take() }
}

/// Only the end of the line means that the master is dead.
fn log_unreadable(error: &io::Error) {
    log::error!("the mailbox could not be read, and is tried again: {error}");
}

fn mail(buffer: &[u8], taken: Option<(usize, Body)>) -> Mail<'_> {
    let Some((length, body)) = taken else { return Mail::Empty };
    let bytes = &buffer[..length];
    match body {
        Body::None => Mail::Packet(Packet { bytes, attachment: None }),
        Body::Read(body) => Mail::Packet(Packet { bytes, attachment: Some(body) }),
        Body::Lost => Mail::Bodiless(bytes),
        Body::Unusable => Mail::Bad,
        Body::End => Mail::Closed,
    }
}

/// What came beside a packet, if one came.
enum Body {
    None,
    Read(Vec<u8>),
    Lost,
    Unusable,
    End,
}

impl Body {
    fn of(attachment: socket::Attachment) -> Self {
        match attachment {
            socket::Attachment::None => Self::None,
            socket::Attachment::Lost => Self::Lost,
            socket::Attachment::Descriptor(file) => {
                match memory::read_sealed_file(file, wire::ATTACHED_BYTES_MAX) {
                    Ok(body) => Self::Read(body),
                    Err(_) => Self::Unusable,
                }
            }
        }
    }
}

impl Mailbox {
    /// Lets nothing more come in: what waits can still be taken, and who sends is told that nobody takes it.
    pub fn end_reading(&self) {
        socket::end_reading(self.reader.as_fd());
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::{BufRead, BufReader, Write},
        process::{Command, Stdio},
        sync::mpsc::{RecvTimeoutError, channel},
        thread,
        time::Duration,
    };

    use super::*;

    const CHILD: &str = "WSMASTER_TEST_READS_A_MAILBOX";
    const NOTED: &str = "the packet is noted";

    /// Not a test by itself, but the other process of the one below: it reads the mailbox on its standard input, and comes no
    /// further than between the note of a packet and its taking.
    #[test]
    fn child_that_notes_a_packet() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        let mut mailbox = Mailbox::new(io::stdin().as_fd().try_clone_to_owned().unwrap());
        mailbox.receive_noted::<8>(|front| {
            assert_eq!(front, b"first");
            writeln!(io::stdout(), "\n{NOTED}").unwrap();
            loop {
                thread::park();
            }
        });
    }

    #[test]
    fn nobody_takes_a_packet_that_another_process_has_noted_until_that_process_is_dead() {
        let MailboxPair { reader, writer } = MailboxPair::new().unwrap();
        for packet in [&b"first"[..], b"second packet"] {
            socket::send_packet(writer.as_fd(), packet, None).unwrap();
        }
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child_that_notes_a_packet", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::from(reader.try_clone().unwrap()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == NOTED));
        let (taken, is_taken) = channel();
        let other = thread::spawn(move || {
            let mut mailbox = Mailbox::new(reader);
            for _ in 0..3 {
                let mut noted = Vec::new();
                let mail = mailbox.receive_noted::<8>(|front| {
                    noted = front.to_vec();
                    false
                });
                let packet = match mail {
                    Mail::Packet(packet) => packet.bytes.to_vec(),
                    Mail::Empty => Vec::new(),
                    other => panic!("{other:?}"),
                };
                taken.send((noted, packet)).unwrap();
            }
        });
        let early = is_taken.recv_timeout(Duration::from_millis(100));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        child.kill().unwrap();
        for expected in
            [(&b"first"[..], &b"first"[..]), (b"second p", b"second packet"), (b"", b"")]
        {
            let (noted, packet) = is_taken.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!((noted.as_slice(), packet.as_slice()), expected);
        }
        child.wait().unwrap();
        other.join().unwrap();
    }
}
