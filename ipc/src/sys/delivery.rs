//! How far what was written to a socket has come: what the peer's kernel has taken of it, and what it has not.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{errno::Errno, getsockopt_impl, libc, sockopt_impl, sys::socket::getsockopt};

use super::io_error;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Grows with each byte that the peer has taken. Only its growth means something.
    pub taken: u64,
    /// Bytes that it has not taken.
    pub left: u64,
}

/// The front of `struct tcp_info` (linux/tcp.h), as far as it is needed here.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TcpInfoFront {
    before: [u8; 120],
    bytes_acked: u64,
}

sockopt_impl!(
    /// What the kernel knows of a connection.
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    TcpInfoFront
);

/// Bytes that were written to a socket and that its peer's kernel (TCP), or its peer (unix), has not taken.
///
/// # Errors
/// It is no socket that is connected.
pub fn left_bytes(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ (tcp(7), unix(7)), writes one int, for which `count` is the place, and keeps no
    // pointer; the descriptor is borrowed, and so open during the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    Errno::result(result).map_err(io_error)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Of a connection of TCP: what the peer's kernel has acknowledged, whether or not its program has read it.
///
/// # Errors
/// What getsockopt(2) says.
pub fn of_tcp(socket: &impl AsFd) -> io::Result<Delivery> {
    let taken = getsockopt(socket, TcpInfo).map_err(io_error)?.bytes_acked;
    Ok(Delivery { taken, left: left_bytes(socket.as_fd())? })
}

/// Of a unix socket: what its peer has read. The kernel tells only what is left, with its own bookkeeping added.
///
/// # Errors
/// What ioctl(2) says.
pub fn of_unix(socket: &impl AsFd) -> io::Result<Delivery> {
    let left = left_bytes(socket.as_fd())?;
    Ok(Delivery { taken: u64::MAX - left, left })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn what_the_peer_takes_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 64 * 1024]).is_ok() {}
        let full = of_tcp(&server).unwrap();
        assert!(full.left > 0);
        let mut taken = vec![0; full.left as usize];
        client.read_exact(&mut taken).unwrap();
        let later = of_tcp(&server).unwrap();
        assert!(later.taken > full.taken && later.left < full.left, "{full:?} {later:?}");

        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        while near.write(&[0; 4096]).is_ok() {}
        let full = of_unix(&near).unwrap();
        far.read_exact(&mut [0; 64 * 1024]).unwrap();
        let later = of_unix(&near).unwrap();
        assert!(later.taken > full.taken && later.left < full.left, "{full:?} {later:?}");
    }
}
