//! `[tls]` and `[[tls.certificate]]`: what connections are encrypted with.
//!
//! Owns the declaration of their settings. It opens no file: whether a certificate is one is found out when it is loaded.

use std::path::PathBuf;

use wsmaster_settings::{Array, kinds::*, settings};

use super::validators::{is_file_path, is_optional_path};

/// Whether clients must show a certificate, and the lowest version that is spoken.
pub use wsmaster_workers::tls::{ClientAuth, Version as TlsVersion};

/// The most `[[tls.certificate]]` tables of a configuration.
pub const CERTIFICATES_MAX: usize = 64;

settings! {
    /// Encryption (wss://, https://). It is on as soon as there is a certificate; docs/tls.md tells how to get one.
    /// `wsmaster reload` takes new files up without closing a connection.
    pub struct TlsConfig = section("tls"), also {
        /// Further certificates, for other names.
        certificates: Vec<CertificateConfig> = Vec::new();
    };

    /// The certificate of the server and those it is signed with, in PEM form, its own first. Empty: connections are
    /// not encrypted.
    cert_file: Option<PathBuf> = is(""), text("the path of a file, or \"\"", is_optional_path), ["ssl_cert_file"];

    /// The private key of the certificate, in PEM form and without a passphrase. It is read before the workers change
    /// to their user.
    key_file: Option<PathBuf> = is(""), text("the path of a file, or \"\"", is_optional_path), ["ssl_key_file"];

    /// Certificates of authorities, in PEM form: clients are asked for a certificate that one of them has signed.
    /// Empty: clients are not asked.
    client_ca_file: Option<PathBuf> = is(""),
        text("the path of a file, or \"\"", is_optional_path),
        ["ssl_client_cert_file"];

    /// Where clients are asked: "required" refuses those without a certificate, "optional" lets them in. A wrong
    /// certificate is always refused.
    client_auth: ClientAuth = is("required"), choice::<ClientAuth>(), [];

    /// The lowest version of TLS that is spoken.
    version_min: TlsVersion = is("1.2"), choice::<TlsVersion>(), [];
}

settings! {
    /// A further certificate, for clients that ask for one of its names (SNI). A name that no certificate is for gets the first.
    pub struct CertificateConfig = array("tls.certificate", Array {
        plural: "certificates",
        most: CERTIFICATES_MAX,
        bounds: ". They have no variables and no flags.",
        example: EXAMPLE,
    });

    /// The certificate and those it is signed with, in PEM form, its own first.
    cert_file: PathBuf = required("/etc/wsmaster/other.cer"),
        text("the path of a file", is_file_path),
        ["cert", "certificate"];

    /// Its private key, in PEM form and without a passphrase.
    key_file: PathBuf = required("/etc/wsmaster/other.key"),
        text("the path of a file", is_file_path),
        ["key", "private_key"];
}

const EXAMPLE: &str = r#"
```toml
[[tls.certificate]]
cert_file = "/etc/wsmaster/other.cer"
key_file = "/etc/wsmaster/other.key"
```
"#;

impl TlsConfig {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.cert_file.is_some() || !self.certificates.is_empty()
    }
}
