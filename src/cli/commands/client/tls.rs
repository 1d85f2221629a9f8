//! One TLS connection of a client on one TCP socket: the handshake within a deadline, then bytes both ways.
//!
//! As a socket of the kernel would, it takes what fits and says `WouldBlock` when nothing does; what is wrong with TLS comes
//! as an `io::Error` whose text is for a person.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, Error, ProtocolVersion};
use rustls_pki_types::ServerName;

use super::{tls_errors, transport::takes_nothing_more};

/// See the module.
#[derive(Debug)]
pub(super) struct TlsStream {
    socket: TcpStream,
    session: ClientConnection,
    /// The other side takes nothing more: what is to be written is dropped.
    is_deaf: bool,
}

impl TlsStream {
    /// Shakes hands with a server that has to show a certificate for `host`, a name or an IP address.
    ///
    /// # Errors
    /// The deadline has come, the connection has ended, or one side does not accept the other: in one line.
    pub(super) fn connect(
        socket: TcpStream,
        host: &str,
        config: Arc<ClientConfig>,
        deadline: Instant,
    ) -> Result<Self, String> {
        let name = ServerName::try_from(host)
            .map_err(|_| "the host has no name that a certificate could be for".to_owned())?;
        let session = ClientConnection::new(config, name.to_owned())
            .map_err(|error| tls_errors::words(&error))?;
        let mut stream = Self { socket, session, is_deaf: false };
        stream.shake_hands(deadline).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the server ended the connection in the middle of the TLS handshake; is TLS spoken there?"
                    .to_owned()
            }
            _ => super::plain(&error),
        })?;
        Ok(stream)
    }

    fn shake_hands(&mut self, deadline: Instant) -> io::Result<()> {
        while self.session.is_handshaking() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait_at_most(left)?;
            self.flush()?;
            if self.session.is_handshaking() && self.take()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.flush()
    }

    /// The version of TLS: `1.2` or `1.3`.
    pub(super) fn version(&self) -> &'static str {
        match self.session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        }
    }

    /// From now on a call waits so long at the most for the socket.
    pub(super) fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(patience))?;
        self.socket.set_read_timeout(Some(patience))
    }

    /// From now on nothing waits.
    pub(super) fn never_wait(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Reads from the socket once and decrypts what is complete. How many bytes it was; 0 at the end.
    fn take(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut self.socket)?;
        let judged = self.session.process_new_packets();
        // It may have something to answer: an alert, or a key of its own for one of the server's.
        let answered = self.flush();
        judged.map_err(|error| told(&error))?;
        match answered {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(count),
        }
    }

    /// Writes what is encrypted and has not left.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Why the server takes nothing more, if it has said so: the alert may lie unread in front of the break.
    fn last_words(&mut self, error: io::Error) -> io::Error {
        if !takes_nothing_more(&error) {
            return error;
        }
        while matches!(self.session.read_tls(&mut self.socket), Ok(1..)) {
            if let Err(why) = self.session.process_new_packets() {
                return told(&why);
            }
        }
        error
    }
}

fn told(error: &Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, tls_errors::words(error))
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without close_notify. What has been cut off, if anything, WebSocket tells: there is no close frame.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.take()?;
        }
    }
}

impl Write for TlsStream {
    /// Nothing is taken before what was taken last has left, so little waits here.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if self.is_deaf {
            return Ok(bytes.len());
        }
        let count = self.session.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_deaf {
            return Ok(());
        }
        match self.push().map_err(|error| self.last_words(error)) {
            Err(error) if takes_nothing_more(&error) && !self.session.is_handshaking() => {
                self.is_deaf = true;
                Ok(())
            }
            pushed => pushed,
        }
    }
}

impl AsRawFd for TlsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Drop for TlsStream {
    /// Says that nothing more follows (close_notify, RFC 8446, 6.1), as far as that goes without waiting.
    fn drop(&mut self) {
        if !self.session.is_handshaking() && self.socket.set_nonblocking(true).is_ok() {
            self.session.send_close_notify();
            let _ = self.push();
        }
    }
}
