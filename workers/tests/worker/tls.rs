//! What the master tells a worker about TLS while it serves, and what its application learns of a handshake.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, crypto::ring,
};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tungstenite::{Message, WebSocket};
use wsmaster_workers::{
    ipc::{link::ToChild, shared_state::Counter, sys::memory::sealed_file},
    tls::{ClientAuth, ClientAuthority, Pair, TicketKeys, TlsCredentials, Version},
};

use crate::support::{Server, eventually, limits};

type Secure = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// An authority, a server and a client that know each other.
struct World {
    authority: CertifiedIssuer<'static, KeyPair>,
    client: Arc<ClientConfig>,
}

impl World {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();

        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Tests, Inc.");
        params.distinguished_name.push(DnType::CommonName, "sensor 7");
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &authority).unwrap();

        let mut roots = RootCertStore::empty();
        roots.add(authority.as_ref().der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![own.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Self { authority, client: Arc::new(client) }
    }

    fn credentials(&self) -> TlsCredentials {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.authority).unwrap().pem();
        let clients = ClientAuthority {
            certificates: self.authority.as_ref().pem(),
            wanted: ClientAuth::Optional,
        };
        TlsCredentials {
            pairs: vec![Pair { chain, key: key.serialize_pem() }],
            clients: Some(clients),
            version_min: Version::Tls12,
        }
    }

    fn open(&self, addr: SocketAddr) -> Secure {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(self.client.clone(), name).unwrap();
        let tls = StreamOwned::new(session, TcpStream::connect(addr).unwrap());
        tungstenite::client("wss://localhost/", tls).unwrap().0
    }
}

fn keys(byte: u8) -> TicketKeys {
    TicketKeys::new(std::array::from_fn(|at| (at as u8).wrapping_mul(7) ^ byte))
}

fn server(world: &World) -> Server {
    let mut server = Server::empty(1, limits());
    server.tls = Some((world.credentials(), keys(1)));
    server.start_worker(0);
    server
}

fn file(bytes: &[u8]) -> OwnedFd {
    sealed_file(bytes).expect("memory")
}

#[track_caller]
fn ask(socket: &mut Secure, text: &str) -> String {
    socket.send(Message::text(text)).expect("it is open");
    socket.read().expect("an answer").into_text().expect("text").to_string()
}

fn is_resumed(socket: &Secure) -> bool {
    socket.get_ref().conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn an_application_learns_who_came_and_how() {
    let world = World::new();
    let server = server(&world);
    for resumed in [false, true] {
        let mut socket = world.open(server.address(0));
        let facts: serde_json::Value = serde_json::from_str(&ask(&mut socket, "!tls")).unwrap();
        let client = "CN=sensor 7,O=Tests\\, Inc.";
        let expected = serde_json::json!({"version": "1.3", "resumed": resumed, "client": client});
        assert_eq!(facts, expected);
    }
    assert_eq!(server.count(Counter::TlsHandshakes), 2);
    assert_eq!(server.count(Counter::TlsResumed), 1);
}

#[test]
fn a_ticket_is_good_for_one_turn_of_the_keys_and_not_for_two() {
    let world = World::new();
    let server = server(&world);
    ask(&mut world.open(server.address(0)), "so that the ticket is read");
    let second = keys(1).turned([2; TicketKeys::TURN_BYTES]);
    server.say_with(0, &ToChild::TicketKeys { number: 1 }, file(second.as_bytes()));
    // A turn is heard before any connection that comes after it. No ticket is read from this connection.
    assert!(is_resumed(&world.open(server.address(0))));
    let third = second.turned([3; TicketKeys::TURN_BYTES]);
    let fourth = third.turned([4; TicketKeys::TURN_BYTES]);
    for keys in [third, fourth] {
        server.say_with(0, &ToChild::TicketKeys { number: 1 }, file(keys.as_bytes()));
    }
    assert!(!is_resumed(&world.open(server.address(0))));
}

#[test]
fn what_is_no_material_changes_nothing() {
    let world = World::new();
    let server = server(&world);
    let mut socket = world.open(server.address(0));
    for (message, bytes) in [
        (ToChild::Certificates { number: 1 }, &b"{}"[..]),
        (ToChild::TicketKeys { number: 1 }, b"short"),
    ] {
        server.say_with(0, &message, file(bytes));
        server.say(0, &message);
    }
    assert_eq!(ask(&mut socket, "as before"), "as before");
    assert_eq!(ask(&mut world.open(server.address(0)), "and for others"), "and for others");
}

#[test]
fn many_at_once_are_answered_in_turns_and_all_of_them() {
    const CLIENTS: usize = 100;
    let world = World::new();
    let server = server(&world);
    let addr = server.address(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..CLIENTS / 4 {
                    assert_eq!(ask(&mut world.open(addr), "served"), "served");
                }
            });
        }
    });
    eventually("all are gone", || server.count(Counter::Connections) == 0);
    assert_eq!(server.count(Counter::TlsHandshakes), CLIENTS as u64);
}
