//! TLS: what a server shows of itself, whom it believes, and how one connection is encrypted (RFC 8446, RFC 5246).
//!
//! The protocol is rustls's; how many bytes may wait where, and when a handshake may cost CPU, is decided here. A
//! [`TlsCredentials`] is all that the operator gives, as text; the master checks it and hands it to the workers in memory files
//! that nobody else is given, so that no private key is ever in the memory of a process that does not serve. [`TicketKeys`]
//! are shared by all workers in the same way: a client that comes back may come back to any of them.
//!
//! - [`TlsCredentials`] and [`CredentialsSummary`]: certificates, keys and rules, and what can be told of them.
//! - [`TicketKeys`]: what session tickets are sealed with.
//! - [`x509`]: the two facts of a certificate that are for people.
//! - [`certificates`] and [`certified_key`]: what stands in PEM files, for whoever makes TLS connections.
//! - [`PeerInfo`]: what a handshake has brought out about the peer.

mod acceptor;
mod backlog;
mod certificate;
mod credentials;
mod names;
mod refusal;
mod stream;
mod tickets;
pub mod x509;

pub use certificate::{CertificateFault, certificates, certified_key};
pub use credentials::{
    ALPN, CREDENTIALS_BYTES_MAX, CertificateSummary, ClientAuth, ClientAuthority, CredentialsFault,
    CredentialsSummary, Pair, SealedCredentials, TlsCredentials, Version,
};
pub use stream::PeerInfo;
pub use tickets::{TICKET_LIFETIME, TicketKeys};
pub use x509::Validity;

pub(crate) use acceptor::Acceptor;
pub(crate) use backlog::Backlogs;
pub(crate) use stream::TlsStream;
