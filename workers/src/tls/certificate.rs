//! One certificate chain with its private key: from PEM text to what handshakes are signed with (RFC 7468).

use std::sync::Arc;

use rustls::{crypto::ring::sign::any_supported_type, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use zeroize::Zeroize;

use super::x509::{self, Validity};

/// Certificates of one chain. Real ones have two to four.
const CHAIN_MAX: usize = 16;

/// Why a certificate or its key cannot be used. To be read behind the name of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateFault {
    /// There is none in the text.
    #[error("expected a certificate in PEM form (-----BEGIN CERTIFICATE-----), found none")]
    NoCertificate,
    /// The text begins as PEM and does not go on so.
    #[error("expected PEM, found something that is broken: {0}")]
    CertificatePem(String),
    /// More than any chain has.
    #[error("expected at most {0} certificates, found more")]
    TooMany(usize),
    /// It cannot be read.
    #[error(
        "the certificate cannot be understood: expected X.509 version 3 (`openssl x509 -req` without -extfile makes version 1)"
    )]
    Certificate,
    /// There is none in the text.
    #[error("expected a private key in PEM form (-----BEGIN PRIVATE KEY-----), found none")]
    NoKey,
    /// It wants a passphrase, and there is nobody to ask.
    #[error(
        "the private key is locked with a passphrase; unlock it: openssl pkey -in OLD -out NEW"
    )]
    KeyLocked,
    /// The text begins as PEM and does not go on so.
    #[error("expected PEM, found something that is broken: {0}")]
    KeyPem(String),
    /// It is of a kind that is not signed with.
    #[error(
        "expected an RSA key of 2048 to 8192 bits, an ECDSA key (P-256, P-384) or an Ed25519 key"
    )]
    KeyKind,
    /// It is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

impl CertificateFault {
    /// Whether it is the file of the key that has to be looked at.
    pub fn is_about_key(&self) -> bool {
        match self {
            Self::NoCertificate
            | Self::CertificatePem(_)
            | Self::TooMany(_)
            | Self::Certificate => false,
            Self::NoKey | Self::KeyLocked | Self::KeyPem(_) | Self::KeyKind | Self::Mismatch => {
                true
            }
        }
    }
}

/// A certificate that handshakes can be signed for.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// The names it is for, in small letters; a wildcard is the first label of a name only (RFC 6125, 6.4.3).
    pub(super) names: Vec<String>,
    pub(super) validity: Validity,
    pub(super) self_issued: bool,
}

impl Identity {
    /// Reads the chain, the server's own certificate first, and the key.
    pub(super) fn read(chain: &[u8], key: &[u8]) -> Result<Self, CertificateFault> {
        let chain = certificates(chain, CHAIN_MAX)?;
        let own = chain.first().ok_or(CertificateFault::NoCertificate)?;
        let parsed =
            webpki::EndEntityCert::try_from(own).map_err(|_| CertificateFault::Certificate)?;
        let mut names: Vec<String> =
            parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        names.dedup();
        let validity = x509::validity(own).ok_or(CertificateFault::Certificate)?;
        let self_issued = x509::is_self_issued(own).ok_or(CertificateFault::Certificate)?;
        let mut key = private_key(key)?;
        let signer = any_supported_type(&key);
        key.zeroize();
        let signer = signer.map_err(|_| CertificateFault::KeyKind)?;
        let key = CertifiedKey::new(chain, signer);
        key.keys_match().map_err(|_| CertificateFault::Mismatch)?;
        Ok(Self { key: Arc::new(key), names, validity, self_issued })
    }
}

/// The certificates of a text in PEM form, of which there may be `count_max`.
///
/// # Errors
/// There is none or there are too many, or something else stands where one has begun.
pub fn certificates(
    text: &[u8],
    count_max: usize,
) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let broken = |error| CertificateFault::CertificatePem(describe(&error));
        found.push(certificate.map_err(broken)?);
        if found.len() > count_max {
            return Err(CertificateFault::TooMany(count_max));
        }
    }
    if found.is_empty() { Err(CertificateFault::NoCertificate) } else { Ok(found) }
}

/// What one side of TLS shows of itself: a chain, its own certificate first, and the key that belongs to it, both in PEM
/// form.
///
/// # Errors
/// One of the two cannot be used, or they do not belong together.
pub fn certified_key(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, CertificateFault> {
    Identity::read(chain, key).map(|identity| identity.key)
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateFault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if holds(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            CertificateFault::KeyLocked
        }
        pem::Error::NoItemsFound => CertificateFault::NoKey,
        _ if holds(text, b"Proc-Type: 4,ENCRYPTED") => CertificateFault::KeyLocked,
        other => CertificateFault::KeyPem(describe(&other)),
    })
}

/// What is wrong, without a byte of what may be a secret.
fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "an -----END ...----- line is missing",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN ...----- line is not whole",
        pem::Error::Base64Decode(_) => "what stands between BEGIN and END is not base64",
        _ => "it cannot be read",
    }
    .to_owned()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
