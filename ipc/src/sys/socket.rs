//! Sockets: packet pairs between processes, and the listeners of the slots.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
        SockaddrLike, SockaddrStorage, bind, getsockname, listen, recv, recvmsg, sendmsg,
        setsockopt, socket, socketpair, sockopt,
    },
};

use super::io_error;

/// What [`send_packet`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The packet is in the receiver's queue.
    Whole,
    /// The queue has no room for it now.
    Full,
    /// Nobody holds the other end any more.
    Closed,
}

/// What came beside a packet.
#[derive(Debug)]
pub enum Attachment {
    /// No descriptor.
    None,
    /// One descriptor, which is ours now.
    Descriptor(OwnedFd),
    /// A descriptor for which this process had no number left (RLIMIT_NOFILE), or more than one. The kernel has closed it;
    /// the bytes of the packet are whole.
    Lost,
}

/// What kind of addresses a connected socket has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4 or IPv6.
    Inet,
    /// A path, or none.
    Unix,
}

/// The kind of addresses of a socket.
///
/// # Errors
/// It is no socket, or one of another kind.
pub fn family(socket: &OwnedFd) -> io::Result<Family> {
    let address: SockaddrStorage = getsockname(socket.as_raw_fd()).map_err(io_error)?;
    match address.family() {
        Some(AddressFamily::Inet | AddressFamily::Inet6) => Ok(Family::Inet),
        Some(AddressFamily::Unix) => Ok(Family::Unix),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What [`receive_packet`] found.
#[derive(Debug)]
pub enum Received {
    /// A packet of this many bytes.
    Packet {
        /// Bytes now in the buffer.
        length: usize,
        /// What came beside it.
        attachment: Attachment,
        /// It was larger than the buffer, and its end is lost.
        cut: bool,
    },
    /// Nothing waits.
    Empty,
    /// Nobody holds the other end any more, and nothing waits.
    Closed,
}

/// A connected pair of `SOCK_SEQPACKET` sockets (unix(7)): packets arrive whole and in order, from any number of writers.
/// `queue_bytes` is the send buffer asked for; an unprivileged process gets at most net.core.wmem_max.
///
/// # Errors
/// What socketpair(2) says.
pub fn packet_pair(queue_bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (left, right) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )
    .map_err(io_error)?;
    for end in [&left, &right] {
        if setsockopt(end, sockopt::SndBufForce, &queue_bytes).is_err() {
            setsockopt(end, sockopt::SndBuf, &queue_bytes).map_err(io_error)?;
        }
    }
    Ok((left, right))
}

/// Sends one packet without waiting.
///
/// # Errors
/// Those that are about this packet or this process: too large, out of memory.
pub fn send_packet(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    attachment: Option<BorrowedFd<'_>>,
) -> io::Result<Sent> {
    let parts = [IoSlice::new(packet)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let descriptors: [RawFd; 1];
    let control: &[ControlMessage<'_>] = match attachment {
        Some(fd) => {
            descriptors = [fd.as_raw_fd()];
            &[ControlMessage::ScmRights(&descriptors)]
        }
        None => &[],
    };
    loop {
        return match sendmsg::<()>(socket.as_raw_fd(), &parts, control, flags, None) {
            Ok(_) => Ok(Sent::Whole),
            Err(Errno::EINTR) => continue,
            // ETOOMANYREFS: too many descriptors are on their way (unix(7)); they arrive, and then there is room.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ETOOMANYREFS) => Ok(Sent::Full),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(Sent::Closed),
            Err(errno) => Err(io_error(errno)),
        };
    }
}

/// Takes one packet without waiting.
///
/// A peer that ends with packets unread is told of once, by ECONNRESET, before what it had sent itself (unix(7), as Linux has
/// it): its last words are read all the same.
///
/// # Errors
/// What recvmsg(2) says of the socket itself. It is never the end of the line, which is [`Received::Closed`].
pub fn receive_packet(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut was_reset = false;
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut space = cmsg_space!([RawFd; 4]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) => message,
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => return Ok(Received::Empty),
            Err(Errno::ECONNRESET) if !was_reset => {
                was_reset = true;
                continue;
            }
            Err(Errno::ECONNRESET) => return Ok(Received::Closed),
            Err(errno) => return Err(io_error(errno)),
        };
        let mut attachment = Attachment::None;
        if message.flags.contains(MsgFlags::MSG_CTRUNC) {
            // Packets carry one descriptor at the most, so none has come, and there is nothing to be closed.
            attachment = Attachment::Lost;
        } else {
            for control in message.cmsgs().map_err(io_error)? {
                if let ControlMessageOwned::ScmRights(descriptors) = control {
                    for descriptor in descriptors {
                        // SAFETY: the kernel has just made this descriptor for us, and nothing else knows it.
                        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
                        attachment = match attachment {
                            Attachment::None => Attachment::Descriptor(owned),
                            Attachment::Descriptor(_) | Attachment::Lost => Attachment::Lost,
                        };
                    }
                }
            }
        }
        let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
        // A packet is never empty here, so a length of 0 is the end of the line.
        return Ok(match message.bytes {
            0 => Received::Closed,
            length => Received::Packet { length, attachment, cut },
        });
    }
}

