//! Listening sockets of either kind, and the file of a unix socket: made, given to its owner, and removed only if nobody
//! listens on it.

use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    getsockopt_impl, libc, setsockopt_impl, sockopt_impl,
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr,
            bind, connect, getsockname, listen, setsockopt, socket, sockopt,
        },
        stat::{Mode, umask},
    },
};

use super::{io_error, socket::peer_credentials};

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// Of TCP: one of several on the same port (`SO_REUSEPORT`).
    Tcp(TcpListener),
    /// Of a unix socket. All who serve it share the one there is.
    Unix(UnixListener),
}

/// How the kernel is to send what is written to the connections of a listener. They have it from their listener when they
/// come, so it costs nothing for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sending {
    /// Small writes leave at once (`TCP_NODELAY`, tcp(7)).
    pub at_once: bool,
    /// Bytes that wait in the kernel behind those that are on their way (`TCP_NOTSENT_LOWAT`); a socket with more of them
    /// takes no more. `None`: as many as the kernel likes, which is up to `net.ipv4.tcp_wmem` for each connection.
    pub unsent_bytes_max: Option<u32>,
}

sockopt_impl!(
    /// Bytes that have not been sent at all, at which a socket is not writable any more.
    NotSentLowat,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_NOTSENT_LOWAT,
    u32
);

impl Listener {
    /// Sets that a byte which a peer sends as urgent (tcp(7), `MSG_OOB`) stays in its place among the others. By default the
    /// kernel takes it out, and what it was a part of cannot be understood. Connections of TCP have it from their listener
    /// when they come; each of a unix socket has to be told ([`keep_urgent_bytes`]).
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn keep_urgent_bytes(&self) -> io::Result<()> {
        keep_urgent_bytes(self)
    }

    /// Sets how its connections send, from the next one on. A unix socket has neither.
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn set_sending(&self, sending: Sending) -> io::Result<()> {
        let Self::Tcp(listener) = self else { return Ok(()) };
        setsockopt(listener, sockopt::TcpNoDelay, &sending.at_once).map_err(io_error)?;
        // The kernel takes 0 for the value of net.ipv4.tcp_notsent_lowat.
        let most = sending.unsent_bytes_max.unwrap_or(0);
        setsockopt(listener, NotSentLowat, &most).map_err(io_error)
    }

    /// A duplicate of the descriptor; the socket and what waits in it are the same.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }
}

/// As [`Listener::keep_urgent_bytes`], of a single connection.
///
/// # Errors
/// What setsockopt(2) says.
pub fn keep_urgent_bytes(socket: &impl AsFd) -> io::Result<()> {
    setsockopt(socket, sockopt::OobInline, &true).map_err(io_error)
}

/// A listener that came from another process.
impl TryFrom<OwnedFd> for Listener {
    type Error = io::Error;

    /// # Errors
    /// It is no socket of a kind that listens.
    fn try_from(socket: OwnedFd) -> io::Result<Self> {
        let family = getsockname::<SockaddrStorage>(socket.as_raw_fd()).map_err(io_error)?.family();
        match family {
            Some(AddressFamily::Inet | AddressFamily::Inet6) => {
                Ok(Self::Tcp(TcpListener::from(socket)))
            }
            Some(AddressFamily::Unix) => Ok(Self::Unix(UnixListener::from(socket))),
            Some(_) | None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// The file of a unix socket that this server has made. Dropping it leaves the file where it is.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    made: FileIdentity,
}

impl SocketFile {
    /// Sets who may connect: permissions, and the owner and group where they are given.
    ///
    /// # Errors
    /// Only root may give a file away, or to a group that it is not in.
    pub fn set_access(&self, mode: u32, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
        if user.is_some() || group.is_some() {
            chown(&self.path, user, group)?;
        }
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }

    /// Removes the file, if it is still the one that was made.
    pub fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|facts| identity(&facts) == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device, number and time of making: a number alone is given to the next file as soon as its own is removed.
type FileIdentity = (u64, u64, i64, i64);

fn identity(facts: &fs::Metadata) -> FileIdentity {
    (facts.dev(), facts.ino(), facts.mtime(), facts.mtime_nsec())
}

/// Listens on a unix socket at `path`. Until [`SocketFile::set_access`] nobody but this user may connect. A socket that
/// nobody listens on any more is replaced.
///
/// The umask of the process is another one meanwhile, so no other thread may make files.
///
/// # Errors
/// `AddrInUse`: somebody listens there. `AlreadyExists`: something that is no socket has the name.
pub fn unix_listener(path: &Path, backlog: u32) -> io::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let address = UnixAddr::new(path).map_err(|_| too_long())?;
    let socket = unix_socket()?;
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(socket.as_raw_fd(), &address);
    umask(before);
    bound.map_err(io_error)?;
    let backlog =
        Backlog::new(i32::try_from(backlog).unwrap_or(i32::MAX)).unwrap_or(Backlog::MAXALLOWABLE);
    listen(&socket, backlog).map_err(io_error)?;
    let made = identity(&fs::symlink_metadata(path)?);
    Ok((UnixListener::from(socket), SocketFile { path: path.to_owned(), made }))
}

fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(io_error)
}

/// What has the name of a unix socket that is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Nothing.
    Nobody,
    /// A socket that nobody listens on any more.
    LeftBehind,
    /// A socket on which somebody listens: the process that called listen(2), where it can be told.
    Living(Option<i32>),
}

