//! Where the TLS connections of a worker begin: the credentials in force, the keys of tickets, and the buffers that all
//! connections of the worker use in turn.

use std::{cell::RefCell, io, os::fd::OwnedFd, rc::Rc, sync::Arc};

use mio::net::TcpStream;
use rustls::{ServerConfig, server::UnbufferedServerConnection};
use wsmaster_ipc::sys::memory::read_sealed_file;
use zeroize::Zeroizing;

use super::{
    CREDENTIALS_BYTES_MAX, SealedCredentials, TicketKeys, TlsCredentials,
    backlog::Backlogs,
    stream::{Scratch, TlsStream},
    tickets::Tickets,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Acceptor {
    config: Arc<ServerConfig>,
    tickets: Tickets,
    scratch: Rc<RefCell<Scratch>>,
    backlogs: Backlogs,
}

impl Acceptor {
    /// Takes the credentials and the keys out of their files. What waits for its connections is counted in `backlogs`.
    pub(crate) fn new(sealed: SealedCredentials, backlogs: Backlogs) -> io::Result<Self> {
        let tickets = Tickets::new(&ticket_keys(sealed.ticket_keys)?);
        let config = config(sealed.credentials, &tickets)?;
        Ok(Self { config, tickets, scratch: Rc::default(), backlogs })
    }

    /// Shows other certificates from now on. Connections that are there keep their sessions.
    pub(crate) fn renew(&mut self, credentials: OwnedFd) -> io::Result<()> {
        self.config = config(credentials, &self.tickets)?;
        Ok(())
    }

    /// Takes over the keys of tickets after a turn.
    pub(crate) fn turn(&self, keys: OwnedFd) -> io::Result<()> {
        self.tickets.turn(&ticket_keys(keys)?);
        Ok(())
    }

    /// Begins TLS on a connection that was just accepted.
    pub(crate) fn begin(&self, socket: TcpStream) -> io::Result<TlsStream> {
        let session =
            UnbufferedServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, session, self.scratch.clone(), self.backlogs.join()))
    }
}

fn config(credentials: OwnedFd, tickets: &Tickets) -> io::Result<Arc<ServerConfig>> {
    let bytes = read_sealed_file(credentials, CREDENTIALS_BYTES_MAX)?;
    let credentials = TlsCredentials::from_bytes(bytes).map_err(io::Error::other)?;
    credentials.configure(tickets).map_err(io::Error::other)
}

fn ticket_keys(file: OwnedFd) -> io::Result<TicketKeys> {
    let bytes = Zeroizing::new(read_sealed_file(file, TicketKeys::SEED_BYTES)?);
    TicketKeys::from_bytes(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
