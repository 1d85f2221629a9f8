//! All that an operator gives for TLS, as text, and what is made of them. The master checks credentials before they count; a
//! worker makes its configuration of rustls from them. They travel in a memory file and are wiped where they were read.

use std::{fmt, os::fd::OwnedFd, sync::Arc};

use ring::digest;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring as provider},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use serde::{Deserialize, Serialize};
use wsmaster_settings::words;
use zeroize::{Zeroize, Zeroizing};

use super::{
    certificate::{CertificateFault, Identity, certificates},
    names::Names,
    tickets::Tickets,
    x509::Validity,
};

/// The largest credentials, as bytes of their memory file.
pub const CREDENTIALS_BYTES_MAX: usize = 32 << 20;

/// The one protocol that is spoken inside (RFC 7301, 6). A client that offers others only, such as `h2`, is told so.
pub const ALPN: &[u8] = b"http/1.1";

/// Authorities that may vouch for clients.
const AUTHORITIES_MAX: usize = 16;

/// The memory files that a worker takes its credentials and its keys from.
#[derive(Debug)]
pub struct SealedCredentials {
    /// Of a [`TlsCredentials`].
    pub credentials: OwnedFd,
    /// Of the server's [`TicketKeys`](super::TicketKeys).
    pub ticket_keys: OwnedFd,
}

/// A certificate chain and its private key, as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The certificates, the server's own first.
    pub chain: String,
    /// The private key.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(not shown)")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Who vouches for clients.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientAuthority {
    /// Certificates of authorities, as PEM.
    pub certificates: String,
    /// Whether a client may come without a certificate.
    pub wanted: ClientAuth,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Whoever has none is refused.
    Required,
    /// Whoever has none comes in without a name; whoever has a wrong one is refused.
    Optional,
}

words!(ClientAuth: "required" => Required, "optional" => Optional);

/// The lowest version of TLS that is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Version {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

words!(Version: "1.2" => Tls12, "1.3" => Tls13);

/// See the module.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsCredentials {
    /// The first answers for every name that no other one is for.
    pub pairs: Vec<Pair>,
    /// Who vouches for clients, if they are asked.
    pub clients: Option<ClientAuthority>,
    /// The lowest version.
    pub version_min: Version,
}

impl fmt::Debug for TlsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are never shown.
        f.debug_struct("TlsCredentials").field("pairs", &self.pairs.len()).finish_non_exhaustive()
    }
}

/// What is wrong with credentials, and with which part of them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsFault {
    /// A certificate or its key cannot be used.
    #[error("{fault}")]
    Pair {
        /// Its place in [`TlsCredentials::pairs`].
        place: usize,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The certificates of the clients' authorities cannot be used.
    #[error("{0}")]
    Clients(CertificateFault),
    /// There is nothing to show.
    #[error("there is no certificate")]
    Nothing,
    /// It is none at all.
    #[error("it cannot be read")]
    Unreadable,
}

/// What can be told of credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialsSummary {
    /// Of each certificate, in the order of [`TlsCredentials::pairs`].
    pub certificates: Vec<CertificateSummary>,
    /// Of all that the credentials are. Nothing of them can be found from this.
    pub fingerprint: [u8; 32],
}

/// What can be told of a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateSummary {
    /// The names it is for.
    pub names: Vec<String>,
    /// When it is valid.
    pub validity: Validity,
    /// Nobody else vouches for it.
    pub self_issued: bool,
}

impl TlsCredentials {
    /// As it is handed to a worker.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // With room for all of it from the start, so that no half of it is left behind where it was moved away from. Line
        // ends take two bytes in JSON.
        let texts = self.pairs.iter().map(|pair| pair.chain.len() + pair.key.len());
        let clients = self.clients.as_ref().map_or(0, |clients| clients.certificates.len());
        let room = 2 * (texts.sum::<usize>() + clients) + 1024;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        if serde_json::to_writer(&mut *bytes, self).is_err() {
            bytes.zeroize();
        }
        bytes
    }

    /// As a worker gets it. The bytes are wiped.
    ///
    /// # Errors
    /// [`CredentialsFault::Unreadable`]
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, CredentialsFault> {
        let credentials = serde_json::from_slice(&bytes).map_err(|_| CredentialsFault::Unreadable);
        bytes.zeroize();
        credentials
    }

    /// Whether handshakes can be made with it, and what can be told of it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<CredentialsSummary, CredentialsFault> {
        self.verifier()?;
        let shown = |Identity { names, validity, self_issued, .. }: Identity| CertificateSummary {
            names,
            validity,
            self_issued,
        };
        let certificates = self.identities()?.into_iter().map(shown).collect();
        Ok(CredentialsSummary { certificates, fingerprint: sha256(&self.to_bytes()) })
    }

    /// What rustls is told.
    pub(super) fn configure(
        &self,
        tickets: &Tickets,
    ) -> Result<Arc<ServerConfig>, CredentialsFault> {
        let versions: &[_] = match self.version_min {
            Version::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Version::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(crypto())
            .with_protocol_versions(versions)
            .map_err(|_| CredentialsFault::Unreadable)?;
        let builder = match self.verifier()? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Names::new(&self.identities()?)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions are in the tickets and nowhere else, so that any worker can take them up. One ticket is enough: a
        // client that uses it gets another.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets.under(self.rules()));
        config.send_tls13_tickets = 1;
        // What comes in the first flight of a resumed session can be sent again by whoever saw it (RFC 8446, 8).
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }

    fn identities(&self) -> Result<Vec<Identity>, CredentialsFault> {
        if self.pairs.is_empty() {
            return Err(CredentialsFault::Nothing);
        }
        let pairs = self.pairs.iter().enumerate();
        pairs
            .map(|(place, pair)| {
                Identity::read(pair.chain.as_bytes(), pair.key.as_bytes())
                    .map_err(|fault| CredentialsFault::Pair { place, fault })
            })
            .collect()
    }

    fn verifier(
        &self,
    ) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, CredentialsFault> {
        let Some(clients) = &self.clients else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in authorities(&clients.certificates)? {
            let unusable = |_| CredentialsFault::Clients(CertificateFault::Certificate);
            roots.add(certificate).map_err(unusable)?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto());
        let builder = match clients.wanted {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        let verifier = builder.build();
        verifier.map(Some).map_err(|_| CredentialsFault::Clients(CertificateFault::NoCertificate))
    }

    /// What a session is bound to: by which rules its client was let in.
    fn rules(&self) -> [u8; 32] {
        sha256(&serde_json::to_vec(&self.clients).unwrap_or_default())
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

fn authorities(
    text: &str,
) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, CredentialsFault> {
    certificates(text.as_bytes(), AUTHORITIES_MAX).map_err(CredentialsFault::Clients)
}

fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}