/// Who holds the name of a unix socket. Whether somebody listens is asked by connecting, without waiting: a queue that is full
/// (EAGAIN, unix(7)) is somebody's.
///
/// # Errors
/// `AlreadyExists`: something that is no socket has the name. The name is too long; what connect(2) says.
pub fn holder_of(path: &Path) -> io::Result<Holder> {
    let address = UnixAddr::new(path).map_err(|_| too_long())?;
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.file_type().is_socket() => {}
        Ok(_) => {
            let problem = "something that is no socket has this name";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(error),
    }
    let socket = unix_socket()?;
    match connect(socket.as_raw_fd(), &address) {
        Err(Errno::ECONNREFUSED) => Ok(Holder::LeftBehind),
        Err(Errno::ENOENT) => Ok(Holder::Nobody),
        Ok(()) => Ok(Holder::Living(peer_credentials(&socket).ok().map(|(_, pid)| pid))),
        Err(Errno::EAGAIN) => Ok(Holder::Living(None)),
        Err(errno) => Err(io_error(errno)),
    }
}

fn too_long() -> io::Error {
    let problem = "the path is too long for a socket, which has 107 bytes at most (unix(7))";
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// Removes a socket that a server has left behind.
fn clear(path: &Path) -> io::Result<()> {
    match holder_of(path)? {
        Holder::Nobody => Ok(()),
        Holder::LeftBehind => fs::remove_file(path),
        Holder::Living(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use nix::sys::socket::getsockopt;

    use super::*;

    fn place(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("wsmaster-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory.join(name)
    }

    #[test]
    fn a_socket_that_is_left_behind_is_replaced_and_a_living_one_is_not() {
        let path = place("left-behind");
        let (listener, file) = unix_listener(&path, 16).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        file.set_access(0o666, None, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        UnixStream::connect(&path).unwrap();
        assert_eq!(unix_listener(&path, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_listener, successor) = unix_listener(&path, 16).unwrap();
        file.remove();
        assert!(path.exists(), "it is the successor's");
        successor.remove();
        assert!(!path.exists());
    }

    #[test]
    fn connections_send_as_their_listener_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::Tcp(listener);
        for (at_once, unsent_bytes_max) in [(true, Some(65_536)), (false, Some(4_096))] {
            listener.set_sending(Sending { at_once, unsent_bytes_max }).unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let Listener::Tcp(socket) = &listener else { unreachable!() };
            let (server, _) = socket.accept().unwrap();
            assert_eq!(getsockopt(&server, sockopt::TcpNoDelay).unwrap(), at_once);
            assert_eq!(getsockopt(&server, NotSentLowat).ok(), unsent_bytes_max);
        }
    }

    #[test]
    fn a_full_queue_is_somebodys_and_other_files_are_left_alone() {
        let path = place("full");
        let (_listener, file) = unix_listener(&path, 1).unwrap();
        let mut clients = Vec::new();
        loop {
            let client = unix_socket().unwrap();
            match connect(client.as_raw_fd(), &UnixAddr::new(&path).unwrap()) {
                Ok(()) => clients.push(client),
                Err(errno) => break assert_eq!(errno, Errno::EAGAIN),
            }
        }
        assert_eq!(unix_listener(&path, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        file.remove();
        fs::write(&path, "precious").unwrap();
        assert_eq!(unix_listener(&path, 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(path).unwrap();
    }
}