/// Ends the receiving side of one end of a pair: the other end's packets are refused from now on ([`Sent::Closed`]), and those
/// that wait can still be taken (unix(7), shutdown(2)).
pub fn end_reading(socket: BorrowedFd<'_>) {
    // It fails on sockets only that are not connected: then nothing comes anyway.
    let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Read);
}

/// Copies the front of what would be taken next, the bytes of a stream or one packet, without taking it or what came beside it.
/// How many bytes it is that were copied; `None` when nothing waits. A reset is passed over as in [`receive_packet`].
///
/// # Errors
/// What recv(2) says of the socket itself, and `UnexpectedEof` when nothing waits and nothing more will come.
pub fn peek(socket: BorrowedFd<'_>, front: &mut [u8]) -> io::Result<Option<usize>> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let mut was_reset = false;
    loop {
        return match recv(socket.as_raw_fd(), front, flags) {
            Err(Errno::ECONNRESET) if !was_reset => {
                was_reset = true;
                continue;
            }
            Ok(0) | Err(Errno::ECONNRESET) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(length)),
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(io_error(errno)),
        };
    }
}

/// One listener per slot on the same address and port (`SO_REUSEPORT`, socket(7)). With port 0 the kernel chooses one, and
/// all slots get it.
///
/// # Errors
/// `AddrInUse` also when the other server set `SO_REUSEPORT` too: the kernel would let both share the port.
pub fn listeners(address: SocketAddr, backlog: u32, count: usize) -> io::Result<Vec<TcpListener>> {
    probe(address)?;
    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = tcp_socket(address)?;
        setsockopt(&socket, sockopt::ReusePort, &true).map_err(io_error)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).map_err(io_error)?;
        let backlog = Backlog::new(i32::try_from(backlog).unwrap_or(i32::MAX))
            .unwrap_or(Backlog::MAXALLOWABLE);
        listen(&socket, backlog).map_err(io_error)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Whether nobody listens on this address and this process may: it is bound for a moment, and nobody can connect to it.
///
/// # Errors
/// What bind(2) says: above all `AddrInUse`, `PermissionDenied` and `AddrNotAvailable`.
pub fn probe(address: SocketAddr) -> io::Result<()> {
    // A socket without SO_REUSEPORT cannot be bound beside listeners that have it: that is the question asked here.
    let probe = tcp_socket(address)?;
    bind(probe.as_raw_fd(), &SockaddrStorage::from(address)).map_err(io_error)
}

fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None).map_err(io_error)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(io_error)?;
    Ok(socket)
}

/// The uid and pid of the process at the other end of a unix stream socket (`SO_PEERCRED`, unix(7)).
///
/// # Errors
/// What getsockopt(2) says.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<(u32, i32)> {
    let credentials = nix::sys::socket::getsockopt(&socket.as_fd(), sockopt::PeerCredentials)
        .map_err(io_error)?;
    Ok((credentials.uid(), credentials.pid()))
}

