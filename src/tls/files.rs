//! From the files to credentials, and from what is wrong with it to lines that name file, line and key of the
//! configuration.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use serde::{Deserialize, Serialize};
use wsmaster_workers::tls::{
    CertificateSummary, ClientAuthority, CredentialsFault, CredentialsSummary, Pair, TlsCredentials,
};
use zeroize::Zeroizing;

use super::{Certificate, Flaw, NAMES_SHOWN_MAX, TlsSummary, Warning};
use crate::config::{Config, ConfigErrors};

/// The largest file of certificates or keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A certificate that ends within this time is told of.
const DAYS_WARNED: i64 = 14;
/// The bit of a file's mode that lets everybody read it.
const READABLE_BY_ALL: u32 = 0o004;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// The key of the configuration that names the file, such as `tls.cert_file`.
    key: String,
    problem: String,
}

/// A pair of files, and where the configuration names them.
struct Source<'a> {
    section: String,
    cert_file: &'a Path,
    key_file: &'a Path,
}

/// Reads and checks everything.
pub(crate) fn read(
    config: &Config,
    now_unix_s: i64,
) -> Result<(TlsCredentials, TlsSummary), Vec<Fault>> {
    let sources = sources(config);
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    let mut pairs = Vec::new();
    for source in &sources {
        let chain = text(source.cert_file, &source.key("cert_file"), &mut faults);
        let key = text(source.key_file, &source.key("key_file"), &mut faults);
        warnings.extend(exposed(source));
        pairs.extend(chain.zip(key).map(|(mut chain, mut key)| {
            let (chain, key) = (std::mem::take(&mut *chain), std::mem::take(&mut *key));
            Pair { chain, key }
        }));
    }
    let clients = config.tls.client_ca_file.as_deref().and_then(|path| {
        let mut certificates = text(path, "tls.client_ca_file", &mut faults)?;
        let wanted = config.tls.client_auth;
        Some(ClientAuthority { certificates: std::mem::take(&mut *certificates), wanted })
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    let version_min = config.tls.version_min;
    let credentials = TlsCredentials { pairs, clients, version_min };
    let CredentialsSummary { certificates, fingerprint } =
        credentials.check().map_err(|fault| vec![blame(&sources, config, &fault)])?;
    let mut told = Vec::new();
    for (place, (source, shown)) in sources.iter().zip(certificates).enumerate() {
        if shown.names.is_empty() {
            let file = source.cert_file.display();
            if place > 0 {
                let problem = format!(
                    "{file}: expected a certificate with names (subjectAltName), found none: no \
                     client could ask for it"
                );
                faults.push(Fault { key: source.key("cert_file"), problem });
            } else {
                warnings.push(source.of_certificate(Flaw::Nameless));
            }
        }
        warnings.extend(out_of_date(source, &shown, now_unix_s));
        told.push(Certificate {
            file: source.cert_file.display().to_string(),
            names: shown.names.into_iter().take(NAMES_SHOWN_MAX).collect(),
            expires_unix_s: shown.validity.until_unix_s,
            self_issued: shown.self_issued,
        });
    }
    if faults.is_empty() {
        Ok((credentials, TlsSummary { certificates: told, warnings, fingerprint }))
    } else {
        Err(faults)
    }
}

/// The faults as the operator reads them, each at the place of its key.
pub(crate) fn errors(config: &Config, faults: &[Fault]) -> ConfigErrors {
    let faults = faults.iter().map(|fault| (fault.key.as_str(), fault.problem.clone()));
    config.refuse(faults)
}

fn sources(config: &Config) -> Vec<Source<'_>> {
    let tls = &config.tls;
    let first = tls.cert_file.as_deref().zip(tls.key_file.as_deref());
    let first = first.map(|(cert_file, key_file)| Source {
        section: "tls".to_owned(),
        cert_file,
        key_file,
    });
    let others = tls.certificates.iter().enumerate().map(|(number, certificate)| Source {
        section: format!("tls.certificate[{number}]"),
        cert_file: &certificate.cert_file,
        key_file: &certificate.key_file,
    });
    first.into_iter().chain(others).collect()
}

impl Source<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.section)
    }

    fn of_certificate(&self, flaw: Flaw) -> Warning {
        Warning { key: self.key("cert_file"), file: self.cert_file.display().to_string(), flaw }
    }
}

/// The text of a file, if it can be read.
fn text(path: &Path, key: &str, faults: &mut Vec<Fault>) -> Option<Zeroizing<String>> {
    let problem = match contents(path) {
        Ok(text) => return Some(text),
        Err(error) => format!("{} cannot be read: {error}", path.display()),
    };
    faults.push(Fault { key: key.to_owned(), problem });
    None
}

fn contents(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::other("expected at most 1MiB"));
    }
    // With room for all of it, so that no half of a key is left behind where it was moved away from.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("expected at most 1MiB"));
    }
    // What is no text has no certificate in PEM form in it either, and is told so.
    Ok(Zeroizing::new(str::from_utf8(&bytes).unwrap_or_default().to_owned()))
}

fn exposed(source: &Source<'_>) -> Option<Warning> {
    let mode = source.key_file.metadata().ok()?.mode();
    (mode & READABLE_BY_ALL != 0).then(|| Warning {
        key: source.key("key_file"),
        file: source.key_file.display().to_string(),
        flaw: Flaw::Exposed,
    })
}

fn out_of_date(
    source: &Source<'_>,
    shown: &CertificateSummary,
    now_unix_s: i64,
) -> Option<Warning> {
    let validity = &shown.validity;
    let days = validity.days_left(now_unix_s);
    let flaw = if now_unix_s > validity.until_unix_s {
        Flaw::Expired { on: validity.until_date() }
    } else if now_unix_s < validity.from_unix_s {
        Flaw::Early { from: validity.from_date() }
    } else if days < DAYS_WARNED {
        Flaw::Ending { on: validity.until_date(), days }
    } else {
        return None;
    };
    Some(source.of_certificate(flaw))
}

/// Whose fault it is.
fn blame(sources: &[Source<'_>], config: &Config, fault: &CredentialsFault) -> Fault {
    let at =
        |path: &Path, key: String| Fault { key, problem: format!("{}: {fault}", path.display()) };
    match fault {
        CredentialsFault::Pair { place, fault } => match sources.get(*place) {
            Some(source) if fault.is_about_key() => at(source.key_file, source.key("key_file")),
            Some(source) => at(source.cert_file, source.key("cert_file")),
            None => Fault { key: "tls".to_owned(), problem: fault.to_string() },
        },
        CredentialsFault::Clients(_) => {
            let path = config.tls.client_ca_file.as_deref().unwrap_or(Path::new(""));
            at(path, "tls.client_ca_file".to_owned())
        }
        CredentialsFault::Nothing | CredentialsFault::Unreadable => {
            Fault { key: "tls.cert_file".to_owned(), problem: fault.to_string() }
        }
    }
}
