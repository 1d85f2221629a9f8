//! The bytes between this client and a server: connecting, within a deadline, and what carries them.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::{address::Address, tls::TlsStream};

/// What carries the bytes. A server that takes nothing more may have said why before: what is written to it is dropped from
/// then on, and reading tells the rest.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP as it is.
    Plain(PlainStream),
    /// TLS on TCP.
    Tls(Box<TlsStream>),
}

/// TCP as it is.
#[derive(Debug)]
pub(super) struct PlainStream {
    stream: TcpStream,
    /// The other side takes nothing more.
    is_deaf: bool,
}

/// How long the parts of connecting took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) resolve: Duration,
    pub(super) connect: Duration,
    pub(super) tls: Option<Secured>,
}

/// What a TLS handshake has brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secured {
    /// The version of TLS.
    pub(super) version: &'static str,
    pub(super) handshake: Duration,
}

impl Transport {
    /// Connects to the first address of the host that can be connected to, and begins TLS there if there is a configuration
    /// for it.
    ///
    /// # Errors
    /// Why not, in one line.
    pub(super) fn connect(
        address: &Address,
        tls: Option<Arc<ClientConfig>>,
        deadline: Instant,
    ) -> Result<(Self, Took), String> {
        let begun = Instant::now();
        let addresses = resolve(address, deadline)?;
        let resolve = begun.elapsed();
        let begun = Instant::now();
        let socket = connect_to_one_of(&addresses, address, deadline)?;
        let connect = begun.elapsed();
        let Some(config) = tls else {
            return Ok((
                Self::Plain(PlainStream { stream: socket, is_deaf: false }),
                Took { resolve, connect, tls: None },
            ));
        };
        let begun = Instant::now();
        let stream = TlsStream::connect(socket, &address.host, config, deadline)
            .map_err(|problem| format!("TLS with {}: {problem}", address.authority))?;
        let secured = Secured { version: stream.version(), handshake: begun.elapsed() };
        Ok((Self::Tls(Box::new(stream)), Took { resolve, connect, tls: Some(secured) }))
    }

    /// From now on a read waits so long at the most.
    pub(super) fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        // Zero would mean for ever.
        let patience = patience.max(Duration::from_millis(1));
        match self {
            Self::Plain(plain) => plain.stream.set_read_timeout(Some(patience)),
            Self::Tls(stream) => stream.wait_at_most(patience),
        }
    }

    /// From now on nothing waits.
    pub(super) fn never_wait(&self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.stream.set_nonblocking(true),
            Self::Tls(stream) => stream.never_wait(),
        }
    }
}

fn connect_to_one_of(
    addresses: &[SocketAddr],
    address: &Address,
    deadline: Instant,
) -> Result<TcpStream, String> {
    let mut problem = "the name has no address".to_owned();
    for socket in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(socket, left) {
            Ok(stream) => {
                // Small messages are to leave at once; that it cannot be set changes nothing else.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if socket.to_string() == address.authority => problem = plain(&error),
            Err(error) => problem = format!("{socket}: {}", plain(&error)),
        }
    }
    Err(format!("cannot connect to {}: {problem}", address.authority))
}

/// The addresses of the host. The system's resolver knows no deadline, so it is asked in a thread that may be left behind.
fn resolve(address: &Address, deadline: Instant) -> Result<Vec<SocketAddr>, String> {
    let (tell, told) = mpsc::channel();
    let host = (address.host.clone(), address.port);
    thread::spawn(move || tell.send(host.to_socket_addrs().map(Iterator::collect::<Vec<_>>)));
    match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(format!("the name {} leads nowhere: {error}", address.host)),
        Err(_) => Err(format!("the name {} was not resolved in time", address.host)),
    }
}

/// Whether the other side has closed the connection, or broken it off.
pub(super) fn takes_nothing_more(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// An error in words for a person.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused; nothing listens there".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::ConnectionReset => "the server broke the connection off".to_owned(),
        _ => error.to_string(),
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) if plain.is_deaf => Ok(bytes.len()),
            Self::Plain(plain) => match plain.stream.write(bytes) {
                Err(error) if takes_nothing_more(&error) => {
                    plain.is_deaf = true;
                    Ok(bytes.len())
                }
                written => written,
            },
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Plain(plain) => plain.stream.as_raw_fd(),
            Self::Tls(stream) => stream.as_raw_fd(),
        }
    }
}