/// Waits until a socket has something to read, or its other end is closed; `timeout` at the most. Whether it has.
///
/// # Errors
/// What poll(2) says.
pub fn wait_readable(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], left) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(io_error(errno)),
        }
    }
}

/// Makes close(2) of this socket send a reset at once instead of a FIN (`SO_LINGER` with 0, socket(7)).
///
/// # Errors
/// What setsockopt(2) says.
pub fn reset_on_close(socket: impl AsFd) -> io::Result<()> {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&socket.as_fd(), sockopt::Linger, &linger).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_edges_and_full_is_an_answer() {
        let (left, right) = packet_pair(64 * 1024).unwrap();
        let mut sent = 0;
        while send_packet(left.as_fd(), &[7; 1000], None).unwrap() == Sent::Whole {
            sent += 1;
        }
        assert!(sent > 1);
        let mut buffer = vec![0; 2000];
        for _ in 0..sent {
            let Received::Packet { length: 1000, attachment: Attachment::None, cut: false } =
                receive_packet(right.as_fd(), &mut buffer).unwrap()
            else {
                panic!("not the packet that was sent");
            };
        }
        assert!(matches!(receive_packet(right.as_fd(), &mut buffer).unwrap(), Received::Empty));
        drop(left);
        assert!(matches!(receive_packet(right.as_fd(), &mut buffer).unwrap(), Received::Closed));
    }

    #[test]
    fn a_peek_takes_nothing() {
        let (left, right) = packet_pair(64 * 1024).unwrap();
        let mut front = [0; 3];
        assert_eq!(peek(right.as_fd(), &mut front).unwrap(), None);
        send_packet(left.as_fd(), b"hello", Some(left.as_fd())).unwrap();
        for _ in 0..2 {
            assert_eq!(peek(right.as_fd(), &mut front).unwrap(), Some(3));
            assert_eq!(&front, b"hel");
        }
        let mut buffer = [0; 10];
        assert!(matches!(
            receive_packet(right.as_fd(), &mut buffer).unwrap(),
            Received::Packet { length: 5, attachment: Attachment::Descriptor(_), cut: false }
        ));
        drop(left);
        assert!(peek(right.as_fd(), &mut front).is_err());
    }

    #[test]
    fn the_last_words_of_a_peer_that_had_not_read_everything_are_read() {
        let (left, right) = packet_pair(64 * 1024).unwrap();
        send_packet(right.as_fd(), b"never read", None).unwrap();
        send_packet(left.as_fd(), b"last words", None).unwrap();
        drop(left);
        let mut buffer = [0; 20];
        assert_eq!(peek(right.as_fd(), &mut buffer).unwrap(), Some(10));
        assert!(matches!(
            receive_packet(right.as_fd(), &mut buffer).unwrap(),
            Received::Packet { length: 10, .. }
        ));
        assert!(matches!(receive_packet(right.as_fd(), &mut buffer).unwrap(), Received::Closed));
        assert!(peek(right.as_fd(), &mut buffer).is_err());
        // The same where the packet is taken without a look at its front.
        let (left, right) = packet_pair(64 * 1024).unwrap();
        send_packet(right.as_fd(), b"never read", None).unwrap();
        send_packet(left.as_fd(), b"last words", None).unwrap();
        drop(left);
        assert!(matches!(
            receive_packet(right.as_fd(), &mut buffer).unwrap(),
            Received::Packet { length: 10, .. }
        ));
    }

    #[test]
    fn a_packet_larger_than_the_buffer_says_so() {
        let (left, right) = packet_pair(64 * 1024).unwrap();
        send_packet(left.as_fd(), &[1; 100], None).unwrap();
        let mut buffer = [0; 10];
        assert!(matches!(
            receive_packet(right.as_fd(), &mut buffer).unwrap(),
            Received::Packet { length: 10, cut: true, .. }
        ));
    }

    #[test]
    fn slots_share_a_port_that_a_second_server_is_refused() {
        let first = listeners("127.0.0.1:0".parse().unwrap(), 16, 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert!(first.iter().all(|listener| listener.local_addr().unwrap() == address));
        let second = listeners(address, 16, 1).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }
}
