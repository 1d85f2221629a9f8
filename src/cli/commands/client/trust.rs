//! Whom a client believes and what it shows of itself: from the options to a configuration of rustls.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use wsmaster_workers::tls::{ALPN, CertificateFault, certificates, certified_key};
use zeroize::Zeroizing;

use crate::cli::ClientOptions;

/// The largest PEM file that is read, in bytes. The authorities of a whole system take a quarter of a MiB.
const PEM_BYTES_MAX: u64 = 4 << 20;
/// Certificates of one file of authorities.
const AUTHORITIES_MAX: usize = 4096;

/// What the TLS connections of this client begin with.
///
/// # Errors
/// A file that the options name cannot be used, or there is nobody to believe: in one line.
pub(super) fn configure(options: &ClientOptions) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
        Arc::new(Anybody(provider.clone()))
    } else {
        Arc::new(Believer::new(options, provider.clone())?)
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&options.cert_file, &options.key_file) {
        (Some(chain), Some(key)) => {
            let own = SingleCertAndKey::from(certified(chain, key)?);
            builder.with_client_cert_resolver(Arc::new(own))
        }
        (_, _) => builder.with_no_client_auth(),
    };
    // As browsers do for WebSockets: a server that would rather speak HTTP/2 is not to choose it.
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn certified(
    chain_file: &Path,
    key_file: &Path,
) -> Result<Arc<rustls::sign::CertifiedKey>, String> {
    let (chain, key) = (read(chain_file)?, read(key_file)?);
    certified_key(&chain, &key).map_err(|fault| {
        let file = if fault.is_about_key() { key_file } else { chain_file };
        format!("{}: {fault}", file.display())
    })
}

/// Reads a PEM file, which may be a secret.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let read = || -> io::Result<Zeroizing<Vec<u8>>> {
        let file = File::open(path)?;
        // With room for all of it from the start, so that no part of a key is left behind where it was moved away from.
        let room = file.metadata()?.len().min(PEM_BYTES_MAX) as usize + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        match file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)? as u64 {
            0..=PEM_BYTES_MAX => Ok(bytes),
            _ => Err(io::Error::other("it is too large for certificates")),
        }
    };
    read().map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// Believes what the authorities of the system and those of `--ca` have signed.
#[derive(Debug)]
struct Believer {
    authorities: Arc<WebPkiServerVerifier>,
    /// The certificates of `--ca`.
    named: Vec<CertificateDer<'static>>,
}

impl Believer {
    fn new(options: &ClientOptions, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let (mut named, mut roots) = (Vec::new(), RootCertStore::empty());
        for path in &options.ca_files {
            let found = certificates(&read(path)?, AUTHORITIES_MAX);
            for certificate in found.map_err(|fault| format!("{}: {fault}", path.display()))? {
                let unusable = |_| format!("{}: {}", path.display(), CertificateFault::Certificate);
                roots.add(certificate.clone()).map_err(unusable)?;
                named.push(certificate);
            }
        }
        let system = rustls_native_certs::load_native_certs();
        // A certificate of the system that rustls cannot read is nobody's who could be believed.
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let why = system.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(format!(
                "no authority is known that could vouch for a server{why}; install ca-certificates, name a file with --ca or SSL_CERT_FILE, or use --insecure"
            ));
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let authorities = authorities.build().map_err(|error| error.to_string())?;
        Ok(Self { authorities, named })
    }
}

/// Whether a certificate was refused for nothing but being one of an authority.
pub(super) fn is_of_an_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // What `openssl req -x509` makes says that it is an authority's, and webpki takes none of those for a server's.
            // When it is itself what --ca names, nobody else has to vouch for it; its dates were looked at before.
            Err(error) if is_of_an_authority(&error) && self.named.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Believes everybody: the server has to have the key of the certificate that it shows, whosever that is.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
