//! What is told about files: at `config check`, at a start, in the status; and the certificate that is made for trying.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    authority::put,
    client::echo,
    place::Place,
    support::{Server, run},
};

/// As `openssl x509 -req` makes it without further words.
const OF_VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBJDCBywIUPYlz+pRlAGiVkRgCF2hOOCpRt9MwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTIwMTA2NDcwN1oYDzIxMjYxMTA3MDY0NzA3
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASOBxXovc/moKqRDfasTWwZ2YBWACEBWKGQv8ytwoz2ni+bB/iF8i45neF1HxKd
qHh/FzcB7C2gof0Lvs2rhm2SMAoGCCqGSM49BAMCA0gAMEUCIQCcUkN0jsidTGk8
w0uTCQ5tgFxxNicQ53+BBSgt9AlgBgIgK94VIaaEIxT/8kvZHf6OVl4HD8QNfmhU
kTeImWfsdPw=
-----END CERTIFICATE-----
";

#[test]
fn what_is_wrong_is_told_with_file_line_and_key() {
    let place = Place::new();
    let other = Place::new();
    let config = place.at("wsmaster.toml");
    let dir = place.path().display();
    put(&place.at("text.pem"), "no certificate\n");
    put(&place.at("broken.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    put(&place.at("version1.pem"), OF_VERSION_1);
    put(
        &place.at("locked.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    other.own.write(place.path(), "other");
    place.authority.server(&[]).write(place.path(), "nameless");
    let nameless = format!(
        "[tls]\ncert_file = \"{dir}/own.pem\"\nkey_file = \"{dir}/own.key\"\n[[tls.certificate]]\n\
         cert_file = \"{dir}/nameless.pem\"\nkey_file = \"{dir}/nameless.key\"\n"
    );
    let pair = |cert: &str, key: &str| {
        format!("[tls]\ncert_file = \"{dir}/{cert}\"\nkey_file = \"{dir}/{key}\"\n")
    };
    for (text, line) in [
        (
            pair("gone.pem", "own.key"),
            "2:13: tls.cert_file: DIR/gone.pem cannot be read: No such file",
        ),
        (
            pair("own.pem", "gone.key"),
            "3:12: tls.key_file: DIR/gone.key cannot be read: No such file",
        ),
        (
            pair("text.pem", "own.key"),
            "2:13: tls.cert_file: DIR/text.pem: expected a certificate in PEM form",
        ),
        (
            pair("broken.pem", "own.key"),
            "2:13: tls.cert_file: DIR/broken.pem: expected PEM, found something",
        ),
        (
            pair("version1.pem", "own.key"),
            "2:13: tls.cert_file: DIR/version1.pem: the certificate cannot be understood: expected X.509 version 3 \
             (`openssl x509 -req` without -extfile makes version 1)",
        ),
        (
            pair("own.pem", "text.pem"),
            "3:12: tls.key_file: DIR/text.pem: expected a private key in PEM form",
        ),
        (
            pair("own.pem", "locked.key"),
            "3:12: tls.key_file: DIR/locked.key: the private key is locked",
        ),
        (
            pair("own.pem", "other.key"),
            "3:12: tls.key_file: DIR/other.key: the private key does not belong",
        ),
        (
            pair("own.pem", "own.key") + &format!("client_ca_file = \"{dir}/text.pem\"\n"),
            "4:18: tls.client_ca_file: DIR/text.pem: expected a certificate in PEM form",
        ),
        (
            nameless,
            "5:13: tls.certificate[0].cert_file: DIR/nameless.pem: expected a certificate with names",
        ),
        (
            format!("[tls]\ncert_file = \"{dir}/own.pem\"\n"),
            "2:13: tls.cert_file: expected tls.key_file",
        ),
        (
            format!("[tls]\nclient_ca_file = \"{dir}/ca.pem\"\n"),
            "2:18: tls.client_ca_file: expected tls.cert_file",
        ),
    ] {
        put(&config, &text);
        let file = config.display().to_string();
        let expected = format!("{file}:{}", line.replace("DIR", &dir.to_string()));
        for command in [&["config", "check", "-c"][..], &["start", "--listen", "127.0.0.1:0", "-c"]]
        {
            let mut arguments = command.to_vec();
            arguments.push(&file);
            let output = run(&arguments).expect_code(2);
            assert_eq!(output.stderr.lines().count(), 1, "{output}");
            assert!(output.stderr.starts_with(&expected), "{expected}\n{output}");
        }
    }
    put(&config, &pair("own.pem", "own.key"));
    let output = run(&["config", "check", "-c", &config.display().to_string()]).expect_code(0);
    assert_eq!(output.stderr, "");
}

#[test]
fn what_might_be_better_is_a_warning() {
    let place = Place::new();
    place.authority.expired(&["localhost"]).write(place.path(), "own");
    let key = place.at("own.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let server = place.serve();
    server.wait_log("own.pem expired on 2020-02-29: clients refuse it");
    server.wait_log("own.key can be read by everybody on this machine: chmod 600 it");
    let table = server.cli(&["status"]).expect_code(0).stdout;
    assert!(table.contains("own.pem (localhost) has EXPIRED"), "{table}");
    let days = server.status()["tls"]["certificates"][0]["expires_in_days"].as_i64();
    assert!(days.is_some_and(|days| days < -2000), "{days:?}");

    let config = server.directory().join("wsmaster.toml").display().to_string();
    let output = server.cli(&["config", "check", "-c", &config]).expect_code(0);
    assert_eq!(output.stderr.lines().filter(|line| line.starts_with("warning: tls.")).count(), 2);
}

#[test]
fn a_self_signed_certificate_serves_and_is_never_overwritten() {
    let directory = tempfile::tempdir().expect("a directory for certificates");
    let out = directory.path().join("new").display().to_string();
    let make = ["cert", "self-signed", "--name", "localhost", "--out", &out];
    let made = run(&make).expect_code(0);
    let key = directory.path().join("new/key.pem");
    assert_eq!(fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
    let before = fs::read(&key).expect("it is ours");
    let again = run(&make).expect_code(1);
    assert!(again.stderr.contains("is there already"), "{again}");
    assert_eq!(fs::read(&key).expect("it is ours"), before);

    // What it prints is what the configuration wants.
    let setup = crate::support::Setup::default().app(crate::support::App::Echo);
    let server = Server::start(setup.config_toml(&made.stdout));
    assert!(server.stdout().contains("wss://127.0.0.1:"), "{}", server.stdout());
    let trusted = format!("curl --cacert {out}/cert.pem https://127.0.0.1:");
    assert!(server.stdout().contains(&trusted), "{}", server.stdout());
    let log = server.log();
    assert!(!log.contains("WARN"), "{log}");
    let certificate = fs::read(directory.path().join("new/cert.pem")).expect("it is ours");
    let certificate =
        <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
            &certificate,
        )
        .expect("PEM");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let way = crate::client::Way { config: std::sync::Arc::new(config), name: "localhost" };
    echo(&mut way.open(server.addr()), "trying");
    run(&["cert", "self-signed", "--name", "two words", "--out", &out]).expect_code(2);
}
