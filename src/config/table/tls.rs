//! The keys of `[tls]`, but for the tables of further certificates.

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::rules::is_optional_path;
use super::super::settings::{ClientAuth, TlsVersion};
use super::super::value::Kind;
use super::super::words::words;

pub(super) const CERT_FILE: Key = Key {
    section: Section::Tls,
    name: "cert_file",
    kind: Kind::Text { expected: "the path of a file, or \"\"", accepts: is_optional_path },
    default: "",
    automatic: None,
    aliases: &["ssl_cert_file"],
    about: "The certificate of the server and those it is signed with, in PEM form, its own \
            first. Empty: connections are not encrypted.",
    access: field!(tls.cert_file),
};

pub(super) const KEY_FILE: Key = Key {
    section: Section::Tls,
    name: "key_file",
    kind: Kind::Text { expected: "the path of a file, or \"\"", accepts: is_optional_path },
    default: "",
    automatic: None,
    aliases: &["ssl_key_file"],
    about: "The private key of the certificate, in PEM form and without a passphrase. It is \
            read before the workers change to their user.",
    access: field!(tls.key_file),
};

pub(super) const CLIENT_CA_FILE: Key = Key {
    section: Section::Tls,
    name: "client_ca_file",
    kind: Kind::Text { expected: "the path of a file, or \"\"", accepts: is_optional_path },
    default: "",
    automatic: None,
    aliases: &["ssl_client_cert_file"],
    about: "Certificates of authorities, in PEM form: clients are asked for a certificate that \
            one of them has signed. Empty: clients are not asked.",
    access: field!(tls.client_ca_file),
};

pub(super) const CLIENT_AUTH: Key = Key {
    section: Section::Tls,
    name: "client_auth",
    kind: Kind::Choice { words: &words(&ClientAuth::WORDS), numbered: &[] },
    default: "required",
    automatic: None,
    aliases: &[],
    about: "Where clients are asked: \"required\" refuses those without a certificate, \
            \"optional\" lets them in. A wrong certificate is always refused.",
    access: field!(tls.client_auth),
};

pub(super) const VERSION_MIN: Key = Key {
    section: Section::Tls,
    name: "version_min",
    kind: Kind::Choice { words: &words(&TlsVersion::WORDS), numbered: &[] },
    default: "1.2",
    automatic: None,
    aliases: &[],
    about: "The lowest version of TLS that is spoken.",
    access: field!(tls.version_min),
};
