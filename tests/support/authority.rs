//! Certificates for tests: an authority, and what it signs.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Signed {
    pub(crate) certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of the tests");
        let key = KeyPair::generate().expect("randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.as_ref().der().clone()
    }

    /// An authority that is itself a server for these names, and has signed itself only.
    pub(crate) fn for_itself(names: &[&str]) -> Signed {
        let mut params = Self::params(names, ExtendedKeyUsagePurpose::ServerAuth);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        Signed { certificate: params.self_signed(&key).expect("it signs"), key }
    }

    /// A certificate of a server, for these names.
    pub(crate) fn server(&self, names: &[&str]) -> Signed {
        self.sign(Self::params(names, ExtendedKeyUsagePurpose::ServerAuth))
    }

    /// A certificate of a server that was good for one day of the year 2020.
    pub(crate) fn expired(&self, names: &[&str]) -> Signed {
        self.ending(names, (2020, 2, 29))
    }

    /// A certificate of a server that is good from the 28th of February 2020 to the begin of this day: year, month, day.
    pub(crate) fn ending(&self, names: &[&str], (year, month, day): (i32, u8, u8)) -> Signed {
        let mut params = Self::params(names, ExtendedKeyUsagePurpose::ServerAuth);
        params.not_before = date_time_ymd(2020, 2, 28);
        params.not_after = date_time_ymd(year, month, day);
        self.sign(params)
    }

    /// A certificate of a client.
    pub(crate) fn client(&self, name: &str) -> Signed {
        let mut params = Self::params(&[], ExtendedKeyUsagePurpose::ClientAuth);
        params.distinguished_name.push(DnType::OrganizationName, "Tests, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params)
    }

    fn params(names: &[&str], purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![purpose];
        params
    }

    fn sign(&self, params: CertificateParams) -> Signed {
        let key = KeyPair::generate().expect("randomness");
        Signed { certificate: params.signed_by(&key, &self.0).expect("it signs"), key }
    }
}

impl Signed {
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The secret number itself, as it stands in the key: what must be found nowhere else.
    pub(crate) fn secret(&self) -> Vec<u8> {
        // PKCS#8 around SEC 1 (RFC 5915): version 1 and 32 bytes.
        let der = self.key.serialized_der();
        let at = der.windows(5).position(|part| part == [0x02, 0x01, 0x01, 0x04, 0x20]);
        der[at.expect("a key for P-256") + 5..][..32].to_vec()
    }

    pub(crate) fn for_a_client(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key.serialized_der().to_vec());
        (vec![self.certificate.der().clone()], key.into())
    }

    /// Writes both files, `NAME.pem` and `NAME.key`, in place of earlier ones.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let files = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        put(&files.0, &self.certificate.pem());
        put(&files.1, &self.key_pem());
        files
    }
}

/// A file that only its owner can read.
pub(crate) fn put(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("the directory is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}
