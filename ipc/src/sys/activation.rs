//! Sockets that whoever started this process has opened for it (sd_listen_fds(3)).

use std::{
    io,
    net::TcpListener,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc,
    sys::socket::{SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt},
};

use super::io_error;

/// The number of the first one (`SD_LISTEN_FDS_START`).
pub const FIRST: RawFd = 3;
/// Copies get this number or a higher one, out of the way of those that are still to be looked at.
const HIGH_FD: RawFd = 100;

/// Why a descriptor is no socket that clients can be accepted from.
#[derive(Debug, thiserror::Error)]
pub enum NoListener {
    /// The number belongs to nothing.
    #[error("is not open")]
    Closed,
    /// A file, a pipe or something else.
    #[error("is not a socket")]
    NotASocket,
    /// A unix socket, for one.
    #[error("is not a socket of IPv4 or IPv6")]
    Family,
    /// Datagrams, for one.
    #[error("is not a TCP socket")]
    NotTcp,
    /// It is bound only, or it is a connection.
    #[error("does not listen")]
    NotListening,
    /// The kernel does not say.
    #[error("cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// A copy of the listening socket with this number, which does not block. The number itself stays open, and is closed in
/// programs that this process executes: what was passed is kept as long as the process lives.
///
/// # Errors
/// See [`NoListener`].
pub fn listener(number: RawFd) -> Result<TcpListener, NoListener> {
    // SAFETY: only the number is used, in system calls that answer EBADF if nothing is open there; nothing is closed.
    let passed = unsafe { BorrowedFd::borrow_raw(number) };
    match fcntl(passed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Ok(_) => {}
        Err(Errno::EBADF) => return Err(NoListener::Closed),
        Err(errno) => return Err(io_error(errno).into()),
    }
    match getsockopt(&passed, sockopt::SockType) {
        Ok(SockType::Stream) => {}
        Ok(_) => return Err(NoListener::NotTcp),
        Err(Errno::ENOTSOCK) => return Err(NoListener::NotASocket),
        Err(errno) => return Err(io_error(errno).into()),
    }
    let copy = fcntl(passed, FcntlArg::F_DUPFD_CLOEXEC(HIGH_FD)).map_err(io_error)?;
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    let family = family_of(&copy)?;
    if family != libc::AF_INET && family != libc::AF_INET6 {
        return Err(NoListener::Family);
    }
    if !getsockopt(&copy.as_fd(), sockopt::AcceptConn).map_err(io_error)? {
        return Err(NoListener::NotListening);
    }
    let listener = TcpListener::from(copy);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The number of a socket's address family.
fn family_of(socket: &OwnedFd) -> io::Result<libc::c_int> {
    let address: SockaddrStorage = getsockname(socket.as_raw_fd()).map_err(io_error)?;
    Ok(address.family().map_or(libc::AF_UNSPEC, |family| family as libc::c_int))
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn what_is_no_listener_is_told_apart() {
        let (one, _other) = super::super::socket::packet_pair(1024).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let path = std::env::temp_dir().join(format!("wsmaster-activation-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let unix = UnixListener::bind(&path).unwrap();
        let _ = std::fs::remove_file(&path);
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        for (number, expected) in [
            (one.as_raw_fd(), "is not a TCP socket"),
            (datagrams.as_raw_fd(), "is not a TCP socket"),
            (file.as_raw_fd(), "is not a socket"),
            (unix.as_raw_fd(), "is not a socket of IPv4 or IPv6"),
            (connection.as_raw_fd(), "does not listen"),
            (1_000_000, "is not open"),
        ] {
            assert_eq!(listener(number).unwrap_err().to_string(), expected);
        }
        let copy = listener(listening.as_raw_fd()).unwrap();
        assert_eq!(copy.local_addr().unwrap(), listening.local_addr().unwrap());
        assert_eq!(copy.accept().map(drop).ok(), Some(()));
        assert_eq!(copy.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
