//! `wsmaster cert self-signed`: a certificate for trying TLS out, signed by nobody but itself.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

use super::out::{complain, print};
use crate::cli::Exit;

const CERT_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// The clock of a client may be behind ours.
const HEAD_START: Duration = Duration::from_secs(3600);

/// Makes both files in `directory`, and prints what to write into the configuration.
pub(super) fn self_signed(names: &[String], directory: &Path) -> Exit {
    let (certificate, key) = match make(names) {
        Ok(made) => made,
        Err(error) => {
            complain!("no certificate can be made for these names: {error}");
            return Exit::Usage;
        }
    };
    let (cert_file, key_file) = (directory.join(CERT_FILE), directory.join(KEY_FILE));
    for file in [&cert_file, &key_file] {
        if file.symlink_metadata().is_ok() {
            complain!("{} is there already; choose another directory with --out", file.display());
            return Exit::Failed;
        }
    }
    let written = fs::create_dir_all(directory)
        .map_err(|error| (directory, error))
        // The key first: a certificate without its key is of no use to anybody.
        .and_then(|()| write(&key_file, 0o600, &key).map_err(|error| (key_file.as_path(), error)))
        .and_then(|()| {
            write(&cert_file, 0o644, &certificate).map_err(|error| (cert_file.as_path(), error))
        });
    if let Err((path, error)) = written {
        complain!("{} cannot be written: {error}", path.display());
        return Exit::Failed;
    }
    let quoted = |path: &Path| {
        // The server may be started from another directory.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        toml_edit::Value::from(path.to_string_lossy().into_owned()).to_string()
    };
    print(&format!("[tls]\ncert_file = {}\nkey_file = {}\n", quoted(&cert_file), quoted(&key_file)))
}

/// A certificate and its key, as PEM.
fn make(names: &[String]) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let name = names.first().map_or("localhost", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since_1970 = date_time_ymd(1970, 1, 1);
    params.not_before = since_1970 + now.saturating_sub(HEAD_START);
    params.not_after = since_1970 + now + LIFETIME;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

/// Writes a file that must not be there yet.
fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
