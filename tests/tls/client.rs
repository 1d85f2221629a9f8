//! Clients that speak TLS: a rustls connection on a socket, and a WebSocket in it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::ring,
    version::{TLS12, TLS13},
};
use rustls_pki_types::ServerName;
use tungstenite::{Message, WebSocket};

use super::authority::{Authority, Signed};
use crate::support::PATIENCE;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;
pub(crate) type Secure = WebSocket<Tls>;

/// How clients of a test come.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: &'static str,
}

impl Way {
    /// They believe the authority and ask for `localhost`.
    pub(crate) fn new(authority: &Authority) -> Self {
        Self::with(authority, &[&TLS13, &TLS12], None)
    }

    pub(crate) fn with(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Signed>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).expect("an authority");
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = own.for_a_client();
                builder.with_client_auth_cert(chain, key).expect("a key")
            }
        };
        Self { config: Arc::new(config), name: "localhost" }
    }

    pub(crate) fn asking_for(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        let config = Arc::make_mut(&mut self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// A connection whose handshake has not begun.
    pub(crate) fn begin(&self, addr: SocketAddr) -> Tls {
        let name = ServerName::try_from(self.name).expect("a name");
        let session = ClientConnection::new(self.config.clone(), name).expect("a config");
        let socket = TcpStream::connect_timeout(&addr, PATIENCE).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        StreamOwned::new(session, socket)
    }

    /// A connection whose handshake is over.
    pub(crate) fn connect(&self, addr: SocketAddr) -> io::Result<Tls> {
        let mut tls = self.begin(addr);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(tls)
    }

    #[track_caller]
    pub(crate) fn open(&self, addr: SocketAddr) -> Secure {
        self.try_open(addr).unwrap_or_else(|error| panic!("no WebSocket: {error}"))
    }

    pub(crate) fn try_open(&self, addr: SocketAddr) -> Result<Secure, String> {
        let tls = self.connect(addr).map_err(|error| error.to_string())?;
        tungstenite::client(format!("wss://localhost:{}/", addr.port()), tls)
            .map(|(socket, _)| socket)
            .map_err(|error| error.to_string())
    }
}

/// Whether the session of a connection was taken up from an earlier one.
pub(crate) fn is_resumed(socket: &Secure) -> bool {
    match socket.get_ref().conn.handshake_kind() {
        Some(HandshakeKind::Resumed) => true,
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => false,
    }
}

/// Sends and expects the same back.
#[track_caller]
pub(crate) fn echo(socket: &mut Secure, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).expect("it is open");
    assert!(socket.read().expect("an echo") == message, "another message came back");
}

/// All that comes until the end, and how it ended: `Ok` behind a close_notify.
pub(crate) fn rest(tls: &mut Tls) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = tls.read_to_end(&mut bytes).map(|_| ());
    (bytes, end)
}

/// Sends a request in the clear of TLS.
pub(crate) fn request(tls: &mut Tls, head: &str) {
    tls.write_all(head.as_bytes()).expect("it is open");
}
