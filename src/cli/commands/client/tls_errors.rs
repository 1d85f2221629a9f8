//! What is wrong with a TLS connection, in words for a person who has to do something about it. Pure.

use rustls::{AlertDescription, CertificateError, Error};
use wsmaster_protocol::calendar::Date;

use super::trust::is_of_an_authority;
use crate::logging::escape;

/// Names of a certificate that are shown.
const NAMES_SHOWN_MAX: usize = 4;

/// One line about `error`.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(_) if is_of_an_authority(error) => {
            "the server's certificate is that of an authority (CA:TRUE); --ca FILE with this very certificate trusts it, --insecure any"
                .to_owned()
        }
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::AlertReceived(alert) => refusal(*alert),
        Error::InvalidMessage(_) => {
            "the server does not speak TLS there; ws:// instead of wss:// is without".to_owned()
        }
        Error::PeerIncompatible(what) => {
            format!("the server speaks no TLS that is spoken here, versions 1.2 and 1.3 ({what:?})")
        }
        Error::DecryptError => "what the server sent was changed on the way".to_owned(),
        other => format!("the server does not keep to TLS: {}", escape(&other.to_string())),
    }
}

/// What is wrong with the certificate that the server has shown.
fn certificate(fault: &CertificateError) -> String {
    match fault {
        // The last two: an authority is known by that name, but its key has not signed this.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the server's certificate is signed by nobody who is trusted here; --ca FILE trusts the authority in that file, --insecure any certificate"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().take(NAMES_SHOWN_MAX).map(|it| name(it)).collect();
            let more = if presented.len() > NAMES_SHOWN_MAX { ", ..." } else { "" };
            let whose = match names.as_slice() {
                [] => "nobody's name".to_owned(),
                names => format!("{}{more}", names.join(", ")),
            };
            format!("the server's certificate is for {whose}, not for {}", expected.to_str())
        }
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate has expired on {}", date(not_after.as_secs()))
        }
        CertificateError::Expired => "the server's certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}", date(not_before.as_secs()))
        }
        CertificateError::NotValidYet => "the server's certificate is not valid yet".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not one for servers".to_owned()
        }
        other => format!("the server's certificate cannot be accepted: {}", escape(&format!("{other:?}"))),
    }
}

/// What the server has said to us when it gave up.
fn refusal(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server wants a certificate of the client: --cert FILE --key FILE".to_owned()
        }
        AlertDescription::HandshakeFailure => {
            "the server refuses the handshake; does it want a certificate of the client (--cert FILE --key FILE)?"
                .to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => {
            format!("the server does not accept the certificate of the client ({alert:?})")
        }
        AlertDescription::UnrecognisedName => "the server has no certificate for this name".to_owned(),
        AlertDescription::ProtocolVersion => {
            "the server speaks neither TLS 1.2 nor TLS 1.3 with us".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "the server does not speak HTTP/1.1 inside of TLS, which WebSockets begin with".to_owned()
        }
        other => format!("TLS alert from server: {other:?}"),
    }
}

/// A name as webpki writes those of a certificate: `DnsName("localhost")`, `IpAddress(::1)`.
fn name(presented: &str) -> String {
    let inside = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    escape(inside.unwrap_or(presented).trim_matches('"'))
}

fn date(unix_s: u64) -> String {
    let date = |unix_s| Date::from_unix_s(unix_s).to_string();
    i64::try_from(unix_s).map_or_else(|_| "a day far away".to_owned(), date)
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_fault_of_a_certificate_has_its_words() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        let expected = || ServerName::try_from("chat.example.org").expect("a name").to_owned();
        for (fault, part) in [
            (CertificateError::UnknownIssuer, "--ca FILE"),
            (CertificateError::BadSignature, "--ca FILE"),
            (
                CertificateError::ExpiredContext { time: at(2_000_000_000), not_after: at(86_400) },
                "expired on 1970-01-02",
            ),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(86_400) },
                "not valid before 1970-01-02",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: expected(),
                    presented: vec!["DnsName(\"a\u{1b}b\")".into(), "IpAddress(::1)".into()],
                },
                "is for a\\u{1b}b, ::1, not for chat.example.org",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: expected(),
                    presented: Vec::new(),
                },
                "is for nobody's name",
            ),
        ] {
            let found = words(&Error::InvalidCertificate(fault));
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn whatever_goes_wrong_is_one_line() {
        for error in [
            Error::AlertReceived(AlertDescription::CertificateRequired),
            Error::AlertReceived(AlertDescription::Unknown(200)),
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            Error::InvalidCertificate(CertificateError::BadEncoding),
            Error::General("two\nlines".to_owned()),
        ] {
            let found = words(&error);
            assert_eq!(found.lines().count(), 1, "{found}");
        }
    }
}
